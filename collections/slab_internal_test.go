package collections

import (
	"math"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

func TestASlotIsRetiredAfterAllGenerations(t *testing.T) {
	var s Slab[int]
	defer s.Free()
	h := s.Add(1)
	s.at(h.index).generation = math.MaxUint32
	h.generation = math.MaxUint32
	if x, ok := s.Delete(h); !ok || x != 1 {
		t.Fatalf("Delete: %d, %v", x, ok)
	}
	if h2 := s.Add(2); h2.index == h.index {
		t.Errorf("the slot is used again, with generation %d", h2.generation)
	}
	if s.Has(h) || s.Has(Handle[int]{h.index, 0}) {
		t.Error("the handle is valid")
	}
}

// Cap and Reserve do not count retired slots, and after Free a Slab has none.
func TestRetiredSlotsAreNotCounted(t *testing.T) {
	a := alloctest.Track(galloc.System)
	s := NewSlab[int](a)
	h := s.Add(1)
	retire := func() {
		s.at(h.index).generation = math.MaxUint32
		s.top = math.MaxUint32 - 1 // as Add of the last value of the slot left it
		h.generation = math.MaxUint32
		s.Delete(h)
	}
	retire()
	c, err := s.TryClone()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Slab[int]{s, c} {
		if s == c && s.Cap() != 0 || s != c && s.Cap() != 7 { // a copy has no spare slots
			t.Errorf("%d slots of 7", s.Cap())
		}
		s.Reserve(8)
		calls := a.Calls()
		for i := range 8 {
			s.Add(i)
		}
		if a.Calls() != calls {
			t.Error("Reserve counts a retired slot")
		}
		s.Free()
		if s.Reserve(8); s.Cap() != 8 {
			t.Errorf("%d slots after Free", s.Cap())
		}
		first := s.Add(1)
		for range 100 { // in the same slot
			s.Delete(first)
			if h := s.Add(2); h.index != first.index || h == first {
				t.Fatalf("%v after %v", h, first)
			} else {
				first = h
			}
		}
		s.Free()
		if s.Add(3) == first {
			t.Error("a handle is valid again after Free")
		}
		s.Free()
	}
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

// Handles that no Slab returned are not valid.
func TestForgedHandles(t *testing.T) {
	s := NewSlab[int](nil)
	defer s.Free()
	for round := range 2 {
		for i := range uint32(40) {
			for _, generation := range []uint32{0, 1, 2} {
				h := Handle[int]{i, generation}
				if want := round == 1 && i >= firstUnit && i < firstUnit+10 && generation == 1; s.Has(h) != want {
					t.Errorf("%v: %v", h, !want)
				}
			}
		}
		for i := range 10 * (1 - round) {
			s.Add(i)
		}
	}
}
