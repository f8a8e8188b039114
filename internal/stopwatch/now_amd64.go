package stopwatch

// counter says that Now is not the runtime's clock, so that its ticks have to be measured.
const counter = true

// Now returns the time stamp counter.
//
// It is plain RDTSC, which does not wait for the instructions before it. With a fence before it, or as RDTSCP, it would wait
// for what the program was doing before, such as a store to memory that is not in a cache, and that would be counted as time
// of what is measured. The price is that a few instructions around a reading may be counted on its other side.
//
//go:noescape
func Now() uint64
