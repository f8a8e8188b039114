// Access to the cache of the current P. See heap.go for the overview, and internal/percpu for
// sections and pins.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/percpu"
)

// maxProcs is the number of Ps that get a cache; goroutines on others go to the centrals for every
// block.
const maxProcs = percpu.MaxProcs

// pin begins an access to the cache of the current P and returns the number of the P. The access is
//
//	c := h.cache(pin())
//	... // only what is in cache.go: no lock, no panic, no allocation of Go memory
//	c.unpin()
//
// pin and cache are separate so that each is inlined. In race builds, which lock the cache, the
// goroutine is not pinned.
func pin() int {
	if percpu.Race {
		return percpu.Current()
	}
	return percpu.Pin()
}

// cache returns the cache of P p, for the goroutine that is pinned to P p. If there is none, it is
// noCache, on which Pop and Push fail.
func (h *Heap) cache(p int) *Cache {
	if percpu.Race {
		return h.lockCache(p)
	}
	if uint(p) < maxProcs {
		return h.caches[p].Load()
	}
	return &noCache
}

// unpin ends what pin began.
func (c *Cache) unpin() {
	if percpu.Race {
		c.lock.Unlock()
		return
	}
	percpu.Unpin()
}

// lockCache returns the cache of P p, locked, in race builds.
func (h *Heap) lockCache(p int) *Cache {
	for {
		c := &noCache
		if uint(p) < maxProcs {
			c = h.caches[p].Load()
		}
		c.lock.Lock()
		if c == &noCache || c == h.caches[p].Load() {
			return c
		}
		c.lock.Unlock() // drain has taken it away
	}
}

// Enter returns the cache of P id, in a section, where id is what percpu.ID has returned. It
// belongs to the caller until Exit. If there is none, it is noCache, on which Pop and Push fail.
// (ID, Enter and Exit are separate so that each is inlined.)
//
//go:nosplit
func (h *Heap) Enter(id uint32) *Cache {
	if percpu.Race {
		return h.lockCache(percpu.Current())
	}
	if id < percpu.Limit() {
		// SAFETY: Load does no more, but is a call where nothing is inlined.
		return *(**Cache)(unsafe.Pointer(&h.caches[id%maxProcs]))
	}
	return &noCache
}

// enterGlobal is Enter of the global heap, for an id less than maxProcs.
//
//go:nosplit
func enterGlobal(id uint32) *Cache {
	if percpu.Race {
		if h := globalHeap.Load(); h != nil {
			return h.lockCache(percpu.Current())
		}
		noCache.lock.Lock()
		return &noCache
	}
	return *(**Cache)(unsafe.Pointer(&globalCaches[id%maxProcs])) // SAFETY: as above
}

// Exit ends what Enter began.
//
//go:nosplit
func (c *Cache) Exit() {
	if percpu.Race { // elsewhere not even a nil check
		c.lock.Unlock()
	}
}
