//go:build race

package memory

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The blocks come from C's malloc. In programs that are built with -race, the global allocator is
// on Go memory, where the compiler checks pointers, and libc calculates with addresses.

var source = galloc.System

func alloc(l galloc.Layout) unsafe.Pointer       { return galloc.System.Alloc(l) }
func allocZeroed(l galloc.Layout) unsafe.Pointer { return galloc.System.AllocZeroed(l) }
func dealloc(p unsafe.Pointer, l galloc.Layout)  { galloc.System.Dealloc(p, l) }

func resize(p unsafe.Pointer, l galloc.Layout, size uintptr) unsafe.Pointer {
	return galloc.System.Realloc(p, l, size)
}
