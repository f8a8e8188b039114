package collections_test

import (
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// internerProgram interns strings, with a map and a slice as the model.
func internerProgram(a galloc.Allocator, s *script) error {
	in := collections.NewInterner(a)
	defer func() { in.Free() }()
	ids := map[string]uint32{}
	var texts, views []string
	text := func() string {
		t := strings.Repeat(string(rune('a'+s.n(26))), s.n(8)*s.n(8))
		if s.n(40) == 0 {
			t = strings.Repeat(t, 1+s.n(300)) // longer than the first chunks
		}
		return t + strings.Repeat("#", s.n(3))
	}
	for s.more() {
		t := text()
		want, known := ids[t]
		switch s.n(9) {
		case 0, 1, 2, 3, 4:
			var id uint32
			var err error
			if s.n(2) == 0 {
				id, err = in.TryIntern(t)
			} else {
				id, err = in.TryInternBytes([]byte(t))
			}
			if s.failed(err) {
				break
			}
			if !known {
				want = uint32(len(texts))
				ids[t] = want
				texts, views = append(texts, t), append(views, in.View(id))
			}
			if id != want {
				return differ("Intern", id, want)
			}
		case 5:
			if c, err := in.TryClone(); !s.failed(err) {
				in.Free()
				in = c
				for i := range views {
					views[i] = in.View(uint32(i))
				}
			}
		case 6:
			in.ShrinkToFit()
			s.shrunk()
		case 7:
			n := s.n(200)
			if !s.failed(in.TryReserve(n)) && in.Cap() < in.Len()+n {
				return differ("Cap after Reserve", in.Cap(), in.Len()+n)
			}
		case 8:
			switch s.n(20) {
			case 0:
				in.Clear()
			case 1:
				in.Free()
			default:
				continue
			}
			clear(ids)
			texts, views = nil, nil
		}
		want, known = ids[t]
		if id, ok := in.Lookup(t); ok != known || id != want {
			return differ("Lookup", id, want)
		}
		if id, ok := in.LookupBytes([]byte(t)); ok != known || id != want {
			return differ("LookupBytes", id, want)
		}
		if in.Len() != len(texts) {
			return differ("Len", in.Len(), len(texts))
		}
		for id, got := range in.All() {
			if got != texts[id] || views[id] != got || in.View(id) != got {
				return differ("text", got, texts[id])
			}
		}
	}
	for want, id := range ids {
		if got, ok := in.Lookup(want); !ok || got != id {
			return differ("Lookup at the end", got, id)
		}
	}
	return nil
}

func TestInterner(t *testing.T) { testProgram(t, internerProgram) }

func FuzzInterner(f *testing.F) { fuzzProgram(f, internerProgram) }

func TestInternerPacksTexts(t *testing.T) {
	a := alloctest.Track(galloc.System)
	in := collections.NewInterner(a)
	for i := range 256 {
		in.Intern(strings.Repeat(string(rune('A'+i)), 4)[:4])
	}
	for _, l := range a.Live() {
		if l.Size() > 4608 { // the table: 64 groups of 8 slots of 9 bytes
			t.Errorf("a block of %v for 256 strings of 4 bytes", l)
		}
	}
	if got := len(a.Live()); got != 4 { // entries, table, and two blocks for 1280 bytes of text
		t.Errorf("%d blocks: %v", got, a.Live())
	}
	in.Free()
	mustPanic(t, "View", func() { in.View(0) })
	var zero collections.Interner
	defer zero.Free()
	if _, ok := zero.Lookup("x"); ok || zero.Intern("x") != 0 || zero.InternBytes([]byte("y")) != 1 || zero.View(1) != "y" {
		t.Error("the zero Interner")
	}
	var _ galloc.Allocator = a
}

// Of 400,000 strings, some almost certainly have the same upper 32 bits of the hash.
func TestInternerDistinguishesStringsWithEqualHashes(t *testing.T) {
	var in collections.Interner
	defer in.Free()
	const n = 400_000
	var b [4]byte
	for i := range uint32(n) {
		b = [4]byte{byte(i), byte(i >> 8), byte(i >> 16), 'x'}
		if id := in.InternBytes(b[:]); id != i {
			t.Fatalf("string %d has number %d", i, id)
		}
	}
}

// A long text between short ones has a chunk alone, which Clear frees.
func TestInternerWithALongText(t *testing.T) {
	var in collections.Interner
	defer in.Free()
	in.Intern("short")
	in.Intern(strings.Repeat("long", 5000))
	in.Clear()
	for i := range 100 {
		s := strings.Repeat(string(rune('a'+i%26)), 20+i)
		if id := in.Intern(s); in.View(id) != s {
			t.Fatalf("text %d is %q", i, in.View(id))
		}
	}
}
