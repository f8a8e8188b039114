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
// It supports all sizes that the system gives, and all alignments on libc up to what
// posix_memalign takes. A block of System must not be handed to C's free, nor one of
// malloc to System, even where the one happens to be the other. With cgo each call costs
// a crossing to C, some tens of nanoseconds.
var System system

type system struct {
	systemCalls
	face[systemCalls]
}

func (system) String() string { return "galloc.System (" + libc.Name + ")" }

// systemCalls is the platform's allocator as a GlobalAlloc.
type systemCalls struct{}

func (systemCalls) Alloc(l Layout) unsafe.Pointer {
	return libc.Alloc(l.size, l.Align())
}

func (systemCalls) AllocZeroed(l Layout) unsafe.Pointer {
	return libc.AllocZeroed(l.size, l.Align())
}

func (systemCalls) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return libc.Realloc(p, l.size, l.Align(), newSize)
}

func (systemCalls) Dealloc(p unsafe.Pointer, l Layout) {
	libc.Free(p, l.size, l.Align())
}
