package debug

import _ "unsafe" // for linkname

// cheaprand returns 32 random bits. It is among the functions that the runtime keeps for other packages. Each thread has a state of its own, so
// that neither a lock nor a cache line is shared, and no pattern in a program's allocations can hide from it, as one could
// from a counter.
//
//go:linkname cheaprand runtime.cheaprand
func cheaprand() uint32
