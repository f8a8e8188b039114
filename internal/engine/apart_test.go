//go:build !race

package engine

import (
	"slices"
	"testing"
	"unsafe"
)

// FastFree leaves the blocks that are apart to the slow path, and no others.
func TestApart(t *testing.T) {
	if idLimit == 0 {
		t.Skip("all operations are slow here")
	}
	withProcs(t, 1)
	fast, alloc, free := FastFree, slowAlloc, slowFree
	h, _ := newHeap(t, Config{})
	p := h.Alloc(24, 8)
	h.PutInForce()
	defer func() {
		FastFree, apart.base, apart.size, slowAlloc, slowFree = fast, 0, 0, alloc, free
		heapInForce.Store(nil)
		for i := range inForce {
			inForce[i].Store(&noCache)
		}
		h.Free(p, 24, 8)
	}()
	var slow []unsafe.Pointer
	Slow(h.allocForTest, func(p unsafe.Pointer, _ uintptr, _, _ uint32) { slow = append(slow, p) })
	class := uint32(ClassOf(24, 8))
	for _, c := range []struct {
		from int // p
		size uintptr
		in   bool
	}{{0, 0, false}, {0, 1, true}, {-10, 10, false}, {-10, 11, true}, {-10, 100, true}, {1, 100, false}} {
		Apart(unsafe.Add(p, c.from), c.size)
		for name, form := range map[string]func(unsafe.Pointer, uintptr, uint32, uint32){"FastFree": FastFree, "in Go": fastFreeApart} {
			slow = nil
			form(p, 24, 3, class)
			if c.in != slices.Equal(slow, []unsafe.Pointer{p}) || !c.in && slow != nil {
				t.Errorf("%s, with %d bytes from p%+d apart: the slow path got %v", name, c.size, c.from, slow)
			}
			if !c.in && FastAlloc(24, 3, class) != p {
				t.Errorf("%s: the block is not in the cache", name)
			}
		}
	}
}

func (h *Heap) allocForTest(size uintptr, lg, _ uint32) unsafe.Pointer {
	return h.AllocSlow(size, 1<<lg)
}

// Divert hides caches from the fast path, each until Resume, and not from the heap.
func TestDivert(t *testing.T) {
	if idLimit == 0 {
		t.Skip("all operations are slow here")
	}
	withProcs(t, 1)
	alloc, free := slowAlloc, slowFree
	h, _ := newHeap(t, Config{})
	h.Free(h.Alloc(24, 8), 24, 8)
	h.PutInForce()
	defer func() {
		slowAlloc, slowFree = alloc, free
		heapInForce.Store(nil)
		for i := range inForce {
			inForce[i].Store(&noCache)
		}
	}()
	calls := 0
	Slow(func(size uintptr, lg, _ uint32) unsafe.Pointer { calls++; return h.AllocSlow(size, 1<<lg) },
		func(p unsafe.Pointer, size uintptr, lg, _ uint32) { calls++; h.FreeSlow(p, size, 1<<lg) })
	class := uint32(ClassOf(24, 8))
	pair := func() int {
		was := calls
		FastFree(FastAlloc(24, 3, class), 24, 3, class)
		return calls - was
	}
	pair()
	if h.Resume() || pair() != 0 {
		t.Error("it is diverted, and nobody has asked for that")
	}
	for range 3 {
		h.Divert()
		for range 2 {
			if pair() != 2 {
				t.Error("it is not diverted")
			}
		}
		if !h.Resume() || h.Resume() || pair() != 0 {
			t.Error("it has not been resumed, once")
		}
	}
	if n := h.RefillSize(uint8(class)); n < 1 || n > MaxRefill || h.RefillSize(0) != 1 {
		t.Errorf("a refill is of %d blocks", n)
	}
	other, _ := newHeap(t, Config{})
	if other.Divert(); pair() != 0 {
		t.Error("another heap has diverted what is not its own")
	}
}
