package collections

import (
	"math"
	"testing"
)

func TestASlotWithAllItsGenerationsIsNotUsedAgain(t *testing.T) {
	var s Slab[int]
	defer s.Free()
	h := s.Insert(1)
	s.at(h.index).generation = math.MaxUint32
	h.generation = math.MaxUint32
	if x, ok := s.Remove(h); !ok || x != 1 {
		t.Fatalf("Remove: %d, %v", x, ok)
	}
	if h2 := s.Insert(2); h2.index == h.index {
		t.Errorf("the slot is used again, with generation %d", h2.generation)
	}
	if s.Has(h) || s.Has(Handle[int]{h.index, 0}) {
		t.Error("the handle is good")
	}
}
