// Package cgo allocates in C.
package cgo

// #include <stdlib.h>
import "C"

import "unsafe"

func used() byte {
	p := C.malloc(10)
	*(*byte)(p) = 1
	C.free(p)
	return *(*byte)(p) // want "memory is used after C.free"
}

func twice(fail bool) {
	p := C.malloc(10)
	if fail {
		C.free(p)
	}
	C.free(p) // want "C.free ends memory again"
}

func leaks(s string, fail bool) int {
	c := C.CString(s) // want "the memory of C.CString is not freed by the return"
	if fail {
		return 0
	}
	n := int(*c)
	C.free(unsafe.Pointer(c))
	return n
}
