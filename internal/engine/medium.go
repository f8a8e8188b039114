// Medium blocks, between caches and pages. See heap.go for the overview, and capacity.go for how
// many of them a cache holds. In the pages a medium block is a large one: it may change its length,
// and so its class, in place. The tag of a cached one is live, as if it were allocated.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/pages"
)

// allocMedium allocates a block of the medium class, of at least size bytes, or returns nil. If
// zeroed, it clears the pages that are not known to be zero: all of them, if the block was cached.
func (h *Heap) allocMedium(class uint8, size uintptr, zeroed bool) unsafe.Pointer {
	c := h.cache(pin())
	p := c.Pop(class)
	c.unpin()
	if p == nil {
		return h.allocLarge(size, 1, zeroed)
	}
	if zeroed {
		block.Clear(p, size)
	}
	return p
}

// freeMedium frees the block of the medium class into the magazine of the current P. If the
// magazine is full and gets no other slot, older blocks go to the pages.
func (h *Heap) freeMedium(class uint8, p unsafe.Pointer) {
	var out evicted
	gated := h.gate.enter()
	c := h.cache(pin())
	if !c.Push(class, p) {
		if *c.slot(c.magazine(class).top - 1) == pages.RefOf(p) {
			c.unpin()
			h.gate.leave(gated)
			h.reportDouble(pages.RefOf(p), uintptr(pages.Classes[class].Size))
			return
		}
		if c != &noCache {
			c.makeRoom(class, h.budget.Load(), &out)
		}
		if !c.Push(class, p) {
			out.blocks[out.n], out.classes[out.n] = pages.RefOf(p), class
			out.n++
		}
	}
	c.unpin()
	if c == &noCache {
		h.installNew()
	}
	var bad misused
	h.freeEvicted(&out, &bad)
	h.gate.leave(gated)
	h.wake()
	bad.report(h)
}
