//go:build cgo && unix

package capi

// #include <stddef.h>
//
// // What C calls is in shim.c, which calls these functions. See galloc.h for the contract.
import "C"

import (
	"math"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Three things are the same for all functions here.
//
// Addresses go to C as numbers: cgo looks at each pointer that is a result whether it is one of
// Go's own, and panics, though blocks rightly are where the heap is on Go memory, in a build for the
// race detector. Addresses come from C as pointers, but never with size 0, where they can be
// anything, and Go ends programs with pointers that cannot be.
//
// Nothing is put onto the Go heap, not even when failing: so NewLayout, whose error is, is asked
// for valid layouts only.
//
// A panic ends the process with a message and SIGABRT, since there is no function of Go
// above that could recover. It is never a frame of C that it goes through.

// layout returns the Layout of size and align, and whether there is one.
func layout(size, align uintptr) (galloc.Layout, bool) {
	if align == 0 || align&(align-1) != 0 || size > math.MaxInt+1-align {
		return galloc.Layout{}, false
	}
	l, err := galloc.NewLayout(size, align)
	return l, err == nil
}

//export gallocGoAlloc
func gallocGoAlloc(size, align uintptr) uintptr {
	l, ok := layout(size, align)
	if !ok {
		return 0
	}
	return uintptr(galloc.Alloc(l))
}

//export gallocGoAllocZeroed
func gallocGoAllocZeroed(size, align uintptr) uintptr {
	l, ok := layout(size, align)
	if !ok {
		return 0
	}
	return uintptr(galloc.AllocZeroed(l))
}

// A layout that cannot be is not that of any block: there is nothing to give back.
//
//export gallocGoDealloc
func gallocGoDealloc(p unsafe.Pointer, size, align uintptr) {
	if l, ok := layout(size, align); ok {
		galloc.Dealloc(p, l)
	}
}

//export gallocGoRealloc
func gallocGoRealloc(p unsafe.Pointer, size, align, newSize uintptr) uintptr {
	l, ok := layout(size, align)
	if !ok {
		return 0
	}
	return uintptr(galloc.Realloc(p, l, newSize))
}

//export gallocGoResize
func gallocGoResize(p unsafe.Pointer, size, align, newSize uintptr) bool {
	l, ok := layout(size, align)
	return ok && galloc.GlobalResize(p, l, newSize)
}

//export gallocGoUsableSize
func gallocGoUsableSize(size, align uintptr) uintptr {
	l, ok := layout(size, align)
	if !ok {
		return size
	}
	return galloc.GlobalUsableSize(l)
}

// name is made once, and never freed.
var name = sync.OnceValue(func() *C.char { return C.CString(galloc.GlobalName()) })

//export gallocGoName
func gallocGoName() *C.char { return name() }
