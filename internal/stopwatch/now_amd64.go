package stopwatch

// counter reports whether Now reads a counter whose ticks must be measured, and not the runtime's
// clock.
const counter = true

// Now returns the time stamp counter.
//
// It is plain RDTSC, which does not wait for earlier instructions. With a fence, or as RDTSCP, it
// would wait for earlier work of the program, such as a store to memory that is not in a cache, and
// add that time to the measured time. The price is that a few instructions before a reading may be
// counted after it, and the reverse.
//
//go:noescape
func Now() uint64
