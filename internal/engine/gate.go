// The gate: what makes a refusal true. See heap.go for the overview.
//
// An allocation that finds no memory must not fail because of blocks that are on their way at that
// moment: from a cache to a span, or back. So it tries again while nothing moves (reclaim.go). The
// slow calls that move blocks from or to caches hold the gate shared, and that last try holds it
// exclusively. Long blocks do not need it: each changes hands in one critical section of the pages.
//
// In a heap that is never refused memory the slow calls do not touch the gate.

package engine

import (
	"sync"
	"sync/atomic"
)

// tightCalls is the number of slow calls from a shortage of memory until Ps get caches again. A
// cache takes memory that another P may need, and emptying it stops the world. Without caches, a
// heap at its limit costs 100 ns or so for each call.
const tightCalls = 4096

// A gate counts the slow calls in progress, once there is a limit or the system has refused memory.
type gate struct {
	mu     sync.RWMutex
	active atomic.Bool  // slow calls hold mu shared
	tight  atomic.Int32 // slow calls until Ps get caches again
	freed  atomic.Int64 // bytes of blocks freed to spans since hollow was called; see hollowFor

	refusals uint64 // by the system, until the last tick; guarded by Heap.reclaiming
}

// open makes slow calls pass without touching the gate.
func (g *gate) open() {
	if g.active.Load() {
		g.active.Store(false)
		g.tight.Store(0)
	}
}

// enter begins a slow call, and returns the argument for leave.
func (g *gate) enter() (active bool) {
	if !g.active.Load() {
		return false
	}
	g.mu.RLock()
	if g.tight.Load() > 0 {
		g.tight.Add(-1)
	}
	return true
}

// leave ends a slow call.
func (g *gate) leave(active bool) {
	if active {
		g.mu.RUnlock()
	}
}
