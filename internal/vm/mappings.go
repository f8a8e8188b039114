package vm

import (
	"sync"
	"sync/atomic"
)

// Moves of pages split mappings, as advice about some of the pages does. A process has a limited
// number of mappings, which the Go runtime needs too: it ends the program when it gets none. So
// mappings are counted now and then.
const (
	maxMappings   = 65530 / 4 // of the process, from which on MayMove returns false
	maxUncounted  = 4096      // moves before mappings are counted again
	perMove       = 2         // mappings that a move may add
	refusedBefore = 4096      // refusals before mappings are counted again
)

// moveBudget is what MayMove keeps of the process.
var moveBudget struct {
	left     atomic.Int64 // moves that are permitted before the next count
	refusals atomic.Int64 // since the last count
	counting sync.Mutex
}

// MayMove reports whether the process has few enough mappings for another [Move] of pages that
// could as well be copied, or another call of [NoHuge] for few of many pages, and counts it. Moves
// that were undone (pages that were moved there are decommitted, released or moved again) no longer
// count. Every 4096th call takes milliseconds if the process has thousands of mappings.
func MayMove() bool {
	if moveBudget.left.Add(-1) >= 0 {
		return true
	}
	moveBudget.left.Store(0)
	if moveBudget.refusals.Add(1)%refusedBefore != 1 || !moveBudget.counting.TryLock() {
		return false
	}
	defer moveBudget.counting.Unlock()
	n := min((maxMappings-countMappings())/perMove, maxUncounted)
	if n <= 0 {
		return false
	}
	moveBudget.refusals.Store(0)
	moveBudget.left.Store(int64(n) - 1)
	return true
}
