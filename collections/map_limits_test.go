package collections

import (
	"errors"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// If a ref has fewer bits of the hash than the table needs, the key is hashed again.
func TestTablesWithMoreGroupsThanRefBits(t *testing.T) {
	defer func(was int) { refBits = was }(refBits)
	var m StringMap[int]
	defer m.Free()
	m.Reserve(100_000)
	key := "key"
	m.Put(key, 1)
	s := m.find(key)
	h := m.hash(key)
	control := m.t.at(h).control(h)
	other := *s
	other.ref ^= 1 << 63
	if n := m.t.hashBits(); n < 12 || n > 22 {
		t.Fatalf("%d bits", n)
	}
	for refBits = range 22 {
		if m.t.hashBits() > refBits {
			if got := m.rehash(control, &other); got != h {
				t.Fatalf("%d bits: hash %x, want %x", refBits, got, h)
			}
		} else if got := m.rehash(control, &other); (got^h)<<35>>35 != 1<<28 {
			t.Fatalf("%d bits: hash %x, of %x", refBits, got, h)
		}
	}
	refBits = 1
	for seed := range uint64(3) {
		program := make([]byte, 900)
		for i := range program {
			program[i] = byte(seed*7 + uint64(i*i*13>>3))
			if i%2 == 0 {
				program[i] &^= 0x40 // nothing fails
			}
		}
		for which := range len(tops) {
			runModel(t, 2+which*len(subjects), program)
			runModel(t, 3+which*len(subjects), program)
		}
	}
}

// ShrinkToFit frees all memory of an empty map.
func TestEmptyMapsShrinkToNothing(t *testing.T) {
	var m StringMap[int]
	var x TextMap
	for range 2 {
		m.Put("a", 1)
		x.Put("a", "")
		m.Delete("a")
		x.Delete("a")
		m.ShrinkToFit()
		x.ShrinkToFit()
		if m.t.limit != 0 || m.keys.chunks != nil || x.m.t.limit != 0 || x.m.keys.chunks != nil {
			t.Error("an empty map keeps memory")
		}
	}
}

// ShrinkToFit needs memory. If there is none, the map is unchanged and the hook is not called.
func TestShrinkingWithoutMemoryDoesNothing(t *testing.T) {
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(l) })
	defer galloc.SetAllocErrorHook(nil)
	for _, sub := range subjects {
		a := &switched{Tracker: alloctest.Track(galloc.System)}
		s := sub.make(a)
		for k := range 300 {
			_ = s.put(k, k)
		}
		for k := 10; k < 300; k++ {
			s.remove(k)
		}
		c := s.Cap()
		a.off = true
		s.(interface{ ShrinkToFit() }).ShrinkToFit()
		if err := s.TryShrinkToFit(); !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Errorf("%s: error %v", sub.name, err)
		}
		a.off = false
		if s.Len() != 10 || s.Cap() != c || s.check() != nil {
			t.Errorf("%s: %d entries, capacity %d, was %d; %v", sub.name, s.Len(), s.Cap(), c, s.check())
		}
		s.(interface{ ShrinkToFit() }).ShrinkToFit()
		if s.Len() != 10 || s.Cap() >= c || s.check() != nil {
			t.Errorf("%s: %d entries, capacity %d after ShrinkToFit, was %d", sub.name, s.Len(), s.Cap(), c)
		}
		s.Free()
		if len(a.Live())+len(a.Misuses()) != 0 {
			t.Error(a.Live(), a.Misuses())
		}
	}
}
