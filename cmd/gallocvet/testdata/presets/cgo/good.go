package cgo

// #include <stdlib.h>
import "C"

import "unsafe"

func freed(s string) int {
	c := C.CString(s)
	defer C.free(unsafe.Pointer(c))
	return int(*c)
}

func kept(s string) *C.char { return C.CString(s) }

func noneLeft(p unsafe.Pointer) unsafe.Pointer {
	if p != nil {
		C.free(p)
	}
	p = C.malloc(10)
	return p
}
