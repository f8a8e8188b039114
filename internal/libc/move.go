//go:build galloc_pages || !(cgo && unix)

package libc

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// move reallocates a block where the platform has no better way: it copies the block to a new one
// and frees it.
func move(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	q := alloc(newSize, align)
	if q == nil {
		return nil
	}
	block.Copy(q, p, min(oldSize, newSize))
	free(p, oldSize, align)
	return q
}
