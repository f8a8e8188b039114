// Package lib has an allocator and a function that an allocator must not call.
package lib

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Logging logs.
type Logging struct{ Inner galloc.GlobalAlloc }

// Alloc logs.
func (a *Logging) Alloc(l galloc.Layout) unsafe.Pointer {
	fmt.Println("alloc", l.Size())
	return a.Inner.Alloc(l)
}

// Dealloc is correct.
func (a *Logging) Dealloc(p unsafe.Pointer, l galloc.Layout) { a.Inner.Dealloc(p, l) }

// Describe makes a string.
func Describe(n uintptr) string { return fmt.Sprintf("%d bytes", n) }

// Size is harmless.
func Size(l galloc.Layout) uintptr { return l.Size() }
