//go:build !race

package engine

import (
	"runtime"
	_ "unsafe" // for linkname
)

// The cache of a P belongs to whoever runs on that P. procPin makes the goroutine stay there until procUnpin, and returns the
// number of the P: the runtime cannot preempt it, nor stop the world. Meanwhile one must not panic, block, allocate Go memory,
// make a system call, or take longer than a microsecond. Both are among the functions that the runtime keeps for other
// packages, as sync.Pool needs them in the same way.

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// pinned says whether Pin and Leave exclude others by pinning. See pin_race.go.
const pinned = true

// A cacheLock is what guards a cache besides.
type cacheLock struct{}

// Pin pins, and returns the number of the P, for Cache.
func Pin() int { return procPin() }

// Cache returns the cache of the P that Pin has returned. It belongs to the caller until Leave. (Pin and Cache are two functions
// because each is small enough to be inlined.)
func (h *Heap) Cache(p int) *Cache {
	if uint(p) < maxProcs {
		return h.caches[p].Load()
	}
	return &noCache
}

// Leave unpins.
func (*Cache) Leave() { procUnpin() }

// hold and release are for who looks into caches of others (whose numbers may change meanwhile), or has taken one away.
func (*Cache) hold()    {}
func (*Cache) release() {}

// grace returns when every section that was pinned when it was called has ended. Stack of all goroutines stops the world, and
// with a buffer of length 0 does nothing else: some 10 µs. A test holds that it waits for pinned sections.
func grace() { runtime.Stack(nil, true) }
