// Package jemalloc binds the C library jemalloc (Jason Evans, 2006), as an allocator, [Allocator],
// with the library's statistics.
//
// It is built in only when asked for, because it needs cgo and the library's headers:
//
//	apt-get install libjemalloc-dev        # Debian
//	go build -tags galloc_jemalloc         # with CGO_ENABLED=1
//
// Without the tag or without cgo the package still compiles, with the same names. [Available] is
// then false, and every function that needs the library panics with a message that explains how to
// build it, or returns [ErrUnavailable] if it returns an error anyway.
//
// # When to use it
//
// Use it to compare, to share one allocator with C code, or for its profiles and controls. For
// speed alone the heap of this module is the better choice: each call here crosses from Go to C and
// back, which costs several times what jemalloc itself needs.
//
// # What linking it does to the process
//
//   - A library built with the plain names, as Debian's is, replaces malloc and free of the whole
//     process, as soon as it is linked: C code and galloc.System too get their memory from
//     jemalloc. A library built with a prefix does not, and works here too.
//   - Threads: jemalloc keeps a cache for each thread of the operating system. A goroutine may run
//     on another thread at each call, which is allowed. But a block is often freed into another
//     cache than it came from, and there is a cache for each thread of the Go runtime. The controls
//     called "thread.*" apply to the thread of the call: see [runtime.LockOSThread].
//   - Fork: jemalloc has handlers that keep it usable in a child that C code forks. The processes
//     that os/exec starts run another program at once and never use it.
//   - It can be linked beside package mimalloc: each package calls its own library by names that no
//     other library has. malloc then belongs to whichever library comes first on the linker's
//     command line.
//   - MALLOC_CONF in the environment sets jemalloc's options. With xmalloc:true, running out of
//     memory ends the process instead of returning nil. Hooks into jemalloc (extent_hooks) must not
//     be Go functions.
//
// A call may change errno. No Go code sees that, because cgo sets errno to 0 before each call that
// returns it.
package jemalloc

import (
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Allocator is jemalloc: a [galloc.GlobalAlloc] with AllocZeroed and Realloc, and a
// [galloc.Allocator] with AllocateZeroed, Grow, GrowZeroed, Shrink, Resize and UsableSize. A block
// from either interface may be freed through the other. No other allocator may free it, System
// included. There is one value, as with System, because the library has one state in the process.
//
// Any size and alignment is served if there is memory. Size 0 never reaches the library. A call
// costs a crossing to C and allocates nothing on the Go heap. Safe for concurrent use, even before
// the init functions of this package have run.
var Allocator Binding

var (
	_ galloc.GlobalAllocZeroed = Binding{}
	_ galloc.GlobalRealloc     = Binding{}
	_ galloc.ZeroedAllocator   = Binding{}
	_ galloc.Grower            = Binding{}
	_ galloc.Shrinker          = Binding{}
	_ galloc.Resizer           = Binding{}
	_ galloc.UsableSizer       = Binding{}
)

// Binding is the type of [Allocator]. All its values are the same allocator.
type Binding struct{}

// maxBytes limits the sizes and alignments that are passed to the library: 7<<56 where an address
// has 64 bits, which no machine has, and 7<<28 on 32 bits. jemalloc's own largest class is not
// smaller on either.
const maxBytes = 7 << 28 << (28 * (bits.UintSize / 64))

// minAlign is the alignment that malloc promises for blocks of at least that size.
const minAlign = bits.UintSize / 4

// flagsOf returns the flags for a layout: 0, for which the library has a faster path, or
// MALLOCX_LG_ALIGN, the binary logarithm of the alignment.
//
// Sized deallocation needs the class of the block, and derives it from (size, flags). The class is
// the same for every size that fits, though the flags may differ within a block:
//
//	n = usable(s, flagsOf(s, align)), s <= t <= n:  usable(t, flagsOf(t, align)) == n
func flagsOf(size, align uintptr) int32 {
	if align <= minAlign && align <= size {
		return 0
	}
	return int32(bits.TrailingZeros64(uint64(align)))
}

func supported(l galloc.Layout) bool { return l.Size() <= maxBytes && l.Align() <= maxBytes }

// Alloc returns a block of l.Size() bytes or more at a multiple of l.Align(), or nil if memory is
// exhausted. The content is undefined. The caller owns the block until it frees it by Dealloc,
// Deallocate or a change of size. Size 0 never fails and takes no memory.
func (Binding) Alloc(l galloc.Layout) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		return l.Dangling()
	case !supported(l):
		return nil
	}
	return libAlloc(l.Size(), flagsOf(l.Size(), l.Align()))
}

// AllocZeroed is Alloc with all l.Size() bytes zero. It does not touch pages fresh from the system.
func (Binding) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		return l.Dangling()
	case !supported(l):
		return nil
	}
	return libAllocZeroed(l.Size(), flagsOf(l.Size(), l.Align()))
}

// Dealloc frees the block at p, which l must fit: any size from the requested to the usable one,
// and the same alignment. It cannot fail, and ignores blocks of size 0. jemalloc does not look up
// the size: a wrong one corrupts its state.
func (Binding) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		libFree(p, l.Size(), flagsOf(l.Size(), l.Align()))
	}
}

// Realloc changes the size of the block at p, which l must fit, to newSize bytes and returns its
// new address. If memory is exhausted or newSize is too large, it returns nil and the block is
// unchanged. The alignment and the first min(l.Size(), newSize) bytes are kept; the others are
// undefined. Growing from size 0 allocates; shrinking to size 0 deallocates.
func (a Binding) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(min(newSize, maxBytes), l.Align())
	switch {
	case newSize > maxBytes || err != nil:
		return nil
	case l.Size() == 0:
		return a.Alloc(n)
	case newSize == 0:
		a.Dealloc(p, l)
		return n.Dangling()
	}
	return libRealloc(p, newSize, flagsOf(newSize, l.Align()))
}

// Allocate returns a block as Alloc does, with its full length: see UsableSize. Any layout with the
// alignment of l and a size from l.Size() to that length fits it. If memory is exhausted, the error
// is galloc.ErrOutOfMemory; above 7<<56 bytes (7<<28 on 32 bits) it is galloc.ErrUnsupported.
func (Binding) Allocate(l galloc.Layout) ([]byte, error) {
	switch {
	case l.Size() == 0:
		return empty(l), nil
	case !supported(l):
		return nil, galloc.ErrUnsupported
	}
	return blockOf(libAllocate(l.Size(), flagsOf(l.Size(), l.Align())))
}

// AllocateZeroed is Allocate with all bytes of the block zero, to its full length.
func (Binding) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	switch {
	case l.Size() == 0:
		return empty(l), nil
	case !supported(l):
		return nil, galloc.ErrUnsupported
	}
	return blockOf(libAllocateZeroed(l.Size(), flagsOf(l.Size(), l.Align())))
}

// Deallocate is Dealloc.
func (a Binding) Deallocate(p unsafe.Pointer, l galloc.Layout) { a.Dealloc(p, l) }

// Grow changes the block at p, which old must fit, to layout to, whose alignment may differ. It
// fails as Allocate does, and the block is then unchanged. The first old.Size() bytes are kept; the
// others are undefined. It panics if to is smaller than old.
func (a Binding) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/jemalloc", old.Size(), to.Size())
	return a.change(p, old, to)
}

// GrowZeroed is Grow with all bytes past old.Size() zero, to the full length of the block.
func (a Binding) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/jemalloc", old.Size(), to.Size())
	switch {
	case old.Size() == 0:
		return a.AllocateZeroed(to)
	case !supported(to):
		return nil, galloc.ErrUnsupported
	}
	return blockOf(libGrowZeroed(p, old.Size(), to.Size(), flagsOf(to.Size(), to.Align())))
}

// Shrink changes the block at p, which old must fit, to layout to, whose alignment may differ. It
// fails as Allocate does, because a smaller block may need memory too; the block is then unchanged.
// The first to.Size() bytes are kept. It panics if to is larger than old.
func (a Binding) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/jemalloc", old.Size(), to.Size())
	return a.change(p, old, to)
}

// change changes the block at p from layout old to layout to. jemalloc accepts a new alignment too.
func (a Binding) change(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	switch {
	case old.Size() == 0:
		return a.Allocate(to)
	case to.Size() == 0:
		a.Dealloc(p, old)
		return empty(to), nil
	case !supported(to):
		return nil, galloc.ErrUnsupported
	}
	return blockOf(libReallocate(p, to.Size(), flagsOf(to.Size(), to.Align())))
}

// Resize changes the size of the block at p, which l must fit, to newSize bytes without moving it,
// and reports whether it could (jemalloc's xallocx): always within a size class, and for large
// blocks if free pages follow them or if they shrink to another large size. If true, the new size
// fits the block, the first min(l.Size(), newSize) bytes are kept, and the others are undefined. If
// false, nothing has changed. newSize must not be 0.
func (Binding) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == l.Size() || newSize == 0 || newSize > maxBytes || l.Size() == 0 {
		return newSize == l.Size()
	}
	return libResize(p, newSize, flagsOf(newSize, l.Align()))
}

// UsableSize returns the length in bytes of a block allocated with l: the size of its class
// (jemalloc's nallocx). For a layout that cannot be allocated, it is l.Size().
func (Binding) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || !supported(l) {
		return l.Size()
	}
	return max(libUsable(l.Size(), flagsOf(l.Size(), l.Align())), l.Size())
}

// String returns "jemalloc" and its version, or that it is not built in.
func (Binding) String() string {
	if !Available {
		return "jemalloc (not built in)"
	}
	return "jemalloc " + Version()
}

// blockOf returns the n bytes at p, or the error if there are none.
func blockOf(p unsafe.Pointer, n uintptr) ([]byte, error) {
	if p == nil {
		return nil, galloc.ErrOutOfMemory // as it is: failing must not allocate
	}
	// SAFETY: the library has returned a block of this usable size.
	return unsafe.Slice((*byte)(p), n), nil
}

// empty returns the block of size 0.
func empty(l galloc.Layout) []byte { return unsafe.Slice((*byte)(l.Dangling()), 0) }
