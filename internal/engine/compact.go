// Compaction: the program moves blocks out of spans that have few, so that the spans become free.
// See heap.go for the overview.
//
// Only the owner of a block can move it. So it asks block by block: Denser allocates a block of the
// same class where the new one keeps no further page, and the owner copies the contents and frees
// the old block by FreeToSpan. Both go past the caches of the Ps, which would keep the span, or
// hand out the old block again as the next new one.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
)

const (
	sparsePart  = 8  // a span is sparse if at least this part of its blocks is free
	denserSpans = 16 // spans that Denser compares
)

// Denser returns a new block for the contents of p, a block of that size and alignment that the
// caller owns and has not freed. The new block lies in a span of the same central with fewer free
// blocks, and has memory already. If p is large, its span is not sparse, or the first few other
// spans have no room, Denser returns nil. It costs a lock, and no memory.
func (h *Heap) Denser(p unsafe.Pointer, size, align uintptr) unsafe.Pointer {
	class := pages.ClassOf(size, align)
	if !pages.IsSmall(class) {
		return nil
	}
	s := h.pages.SmallAt(pages.RefOf(p), class)
	if s == nil || !s.Sparse(sparsePart) {
		return nil
	}
	gated := h.gate.enter()
	defer h.gate.leave(gated)
	ct := h.lockOwner(class, s)
	defer ct.mu.Unlock()
	left := denserSpans
	for _, list := range []*pages.List{&ct.scarce, &ct.ready} {
		var best *pages.Span
		for t := list.First(); t != nil && left > 0; t = t.Next() {
			if left--; t.Fuller(s) && (best == nil || t.Fuller(best)) && t.HasFilled() {
				best = t
			}
		}
		if best != nil {
			var buf [1]pages.Ref
			best.AllocFilled(buf[:])
			ct.noteAllocated(best, 1)
			return buf[0].Pointer()
		}
	}
	return nil
}

// FreeToSpan is Free past the cache of the P: the block goes to its span at once.
func (h *Heap) FreeToSpan(p unsafe.Pointer, size, align uintptr) {
	class := pages.ClassOf(size, align)
	if class == 0 {
		h.Free(p, size, align)
		return
	}
	gated := h.gate.enter()
	var bad misused
	h.freeBlocks(class, []pages.Ref{pages.RefOf(p)}, &bad)
	h.gate.leave(gated)
	bad.report(h)
}

// Slack returns the number of bytes that the hard limit permits in further spans and large blocks.
func (h *Heap) Slack() uintptr { return h.pages.Slack() }
