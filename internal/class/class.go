// Package class tells the size class that a layout has been given when it was made, for packages that take blocks from the caches of
// a heap themselves. Layouts do not show it, since it is not for users.
package class

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Of returns engine.ClassOf(l.Size(), l.Align()): 0 if the heap makes such blocks runs of pages, and for size 0. It is a load, or nothing where
// the layout is in registers.
func Of(l galloc.Layout) uint32 {
	// SAFETY: these are the fields of a Layout. A test compares.
	return (*struct {
		size      uintptr
		lg, class uint32
	})(unsafe.Pointer(&l)).class
}
