// Closing a heap. See engine.go for overview.

package engine

import (
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// spareExtents are what closed heaps have left behind: address space, with no memory behind it. It is not given back to the system,
// which could make Go heap of it: a pointer that has been forgotten somewhere and points into it would then end the program.
var spareExtents struct {
	mu      sync.Mutex
	extents []*extent
}

// Close gives all memory back to the system. The heap must not be in use, and not be used again; all its blocks are gone.
func (h *Heap) Close() {
	if h.closed.Swap(true) {
		panic("galloc: Close of a heap that is closed")
	}
	h.timer.Stop()
	h.inTick.Lock() // one that is under way ends
	defer h.inTick.Unlock()
	h.verify()
	for p := range h.caches {
		h.seat(p, h.caches[p].Load(), &noCache)
		h.shards[p].Store(nil)
	}
	ps := &h.pages
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, x := range ps.extents {
		x.enter(false)
		x.retire()
	}
	h.main.Store(&noExtent)
	ps.extents, ps.lost = nil, list{}
	ps.bins, ps.binMap = [numBins]list{}, [len(ps.binMap)]uint64{} // so nothing is found, and extend refuses
	ps.used, ps.free, ps.dirty, ps.inUse, ps.large, ps.largeRuns, ps.metaReady = 0, 0, 0, 0, 0, 0, 0
	h.spares, h.taken = nil, nil
}

// retire gives the memory of x back, and keeps its address space for later heaps.
func (x *extent) retire() {
	if vm.GoMemory { // address space is memory there, and pointers into it are safe
		_ = x.release()
		return
	}
	ok := x.ready == 0 || vm.Purge(x.base, uintptr(x.ready)<<pageShift) == nil
	for at, l := range x.lazies() {
		ok = ok && (l == 0 || vm.Purge(at, l) == nil)
	}
	if !ok {
		_ = x.release() // a system that takes pages, and does not give them back when asked
		return
	}
	spareExtents.mu.Lock()
	defer spareExtents.mu.Unlock()
	spareExtents.extents = append(spareExtents.extents, x)
}

// lazies yields the parts of the metadata that are committed.
func (x *extent) lazies() func(func(unsafe.Pointer, uintptr) bool) {
	return func(yield func(unsafe.Pointer, uintptr) bool) {
		at := x.bitsReady.base
		for range bitmaps {
			if !yield(at, x.bitsReady.ready) {
				return
			}
			at = unsafe.Add(at, x.bitsReady.size) // SAFETY: they follow one another, of the same size
		}
		_ = yield(x.mapReady.base, x.mapReady.ready) && yield(x.classReady.base, x.classReady.ready) && yield(x.records.base, x.records.ready)
	}
}

// reuseExtent returns an extent of a closed heap with at least n pages, aligned to align pages, or nil.
func reuseExtent(n, align uintptr) *extent {
	spareExtents.mu.Lock()
	defer spareExtents.mu.Unlock()
	for i, x := range spareExtents.extents {
		if uintptr(x.pages) >= n && uintptr(x.base)>>pageShift&(align-1) == 0 {
			last := len(spareExtents.extents) - 1
			spareExtents.extents[i] = spareExtents.extents[last]
			spareExtents.extents = spareExtents.extents[:last]
			y := &extent{base: x.base, pages: x.pages, meta: x.meta, metaSize: x.metaSize}
			y.layMeta()
			return y
		}
	}
	return nil
}
