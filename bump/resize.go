package bump

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// The last block can be freed and can grow. Every block can shrink.

// Dealloc frees the block at p, which l must fit, if it is the last one and younger than the newest
// mark. Other blocks, and padding, are lost until the arena is rewound or reset. Dealloc ignores
// blocks of size 0.
func (a *Arena) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 && a.isLast(p, l) {
		a.top = uintptr(p)
	}
}

// Deallocate is Dealloc, for the other face.
func (a *Arena) Deallocate(p unsafe.Pointer, l galloc.Layout) { a.Dealloc(p, l) }

// isLast reports whether the block at p is the last one and younger than the newest mark.
func (a *Arena) isLast(p unsafe.Pointer, l galloc.Layout) bool {
	return uintptr(p)+l.Size() == a.top && uintptr(p) >= a.floor
}

// Resize changes the size of the block at p, which l must fit, to newSize in place, and reports
// whether it did. Every block can shrink. A last block that is younger than the newest mark can
// grow up to the end of its chunk, and frees the bytes by which it shrinks. newSize must not be 0.
func (a *Arena) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == 0 || l.Size() == 0 {
		return newSize == l.Size()
	}
	if a.isLast(p, l) && newSize <= a.end-uintptr(p) {
		a.top = uintptr(p) + newSize
		return true
	}
	return newSize <= l.Size()
}

// Realloc changes the size of the block at p, which l must fit, to newSize and returns the address
// of the block. If Resize fails, Realloc copies the block. If memory runs out or newSize is too
// large for any layout, it returns nil and the block is unchanged. Growing from size 0 allocates;
// shrinking to size 0 deallocates.
func (a *Arena) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if newSize > block.MaxSize(l.Align()) {
		return nil
	}
	if a.Resize(p, l, newSize) && newSize != 0 {
		return p
	}
	return galloc.DefaultRealloc(a, p, l, newSize)
}
