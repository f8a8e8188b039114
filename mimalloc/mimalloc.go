// Package mimalloc gives Go programs the real mimalloc (Daan Leijen, 2019), the C library, as
// an allocator: [Allocator], and what that library tells of itself.
//
// It is built in only when asked for, because it needs cgo and the library's headers:
//
//	apt-get install libmimalloc-dev        # Debian
//	go build -tags galloc_mimalloc         # with CGO_ENABLED=1
//
// Without the tag or without cgo the package compiles all the same, and has the same names.
// [Available] is false then, and whatever would need the library panics with a message that
// says how to build it.
//
// # When to use it
//
// To compare with, and to share one allocator with C code. For speed alone the heap of this
// module is the better choice: each call here costs a crossing from Go to C and back, several
// times of what mimalloc itself needs.
//
// # What linking it does to the process
//
//   - A library built to override malloc, as Debian's is, replaces malloc and free of the whole
//     process, as soon as it is linked: C code and galloc.System too get their memory from
//     mimalloc.
//   - Threads: mimalloc has a heap for each thread of the operating system, and a block that is
//     freed on another thread than it came from waits there until that one allocates
//     again. A goroutine may run on another thread at each call, so that is the common case.
//     It is allowed, but memory stays with threads that the Go runtime has put to sleep.
//   - Fork: the library has no handlers for it, so a child that C code forks while other
//     threads allocate must not use it before exec. The processes that Go's os/exec starts
//     run another program at once, and never see it.
//   - It can be linked beside package jemalloc: each package calls its own library by names
//     that only this one has. malloc itself is then that of the library that the linker was
//     given first.
//   - MIMALLOC_ variables in the environment set its options, such as MIMALLOC_VERBOSE=1.
//
// There is no Owns: mi_is_in_heap_region says yes for any address near a block, and looks
// for it in memory that another thread may be giving back to the system at that moment.
//
// errno: a call may leave its mark there. No Go code sees it, for cgo sets errno to 0 before
// each call whose second result it is.
package mimalloc

import (
	"fmt"
	"math/bits"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Allocator is mimalloc: a [galloc.GlobalAlloc] with AllocZeroed and Realloc, and a
// [galloc.Allocator] with AllocateZeroed, Grow, GrowZeroed, Shrink, Resize and UsableSize.
// Blocks may go both ways, and no other allocator, not System either, may free them. It is
// one value, as System is, because the library has one state in the process.
//
// Blocks have any size and alignment for which there is memory. A size of 0 never reaches
// the library. A call costs a crossing to C, and nothing on the Go heap. Safe for
// concurrent use, also before the init functions of this package have run.
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
// an address has 64 bits, which no machine has, and 7<<28 on 32 bits. It adds the two, which
// cannot overflow below that.
const most = 7 << 28 << (28 * (bits.UintSize / 64))

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
	return libAlloc(l.Size(), l.Align())
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
	return libAllocZeroed(l.Size(), l.Align())
}

// Dealloc takes back the block at p, which l must fit: any size from the one asked for to
// the usable one, and the same alignment. It cannot fail. It ignores blocks of size 0.
func (allocator) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		libFree(p, l.Size(), l.Align())
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
	return libRealloc(p, newSize, l.Align())
}

// Allocate returns a block as Alloc does, of the length that UsableSize says. Any layout with
// the alignment of l and a size from l.Size() to that length fits it. If memory is exhausted,
// the error is galloc.ErrOutOfMemory; above 7<<56 bytes (7<<28 on 32 bits) it is
// galloc.ErrUnsupported.
func (allocator) Allocate(l galloc.Layout) ([]byte, error) {
	switch {
	case l.Size() == 0:
		return empty(l), nil
	case !supported(l):
		return nil, galloc.ErrUnsupported
	}
	return block(libAllocate(l.Size(), l.Align()))
}

// AllocateZeroed is Allocate with all bytes of the block zero, to its full length.
func (allocator) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	switch {
	case l.Size() == 0:
		return empty(l), nil
	case !supported(l):
		return nil, galloc.ErrUnsupported
	}
	return block(libAllocateZeroed(l.Size(), l.Align()))
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
// Where it moves, pages fresh from the system are not touched for that.
func (a allocator) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow("GrowZeroed", old, new)
	switch {
	case old.Size() == 0:
		return a.AllocateZeroed(new)
	case !supported(new):
		return nil, galloc.ErrUnsupported
	}
	return block(libGrowZeroed(p, old.Size(), new.Size(), new.Align()))
}

// Shrink makes the block at p, which old must fit, one of layout new, whose size must not
// be greater; the alignment may be another. The first new.Size() bytes are kept. It fails
// as Allocate does: a smaller block may need memory too. It panics if new is larger than old.
func (a allocator) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if new.Size() > old.Size() {
		panic(fmt.Sprintf("galloc/mimalloc: Shrink from %d to %d bytes: that is for Grow", old.Size(), new.Size()))
	}
	return a.change(p, old, new)
}

// change makes the block at p, of layout old, one of layout new. mimalloc takes another
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
	return block(libReallocate(p, new.Size(), new.Align()))
}

// Resize makes the block at p, which l must fit, newSize bytes large, where it is, and
// reports whether it has (mimalloc's mi_expand): if the block has room for it, and at least
// half of that room is used then. If true, the new size is the one that fits, the first
// min(l.Size(), newSize) bytes are kept, and the others are undefined. If false, nothing has
// changed. newSize is not 0.
func (allocator) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == l.Size() || newSize == 0 || newSize > most || l.Size() == 0 {
		return newSize == l.Size()
	}
	return libResize(p, newSize)
}

// UsableSize returns the length in bytes of a block allocated with l (mimalloc's
// mi_good_size). For a layout that is never given, it is l.Size().
func (allocator) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || !supported(l) {
		return l.Size()
	}
	return libUsable(l.Size())
}

// String returns "mimalloc" and its version, or that it is not built in.
func (allocator) String() string {
	if !Available {
		return "mimalloc (not built in)"
	}
	return "mimalloc " + Version()
}

// Version returns the version of the library that is linked in, such as "2.0.9", or "" where
// [Available] is false.
func Version() string {
	if !Available {
		return ""
	}
	return versionOf(libVersion())
}

// versionOf returns the version with this number: major and two digits, or, since 2.2.0, three
// parts with two digits each but the first.
func versionOf(n int) string {
	if n >= 10000 {
		return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
	}
	return fmt.Sprintf("%d.%d.%d", n/100, n/10%10, n%10)
}

// Collect makes the heap of the calling thread take back what other threads have freed of it,
// and with force give free memory back to the system at once, as far as possible. It does
// nothing for the heaps of other threads, which is why a Go program gains little by it. Safe
// for concurrent use.
func Collect(force bool) { libCollect(force) }

// ProcessInfo is what mimalloc knows of the process.
type ProcessInfo struct {
	Elapsed      time.Duration // since mimalloc was initialised
	User, System time.Duration // of the processor, in the program and in the system

	RSS, PeakRSS       uint64 // bytes of the process in memory, at this time and at most
	Commit, PeakCommit uint64 // bytes that mimalloc has committed, at this time and at most
	PageFaults         uint64 // those that needed the disk
}

// ReadProcessInfo returns what mimalloc knows of the process. On Linux it does not know the
// resident size at this time, and gives the committed one for it. What mimalloc counts itself
// is rough: threads count by themselves, and their counts are added up late. Times are in
// milliseconds. It makes a few calls of the system. Safe for concurrent use.
func ReadProcessInfo() ProcessInfo { return libProcessInfo() }

func checkGrow(what string, old, new galloc.Layout) {
	if new.Size() < old.Size() {
		panic(fmt.Sprintf("galloc/mimalloc: %s from %d to %d bytes: that is for Shrink", what, old.Size(), new.Size()))
	}
}

// block returns the n bytes at p, or the error if there are none.
func block(p unsafe.Pointer, n uintptr) ([]byte, error) {
	if p == nil {
		return nil, galloc.ErrOutOfMemory // as it is: failing must not allocate
	}
	// SAFETY: the library has been asked for a block of this size.
	return unsafe.Slice((*byte)(p), n), nil
}

// empty returns the block of size 0.
func empty(l galloc.Layout) []byte { return unsafe.Slice((*byte)(l.Dangling()), 0) }
