// Package jemalloc gives Go programs the real jemalloc (Jason Evans, 2006), the C library, as
// an allocator: [Allocator], and what that library tells of itself.
//
// It is built in only when asked for, because it needs cgo and the library's headers:
//
//	apt-get install libjemalloc-dev        # Debian
//	go build -tags galloc_jemalloc         # with CGO_ENABLED=1
//
// Without the tag or without cgo the package compiles all the same, and has the same names.
// [Available] is false then, and whatever would need the library panics with a message that
// says how to build it, or returns [ErrUnavailable] if it returns an error anyway.
//
// # When to use it
//
// To compare with, to share one allocator with C code, for its profiles and its controls. For
// speed alone the heap of this module is the better choice: each call here costs a
// crossing from Go to C and back, several times of what jemalloc itself needs.
//
// # What linking it does to the process
//
//   - A library built with the plain names, as Debian's is, replaces malloc and free of the
//     whole process, as soon as it is linked: C code and galloc.System too get
//     their memory from jemalloc. A library built with a prefix does not, and works here too.
//   - Threads: jemalloc keeps a cache for each thread of the operating system. A goroutine may
//     run on another thread at each call, which is allowed, but a block is often freed into
//     another cache than it came from, and there are as many caches as the Go runtime has
//     threads. The controls called "thread.*" are about the thread of that call: see
//     [runtime.LockOSThread].
//   - Fork: jemalloc has handlers that keep it usable in a child that C code forks. Those that
//     Go's os/exec starts run another program at once, and never see it.
//   - It can be linked beside package mimalloc: each package calls its own library by names
//     that only this one has. malloc itself is then that of the library that the linker was
//     given first.
//   - MALLOC_CONF in the environment sets jemalloc's options. With xmalloc:true, running out
//     of memory ends the process instead of returning nil. Hooks into jemalloc (extent_hooks)
//     must not be Go functions.
//
// errno: a call may leave its mark there. No Go code sees it, for cgo sets errno to 0 before
// each call whose second result it is.
package jemalloc

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Allocator is jemalloc: a [galloc.GlobalAlloc] with AllocZeroed and Realloc, and a
// [galloc.Allocator] with AllocateZeroed, Grow, GrowZeroed, Shrink, Resize and UsableSize.
// Blocks may go both ways, and no other allocator, not System either, may free them. It is
// one value, as System is, because the library has one state in the process.
//
// Blocks have any size and alignment for which there is memory. A size of 0 never
// reaches the library. A call costs a crossing to C, and nothing on the Go heap.
// Safe for concurrent use, also before the init functions of this package have run.
var Allocator allocator

var (
	_ galloc.GlobalAllocZeroed = allocator{}
	_ galloc.GlobalRealloc     = allocator{}
	_ galloc.ZeroedAllocator   = allocator{}
	_ galloc.Grower            = allocator{}
	_ galloc.Shrinker          = allocator{}
	_ galloc.Resizer           = allocator{}
	_ galloc.UsableSizer       = allocator{}
)

type allocator struct{}

// The library is not asked for more than most bytes, nor for a larger alignment: 7<<56 where
// an address has 64 bits, which no machine has, and 7<<28 on 32 bits. jemalloc's own largest
// class is not smaller on either.
const most = 7 << 28 << (28 * (bits.UintSize / 64))

// minAlign is the alignment that blocks have by themselves, if they are as large as that: the
// one that malloc promises.
const minAlign = bits.UintSize / 4

// flagsOf returns the flags that go with a layout: 0, for which the library has a shorter
// way, or MALLOCX_LG_ALIGN, which is the binary logarithm of the alignment.
//
// Sized deallocation needs the class of the block, and gets the class of (size, flags). They
// are the same for every size that fits, though the flags may differ within a block:
//
//	n = usable(s, flagsOf(s, align)), s <= t <= n:  usable(t, flagsOf(t, align)) == n
func flagsOf(size, align uintptr) int32 {
	if align <= minAlign && align <= size {
		return 0
	}
	return int32(bits.TrailingZeros64(uint64(align)))
}

func supported(l galloc.Layout) bool { return l.Size() <= most && l.Align() <= most }

// Alloc returns a block of l.Size() bytes or more at a multiple of l.Align(), or nil if
// memory is exhausted. The content is undefined. The caller owns the block until it is given
// back, by any of the methods for that. A size of 0 never fails and takes no memory.
func (allocator) Alloc(l galloc.Layout) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		return l.Dangling()
	case !supported(l):
		return nil
	}
	return libAlloc(l.Size(), flagsOf(l.Size(), l.Align()))
}

// AllocZeroed is Alloc with all l.Size() bytes zero. Pages fresh from the system are not
// touched for that.
func (allocator) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		return l.Dangling()
	case !supported(l):
		return nil
	}
	return libAllocZeroed(l.Size(), flagsOf(l.Size(), l.Align()))
}

// Dealloc takes back the block at p, which l must fit: any size from the one asked for to
// the usable one, and the same alignment. It cannot fail. It ignores blocks of size 0. jemalloc
// is told the size, and does not look it up: a wrong one corrupts its state.
func (allocator) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		libFree(p, l.Size(), flagsOf(l.Size(), l.Align()))
	}
}

// Realloc makes the block at p, which l must fit, newSize bytes large, and returns where it
// now is. The alignment and the first min(l.Size(), newSize) bytes are kept, the others are
// undefined. If memory is exhausted, or newSize too large, it returns nil, and the block is as
// it was. Growing from size 0 allocates; shrinking to size 0 deallocates.
func (a allocator) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(min(newSize, most), l.Align())
	switch {
	case newSize > most || err != nil:
		return nil
	case l.Size() == 0:
		return a.Alloc(n)
	case newSize == 0:
		a.Dealloc(p, l)
		return n.Dangling()
	}
	return libRealloc(p, newSize, flagsOf(newSize, l.Align()))
}

// Allocate returns a block as Alloc does, at its full length: see UsableSize. Any layout
// with the alignment of l and a size from l.Size() to that length fits it. If memory is
// exhausted, the error is galloc.ErrOutOfMemory; above 7<<56 bytes (7<<28 on 32 bits) it is
// galloc.ErrUnsupported.
func (allocator) Allocate(l galloc.Layout) ([]byte, error) {
	switch {
	case l.Size() == 0:
		return empty(l), nil
	case !supported(l):
		return nil, galloc.ErrUnsupported
	}
	return block(libAllocate(l.Size(), flagsOf(l.Size(), l.Align())))
}

// AllocateZeroed is Allocate with all bytes of the block zero, to its full length.
func (allocator) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	switch {
	case l.Size() == 0:
		return empty(l), nil
	case !supported(l):
		return nil, galloc.ErrUnsupported
	}
	return block(libAllocateZeroed(l.Size(), flagsOf(l.Size(), l.Align())))
}

// Deallocate is Dealloc.
func (a allocator) Deallocate(p unsafe.Pointer, l galloc.Layout) { a.Dealloc(p, l) }

// Grow makes the block at p, which old must fit, one of layout new, whose size must not be
// less; the alignment may be another. The first old.Size() bytes are kept, the others are
// undefined. It fails as Allocate does, and then the block is as it was. It panics if
// new is smaller than old.
func (a allocator) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow("Grow", old, new)
	return a.change(p, old, new)
}

// GrowZeroed is Grow with all bytes beyond old.Size() zero, to the full length of the block.
func (a allocator) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow("GrowZeroed", old, new)
	switch {
	case old.Size() == 0:
		return a.AllocateZeroed(new)
	case !supported(new):
		return nil, galloc.ErrUnsupported
	}
	return block(libGrowZeroed(p, old.Size(), new.Size(), flagsOf(new.Size(), new.Align())))
}

// Shrink makes the block at p, which old must fit, one of layout new, whose size must not
// be greater; the alignment may be another. The first new.Size() bytes are kept. It fails
// as Allocate does: a smaller block may need memory too. It panics if new is larger than old.
func (a allocator) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() > old.Size() {
		panic(fmt.Sprintf("galloc/jemalloc: Shrink from %d to %d bytes: that is for Grow", old.Size(), new.Size()))
	}
	return a.change(p, old, new)
}

// change makes the block at p, of layout old, one of layout new. jemalloc takes another
// alignment too.
func (a allocator) change(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	switch {
	case old.Size() == 0:
		return a.Allocate(new)
	case new.Size() == 0:
		a.Dealloc(p, old)
		return empty(new), nil
	case !supported(new):
		return nil, galloc.ErrUnsupported
	}
	return block(libReallocate(p, new.Size(), flagsOf(new.Size(), new.Align())))
}

// Resize makes the block at p, which l must fit, newSize bytes large, where it is, and
// reports whether it has (jemalloc's xallocx): within its size class always, and large blocks
// where there are free pages behind them, or when they shrink to another large size. If true,
// the new size is the one that fits, the first min(l.Size(), newSize) bytes are kept, and the
// others are undefined. If false, nothing has changed. newSize is not 0.
func (allocator) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == l.Size() || newSize == 0 || newSize > most || l.Size() == 0 {
		return newSize == l.Size()
	}
	return libResize(p, newSize, flagsOf(newSize, l.Align()))
}

// UsableSize returns the length in bytes of a block allocated with l: the size of its class
// (jemalloc's nallocx). For a layout that is never given, it is l.Size().
func (allocator) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || !supported(l) {
		return l.Size()
	}
	return max(libUsable(l.Size(), flagsOf(l.Size(), l.Align())), l.Size())
}

// String returns "jemalloc" and its version, or that it is not built in.
func (allocator) String() string {
	if !Available {
		return "jemalloc (not built in)"
	}
	return "jemalloc " + Version()
}

func checkGrow(what string, old, new galloc.Layout) {
	if new.Size() < old.Size() {
		panic(fmt.Sprintf("galloc/jemalloc: %s from %d to %d bytes: that is for Shrink", what, old.Size(), new.Size()))
	}
}

// block returns the n bytes at p, or the error if there are none.
func block(p unsafe.Pointer, n uintptr) ([]byte, error) {
	if p == nil {
		return nil, galloc.ErrOutOfMemory // as it is: failing must not allocate
	}
	// SAFETY: the library has returned a block of this usable size.
	return unsafe.Slice((*byte)(p), n), nil
}

// empty returns the block of size 0.
func empty(l galloc.Layout) []byte { return unsafe.Slice((*byte)(l.Dangling()), 0) }
