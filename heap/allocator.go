package heap

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/class"
	"github.com/galloc-go/galloc/internal/engine"
)

// Alloc returns a block of l.Size() bytes or more at a multiple of l.Align(), or nil if
// memory is exhausted. The content is undefined. The caller owns the block until it is
// given back, by any of the methods for that. A size of 0 never fails and takes no memory:
// the result is l.Dangling(). It costs a few nanoseconds for blocks of up to 32 KiB,
// mostly; larger ones take a lock.
func (h *Heap) Alloc(l galloc.Layout) unsafe.Pointer {
	if p := h.e.Pop(class.Of(l)); p != nil {
		return p
	}
	if l.Size() == 0 { // which is of class 0, of which there are no blocks
		return l.Dangling()
	}
	return h.e.Alloc(l.Size(), l.Align())
}

// AllocZeroed is Alloc with all l.Size() bytes zero. Memory that is fresh from the system
// is not touched for that, if the block is larger than 32 KiB.
func (h *Heap) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return h.e.AllocZeroed(l.Size(), l.Align())
}

// Dealloc takes back the block at p, currently allocated by h, which l must fit: any size
// from the one asked for to the usable one, and the same alignment. It cannot fail. It
// ignores blocks of size 0.
func (h *Heap) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if !h.e.Push(class.Of(l), p) && l.Size() != 0 {
		h.e.Free(p, l.Size(), l.Align())
	}
}

// Realloc makes the block at p, which l must fit, newSize bytes large, and returns where it
// now is. The alignment and the first min(l.Size(), newSize) bytes are kept, the others are
// undefined. If memory is exhausted, or newSize is too large for any layout, it returns
// nil, and the block is as it was. Growing from size 0 allocates; shrinking to size 0
// deallocates.
//
// A block stays where it is within its size class; a large one also when it shrinks, and
// when it grows into free pages behind it. On Linux, one of 512 KiB or more that cannot
// stay takes its pages along: they are not copied.
func (h *Heap) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if newSize > maxSize(l.Align()) {
		return nil
	}
	if l.Size() == 0 || newSize == 0 {
		n, _ := galloc.NewLayout(newSize, l.Align())
		q := h.Alloc(n)
		if q != nil {
			h.Dealloc(p, l)
		}
		return q
	}
	return h.e.Realloc(p, l.Size(), l.Align(), newSize)
}

// Allocate returns a block as Alloc does, at its full length: see UsableSize. Any layout
// with the alignment of l and a size from l.Size() to that length fits it. If memory is
// exhausted, the error is galloc.ErrOutOfMemory.
func (h *Heap) Allocate(l galloc.Layout) ([]byte, error) {
	return block(h.Alloc(l), l)
}

// AllocateZeroed is Allocate with all bytes of the block zero, to its full length.
func (h *Heap) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return block(l.Dangling(), l)
	}
	return block(h.e.AllocZeroed(usableSize(l), l.Align()), l)
}

// Deallocate is Dealloc.
func (h *Heap) Deallocate(p unsafe.Pointer, l galloc.Layout) { h.Dealloc(p, l) }

// Grow makes the block at p, which old must fit, one of layout new, whose size must not be
// less; the alignment may be another. The first old.Size() bytes are kept, the others are
// undefined. It fails with galloc.ErrOutOfMemory, and the block is as it was. When the
// block stays where it is, is said at Realloc; with another alignment it never does. It
// panics if new is smaller than old.
func (h *Heap) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() < old.Size() {
		panic(fmt.Sprintf("galloc/heap: Grow from %d to %d bytes: that is for Shrink", old.Size(), new.Size()))
	}
	return h.change(p, old, new)
}

// GrowZeroed is Grow with all bytes beyond old.Size() zero, to the full length of the block.
func (h *Heap) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	switch {
	case new.Size() < old.Size():
		panic(fmt.Sprintf("galloc/heap: GrowZeroed from %d to %d bytes: that is for Shrink", old.Size(), new.Size()))
	case old.Size() == 0:
		return h.AllocateZeroed(new)
	case old.Align() == new.Align() && h.e.Resize(p, old.Size(), old.Align(), new.Size()):
		b, err := block(p, new)
		clear(b[old.Size():])
		return b, err
	}
	// Pages that are known to be zero are not touched, which is worth more than the copying
	// that Realloc would save.
	b, err := h.AllocateZeroed(new)
	if err == nil {
		h.moveTo(b, p, old)
	}
	return b, err
}

// Shrink makes the block at p, which old must fit, one of layout new, whose size must not
// be greater; the alignment may be another. The first new.Size() bytes are kept. It fails
// as Grow does: a smaller block may need memory too. It panics if new is larger than old.
func (h *Heap) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() > old.Size() {
		panic(fmt.Sprintf("galloc/heap: Shrink from %d to %d bytes: that is for Grow", old.Size(), new.Size()))
	}
	return h.change(p, old, new)
}

// change makes the block at p, of layout old, one of layout new.
func (h *Heap) change(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if old.Align() == new.Align() && old.Size() != 0 {
		return block(h.Realloc(p, old, new.Size()), new)
	}
	b, err := h.Allocate(new)
	if err == nil {
		h.moveTo(b, p, old)
	}
	return b, err
}

// moveTo copies the block at p to b, as far as it fits, and gives it back.
func (h *Heap) moveTo(b []byte, p unsafe.Pointer, l galloc.Layout) {
	// SAFETY: the caller says that there is a block of l.Size() bytes at p.
	copy(b, unsafe.Slice((*byte)(p), l.Size()))
	h.Dealloc(p, l)
}

// Resize makes the block at p, which l must fit, newSize bytes large, where it is, and
// reports whether it has: see Realloc for when. If true, the new size is the one that fits,
// the first min(l.Size(), newSize) bytes are kept, and the others are undefined. If false,
// nothing has changed. newSize is not 0.
func (h *Heap) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == 0 || l.Size() == 0 || newSize > maxSize(l.Align()) {
		return newSize == l.Size()
	}
	return h.e.Resize(p, l.Size(), l.Align(), newSize)
}

// UsableSize returns the length in bytes of a block allocated with l: the size of its
// class, or of its pages.
func (h *Heap) UsableSize(l galloc.Layout) uintptr { return usableSize(l) }

// EquivalentTo reports whether a is this heap.
func (h *Heap) EquivalentTo(a galloc.Allocator) bool {
	b, ok := a.(interface{ Engine() *engine.Heap })
	return ok && b.Engine() == h.e
}

func usableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	// Only where an int has 32 bits is there a block whose last page no layout can reach.
	return min(engine.UsableSize(l.Size(), l.Align()), maxSize(l.Align()))
}

// maxSize returns the largest size that goes with align in a Layout.
func maxSize(align uintptr) uintptr { return math.MaxInt + 1 - align }

// block returns the memory of a block of layout l at p, or the error if there is none.
func block(p unsafe.Pointer, l galloc.Layout) ([]byte, error) {
	if p == nil {
		return nil, galloc.ErrOutOfMemory // as it is: failing must not allocate
	}
	// SAFETY: the engine's blocks have their usable size, and those of size 0 have 0.
	return unsafe.Slice((*byte)(p), usableSize(l)), nil
}
