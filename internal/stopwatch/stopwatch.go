// Package stopwatch times what takes nanoseconds: a clock that is read in a few of them, and a histogram that a reading is
// counted in without a lock and without an allocation.
//
//	start := stopwatch.Now()
//	...
//	h.Add(stopwatch.Now() - start)
//
// Now counts ticks, of NsPerTick nanoseconds each. On amd64 it is the processor's time stamp counter, which on all processors
// of the last fifteen years counts at a constant rate and alike on all cores; elsewhere it is the runtime's monotonic clock,
// with ticks of one nanosecond.
package stopwatch

import (
	"sync"
	"time"
)

// NsPerTick returns how many nanoseconds a tick of Now lasts. The first call takes 10 ms, in which it measures that.
func NsPerTick() float64 { return nsPerTick() }

var nsPerTick = sync.OnceValue(func() float64 {
	if !counter {
		return 1
	}
	const long = 10 * time.Millisecond
	start, first := time.Now(), Now()
	for time.Since(start) < long {
	}
	took, ticks := time.Since(start), Now()-first
	return float64(took.Nanoseconds()) / float64(max(ticks, 1))
})

// Overhead returns how many ticks pass between two readings with nothing between them: the least of 1000.
func Overhead() uint64 {
	least := ^uint64(0)
	for range 1000 {
		start := Now()
		least = min(least, Now()-start)
	}
	return least
}
