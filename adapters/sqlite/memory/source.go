//go:build !race

package memory

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The blocks come from the global allocator.

var source = galloc.Global

func alloc(l galloc.Layout) unsafe.Pointer       { return galloc.Alloc(l) }
func allocZeroed(l galloc.Layout) unsafe.Pointer { return galloc.AllocZeroed(l) }
func dealloc(p unsafe.Pointer, l galloc.Layout)  { galloc.Dealloc(p, l) }

func resize(p unsafe.Pointer, l galloc.Layout, size uintptr) unsafe.Pointer {
	return galloc.Realloc(p, l, size)
}
