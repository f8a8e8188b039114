// Package first allocates when it is initialised, through a function that another package pushes
// into it at link time. It imports nothing, so it is initialized before most packages.
package first

import "unsafe"

// Block is of 100 bytes at a multiple of 64.
var Block = alloc(100, 64)

func alloc(size, align uintptr) unsafe.Pointer
