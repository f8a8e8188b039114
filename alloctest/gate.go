package alloctest

import (
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
)

// A gate is an allocator that passes every call on to another one, and asks admit before each call
// that allocates. Failer and Guard are gates. Blocks of size 0 take no memory: they need no
// admission.
type gate struct {
	inner  galloc.Allocator
	global galloc.GlobalAlloc // the same allocator, as a GlobalAlloc

	// admit reports whether a block of layout old may become one of layout to. If it returns an
	// error, the call fails with it and does not reach the inner allocator. Old is the zero Layout
	// if there was no block.
	admit func(old, to galloc.Layout) error
}

func newGate(inner galloc.Allocator, admit func(old, to galloc.Layout) error) gate {
	if inner == nil {
		inner = galloc.Global
	}
	bridge.CheckAllocator("galloc/alloctest", inner)
	return gate{inner, galloc.AsGlobal(inner), admit}
}

// Unwrap returns the allocator inside.
func (g *gate) Unwrap() galloc.Allocator { return g.inner }

// Alloc is part of [galloc.GlobalAlloc].
func (g *gate) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	if g.admit(galloc.Layout{}, l) != nil {
		return nil
	}
	return g.global.Alloc(l)
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (g *gate) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	if g.admit(galloc.Layout{}, l) != nil {
		return nil
	}
	if z, ok := g.global.(galloc.GlobalAllocZeroed); ok {
		return z.AllocZeroed(l)
	}
	return galloc.DefaultAllocZeroed(g.global, l)
}

// Realloc implements [galloc.GlobalRealloc].
func (g *gate) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(newSize, l.Align())
	switch {
	case err != nil:
		return nil
	case l.Size() == 0:
		return g.Alloc(n)
	case newSize == 0:
		g.Dealloc(p, l)
		return n.Dangling()
	case g.admit(l, n) != nil:
		return nil
	}
	if r, ok := g.global.(galloc.GlobalRealloc); ok {
		return r.Realloc(p, l, newSize)
	}
	return galloc.DefaultRealloc(g.global, p, l, newSize)
}

// Dealloc is part of [galloc.GlobalAlloc].
func (g *gate) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		g.global.Dealloc(p, l)
	}
}

// Allocate is part of [galloc.Allocator].
func (g *gate) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() != 0 {
		if err := g.admit(galloc.Layout{}, l); err != nil {
			return nil, err
		}
	}
	return g.inner.Allocate(l)
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (g *gate) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if l.Size() != 0 {
		if err := g.admit(galloc.Layout{}, l); err != nil {
			return nil, err
		}
	}
	return galloc.AllocateZeroed(g.inner, l)
}

// Deallocate is part of [galloc.Allocator].
func (g *gate) Deallocate(p unsafe.Pointer, l galloc.Layout) { g.inner.Deallocate(p, l) }

// Grow is part of [galloc.Grower].
func (g *gate) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/alloctest", old.Size(), to.Size())
	return g.change(galloc.Grow, p, old, to)
}

// GrowZeroed is part of [galloc.Grower].
func (g *gate) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/alloctest", old.Size(), to.Size())
	return g.change(galloc.GrowZeroed, p, old, to)
}

// Shrink implements [galloc.Shrinker].
func (g *gate) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/alloctest", old.Size(), to.Size())
	return g.change(galloc.Shrink, p, old, to)
}

// A changeFunc is galloc.Grow, galloc.GrowZeroed or galloc.Shrink.
type changeFunc = func(a galloc.Allocator, p unsafe.Pointer, old, to galloc.Layout) ([]byte, error)

func (g *gate) change(do changeFunc, p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	if to.Size() != 0 {
		if err := g.admit(old, to); err != nil {
			return nil, err
		}
	}
	return do(g.inner, p, old, to)
}

// UsableSize implements [galloc.UsableSizer].
func (g *gate) UsableSize(l galloc.Layout) uintptr { return galloc.UsableSize(g.inner, l) }

// AllocateTyped implements [galloc.TypedAllocator], if the inner allocator does.
func (g *gate) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	l, err := galloc.NewLayout(t.Size(), uintptr(t.Align()))
	if err == nil {
		l, _, err = l.Repeat(n)
	}
	if err != nil {
		return nil, err
	}
	if l.Size() != 0 {
		if err := g.admit(galloc.Layout{}, l); err != nil {
			return nil, err
		}
	}
	return galloc.AllocateTyped(g.inner, t, n)
}
