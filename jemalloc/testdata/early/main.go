// Early uses jemalloc before package jemalloc has been initialised, and looks at what a failed call
// leaves in errno.
package main

/*
#include <errno.h>

static int errno_now(void) { return errno; }
static int nothing(void) { return 0; }
*/
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
	"github.com/galloc-go/galloc/jemalloc/testdata/early/first"
)

//go:linkname alloc github.com/galloc-go/galloc/jemalloc/testdata/early/first.alloc
func alloc(size, align uintptr) unsafe.Pointer {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic(err)
	}
	return jemalloc.Allocator.Alloc(l)
}

func main() {
	l, _ := galloc.NewLayout(100, 64)
	fmt.Println("early:", first.Block != nil, uintptr(first.Block)%64)
	jemalloc.Allocator.Dealloc(first.Block, l)

	runtime.LockOSThread()
	huge, _ := galloc.NewLayout(math.MaxInt>>13+1, 8) // 1<<50
	failed := jemalloc.Allocator.Alloc(huge) == nil
	left := C.errno_now()
	_, err := C.nothing()
	fmt.Println("errno:", failed, left == C.ENOMEM, err)
}
