package galloc

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/libc"
)

// System is the allocator that the platform brings: the malloc family of libc where cgo
// is on, HeapAlloc on Windows, and elsewhere pages of the operating system, cut up by a
// simple size-class scheme. It is a [GlobalAlloc] with AllocZeroed and Realloc, and an
// [Allocator] with AllocateZeroed, Grow, GrowZeroed and Shrink on top of them. Blocks may
// go both ways.
//
// Sizes and alignments are limited by what the platform gives. Unlike other GlobalAllocs,
// it takes size 0 too, as the functions Alloc and Dealloc do. Where it is
// libc's malloc, which its String says, C code may free its blocks, as a program may that gets
// them from a library in Go; elsewhere it must not, and blocks that malloc has returned to C must not be given
// to System anywhere. With cgo each call costs a crossing to C, 25 to 30 ns. Safe for concurrent use.
var System system

var (
	_ fullGlobal      = System
	_ ZeroedAllocator = System
	_ Grower          = System
	_ Shrinker        = System
)

type system struct{ face[platform] }

func (system) Alloc(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	return platform{}.Alloc(l)
}

func (system) AllocZeroed(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	return platform{}.AllocZeroed(l)
}

func (s system) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	switch n := newLayout(newSize, l.lg); {
	case newSize > maxSize(l.Align()):
		return nil
	case l.size == 0:
		return s.Alloc(n)
	case newSize == 0:
		s.Dealloc(p, l)
		return n.Dangling()
	}
	return platform{}.Realloc(p, l, newSize)
}

func (system) Dealloc(p unsafe.Pointer, l Layout) {
	if l.size != 0 {
		platform{}.Dealloc(p, l)
	}
}

// platform is System without size 0: what is called in its place where that has been looked
// after, by the free functions and by face.
type platform struct{}

func (platform) Alloc(l Layout) unsafe.Pointer       { return libc.Alloc(l.size, l.Align()) }
func (platform) AllocZeroed(l Layout) unsafe.Pointer { return libc.AllocZeroed(l.size, l.Align()) }
func (platform) Dealloc(p unsafe.Pointer, l Layout)  { libc.Free(p, l.size, l.Align()) }
func (platform) String() string                      { return "galloc.System (" + libc.Name + ")" }
func (platform) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return libc.Realloc(p, l.size, l.Align(), newSize)
}
