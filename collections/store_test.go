package collections

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// check reports a broken invariant of a store. handles are the handles that its owner has.
func (st *store) check(handles []uint64, busy bool) error {
	handles = append(slices.Clone(handles), st.removed...)
	if st.last != 0 {
		handles = append(handles, st.last)
	}
	slices.Sort(handles)
	var held, live uintptr
	var found []uint64
	for i := range st.chunks {
		c := &st.chunks[i]
		idle := slices.Contains(st.idle, uint32(i))
		switch spare := slices.Contains(st.spare, uint32(i)); {
		case (c.base == nil) != (spare || i == 0):
			return fmt.Errorf("chunk %d: memory %p, spare %v", i, c.base, spare)
		case idle && (c.base == nil || c.top != 0 || i == st.current):
			return fmt.Errorf("chunk %d is idle: %+v", i, *c)
		case c.top > c.size || c.alone && (c.top != c.live || i == st.current):
			return fmt.Errorf("chunk %d: %+v", i, *c)
		case c.live == 0 && c.base != nil && i != st.current && !idle:
			return fmt.Errorf("chunk %d has no live record", i)
		}
		var sum uintptr
		for at := uintptr(0); at < c.top; {
			handle := uint64(i)<<offsetBits | uint64(at)
			n := st.sizeAt(st.at(handle))
			if *(*byte)(st.at(handle))&deadBit == 0 {
				found = append(found, handle)
				sum += n
			}
			at += n
			if at > c.top {
				return fmt.Errorf("a record ends at %d in chunk %d: %+v", at, i, *c)
			}
		}
		if sum != c.live {
			return fmt.Errorf("chunk %d has %d live bytes: %+v", i, sum, *c)
		}
		if !idle {
			held += c.size
		}
		live += c.live
	}
	slices.Sort(found)
	if !slices.Equal(found, handles) {
		return fmt.Errorf("live records %x, the owner has %x", found, handles)
	}
	if held != st.held || live != st.live {
		return fmt.Errorf("%d bytes held, %d live; counted %d and %d", held, live, st.held, st.live)
	}
	if bound := st.bound(); !busy && held > bound {
		return fmt.Errorf("%d bytes held for %d live ones, want at most %d", held, live, bound)
	}
	return nil
}

// bound returns the maximum of held: twice the live bytes, the last chunk, and twice the bytes that
// may be freed before tidy looks again.
func (st *store) bound() uintptr {
	if len(st.chunks) == 0 {
		return 0
	}
	last := st.chunks[st.current].size
	return 2*st.live + max(last, 2*firstChunk) + 2*(last/32+uintptr(len(st.chunks))*32)
}

// Values of changing lengths are overwritten and deleted, in several orders. The map holds at most
// twice their size and a chunk.
func TestStoresHoldAtMostTwiceTheLiveBytes(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 4000
	}
	key := func(i int) string { return fmt.Sprint("key number ", i) }
	blob := strings.Repeat("blob", 30_000)
	for name, run := range map[string]func(m *TextMap, check func()){
		"growing and shrinking values": func(m *TextMap, check func()) {
			for _, size := range []int{100, 200, 300, 400, 500, 600, 700, 800, 900, 850, 500, 150, 30, 0} {
				for i := range n {
					m.Put(key(i), blob[:size])
				}
				check()
			}
			for i := range n {
				m.Delete(key(i))
				if i%1000 == 0 {
					check()
				}
			}
		},
		"first in, first out": func(m *TextMap, check func()) {
			for round, size := range []int{40, 1000, 40, 200, 70_000, 40} {
				rest := n / 4
				if size > 1000 {
					rest = 200
				}
				for i := range n {
					m.Put(key(round*n+i), blob[:size-i%13])
					m.Delete(key(round*n + i - rest))
					if i >= 2*rest && size > 1000 {
						break
					}
					if i%1000 == 0 {
						check()
					}
				}
				for k := range m.Keys() {
					if round > 0 && strings.HasSuffix(k, "7") {
						m.Delete(k)
					}
				}
				check()
			}
		},
		"at random": func(m *TextMap, check func()) {
			r := rand.New(rand.NewPCG(1, 2))
			for i := range 10 * n {
				switch k := key(r.IntN(n)); {
				case r.IntN(3) == 0:
					m.Delete(k)
				default:
					m.Put(k, blob[:1<<r.IntN(11)+r.IntN(50)])
				}
				if i%1000 == 0 {
					check()
				}
			}
		},
		"one of a hundred stays": func(m *TextMap, check func()) {
			for i := range 5 * n {
				m.Put(key(i), blob[:i%300])
			}
			check()
			m.DeleteFunc(func(k, _ string) bool { return !strings.HasSuffix(k, "00") })
			check()
			if m.m.keys.removed != nil {
				t.Error("DeleteFunc kept the removed entries for other iterations")
			}
		},
	} {
		a := alloctest.Track(galloc.System)
		m := NewTextMap(a)
		run(m, func() {
			t.Helper()
			if err := m.m.checkAll(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			texts := 0
			for k, v := range m.All() {
				texts += len(k) + len(v) + 2*3
			}
			table, _ := m.m.t.bytes()
			if got := bytesLive(a); got > table+2*uintptr(texts)+lastChunk*5/4 {
				t.Errorf("%s: %d bytes for texts of %d and a table of %d", name, got, texts, table)
			}
		})
		m.Free()
		if len(a.Live())+len(a.Misuses()) != 0 {
			t.Error(a.Live(), a.Misuses())
		}
	}
}

// limited is an allocator with a limit of bytes.
type limited struct {
	*alloctest.Tracker
	limit uintptr
}

func (a *limited) Allocate(l galloc.Layout) ([]byte, error) {
	if bytesLive(a.Tracker)+l.Size() > a.limit {
		return nil, galloc.ErrOutOfMemory
	}
	return a.Tracker.Allocate(l)
}

// At a limit, the memory of deleted entries serves entries of any length: after a Put has failed,
// it succeeds once about as many bytes have been deleted.
func TestStoresReuseMemoryAtALimit(t *testing.T) {
	a := &limited{Tracker: alloctest.Track(galloc.System), limit: 100_000}
	m := galloc.Must(MakeTextMap(a, 1400))
	a.limit = bytesLive(a.Tracker) + 40_000
	next, oldest := 0, 0
	key := func(i int) string { return fmt.Sprint("key ", i) }
	for _, size := range []int{40, 700, 30, 300, 25, 1000, 40} {
		for range 2000 {
			v := strings.Repeat("v", size)
			evicted := 0
			for {
				err := m.TryPut(key(next), v)
				if err == nil {
					break
				}
				if !errors.Is(err, galloc.ErrOutOfMemory) || oldest == next {
					t.Fatalf("size %d: %v, with %d entries left", size, err, m.Len())
				}
				old, ok := m.Delete(key(oldest))
				if !ok {
					t.Fatalf("entry %d is missing", oldest)
				}
				evicted += len(old)
				oldest++
			}
			if evicted > 20*size+5000 {
				t.Fatalf("%d bytes were deleted for %d", evicted, size)
			}
			next++
		}
		if err := m.m.checkAll(); err != nil {
			t.Fatal(err)
		}
		if got := (next - oldest) * (size + 10); got < 12_000 {
			t.Errorf("only %d bytes of 40000 are used by values of %d", got, size)
		}
	}
	m.Free()
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

// The value that Delete returns is valid until the next change, and may be an argument of that.
func TestDeletedValuesAreValidUntilTheNextChange(t *testing.T) {
	var m TextMap
	defer m.Free()
	r := rand.New(rand.NewPCG(5, 6))
	want := map[string]string{}
	for i := range 20_000 {
		k := fmt.Sprint("key ", r.IntN(300))
		if r.IntN(2) == 0 {
			v := strings.Repeat(string(rune('a'+i%26)), 1<<r.IntN(10)+r.IntN(5))
			if r.IntN(500) == 0 {
				v = strings.Repeat(v, 500)
			}
			m.Put(k, v)
			want[k] = v
			continue
		}
		v, ok := m.Delete(k)
		if old, there := want[k]; ok != there || v != old {
			t.Fatalf("Delete(%q): %q, %v, want %q, %v", k, v, ok, old, there)
		}
		delete(want, k)
		if ok && r.IntN(2) == 0 {
			k2 := fmt.Sprint("key ", r.IntN(300))
			want[k2] = strings.Clone(v)
			m.Put(k2, v)
			if got, _ := m.Get(k2); got != want[k2] {
				t.Fatalf("a deleted value %q was put as %q", want[k2], got)
			}
		}
	}
	if err := m.m.checkAll(); err != nil {
		t.Error(err)
	}
}

// A value of the same length is overwritten in place, also by itself.
func TestValuesOfTheSameLengthAreOverwritten(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewTextMap(a)
	m.Put("key", "0123456789")
	m.Put("other", "0123456789")
	keys := &m.m.keys
	calls, top := a.Calls(), keys.chunks[keys.current].top
	for i := range 1000 {
		m.Put("key", fmt.Sprintf("%010d", i))
	}
	v, _ := m.Get("key")
	m.Put("key", v)
	if v, _ := m.Get("key"); v != "0000000999" || a.Calls() != calls || keys.chunks[keys.current].top != top {
		t.Errorf("value %q, %d allocations", v, a.Calls()-calls)
	}
	if v, _ := m.Get("other"); v != "0123456789" {
		t.Errorf("the other value is %q", v)
	}
	m.Free()
}

// Random puts and deletes of texts whose lengths change from time to time, against a Go map. The
// bound holds after each of them.
func TestStoresAtRandom(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 12
	}
	blob := strings.Repeat("blob", 60_000)
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		keys, lg, del := 1<<r.IntN(15), 1+r.IntN(18), 1+r.IntN(6)
		var m TextMap
		model := map[string]int{} // lengths of values
		for i := range 5000 {
			if r.IntN(1000) == 0 {
				lg, del = 1+r.IntN(18), 1+r.IntN(6)
				switch r.IntN(6) {
				case 0:
					m.Clear()
					clear(model)
				case 1:
					m.ShrinkToFit()
				case 2:
					m.DeleteFunc(func(_, v string) bool { return len(v)%3 != 0 })
					maps.DeleteFunc(model, func(_ string, n int) bool { return n%3 != 0 })
				}
			}
			k := fmt.Sprint(r.IntN(keys))
			if r.IntN(del) == 0 {
				n, there := model[k]
				if v, ok := m.Delete(k); ok != there || v != blob[:n] {
					t.Fatalf("seed %d: Delete: %d bytes, %v, want %d, %v", seed, len(v), ok, n, there)
				}
				delete(model, k)
			} else {
				n := r.IntN(1 << r.IntN(lg))
				m.Put(k, blob[:n])
				model[k] = n
			}
			if held, bound := m.m.keys.held, m.m.keys.bound(); held > bound {
				t.Fatalf("seed %d, step %d: %d bytes held, at most %d expected", seed, i, held, bound)
			}
		}
		if err := m.m.checkAll(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for k, n := range model {
			if v, ok := m.Get(k); !ok || v != blob[:n] {
				t.Fatalf("seed %d: Get(%s): %d bytes, %v, want %d", seed, k, len(v), ok, n)
			}
		}
		if m.Len() != len(model) {
			t.Fatalf("seed %d: %d entries, want %d", seed, m.Len(), len(model))
		}
		m.Free()
	}
}
