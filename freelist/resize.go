package freelist

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Grow makes the block at p one of layout new, as said at [galloc.Grower]. Within the range, it stays
// as it is, at no cost; outside of it, it is upstream's Grow or its default; between the two, the
// content is copied to another block.
func (f *List) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() < old.Size() {
		panic(fmt.Sprintf("galloc/freelist: Grow from %d to %d bytes: that is for Shrink", old.Size(), new.Size()))
	}
	return f.change(p, old, new, galloc.Grow)
}

// GrowZeroed is Grow with the bytes that the block gains set to zero, as said at [galloc.Grower].
func (f *List) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() < old.Size() {
		panic(fmt.Sprintf("galloc/freelist: GrowZeroed from %d to %d bytes: that is for Shrink", old.Size(), new.Size()))
	}
	switch across := old.Size() < f.min && new.Size() >= f.min; {
	case old.Size() == 0:
		return f.AllocateZeroed(new)
	case !across && !f.inRange(old) && !f.inRange(new):
		return f.change(p, old, new, galloc.GrowZeroed)
	}
	// Across the range too: upstream would keep what it has behind the end that a small block was given.
	b, err := f.change(p, old, new, galloc.Grow)
	if err == nil {
		clear(b[old.Size():])
	}
	return b, err
}

// Shrink makes the block at p one of layout new, as said at [galloc.Shrinker] and at Grow.
func (f *List) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() > old.Size() {
		panic(fmt.Sprintf("galloc/freelist: Shrink from %d to %d bytes: that is for Grow", old.Size(), new.Size()))
	}
	return f.change(p, old, new, galloc.Shrink)
}

// change is Grow and Shrink; upstream's are what passes through.
func (f *List) change(p unsafe.Pointer, old, new galloc.Layout,
	upstream func(galloc.Allocator, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error),
) ([]byte, error) {
	switch from, to := f.inRange(old), f.inRange(new); {
	case from && to:
		return f.slice(p), nil // of any layout in the range
	case !from && !to:
		b, err := upstream(f.upstream, p, old, new)
		return f.cut(b, new), err
	}
	b, err := f.Allocate(new)
	if err == nil {
		n := min(old.Size(), new.Size())
		// SAFETY: the caller says that there is a block of old.Size() bytes at p.
		copy(b[:n], unsafe.Slice((*byte)(p), n))
		f.Deallocate(p, old)
	}
	return b, err
}

// Resize makes the block at p newSize bytes large, where it is, and reports whether it has: always
// within the range, never into it or out of it, and otherwise as upstream can.
func (f *List) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == l.Size() || newSize == 0 {
		return newSize == l.Size()
	}
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || f.inRange(l) != f.inRange(n) {
		return false
	}
	return f.inRange(l) || galloc.Resize(f.upstream, p, l, newSize)
}

// UsableSize returns the length in bytes that a block allocated with l has at least: Max in the range,
// and otherwise what upstream says, but less than Min for what is less.
func (f *List) UsableSize(l galloc.Layout) uintptr {
	if f.inRange(l) {
		return f.block.Size()
	}
	n := galloc.UsableSize(f.upstream, l)
	if l.Size() < f.min {
		n = min(n, f.min-1)
	}
	return n
}
