package bump

import (
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The last block can be taken back and grow; every block can shrink.

// Dealloc takes back the block at p, which l must fit, if it is the last one, and younger than
// the newest mark. Otherwise nothing happens, and its bytes are free when all are, as are those
// that aligned it. It ignores blocks of size 0.
func (a *Arena) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 && a.isLast(p, l) {
		a.top = uintptr(p)
	}
}

// Deallocate is Dealloc.
func (a *Arena) Deallocate(p unsafe.Pointer, l galloc.Layout) { a.Dealloc(p, l) }

// isLast reports whether the block at p is the last one, and younger than the newest mark.
func (a *Arena) isLast(p unsafe.Pointer, l galloc.Layout) bool {
	return uintptr(p)+l.Size() == a.top && uintptr(p) >= a.floor
}

// Resize makes the block at p, which l must fit, newSize bytes large, where it is, and reports
// whether it has. Every block can shrink. The last one gives back what it had more, if it is
// younger than the newest mark, and can grow then as far as its chunk goes. newSize is not 0.
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

// Realloc makes the block at p, which l must fit, newSize bytes large, and returns where it now
// is: where it was if Resize can do that, otherwise the bytes are copied. If there is no memory,
// or newSize is too large for any layout, it returns nil, and the block is as it was. Growing
// from size 0 allocates; shrinking to size 0 deallocates.
func (a *Arena) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if newSize > math.MaxInt+1-l.Align() {
		return nil
	}
	if a.Resize(p, l, newSize) && newSize != 0 {
		return p
	}
	return galloc.DefaultRealloc(a, p, l, newSize)
}
