package engine

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// Large blocks grow and shrink in place.
func TestGrowAndShrinkInPlace(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(100<<10, 8, false) {
		t.Fatal("no memory")
	}
	for _, size := range []uintptr{200 << 10, 1 << 20, 40 << 10, 40<<10 + 1, 3 << 20, 33 << 10} {
		if !d.resize(0, size) {
			t.Fatalf("not resized to %d", size)
		}
		wantCheck(t, h)
	}
	if !d.alloc(100<<10, 8, false) {
		t.Fatal("no memory")
	}
	d.freeAll()
	h.Trim()
	// The pages after the block are not free.
	for range 2 {
		if !d.alloc(64<<10, 8, false) {
			t.Fatal("no memory")
		}
	}
	if i := b2i(uintptr(d.live[0].p) > uintptr(d.live[1].p)); d.resize(i, 128<<10) {
		t.Fatal("grown over a neighbour")
	}
	d.freeAll()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// moveLarge moves a block that could stay, or returns nil.
func moveLarge(h *Heap, b unsafe.Pointer, size, newSize uintptr) unsafe.Pointer {
	s := h.lockLarge(b, size)
	if s == nil {
		return nil
	}
	s.Unclaim()
	h.pages.Unlock()
	t, reused := h.newLarge(newSize, 8)
	if t == nil {
		return nil
	}
	return h.moveTo(t, b, size, newSize, reused)
}

// Blocks move with their pages where that is cheaper, to longer and to shorter runs. The old pages
// are not taken for zero.
func TestMoves(t *testing.T) {
	for _, c := range []struct{ from, to uintptr }{
		{4 << 20, 6 << 20}, {6 << 20, 4 << 20}, {256 << 10, 512 << 10}, {4<<20 + 100, 4<<20 + 3*pages.PageSize},
	} {
		h, timer := newHeap(t, Config{First: 1})
		b := testBlock{h.Alloc(c.from, 8), c.from, 8, 1}
		other := h.Alloc(1<<20, 8)
		if b.p == nil || other == nil {
			t.Fatal("no memory")
		}
		b.stamp()
		was := b.p
		b.p = moveLarge(h, b.p, c.from, c.to)
		if b.p == nil || b.p == was {
			t.Fatalf("moved from %p to %p", was, b.p)
		}
		b.wantStamp(t, min(c.from, c.to))
		wantCheck(t, h)
		p := h.AllocZeroed(c.from, 8)
		wantZero(t, p, c.from)
		h.Free(p, c.from, 8)
		h.Free(b.p, c.to, 8)
		h.Free(other, 1<<20, 8)
		t.Logf("%d to %d: %d moved", c.from, c.to, readStats(h).Moved)
		wantNothingLeft(t, h, timer)
	}
}

// A program may move blocks as long as it runs.
func TestMovesNeverEnd(t *testing.T) {
	if runtime.GOOS != "linux" || vm.GoMemory {
		t.Skip("pages do not move")
	}
	h, _ := newHeap(t, Config{First: 1})
	const small, large = 2 << 20, 4 << 20
	b := h.Alloc(small, 8)
	*(*byte)(b) = 1
	const n = 3 * 4096
	for i := range n {
		from, to := uintptr(small), uintptr(large)
		if i%2 == 1 {
			from, to = to, from
		}
		if b = moveLarge(h, b, from, to); b == nil {
			t.Fatal("no memory")
		}
	}
	if moved := readStats(h).Moved; moved != n {
		t.Errorf("%d of %d moves were moves of pages", moved, n)
	}
	if *(*byte)(b) != 1 {
		t.Error("the contents have changed")
	}
}
