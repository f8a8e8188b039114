// Command five is an allocator crate of Rust as in 2015, in Go: MyAllocator under five names.
//
//	go build -buildmode=c-shared -o libmy_allocator.so
package main

// #cgo CFLAGS: -I${SRCDIR}/../../../capi
import "C"

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi" // what five.c calls
)

// MyAllocator is libc's malloc, as it was in the crate, but keeps to the alignment.
type MyAllocator struct{}

// Alloc is behind __rust_allocate.
func (MyAllocator) Alloc(l galloc.Layout) unsafe.Pointer { return galloc.System.Alloc(l) }

// Dealloc is behind __rust_deallocate.
func (MyAllocator) Dealloc(p unsafe.Pointer, l galloc.Layout) { galloc.System.Dealloc(p, l) }

// Realloc is behind __rust_reallocate.
func (MyAllocator) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return galloc.System.Realloc(p, l, newSize)
}

// It is neither a galloc.Resizer nor a galloc.UsableSizer: the other two functions do what they did in the crate.

func init() { galloc.RegisterGlobal(MyAllocator{}) }

func main() {} // never called
