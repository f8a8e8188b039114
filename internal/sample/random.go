package sample

import _ "unsafe" // for linkname

// Random returns 32 random bits. The runtime keeps this function for other packages. Each thread
// has its own state: there is neither a lock nor a shared cache line, and no pattern in a program's
// allocations hides from it, as one could from a counter.
func Random() uint32 { return cheaprand() }

//go:linkname cheaprand runtime.cheaprand
func cheaprand() uint32
