// The tables of caches: of each heap, and of the fast path. See heap.go for the overview.

package engine

import (
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

// The global heap is package galloc's global allocator, if that is a heap. globalCaches is its
// table of caches, so that the fast path finds a cache in one step.
//
//	globalCaches[p] == globalHeap.caches[p] or &noCache
var (
	globalCaches [maxProcs]atomic.Pointer[Cache]
	globalHeap   atomic.Pointer[Heap]
)

func init() {
	for p := range globalCaches {
		globalCaches[p].Store(&noCache)
	}
}

// SetGlobal makes h the global heap, for good. Later calls have no effect.
func (h *Heap) SetGlobal() {
	h.installing.Lock()
	defer h.installing.Unlock()
	if !globalHeap.CompareAndSwap(nil, h) {
		return
	}
	if percpu.Limit() != 0 {
		for p := range h.caches {
			globalCaches[p].Store(h.caches[p].Load())
		}
	}
}

// LeaveFastPath forces the next operation of each P onto the slow path, if h is the global heap, so
// that the functions set by SetSlowPath see it: a program that frees each block before it allocates
// another of its class may not get there otherwise. It costs the fast path nothing: the caches are
// only hidden from it. ResumeFastPath brings them back.
func (h *Heap) LeaveFastPath() {
	h.installing.Lock()
	defer h.installing.Unlock()
	if h != globalHeap.Load() {
		return
	}
	for p := range globalCaches {
		if globalCaches[p].Load() != &noCache {
			globalCaches[p].Store(&noCache)
		}
	}
}

// ResumeFastPath returns the current P to the fast path, and reports whether it had left it.
func (h *Heap) ResumeFastPath() bool {
	p := percpu.Current()
	if p >= maxProcs || globalCaches[p].Load() == h.caches[p].Load() { // nearly always
		return false
	}
	// Under the lock the two tables do not change, so a cache that drain is removing does not come
	// back. The goroutine may be on another P by now.
	h.installing.Lock()
	defer h.installing.Unlock()
	c := h.caches[p].Load()
	if h != globalHeap.Load() || globalCaches[p].Load() == c {
		return false
	}
	globalCaches[p].Store(c)
	return true
}

// install makes c the cache of P p in place of old, and reports false if the P has another. Nothing
// else changes the tables.
func (h *Heap) install(p int, old, c *Cache) bool {
	h.installing.Lock()
	defer h.installing.Unlock()
	if !h.caches[p].CompareAndSwap(old, c) {
		return false
	}
	if h == globalHeap.Load() && percpu.Limit() != 0 {
		globalCaches[p].Store(c)
	}
	return true
}

// installNew installs a cache for the current P, if it may have one and has none.
func (h *Heap) installNew() {
	if h.checked || h.closed.Load() || h.gate.tight.Load() > 0 {
		return
	}
	c := h.spareCache()
	c.lock.Lock() // others may be counting
	c.reset(magazineStart)
	c.lock.Unlock()
	p := percpu.Current()
	if uint(p) >= maxProcs || !h.install(p, &noCache, c) {
		h.addSpare(c)
		return
	}
	h.procOf(uint32(p)) // so that drain visits the P
}

// spareCache returns a cache that belongs to no P.
func (h *Heap) spareCache() *Cache {
	h.sparing.Lock()
	defer h.sparing.Unlock()
	if n := len(h.spares); n > 0 {
		c := h.spares[n-1]
		h.spares = h.spares[:n-1]
		return c
	}
	h.cacheCount.Add(1)
	return new(Cache)
}

func (h *Heap) addSpare(c *Cache) {
	h.sparing.Lock()
	h.spares = append(h.spares, c)
	h.sparing.Unlock()
}

// MaxRefill is the largest result of RefillSize.
const MaxRefill = roomSlots / 2

// RefillSize returns the number of blocks of the class that the cache of the current P gets from
// the central at a time: the number of allocations for one call of AllocSlow, if each block is
// allocated once. It is 1 for class 0 and for medium blocks.
func (h *Heap) RefillSize(class uint8) int {
	if class == 0 || pages.IsMedium(class) {
		return 1
	}
	c := h.cache(pin())
	n := 1
	if c != &noCache {
		n = (c.magazine(class).cap() + 1) / 2
	}
	c.unpin()
	return max(n, 1)
}
