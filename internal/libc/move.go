//go:build galloc_pages || !(cgo && unix)

package libc

import "unsafe"

// move copies a block to a new one of newSize bytes and frees it: what realloc comes to where the platform has no better way.
func move(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	q := alloc(newSize, align)
	if q == nil {
		return nil
	}
	n := min(oldSize, newSize)
	// SAFETY: both blocks hold n bytes, and n <= MaxInt by the contract.
	copy(unsafe.Slice((*byte)(q), n), unsafe.Slice((*byte)(p), n))
	free(p, oldSize, align)
	return q
}
