//go:build galloc_pages || !(windows || (cgo && unix))

// An allocator over the OS pages of package vm, for platforms without one that Go can call. See
// libc.go for the contract.
//
// It is simple, and fast enough: the fast allocator is the heap of package engine.
//
//	request            served by                                               memory from
//	up to 32 KiB       a size class: blocks of one size, cut from spans        spans of 64 KiB
//	all other sizes    a run of pages (see runs.go)                            extents of 64 MiB
//
// The class sizes are four per doubling, all multiples of 16 bytes. A request with an alignment
// above 16 is served by the class of the smallest power of two that is at least its size and its
// alignment: spans are aligned to their size, and so blocks of a power of two are aligned to
// theirs. The free blocks of a class form a list through their first words, last in, first out, and
// are used before untouched memory. A span stays with its class.
//
// Every call has the size of the block, so no block has a header and there is no table from
// addresses to sizes. All other state is in Go memory and holds no Go pointer outside it.
//
// Address space is never released. A program may still hold a pointer to a block that it freed; if
// the Go heap got the addresses, the garbage collector would find an invalid pointer and end the
// program. Only the memory of free runs is returned to the system, when there is more of it than
// dirtyMax.
//
// Locks: each class has a lock, and the runs have one. A class locks the runs while it holds its
// own lock, never the other way round.

package libc

import (
	"math/bits"
	"sync"
	"unsafe"
)

const name = "OS pages"

const (
	quantum    = 16       // bytes; divides every class size, and is the least alignment of a block
	maxSmall   = 32 << 10 // the largest class
	spanSize   = 64 << 10 // also the alignment of a span
	numClasses = 40
)

// A class hands out blocks of one size.
//
//	free blocks == blocks in the list + (spanSize - used) / classSize in span
//	span == nil or used <= spanSize
type class struct {
	mu   sync.Mutex // guards all below
	free unsafe.Pointer
	span unsafe.Pointer // the newest span; its blocks from used on are untouched
	used uintptr        // bytes
	_    [128 - 32]byte // keeps classes on different cache lines, even where these come in pairs
}

var small [numClasses]class

// classOf returns the index of the class that serves a request, or -1 for a run.
//
//	classOf(classSize(c), 1) == c
//	classSize(classOf(size, align)) >= size, and a multiple of align
func classOf(size, align uintptr) int {
	if align > quantum {
		size = 1 << bits.Len(uint(max(size, align)-1))
	}
	if size > maxSmall {
		return -1
	}
	// Sizes in (2^k, 2^(k+1)] come in steps of 2^(k-2), but not below the quantum.
	shift := max(bits.Len(uint(size-1)), 7) - 3
	return 4*(shift-4) + int((size-1)>>shift)
}

// classSize returns the size in bytes of the blocks of class c.
func classSize(c int) uintptr {
	shift := max(c/4, 1) + 3
	return uintptr(c-4*(shift-4)+1) << shift
}

func alloc(size, align uintptr) unsafe.Pointer {
	if c := classOf(size, align); c >= 0 {
		return small[c].alloc(classSize(c))
	}
	return large.alloc(size, align)
}

func allocZeroed(size, align uintptr) unsafe.Pointer {
	if classOf(size, align) < 0 {
		return large.allocZeroed(size, align)
	}
	p := alloc(size, align)
	if p != nil {
		// SAFETY: the block holds size bytes.
		clear(unsafe.Slice((*byte)(p), size))
	}
	return p
}

func realloc(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	from, to := classOf(oldSize, align), classOf(newSize, align)
	if from == to && (from >= 0 || large.resize(p, oldSize, newSize)) {
		return p
	}
	return move(p, oldSize, align, newSize)
}

func free(p unsafe.Pointer, size, align uintptr) {
	if c := classOf(size, align); c >= 0 {
		small[c].put(p)
		return
	}
	large.put(p, size)
}

func (c *class) alloc(size uintptr) unsafe.Pointer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.free; p != nil {
		// SAFETY: put wrote the word. To load a pointer that was stored as a number is sound: none
		// points into the Go heap, or, in the Go memory port, all point into slices that are never
		// freed.
		c.free = *(*unsafe.Pointer)(p)
		return p
	}
	if c.span == nil || c.used+size > spanSize {
		span := large.alloc(spanSize, spanSize)
		if span == nil {
			return nil
		}
		c.span, c.used = span, 0
	}
	// SAFETY: used + size <= spanSize.
	p := unsafe.Add(c.span, c.used)
	c.used += size
	return p
}

func (c *class) put(p unsafe.Pointer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// SAFETY: the block is free and has room for a word. The pointer is stored as a number because
	// the write barrier for a pointer would read the old contents of the word, which can be
	// anything.
	*(*uintptr)(p) = uintptr(c.free)
	c.free = p
}
