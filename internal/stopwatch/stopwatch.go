// Package stopwatch times operations of nanoseconds: it has a clock that can be read in a few
// nanoseconds, and a histogram that counts a reading without a lock and without an allocation.
//
//	start := stopwatch.Now()
//	...
//	h.Add(stopwatch.Now() - start)
//
// Now counts ticks, of NsPerTick nanoseconds each. On amd64 it is the processor's time stamp
// counter, which on all processors of the last fifteen years counts at the same constant rate on
// all cores; elsewhere it is the runtime's monotonic clock, with ticks of one nanosecond.
package stopwatch

import (
	"sync"
	"time"
)

// NsPerTick returns the duration of a tick of Now in nanoseconds. The first call measures it, for
// 10 ms.
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

// Overhead returns the number of ticks between two readings with nothing between them: the minimum
// of 1000 tries.
func Overhead() uint64 {
	least := ^uint64(0)
	for range 1000 {
		start := Now()
		least = min(least, Now()-start)
	}
	return least
}
