//go:build cgo && unix

package capi

// #include <stddef.h>
// #include "trace.h"
//
// // C calls the functions of shim.c, which call the functions here. See galloc.h for the contract.
import "C"

import (
	"math"
	"runtime"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
)

// All functions here follow three rules.
//
// Addresses are returned to C as numbers. For a result that is a pointer, cgo checks whether it
// points to Go memory and panics if so, although a block may: the heap is on Go memory in a build
// for the race detector. Addresses are received from C as pointers, but never with size 0, where
// they can have any value, and Go ends a program that holds an invalid pointer.
//
// Nothing is put on the Go heap, not even on failure. The error of NewLayout would be, so NewLayout
// is called for valid layouts only.
//
// A panic ends the process with a message and SIGABRT, since no Go function above could recover. It
// never unwinds a frame of C.

// layout returns the Layout of size and align, and reports whether it is valid.
func layout(size, align uintptr) (galloc.Layout, bool) {
	if align == 0 || align&(align-1) != 0 || size > math.MaxInt+1-align {
		return galloc.Layout{}, false
	}
	l, err := galloc.NewLayout(size, align)
	return l, err == nil
}

// gallocGoSettle is called before all other functions but gallocGoName. It panics if the garbage
// collector would free the blocks of the global allocator, since it does not see the addresses that
// C keeps.
//
//export gallocGoSettle
func gallocGoSettle() {
	if galloc.GarbageCollected(galloc.Global) {
		panic("galloc/capi: the blocks of the global allocator are garbage collected, which does not see addresses " +
			"in C: register an allocator that is not made of galloc.GoHeap")
	}
	settling.Do(traceHost)
}

var settling sync.Once

// traceHost makes the stacks of a memory checker go on in C, if the global allocator has one.
func traceHost() {
	c := bridge.GlobalChecker()
	if c == nil {
		return
	}
	runtime.SetCgoTraceback(0, C.galloc_traceback, C.galloc_context, C.galloc_symbolizer)
	C.galloc_tracing = C.GALLOC_TRACE_ALL
	if c.SampleRate() != 0 {
		C.galloc_tracing = C.GALLOC_TRACE_CALLER
	}
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

// gallocGoDealloc ignores an invalid layout, since no block has it.
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
	return ok && galloc.Global.Resize(p, l, newSize)
}

//export gallocGoUsableSize
func gallocGoUsableSize(size, align uintptr) uintptr {
	l, ok := layout(size, align)
	if !ok {
		return size
	}
	return galloc.Global.GoodSize(l)
}

// name is made once, and never freed.
var name = sync.OnceValue(func() *C.char { return C.CString(galloc.DescribeGlobal()) })

//export gallocGoName
func gallocGoName() *C.char { return name() }
