package galloc

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/engine"
)

// AsAllocator returns an [Allocator] that allocates from g, with the optional methods
// AllocateZeroed, Grow, GrowZeroed and Shrink. They use g's AllocZeroed and Realloc, or the
// defaults. Blocks have exactly the requested size; size 0 never reaches g. A block of the result
// may be deallocated by g with its exact layout, and the other way round. If g is an Allocator,
// AsAllocator returns it. It panics if g is nil, or a nil pointer, or a zero heap.Heap.
func AsAllocator(g GlobalAlloc) Allocator {
	if f := flaw(g); f != "" {
		panic("galloc: AsAllocator of " + f)
	}
	if a, ok := g.(Allocator); ok {
		return a
	}
	if a, ok := g.(asGlobal); ok {
		return a.a
	}
	return face[resolved]{resolve(g)}
}

// AsGlobal returns a [GlobalAlloc], with AllocZeroed and Realloc, that allocates from a, for
// [RegisterGlobal]. Errors become nil. If a is a GlobalAlloc, AsGlobal returns it. It panics if a
// is nil, or a nil pointer, or a zero heap.Heap.
func AsGlobal(a Allocator) GlobalAlloc {
	if f := flaw(a); f != "" {
		panic("galloc: AsGlobal of " + f)
	}
	if g, ok := a.(GlobalAlloc); ok {
		return g
	}
	if f, ok := a.(face[resolved]); ok {
		return f.g.alloc
	}
	return asGlobal{a}
}

// fullGlobal is a GlobalAlloc with both optional methods.
type fullGlobal interface {
	GlobalAllocZeroed
	GlobalRealloc
}

// resolved is a GlobalAlloc whose optional methods have been looked up: each field is the
// allocator, or the default.
type resolved struct {
	alloc   GlobalAlloc
	zeroed  GlobalAllocZeroed
	realloc GlobalRealloc
}

func resolve(g GlobalAlloc) resolved {
	if _, ok := g.(SystemAllocator); ok {
		g = platform{}
	}
	r := resolved{alloc: g}
	var ok bool
	if r.zeroed, ok = g.(GlobalAllocZeroed); !ok {
		r.zeroed = defaults{g}
	}
	if r.realloc, ok = g.(GlobalRealloc); !ok {
		r.realloc = defaults{g}
	}
	return r
}

func (r resolved) Alloc(l Layout) unsafe.Pointer       { return r.alloc.Alloc(l) }
func (r resolved) AllocZeroed(l Layout) unsafe.Pointer { return r.zeroed.AllocZeroed(l) }
func (r resolved) Dealloc(p unsafe.Pointer, l Layout)  { r.alloc.Dealloc(p, l) }
func (r resolved) String() string                      { return block.Name(r.alloc) }
func (r resolved) refusal() error                      { return refusalOf(r.alloc) }
func (r resolved) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return r.realloc.Realloc(p, l, newSize)
}

// defaults adds the optional methods to a GlobalAlloc.
type defaults struct{ GlobalAlloc }

func (d defaults) AllocZeroed(l Layout) unsafe.Pointer {
	return DefaultAllocZeroed(d.GlobalAlloc, l)
}

func (d defaults) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return DefaultRealloc(d.GlobalAlloc, p, l, newSize)
}

// face is a GlobalAlloc as an Allocator. It handles size 0, turns nil into an error, and decides
// which changes of layout are a Realloc.
type face[G interface {
	fullGlobal
	refusal() error // the error of an allocation that has just failed
}] struct{ g G }

func (f face[G]) Allocate(l Layout) ([]byte, error) {
	if l.size == 0 {
		return emptyBlock(l), nil
	}
	return f.block(f.g.Alloc(l), l)
}

func (f face[G]) AllocateZeroed(l Layout) ([]byte, error) {
	if l.size == 0 {
		return emptyBlock(l), nil
	}
	return f.block(f.g.AllocZeroed(l), l)
}

func (f face[G]) Deallocate(p unsafe.Pointer, l Layout) {
	if l.size != 0 {
		f.g.Dealloc(p, l)
	}
}

func (f face[G]) Grow(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	block.CheckGrow("galloc", old.size, to.size)
	return f.change(p, old, to)
}

func (f face[G]) GrowZeroed(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	block.CheckGrow("galloc", old.size, to.size)
	if old.size == 0 {
		return f.AllocateZeroed(to)
	}
	b, err := f.change(p, old, to)
	if err == nil {
		block.ClearBytes(b[old.size:])
	}
	return b, err
}

func (f face[G]) Shrink(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	block.CheckShrink("galloc", old.size, to.size)
	return f.change(p, old, to)
}

// change changes the layout of the block at p from old to to.
func (f face[G]) change(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	switch {
	case old == to:
		return f.block(p, to)
	case old.size == 0:
		return f.Allocate(to)
	case to.size == 0:
		f.g.Dealloc(p, old)
		return emptyBlock(to), nil
	case old.lg == to.lg:
		return f.block(f.g.Realloc(p, old, to.size), to)
	}
	// A Realloc keeps the alignment, and a block must be deallocated with its own alignment. So
	// another alignment, even a lower one, requires another block.
	q := f.g.Alloc(to)
	if q != nil {
		block.Copy(q, p, min(old.size, to.size))
		f.g.Dealloc(p, old)
	}
	return f.block(q, to)
}

func (f face[G]) String() string { return block.Name(f.g) }

// asGlobal is an Allocator as a GlobalAlloc.
type asGlobal struct{ a Allocator }

func (g asGlobal) Alloc(l Layout) unsafe.Pointer       { return address(g.a.Allocate(l)) }
func (g asGlobal) AllocZeroed(l Layout) unsafe.Pointer { return address(AllocateZeroed(g.a, l)) }
func (g asGlobal) Dealloc(p unsafe.Pointer, l Layout)  { g.a.Deallocate(p, l) }
func (g asGlobal) String() string                      { return block.Name(g.a) }

func (g asGlobal) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	n := newLayout(newSize, l.lg)
	if newSize < l.size {
		return address(Shrink(g.a, p, l, n))
	}
	return address(Grow(g.a, p, l, n))
}

// anyPart reports whether is is true of a, or of an allocator that a takes its memory from. It does
// not look behind a part of which is is true.
func anyPart(a any, is func(any) bool) bool {
	if is(a) {
		return true
	}
	switch a := a.(type) {
	case Wrapper:
		first, second := inside(a)
		return anyPart(first, is) || second != nil && anyPart(second, is)
	case interface{ Upstream() Allocator }:
		return anyPart(orGlobal(a.Upstream()), is)
	case asGlobal:
		return anyPart(a.a, is)
	case face[resolved]:
		return anyPart(a.g.alloc, is)
	case *checked:
		return anyPart(a.inner.alloc, is)
	}
	return false
}

// isGlobal reports whether a is Global, or a wrapper of Global, or a source that takes its memory
// from Global.
func isGlobal(a any) bool {
	return anyPart(a, func(a any) bool {
		switch a.(type) {
		case GlobalAllocator, *GlobalAllocator:
			return true
		}
		return false
	})
}

// flaw says why a cannot allocate, or returns "": a, or an allocator that it takes its memory from,
// is a nil pointer or a zero heap.Heap. The methods of both would crash at their first use.
func flaw(a any) (text string) {
	if a == nil {
		return "nil: pass an allocator"
	}
	anyPart(a, func(a any) bool {
		text = ownFlaw(a)
		return text != ""
	})
	return text
}

// ownFlaw is flaw of a alone, which is not nil, and not of the allocators that it takes its memory
// from.
func ownFlaw(a any) string {
	v := reflect.ValueOf(a)
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Func) && v.IsNil() {
		return fmt.Sprintf("a nil %T: pass an allocator", a)
	}
	if h, ok := a.(engine.Holder); ok && h.Engine() == nil {
		return "a zero heap.Heap: use heap.New or heap.Default"
	}
	return ""
}

// block returns the block at p, or an error if p is nil.
func (f face[G]) block(p unsafe.Pointer, l Layout) ([]byte, error) {
	if p == nil {
		return nil, f.g.refusal() // without a Layout: failing must not allocate
	}
	return block.Bytes(p, l.size), nil
}

// refusalOf returns the error of an allocation of a that has just failed: what a says, or else
// the allocators that it takes its memory from, unless they contradict each other.
func refusalOf(a any) error {
	switch a := a.(type) {
	case GlobalRefusal:
		return a.Refusal()
	case defaultHeap:
		return engineRefusal(a.Engine())
	case *sampledHeap:
		return engineRefusal(a.heap)
	case *checked:
		return refusalOf(a.inner.alloc)
	case platform, SystemAllocator:
		return ErrSystem
	case GlobalAllocator, *GlobalAllocator:
		return current().refusal()
	case asGlobal:
		return refusalOf(a.a)
	case face[resolved]:
		return refusalOf(a.g.alloc)
	case Wrapper:
		first, second := inside(a)
		if second == nil {
			return refusalOf(first)
		}
		switch x, y := refusalOf(first), refusalOf(second); {
		case x == y || y == ErrOutOfMemory:
			return x
		case x == ErrOutOfMemory:
			return y
		}
	}
	return ErrOutOfMemory
}

func engineRefusal(h *engine.Heap) error {
	switch h.Refusal() {
	case engine.RefusedByLimit:
		return ErrLimit
	case engine.RefusedBySystem:
		return ErrSystem
	}
	return ErrOutOfMemory
}

// emptyBlock returns the block of size 0.
func emptyBlock(l Layout) []byte { return block.Bytes(l.Dangling(), 0) }

func address(b []byte, err error) unsafe.Pointer {
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}
