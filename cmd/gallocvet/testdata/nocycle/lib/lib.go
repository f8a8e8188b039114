// Package lib has allocators that use the global one, and helpers.
package lib

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// Recording records in a Vec.
type Recording struct {
	Inner galloc.GlobalAlloc
	sizes collections.Vec[uintptr]
}

// Alloc records.
func (r *Recording) Alloc(l galloc.Layout) unsafe.Pointer {
	r.sizes.Push(l.Size())
	return r.Inner.Alloc(l)
}

// Dealloc is correct.
func (r *Recording) Dealloc(p unsafe.Pointer, l galloc.Layout) { r.Inner.Dealloc(p, l) }

// Scratch allocates on the global allocator.
func Scratch(n int) int {
	s, err := galloc.MakeSlice[byte](nil, n)
	if err != nil {
		return 0
	}
	defer galloc.FreeSlice(nil, s)
	return len(s)
}

// On allocates on a.
func On(a galloc.Allocator, n int) int {
	s, err := galloc.MakeSlice[byte](a, n)
	if err != nil {
		return 0
	}
	defer galloc.FreeSlice(a, s)
	return len(s)
}

// Wrap is an allocator on another.
type Wrap struct{ inner galloc.GlobalAlloc }

// NewWrap returns a Wrap.
func NewWrap(inner galloc.GlobalAlloc) *Wrap { return &Wrap{inner} }

// Alloc calls the inner allocator.
func (w *Wrap) Alloc(l galloc.Layout) unsafe.Pointer { return w.inner.Alloc(l) }

// Dealloc calls the inner allocator.
func (w *Wrap) Dealloc(p unsafe.Pointer, l galloc.Layout) { w.inner.Dealloc(p, l) }
