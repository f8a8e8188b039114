package collections

import (
	"errors"
	"math"
	"math/bits"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// The highest index has a unit, and no index is higher. A copy has no more blocks than its source
// uses.
func TestSegmentsEndWhereIndicesDo(t *testing.T) {
	s := segments{stride: 1, align: 1, initial: 8}
	if err := s.growUntil(galloc.Null, 1<<31); !errors.Is(err, galloc.ErrOutOfMemory) && bits.UintSize == 64 {
		t.Errorf("2^31: %v", err)
	}
	if err := s.growUntil(galloc.Null, 1<<31+1); !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("2^31+1: %v", err)
	}
	if err := s.growUntil(galloc.Null, 8); err != nil {
		t.Errorf("nothing: %v", err)
	}
	a := alloctest.Track(galloc.System)
	b := NewSlab[int](a)
	for i := range 8 {
		b.Add(i)
	}
	b.Reserve(100)
	calls := a.Calls()
	c := b.Clone()
	if a.Calls() != calls+1 || c.Len() != 8 || c.Cap() != 8 {
		t.Errorf("%d blocks, %d slots for 8 values", a.Calls()-calls, c.Cap())
	}
	b.Free()
	c.Free()
	// Reserve allocates only the slots that are missing.
	b.Reserve(8)
	if b.Cap() != 8 {
		t.Errorf("%d slots for 8", b.Cap())
	}
	b.Add(1)
	b.Reserve(7)
	if b.Cap() != 8 {
		t.Errorf("%d slots for 8", b.Cap())
	}
	b.Free()
}

// A capacity past the highest index fails before any allocation.
func TestReservingTooManyTakesNoMemory(t *testing.T) {
	a := alloctest.Track(galloc.System)
	tree, in, slab := NewBTree[int, int](a), NewInterner(a), NewSlab[int](a)
	for what, reserve := range map[string]func(n int) error{
		"BTree": tree.TryReserve, "Interner": in.TryReserve, "Slab": slab.TryReserve,
	} {
		for _, n := range []int{math.MaxInt, math.MaxInt - 1, math.MaxInt / 2} {
			calls := a.Calls()
			var e *galloc.LayoutError
			if err := reserve(n); !errors.Is(err, galloc.ErrUnsupported) && !errors.As(err, &e) {
				t.Errorf("%s: Reserve(%d): %v", what, n, err)
			}
			if n := a.Calls() - calls; n != 0 {
				t.Errorf("%s: %d allocations", what, n)
			}
		}
	}
	tree.Put(1, 1)
	slab.Add(1)
	if err := slab.TryReserve(1<<31 - 8); bits.UintSize == 64 && !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("Reserve of one slot too many: %v", err)
	}
	if tree.Len() != 1 || slab.Len() != 1 || in.Intern("") != 0 {
		t.Error("a failed Reserve changed a collection")
	}
	tree.Free()
	in.Free()
	slab.Free()
	if len(a.Live()) != 0 {
		t.Error(a.Live())
	}
}
