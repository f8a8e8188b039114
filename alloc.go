package galloc

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/pages"
)

// Alloc allocates a block of l.Size() bytes at a multiple of l.Align() from the global allocator.
// If memory is exhausted, it returns nil; see [HandleAllocError]. The content is undefined. A size
// of 0 never fails and allocates nothing: the result is l.Dangling().
//
// The block must be freed by [Dealloc] or [Realloc], not by a method of the registered allocator.
// Alloc, AllocZeroed, Realloc and Dealloc are safe for concurrent use.
func Alloc(l Layout) unsafe.Pointer { return engine.FastAlloc(l.size, l.lg, l.class) }

func init() { engine.SetSlowPath(allocSlow, allocZeroedSlow, deallocSlow) }

// allocSlow is Alloc of Layout{size, lg, class} if the cache of the global heap has no block, or if
// the global allocator is not a heap.
func allocSlow(size uintptr, lg, class uint32) unsafe.Pointer {
	l := Layout{size, lg, class}
	if size == 0 {
		return l.Dangling()
	}
	switch r := current(); {
	case r.heap != nil:
		return r.heap.AllocSlow(size, l.Align())
	case r.system:
		return platform{}.Alloc(l)
	default:
		return r.alloc.Alloc(l)
	}
}

// AllocZeroed is like [Alloc], and all bytes of the block are zero.
func AllocZeroed(l Layout) unsafe.Pointer { return engine.FastAllocZeroed(l.size, l.lg, l.class) }

// allocZeroedSlow is AllocZeroed of Layout{size, lg, class} if the block is not small, if the cache
// of the global heap has none, or if the global allocator is not a heap.
func allocZeroedSlow(size uintptr, lg, class uint32) unsafe.Pointer {
	l := Layout{size, lg, class}
	if l.size == 0 {
		return l.Dangling()
	}
	r := current()
	switch {
	case r.heap == nil && (r.sampled == nil || !l.isSmall()):
		return r.zeroed.AllocZeroed(l)
	case !l.isSmall():
		return r.heap.AllocZeroed(l.size, l.Align())
	}
	p := Alloc(l)
	if p != nil {
		clear(block.Bytes(p, l.size))
	}
	return p
}

// Realloc changes the size of the block at p to newSize bytes and returns its address. The block
// must be currently allocated by the global allocator with layout l. Realloc keeps the alignment
// and the first min(l.Size(), newSize) bytes; the others are undefined. The new layout is (newSize,
// l.Align()). p is invalid afterwards, even if the block did not move.
//
// If memory is exhausted, or if newSize is too large for any Layout, Realloc returns nil, and the
// block is unchanged. Growing from size 0 allocates; shrinking to size 0 deallocates.
func Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	if newSize > block.MaxSize(l.Align()) {
		return nil
	}
	n := newLayout(newSize, l.lg)
	switch {
	case l.size == 0:
		deallocZero(p, l.Align())
		return Alloc(n)
	case newSize == 0:
		Dealloc(p, l)
		return n.Dangling()
	}
	r := current()
	switch {
	case r.heap == nil && (r.sampled == nil || !r.sampled.c.Passes(p) || !n.isSmall()):
		return r.realloc.Realloc(p, l, newSize)
	case l.class == n.class && l.class != 0:
		return p
	case !l.isSmall() && !n.isSmall():
		return r.heap.Realloc(p, l.size, l.Align(), newSize)
	}
	q := Alloc(n)
	if q != nil {
		block.Copy(q, p, min(l.size, newSize))
		Dealloc(p, l)
	}
	return q
}

// Dealloc frees the block at p, which must be currently allocated by the global allocator with
// exactly the layout l: the same size and the same alignment. With a size of 0, Dealloc does
// nothing, whatever p is.
func Dealloc(p unsafe.Pointer, l Layout) { engine.FastFree(p, l.size, l.lg, l.class) }

// deallocSlow is Dealloc of Layout{size, lg, class} if the cache of the global heap is full, or if
// the global allocator is not a heap.
func deallocSlow(p unsafe.Pointer, size uintptr, lg, class uint32) {
	l := Layout{size, lg, class}
	if size == 0 {
		deallocZero(p, l.Align())
		return
	}
	switch r := current(); {
	case r.heap != nil:
		r.heap.FreeSlow(p, size, l.Align())
	case r.system:
		platform{}.Dealloc(p, l)
	default:
		r.alloc.Dealloc(p, l)
	}
}

// deallocZero frees a block of size 0: a no-op, except that a memory checker checks p.
func deallocZero(p unsafe.Pointer, align uintptr) {
	if r := registered.Load(); r != nil && r.checker != nil {
		r.checker.FreeZero(p, align)
	}
}

// Global is the global allocator as a value. [RegisterGlobal], an import or the first use decides
// which allocator that is; [DescribeGlobal] reports it.
var Global GlobalAllocator

// GlobalAllocator is the type of [Global]: a [GlobalAlloc], whose methods are the functions of the
// same names, and an [Allocator]. Blocks may be allocated by a method of one and freed by a method
// of the other. Safe for concurrent use.
type GlobalAllocator struct{}

var (
	_ fullGlobal      = Global
	_ ZeroedAllocator = Global
	_ Grower          = Global
	_ Shrinker        = Global
	_ Resizer         = Global
)

// globalFace is Global as an Allocator.
var globalFace face[freeFunctions]

// freeFunctions has the four functions as methods.
type freeFunctions struct{}

func (freeFunctions) Alloc(l Layout) unsafe.Pointer       { return Alloc(l) }
func (freeFunctions) AllocZeroed(l Layout) unsafe.Pointer { return AllocZeroed(l) }
func (freeFunctions) Dealloc(p unsafe.Pointer, l Layout)  { Dealloc(p, l) }
func (freeFunctions) refusal() error                      { return current().refusal() }
func (freeFunctions) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return Realloc(p, l, newSize)
}

// Alloc calls the function [Alloc].
func (GlobalAllocator) Alloc(l Layout) unsafe.Pointer { return Alloc(l) }

// AllocZeroed calls the function [AllocZeroed].
func (GlobalAllocator) AllocZeroed(l Layout) unsafe.Pointer { return AllocZeroed(l) }

// Realloc calls the function [Realloc].
func (GlobalAllocator) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return Realloc(p, l, newSize)
}

// Dealloc calls the function [Dealloc].
func (GlobalAllocator) Dealloc(p unsafe.Pointer, l Layout) { Dealloc(p, l) }

// Allocate returns a block of exactly l.Size() bytes: see [Allocator].
func (GlobalAllocator) Allocate(l Layout) ([]byte, error) { return globalFace.Allocate(l) }

// AllocateZeroed is like Allocate, and all bytes are zero: see [ZeroedAllocator].
func (GlobalAllocator) AllocateZeroed(l Layout) ([]byte, error) { return globalFace.AllocateZeroed(l) }

// Deallocate frees the block at p: see [Allocator].
func (GlobalAllocator) Deallocate(p unsafe.Pointer, l Layout) { globalFace.Deallocate(p, l) }

// Grow makes the block at p larger: see [Grower].
func (GlobalAllocator) Grow(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	return globalFace.Grow(p, old, to)
}

// GrowZeroed is like Grow, and the added bytes are zero: see [Grower].
func (GlobalAllocator) GrowZeroed(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	return globalFace.GrowZeroed(p, old, to)
}

// Shrink makes the block at p smaller: see [Shrinker].
func (GlobalAllocator) Shrink(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	return globalFace.Shrink(p, old, to)
}

// Resize changes the size of the block at p to newSize bytes without moving it, and reports whether
// it could: see [Resizer]. The heap can within a size class, and mostly for large blocks. Another
// allocator can if it is a Resizer, or was made by [AsGlobal] of one.
func (GlobalAllocator) Resize(p unsafe.Pointer, l Layout, newSize uintptr) bool {
	if newSize == l.size || newSize == 0 || l.size == 0 || newSize > block.MaxSize(l.Align()) {
		return newSize == l.size
	}
	r := current()
	if r.heap != nil {
		return r.heap.Resize(p, l.size, l.Align(), newSize)
	}
	switch a := r.alloc.(type) {
	case asGlobal:
		return Resize(a.a, p, l, newSize)
	case Resizer:
		return a.Resize(p, l, newSize)
	case *sampledHeap:
		return a.resize(p, l, newSize)
	case *checked:
		return a.c.Resize(p, l.size, l.Align(), newSize)
	}
	return false
}

// GoodSize returns the number of bytes that the global allocator reserves for a block of layout l:
// at least l.Size(). A program that can use all of them should allocate that size. A block
// allocated with l has l.Size() bytes only, so GoodSize is not [UsableSizer]'s method. The heap
// knows the number, and so does an allocator that is a UsableSizer, or was made by [AsGlobal] of
// one; for others it is l.Size().
func (GlobalAllocator) GoodSize(l Layout) uintptr {
	if l.size == 0 {
		return 0
	}
	r := current()
	if r.heap != nil {
		return heapSize(l)
	}
	switch a := r.alloc.(type) {
	case asGlobal:
		return UsableSize(a.a, l)
	case UsableSizer:
		return a.UsableSize(l)
	case *sampledHeap:
		return heapSize(l)
	}
	return l.size
}

// heapSize is GoodSize of a heap.
func heapSize(l Layout) uintptr {
	return min(pages.UsableSize(l.size, l.Align()), block.MaxSize(l.Align()))
}

// String returns "galloc.Global".
func (GlobalAllocator) String() string { return "galloc.Global" }
