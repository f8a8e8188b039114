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
		if uint(p) < MaxProcs {
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

// Mine and Done are Cache and Leave here.
func (h *Heap) Mine(uint32) *Cache { return h.Cache(Pin()) }

// Mine is Mine of the heap in force.
func Mine(uint32) *Cache {
	if h := heapInForce.Load(); h != nil {
		return h.Mine(0)
	}
	noCache.lock.Lock()
	return &noCache
}

// ProcID is of no use here.
func ProcID() uint32 { return 0 }

const idLimit = 0 // inForce stays empty

// Done unlocks the cache.
func (k *Cache) Done() { k.lock.Unlock() }

// hold and release are for who looks into caches of others.
func (k *Cache) hold()    { k.lock.Lock() }
func (k *Cache) release() { k.lock.Unlock() }

// grace has nothing to wait for: drain has held the lock of each cache that it has taken away.
func grace() {}
