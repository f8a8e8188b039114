// Package inside is the allocator inside a wrapper of one package or another: what package wrap has
// for its own wrappers.
package inside

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
)

// Allocator is the allocator inside a wrapper. Its optional methods are looked up once. Its methods
// are called with any size, also 0.
type Allocator struct {
	A       galloc.Allocator
	alloc   galloc.GlobalAlloc
	zeroed  galloc.GlobalAllocZeroed // nil if it has no such method
	realloc galloc.GlobalRealloc     // nil if it has no such method
}

// Resolve looks up the methods of a; nil is the global allocator. It panics if a cannot allocate,
// with a message that begins with pkg.
func Resolve(pkg string, a galloc.Allocator) Allocator {
	if a == nil {
		a = galloc.Global
	}
	bridge.CheckAllocator(pkg, a)
	in := Allocator{A: a, alloc: galloc.AsGlobal(a)}
	in.zeroed, _ = in.alloc.(galloc.GlobalAllocZeroed)
	in.realloc, _ = in.alloc.(galloc.GlobalRealloc)
	return in
}

// String returns the name of the allocator.
func (in Allocator) String() string { return block.Name(in.A) }

// Alloc is Alloc of the allocator.
func (in *Allocator) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return in.alloc.Alloc(l)
}

// AllocZeroed is AllocZeroed of the allocator, or the default.
func (in *Allocator) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		return l.Dangling()
	case in.zeroed != nil:
		return in.zeroed.AllocZeroed(l)
	}
	return galloc.DefaultAllocZeroed(in.alloc, l)
}

// Dealloc is Dealloc of the allocator.
func (in *Allocator) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		in.alloc.Dealloc(p, l)
	}
}

// Realloc is Realloc of the allocator, or the default.
func (in *Allocator) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		n, err := galloc.NewLayout(newSize, l.Align())
		if err != nil {
			return nil
		}
		return in.Alloc(n)
	case newSize == 0:
		in.alloc.Dealloc(p, l)
		n, _ := galloc.NewLayout(0, l.Align())
		return n.Dangling()
	case in.realloc != nil:
		return in.realloc.Realloc(p, l, newSize)
	}
	return galloc.DefaultRealloc(in.alloc, p, l, newSize)
}

// Sized is the allocator inside for package internal/memcheck, which knows sizes and alignments
// only.
type Sized struct{ In *Allocator }

// Alloc returns nil if there is no such layout.
func (s Sized) Alloc(size, align uintptr) unsafe.Pointer {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		return nil
	}
	return s.In.Alloc(l)
}

// AllocZeroed returns nil if there is no such layout.
func (s Sized) AllocZeroed(size, align uintptr) unsafe.Pointer {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		return nil
	}
	return s.In.AllocZeroed(l)
}

// Free frees a block that was allocated with that size and alignment.
func (s Sized) Free(p unsafe.Pointer, size, align uintptr) {
	l, _ := galloc.NewLayout(size, align) // it was allocated with that
	s.In.Dealloc(p, l)
}

// Realloc changes the size of a block.
func (s Sized) Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	l, _ := galloc.NewLayout(size, align)
	return s.In.Realloc(p, l, newSize)
}
