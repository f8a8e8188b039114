// Package lib has an allocator with state, and generic functions that copy, for other packages.
package lib

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Counting counts.
type Counting struct {
	Inner galloc.GlobalAlloc
	calls int
}

func (c *Counting) Alloc(l galloc.Layout) unsafe.Pointer {
	c.calls++
	return c.Inner.Alloc(l)
}

func (c *Counting) Dealloc(p unsafe.Pointer, l galloc.Layout) { c.Inner.Dealloc(p, l) }

// Tagged has no state that changes.
type Tagged struct {
	Inner galloc.GlobalAlloc
	Name  string
}

func (t *Tagged) Alloc(l galloc.Layout) unsafe.Pointer      { return t.Inner.Alloc(l) }
func (t *Tagged) Dealloc(p unsafe.Pointer, l galloc.Layout) { t.Inner.Dealloc(p, l) }

// Snapshot copies.
func Snapshot[T any](p *T) T { return *p }

// Take moves.
func Take[T any](p *T) T {
	var zero T
	v := *p
	*p = zero
	return v
}

// Swap moves.
func Swap[T any](a, b *T) { *a, *b = *b, *a }
