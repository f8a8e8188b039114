//go:build race

package engine

import (
	"sync"
	_ "unsafe" // for linkname
)

// The race detector does not know that pinning orders accesses, so here every cache has a lock, which it does know. The
// number of the P is a hint only.

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

const pinned = false

type cacheLock struct{ sync.Mutex }

// Pin returns the number of the P, for Cache.
func Pin() int {
	p := procPin()
	procUnpin()
	return p
}

// Cache returns the cache of the P that Pin has returned. It belongs to the caller until Leave.
func (h *Heap) Cache(p int) *Cache {
	for {
		k := &noCache
		if uint(p) < maxProcs {
			k = h.caches[p].Load()
		}
		k.lock.Lock()
		if k == &noCache || k == h.caches[p].Load() {
			return k
		}
		k.lock.Unlock() // it has been taken away meanwhile
	}
}

// Leave unlocks the cache.
func (k *Cache) Leave() { k.lock.Unlock() }

// hold and release are for who looks into caches of others.
func (k *Cache) hold()    { k.lock.Lock() }
func (k *Cache) release() { k.lock.Unlock() }

// grace has nothing to wait for: drain has held the lock of each cache that it has taken away.
func grace() {}
