package wrap

import (
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
)

// inner is an allocator inside a wrapper. The interfaces that the wrapper needs at each call are
// looked up once, so that a call costs one call of an interface method and no type assertion.
type inner struct {
	a       galloc.Allocator
	alloc   galloc.GlobalAlloc // a as a GlobalAlloc, also below
	zeroed  galloc.GlobalAllocZeroed
	realloc galloc.GlobalRealloc
}

// resolve looks up the interfaces of a, or of galloc.Global if a is nil.
func resolve(a galloc.Allocator) inner {
	a = orGlobal(a)
	bridge.CheckAllocator("galloc/wrap", a)
	g := galloc.AsGlobal(a)
	i := inner{a: a, alloc: g}
	var ok bool
	if i.zeroed, ok = g.(galloc.GlobalAllocZeroed); !ok {
		i.zeroed = defaults{g}
	}
	if i.realloc, ok = g.(galloc.GlobalRealloc); !ok {
		i.realloc = defaults{g}
	}
	return i
}

// Unwrap returns the allocator inside.
func (i *inner) Unwrap() galloc.Allocator { return i.a }

// countsAsked reports whether blocks of the allocator inside count for the size asked for: see
// sizes.
func (i *inner) countsAsked() bool {
	w, ok := i.a.(interface{ countsAsked() bool })
	return ok && w.countsAsked()
}

// isGlobal reports whether the allocator inside is the global one, or wrappers around it.
func (i *inner) isGlobal() bool {
	switch a := i.a.(type) {
	case galloc.GlobalAllocator, *galloc.GlobalAllocator:
		return true
	case interface{ isGlobal() bool }:
		return a.isGlobal()
	}
	return false
}

// defaults adds the optional methods that a GlobalAlloc lacks.
type defaults struct{ galloc.GlobalAlloc }

func (d defaults) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	return galloc.DefaultAllocZeroed(d.GlobalAlloc, l)
}

func (d defaults) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return galloc.DefaultRealloc(d.GlobalAlloc, p, l, newSize)
}

func orGlobal(a galloc.Allocator) galloc.Allocator {
	if a == nil {
		return galloc.Global
	}
	return a
}

// A changeFunc is galloc.Grow, galloc.GrowZeroed or galloc.Shrink.
type changeFunc = func(a galloc.Allocator, p unsafe.Pointer, old, to galloc.Layout) ([]byte, error)

// typedLayout returns the layout of n values of type t.
func typedLayout(t reflect.Type, n int) (galloc.Layout, error) {
	l, err := galloc.NewLayout(t.Size(), uintptr(t.Align()))
	if err == nil {
		l, _, err = l.Repeat(n)
	}
	return l, err
}

// layoutOf returns the layout of a size and an alignment that are known to be valid.
func layoutOf(size, align uintptr) galloc.Layout {
	l, _ := galloc.NewLayout(size, align)
	return l
}

// emptyBlock returns the block of size 0.
func emptyBlock(l galloc.Layout) []byte { return unsafe.Slice((*byte)(l.Dangling()), 0) }
