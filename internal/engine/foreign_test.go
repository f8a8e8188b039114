//go:build !race

package engine

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

// FastFree passes the blocks in the foreign range to the slow path, and no others.
func TestForeignRange(t *testing.T) {
	if percpu.Limit() == 0 {
		t.Skip("all operations are slow here")
	}
	withProcs(t, 1)
	fast, alloc, free := FastFree, slowAlloc, slowFree
	h, _ := newHeap(t, Config{})
	p := h.Alloc(24, 8)
	h.SetGlobal()
	defer func() {
		FastFree, foreign.base, foreign.size, slowAlloc, slowFree = fast, 0, 0, alloc, free
		globalHeap.Store(nil)
		for i := range globalCaches {
			globalCaches[i].Store(&noCache)
		}
		h.Free(p, 24, 8)
	}()
	var slow []unsafe.Pointer
	SetSlowPath(h.allocForTest, h.allocForTest, func(p unsafe.Pointer, _ uintptr, _, _ uint32) { slow = append(slow, p) })
	class := uint32(pages.ClassOf(24, 8))
	for _, c := range []struct {
		from int // p
		size uintptr
		in   bool
	}{{0, 0, false}, {0, 1, true}, {-10, 10, false}, {-10, 11, true}, {-10, 100, true}, {1, 100, false}} {
		SetForeignRange(unsafe.Add(p, c.from), c.size)
		for name, form := range map[string]func(unsafe.Pointer, uintptr, uint32, uint32){
			"FastFree": FastFree,
			"in Go":    fastFreeCheckedGo,
		} {
			slow = nil
			form(p, 24, 3, class)
			if c.in != slices.Equal(slow, []unsafe.Pointer{p}) || !c.in && slow != nil {
				t.Errorf("%s, foreign range of %d bytes from p%+d: the slow path got %v", name, c.size, c.from, slow)
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

// LeaveFastPath hides the caches from the fast path, each until ResumeFastPath, but not from the
// heap.
func TestLeaveFastPath(t *testing.T) {
	if percpu.Limit() == 0 {
		t.Skip("all operations are slow here")
	}
	withProcs(t, 1)
	alloc, free := slowAlloc, slowFree
	h, _ := newHeap(t, Config{})
	h.Free(h.Alloc(24, 8), 24, 8)
	h.SetGlobal()
	defer func() {
		slowAlloc, slowFree = alloc, free
		globalHeap.Store(nil)
		for i := range globalCaches {
			globalCaches[i].Store(&noCache)
		}
	}()
	calls := 0
	fill := func(size uintptr, lg, _ uint32) unsafe.Pointer { calls++; return h.AllocSlow(size, 1<<lg) }
	SetSlowPath(fill, fill, func(p unsafe.Pointer, size uintptr, lg, _ uint32) { calls++; h.FreeSlow(p, size, 1<<lg) })
	class := uint32(pages.ClassOf(24, 8))
	pair := func() int {
		was := calls
		FastFree(FastAlloc(24, 3, class), 24, 3, class)
		return calls - was
	}
	pair()
	if h.ResumeFastPath() || pair() != 0 {
		t.Error("the heap is diverted before LeaveFastPath")
	}
	for range 3 {
		h.LeaveFastPath()
		for range 2 {
			if pair() != 2 {
				t.Error("the heap is not diverted")
			}
		}
		if !h.ResumeFastPath() || h.ResumeFastPath() || pair() != 0 {
			t.Error("ResumeFastPath has not resumed the heap, once")
		}
	}
	if n := h.RefillSize(uint8(class)); n < 1 || n > MaxRefill || h.RefillSize(0) != 1 {
		t.Errorf("RefillSize returns %d", n)
	}
	other, _ := newHeap(t, Config{})
	if other.LeaveFastPath(); pair() != 0 {
		t.Error("LeaveFastPath of another heap has diverted the global heap")
	}
}
