package freelist

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Grow changes the layout of the block at p from old to to, as described at [galloc.Grower]. Within
// the range, the block does not change. Outside of it, Grow calls galloc.Grow on upstream. Between
// the two, it copies the block.
func (f *List) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/freelist", old.Size(), to.Size())
	return f.change(p, old, to, galloc.Grow)
}

// GrowZeroed is like Grow but sets the bytes that the block gains to zero, as described at
// [galloc.Grower].
func (f *List) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/freelist", old.Size(), to.Size())
	switch across := old.Size() < f.minSize && to.Size() >= f.minSize; {
	case old.Size() == 0:
		return f.AllocateZeroed(to)
	case !across && !f.inRange(old) && !f.inRange(to):
		return f.change(p, old, to, galloc.GrowZeroed)
	}
	// Across the range, upstream may keep bytes past the end of a block that was cut, so it cannot
	// clear the gain.
	b, err := f.change(p, old, to, galloc.Grow)
	if err == nil {
		block.ClearBytes(b[old.Size():])
	}
	return b, err
}

// Shrink changes the layout of the block at p from old to to, as described at [galloc.Shrinker] and
// at Grow.
func (f *List) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/freelist", old.Size(), to.Size())
	return f.change(p, old, to, galloc.Shrink)
}

// change is Grow or Shrink. It calls through for a block that is and stays outside of the range.
func (f *List) change(p unsafe.Pointer, old, to galloc.Layout,
	through func(galloc.Allocator, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error),
) ([]byte, error) {
	switch was, is := f.inRange(old), f.inRange(to); {
	case was && is:
		return f.slice(p), nil // all blocks of the range have the same size
	case !was && !is:
		b, err := through(f.upstream, p, old, to)
		return f.cut(b, to), err
	}
	b, err := f.Allocate(to)
	if err == nil {
		// SAFETY: the caller guarantees a block of old.Size() bytes at p.
		block.Copy(unsafe.Pointer(unsafe.SliceData(b)), p, min(old.Size(), to.Size()))
		f.Deallocate(p, old)
	}
	return b, err
}

// Resize changes the size of the block at p, which l must fit, to newSize in place, and reports
// whether it did. It succeeds within the range, fails across its ends, and otherwise calls
// galloc.Resize on upstream.
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

// UsableSize returns the minimum length in bytes of a block allocated with l: Max in the range, and
// otherwise the usable size of upstream, but less than Min if l is below Min.
func (f *List) UsableSize(l galloc.Layout) uintptr {
	if f.inRange(l) {
		return f.block.Size()
	}
	n := galloc.UsableSize(f.upstream, l)
	if l.Size() < f.minSize {
		n = min(n, f.minSize-1)
	}
	return n
}
