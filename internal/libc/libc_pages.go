//go:build galloc_pages || !(windows || (cgo && unix))

// An allocator over the OS pages of package vm, where the platform brings none that Go can call. See libc.go for the contract.
//
// It is the simple kind that is right first and fast enough: the heap of package engine is the one to be fast.
//
//	request            served by                                               memory from
//	up to 32 KiB       a size class: blocks of one size, cut from spans        spans of 64 KiB
//	anything else      a run of pages of its own (runs.go describes them)      extents of 64 MiB
//
// Every size has a class: four classes per doubling, all multiples of 16 bytes. A request aligned above 16 takes the power of two
// that is no smaller than its size and its alignment, because spans are aligned to their size and so blocks of a power of two are
// aligned to theirs. Free blocks of a class form a list through their first words, last in, first out, and a list is preferred
// to untouched memory. A span stays with its class for good.
//
// The sizes that come with every call tell where a block belongs, so no block has a header and there is no table from addresses
// to sizes. All other state is in Go memory and holds no Go pointer outside it.
//
// Address space is never given back. A program may still hold a pointer to a block that it freed; if the addresses came again as
// Go heap, the garbage collector would meet a pointer into the middle of nowhere and end the program. What goes back is the
// memory behind free runs, once there is so much of it that keeping it for the next request is no longer worth it.
//
// Locks: a class has one, the runs have one. A class takes that of the runs inside its own, never the other way round.

package libc

import (
	"math/bits"
	"sync"
	"unsafe"
)

const name = "OS pages"

const (
	quantum    = 16       // divides every class size; the alignment of every block
	maxSmall   = 32 << 10 // the largest class
	spanSize   = 64 << 10 // also the alignment of a span
	numClasses = 40
)

// A class hands out blocks of one size.
//
//	free blocks == those of the list + (spanSize - used) / classSize in span
//	span == nil or used <= spanSize
type class struct {
	mu   sync.Mutex // guards all below
	free unsafe.Pointer
	span unsafe.Pointer // the newest span, whose blocks from used on were never handed out
	used uintptr        // bytes
	_    [128 - 32]byte // other classes are on other cache lines, even where these come in pairs
}

var small [numClasses]class

// classOf returns the index of the class that serves a request, or -1 if a run has to.
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
	old, new := classOf(oldSize, align), classOf(newSize, align)
	if old == new && (old >= 0 || large.resize(p, oldSize, newSize)) {
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
		// SAFETY: put wrote the word. Loading a pointer that was stored as a number is sound: none of them is into the Go heap,
		// or, in the Go memory port, all of them are into slices that live for ever.
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
	// SAFETY: the block is free and has room for a word. It is stored as a number because the write barrier for a pointer would
	// look at what the word held before, and that can be anything.
	*(*uintptr)(p) = uintptr(c.free)
	c.free = p
}
