package collections_test

import (
	stdmaps "maps"
	"slices"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// slabProgram tests a Slab against a map. It keeps all handles, and the pointers to all values.
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
		switch s.n(11) {
		case 0, 1, 2, 3:
			count++
			h, err := b.TryAdd(count)
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
			m[h], at[h] = count, b.Ptr(h)
			all = append(all, h)
		case 4, 5, 6:
			if len(all) > 0 {
				h := all[s.n(len(all))]
				want, has := m[h]
				if x, ok := b.Delete(h); ok != has || x != want {
					return differ("Delete", x, want)
				}
				delete(m, h)
			}
		case 7:
			if c, err := b.TryClone(); !s.failed(err) {
				b.Free()
				b = c
				for h := range m {
					at[h] = b.Ptr(h)
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
		case 10:
			if k := uint64(s.n(7)); k > 1 {
				b.DeleteFunc(func(h handle, x uint64) bool { return x%k == 0 && x == m[h] })
				stdmaps.DeleteFunc(m, func(_ handle, x uint64) bool { return x%k == 0 })
			}
		}
		got := map[handle]uint64{}
		for h, p := range b.Pointers() {
			got[h] = *p
			if p != at[h] {
				return differ("address of a value", p, at[h])
			}
		}
		if !stdmaps.Equal(got, m) || b.Len() != len(m) || b.Cap() < len(m) {
			return differ("values", got, m)
		}
		for _, h := range all {
			want, has := m[h]
			if x, ok := b.Get(h); b.Has(h) != has || ok != has || x != want {
				return differ("Get", h, has)
			}
		}
	}
	if got := stdmaps.Collect(b.All()); !stdmaps.Equal(got, m) {
		return differ("All", got, m)
	}
	handles, values := slices.Collect(b.Keys()), slices.Collect(b.Values())
	if len(handles) != len(m) || len(values) != len(m) {
		return differ("number of Keys and Values", len(handles), len(m))
	}
	for i, h := range handles {
		if values[i] != m[h] {
			return differ("Values", values[i], m[h])
		}
	}
	return nil
}

func TestSlabDetectsStaleHandles(t *testing.T) { testProgram(t, slabProgram) }

func FuzzSlab(f *testing.F) { fuzzProgram(f, slabProgram) }

func TestSlabWhileIterating(t *testing.T) {
	var b collections.Slab[int]
	for i := range 100 {
		b.Add(i)
	}
	seen := 0
	for h, p := range b.Pointers() {
		seen++
		x, ok := b.Delete(h)
		if !ok || x != *p { // the Slab keeps the memory
			t.Fatalf("Delete: %d, %v", x, ok)
		}
	}
	if seen != 100 || b.Len() != 0 {
		t.Errorf("%d values seen, %d left", seen, b.Len())
	}
	h := b.Add(7)
	sum := 0
	b.FreeFunc(func(p *int) { sum += *p })
	if sum != 7 || b.Len() != 0 || b.Ptr(h) != nil || b.Cap() != 0 {
		t.Errorf("sum %d, Len %d, Cap %d", sum, b.Len(), b.Cap())
	}
	if h2 := b.Add(8); h2 == h || b.Ptr(h) != nil {
		t.Error("a handle is valid again after Free")
	}
	b.Free()
	if unsafe.Sizeof(h) != 8 {
		t.Errorf("a handle has %d bytes", unsafe.Sizeof(h))
	}
}
