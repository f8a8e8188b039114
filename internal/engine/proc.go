package engine

import "github.com/galloc-go/galloc/internal/pages"

// A proc is what a heap keeps for a P, besides its cache: the centrals and the stash.
type proc struct {
	centrals [pages.ClassLimit]central
	stash    stash
}

// procOf returns the proc of P p, less than maxProcs. It makes the proc on first use.
func (h *Heap) procOf(p uint32) *proc {
	if pr := h.procs[p].Load(); pr != nil {
		return pr
	}
	h.procs[p].CompareAndSwap(nil, new(proc))
	for n := h.procCount.Load(); n <= p; n = h.procCount.Load() {
		h.procCount.CompareAndSwap(n, p+1)
	}
	return h.procs[p].Load()
}
