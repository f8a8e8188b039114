package collections_test

import (
	stdmaps "maps"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// slabProgram does on a Slab what it does on a map, and keeps all handles and pointers that it ever got.
func slabProgram(a galloc.Allocator, s *script) error {
	type handle = collections.Handle[uint64]
	b := collections.NewSlab[uint64](a)
	defer func() { b.Free() }()
	m := map[handle]uint64{}
	at := map[handle]*uint64{}
	var all []handle
	ever := map[handle]bool{}
	count := uint64(0)
	for s.more() {
		switch s.n(10) {
		case 0, 1, 2, 3:
			count++
			h, err := b.TryInsert(count)
			if s.failed(err) {
				if h != (handle{}) {
					return differ("handle", h, handle{})
				}
				break
			}
			if ever[h] || h == (handle{}) {
				return differ("handle", h, "a new one")
			}
			ever[h] = true
			m[h], at[h] = count, b.Get(h)
			all = append(all, h)
		case 4, 5, 6:
			if len(all) > 0 {
				h := all[s.n(len(all))]
				want, has := m[h]
				if x, ok := b.Remove(h); ok != has || x != want {
					return differ("Remove", x, want)
				}
				delete(m, h)
			}
		case 7:
			if c, err := b.TryClone(); !s.failed(err) {
				b.Free()
				b = c
				for h := range m {
					at[h] = b.Get(h)
				}
			}
		case 8:
			switch s.n(16) {
			case 0:
				b.Clear()
				clear(m)
			case 1:
				b.Free()
				clear(m)
			}
		case 9:
			n := s.n(30)
			if !s.failed(b.TryReserve(n)) && b.Cap() < b.Len()+n {
				return differ("Cap after Reserve", b.Cap(), b.Len()+n)
			}
		}
		got := map[handle]uint64{}
		for h, p := range b.All() {
			got[h] = *p
			if p != at[h] {
				return differ("the value has moved", p, at[h])
			}
		}
		if !stdmaps.Equal(got, m) || b.Len() != len(m) || b.Cap() < len(m) {
			return differ("values", got, m)
		}
		for _, h := range all {
			if _, has := m[h]; b.Has(h) != has {
				return differ("Has", h, has)
			}
		}
	}
	n := 0
	for range b.Values() {
		n++
	}
	if n != len(m) {
		return differ("Values", n, len(m))
	}
	return nil
}

func TestSlabKnowsStaleHandles(t *testing.T) { testProgram(t, slabProgram) }

func FuzzSlab(f *testing.F) { fuzzProgram(f, slabProgram) }

func TestSlabWhileIterating(t *testing.T) {
	var b collections.Slab[int]
	for i := range 100 {
		b.Insert(i)
	}
	seen := 0
	for h, p := range b.All() {
		seen++
		x, ok := b.Remove(h)
		if !ok || x != *p { // the memory is still the Slab's
			t.Fatalf("Remove: %d, %v", x, ok)
		}
	}
	if seen != 100 || b.Len() != 0 {
		t.Errorf("%d values seen, %d left", seen, b.Len())
	}
	h := b.Insert(7)
	sum := 0
	b.FreeFunc(func(p *int) { sum += *p })
	if sum != 7 || b.Len() != 0 || b.Get(h) != nil || b.Cap() != 0 {
		t.Errorf("sum %d, Len %d, Cap %d", sum, b.Len(), b.Cap())
	}
	if h2 := b.Insert(8); h2 == h || b.Get(h) != nil {
		t.Error("a handle is good again after Free")
	}
	b.Free()
	if unsafe.Sizeof(h) != 8 {
		t.Errorf("a handle has %d bytes", unsafe.Sizeof(h))
	}
}
