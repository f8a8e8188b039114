package galloc

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// GlobalAlloc is an allocator that can be registered as the global one: see [RegisterGlobal]. It is
// the minimum. An allocator that can do better than the defaults also implements
// [GlobalAllocZeroed] and [GlobalRealloc]; one that counts implements [StatsReader]. [AsAllocator]
// makes an [Allocator] of it.
//
// Both methods must be safe for concurrent use and must not panic. They must not use the global
// allocator, directly or through [Global], because that would call them again. They are never
// called with a size of 0. They should not allocate on the Go heap.
//
// A block is currently allocated from the call that returns it until it is passed to Dealloc, or to
// a Realloc that does not return nil. During that time the allocator does not access its bytes, and
// no other block overlaps it.
type GlobalAlloc interface {
	// Alloc returns a block of l.Size() bytes at a multiple of l.Align(), or nil if memory is
	// exhausted or l is not supported. The content is undefined. The caller owns the block until it
	// deallocates it.
	Alloc(l Layout) unsafe.Pointer

	// Dealloc frees the block at p, which must be currently allocated by this allocator with
	// exactly the layout l.
	Dealloc(p unsafe.Pointer, l Layout)
}

// GlobalAllocZeroed is a [GlobalAlloc] that can do better than allocate and clear, for example
// because fresh memory is known to be zero.
type GlobalAllocZeroed interface {
	GlobalAlloc
	// AllocZeroed is like Alloc, and all l.Size() bytes are zero.
	AllocZeroed(l Layout) unsafe.Pointer
}

// GlobalRealloc is a [GlobalAlloc] that can do better than allocate, copy and deallocate, for
// example because it can grow some blocks in place.
type GlobalRealloc interface {
	GlobalAlloc
	// Realloc changes the size of the block at p, currently allocated with layout l, to newSize
	// bytes, and returns its address. It keeps the alignment and the first min(l.Size(), newSize)
	// bytes. newSize is not 0 and is valid with l.Align(). The returned block replaces the old one,
	// which is deallocated even if the address is the same. If Realloc returns nil, the old block
	// is still allocated, and unchanged.
	Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer
}

// GlobalRefusal is a [GlobalAlloc] that knows why it has no memory, so that the errors of an
// [Allocator] made of it say more than [ErrOutOfMemory].
type GlobalRefusal interface {
	GlobalAlloc
	// Refusal returns the error of the allocation that failed last: [ErrLimit], [ErrSystem], or
	// another that is an ErrOutOfMemory. It does not allocate. Where goroutines fail at the same
	// time, it is the error of one of them.
	Refusal() error
}

// DefaultAllocZeroed is AllocZeroed for an allocator without that method: it calls Alloc and clears
// the block.
func DefaultAllocZeroed(a GlobalAlloc, l Layout) unsafe.Pointer {
	p := a.Alloc(l)
	if p != nil {
		block.Clear(p, l.size)
	}
	return p
}

// DefaultRealloc is Realloc for an allocator without that method: it calls Alloc, copies, and calls
// Dealloc.
func DefaultRealloc(a GlobalAlloc, p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	q := a.Alloc(newLayout(newSize, l.lg))
	if q != nil {
		block.Copy(q, p, min(l.size, newSize))
		a.Dealloc(p, l)
	}
	return q
}

// Stats are the figures of an allocator that every program can use. Package heap has more of the
// heap.
type Stats struct {
	Live       uintptr // bytes of the blocks that are allocated
	LiveBlocks uint64  // number of these blocks
	Footprint  uintptr // bytes of memory that the allocator holds, or 0 if it does not know
}

// StatsReader is an allocator that knows its [Stats].
type StatsReader interface {
	// ReadStats returns the current figures. It is safe for concurrent use.
	ReadStats() Stats
}
