//go:build cgo && unix

// Package direct is malloc and free of the C library, with only the cgo call in between, for
// benchmarks.
package direct

/*
#include <stdint.h>
#include <stdlib.h>

#cgo noescape galloc_direct_malloc
#cgo nocallback galloc_direct_malloc
#cgo noescape galloc_direct_free
#cgo nocallback galloc_direct_free

static inline void *galloc_direct_malloc(uintptr_t n) { return malloc(n); }
static inline void galloc_direct_free(uintptr_t p) { free((void *)p); }
*/
import "C"

import "unsafe"

// Malloc returns a new block of n bytes with undefined contents, or nil if there is no memory for
// it.
func Malloc(n uintptr) unsafe.Pointer {
	return C.galloc_direct_malloc(C.uintptr_t(n))
}

// Free frees a block that Malloc returned.
func Free(p unsafe.Pointer) {
	C.galloc_direct_free(C.uintptr_t(uintptr(p)))
}
