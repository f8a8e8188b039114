// Command five is an allocator crate of 2015 in Go: MyAllocator under five names.
//
//	go build -buildmode=c-shared -o libmy_allocator.so
package main

// #cgo CFLAGS: -I${SRCDIR}/../../../capi
import "C"

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi" // called by five.c
)

// MyAllocator is libc's malloc, as in the crate, but keeps the alignment.
type MyAllocator struct{}

// Alloc serves __rust_allocate.
func (MyAllocator) Alloc(l galloc.Layout) unsafe.Pointer { return galloc.System.Alloc(l) }

// Dealloc serves __rust_deallocate.
func (MyAllocator) Dealloc(p unsafe.Pointer, l galloc.Layout) { galloc.System.Dealloc(p, l) }

// Realloc serves __rust_reallocate.
func (MyAllocator) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return galloc.System.Realloc(p, l, newSize)
}

// MyAllocator is neither a galloc.Resizer nor a galloc.UsableSizer: the other two functions do what
// they did in the crate.

func init() { galloc.RegisterGlobal(MyAllocator{}) }

func main() {} // never called
