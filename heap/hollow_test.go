package heap_test

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/vm"
)

// scatter allocates blocks of 40 sizes, 8 MiB of each, frees all but one in 64, and returns the
// others.
func scatter(h *heap.Heap) (left []unsafe.Pointer) {
	for i := range 40 {
		size := uintptr(16 + 16*i + i*i*i/4) // up to 15 KiB
		for n := range 8 * mib / size {
			p := h.Alloc(layout(size, 8))
			fill(view(p, size), byte(n%64))
			left = append(left, p)
		}
	}
	kept := left[:0]
	for i, p := range left {
		if i%64 == 0 {
			kept = append(kept, p)
		} else {
			h.Free(p)
		}
	}
	return kept
}

// One block that is left does not keep a span: Trim returns the pages in which no block is.
func TestFewBlocksKeepFewPages(t *testing.T) {
	if percpu.Race {
		t.Skip("it is long, and has one goroutine")
	}
	if vm.PageSize() > 4096 {
		t.Skip("larger pages have few without a block")
	}
	h := open(t, heap.Options{Decay: -1})
	left := scatter(h)
	h.Trim()
	s := h.Stats()
	// At most 2 OS pages for a block of up to one, and one more at either end for longer ones.
	most := s.Metadata
	for _, p := range left {
		most += (h.SizeOf(p) + 2*4096 - 2) / 4096 * 4096
	}
	if s.Footprint > most || s.Hollow == 0 {
		t.Errorf("%d KiB are live in %d blocks, want a footprint of at most %d KiB:\n%v", s.Live>>10, s.LiveBlocks, most>>10, s)
	}
	want := s.Live
	more := scatter(h) // fills hollow pages
	for _, p := range left {
		size := h.SizeOf(p)
		if at := onlyByte(view(p, min(size, 16)), *(*byte)(p)); at >= 0 {
			t.Fatalf("a block of %d bytes has changed at %d", size, at)
		}
	}
	for _, p := range more {
		h.Free(p)
	}
	h.Trim()
	if s := h.Stats(); s.Live != want {
		t.Errorf("%d bytes are live, want %d", s.Live, want)
	}
	for _, p := range left {
		h.Free(p)
	}
	h.Trim()
	if s := h.Stats(); s.Live != 0 || s.InUse != 0 || s.Hollow != 0 {
		t.Errorf("at the end:\n%v", s)
	}
}
