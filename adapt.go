package galloc

import "unsafe"

// This file turns one kind of allocator into the other: a GlobalAlloc into an
// Allocator (face) and back (AsGlobal).

// AsAllocator returns an Allocator that takes its memory from g. It has the optional
// methods AllocateZeroed, Grow, GrowZeroed and Shrink, on top of g's AllocZeroed and
// Realloc or their defaults. Blocks are as large as asked for; those of size 0 never
// reach g. Blocks may go both ways between the result and g, given that their layout is
// exact. If g is an Allocator itself, it is returned as it is. It panics if g is nil.
func AsAllocator(g GlobalAlloc) Allocator {
	if g == nil {
		panic("galloc: AsAllocator(nil)")
	}
	if a, ok := g.(Allocator); ok {
		return a
	}
	if a, ok := g.(asGlobal); ok {
		return a.a
	}
	return face[resolved]{resolve(g)}
}

// AsGlobal returns a GlobalAlloc, with AllocZeroed and Realloc, that takes its memory
// from a: what makes any Allocator a candidate for RegisterGlobal. Errors become nil. If
// a is a GlobalAlloc itself, it is returned as it is. It panics if a is nil.
func AsGlobal(a Allocator) GlobalAlloc {
	if a == nil {
		panic("galloc: AsGlobal(nil)")
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

// resolved is a GlobalAlloc whose optional methods have been looked up: each field is
// the allocator itself, or its default.
type resolved struct {
	alloc   GlobalAlloc
	zeroed  GlobalAllocZeroed
	realloc GlobalRealloc
}

func resolve(g GlobalAlloc) resolved {
	if _, ok := g.(system); ok {
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
func (r resolved) String() string                      { return allocatorName(r.alloc) }
func (r resolved) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return r.realloc.Realloc(p, l, newSize)
}

// defaults gives a GlobalAlloc the optional methods that it lacks.
type defaults struct{ GlobalAlloc }

func (d defaults) AllocZeroed(l Layout) unsafe.Pointer {
	return DefaultAllocZeroed(d.GlobalAlloc, l)
}

func (d defaults) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return DefaultRealloc(d.GlobalAlloc, p, l, newSize)
}

// face is the Allocator in front of a GlobalAlloc: it handles size 0, turns nil into an
// error, and says which changes of layout are a Realloc. A face of a zero-size G is of
// size 0 itself, so that converting System or Global to an interface does not allocate.
type face[G fullGlobal] struct{ g G }

func (f face[G]) Allocate(l Layout) ([]byte, error) {
	if l.size == 0 {
		return emptyBlock(l), nil
	}
	return block(f.g.Alloc(l), l)
}

func (f face[G]) AllocateZeroed(l Layout) ([]byte, error) {
	if l.size == 0 {
		return emptyBlock(l), nil
	}
	return block(f.g.AllocZeroed(l), l)
}

func (f face[G]) Deallocate(p unsafe.Pointer, l Layout) {
	if l.size != 0 {
		f.g.Dealloc(p, l)
	}
}

func (f face[G]) Grow(p unsafe.Pointer, old, new Layout) ([]byte, error) {
	checkGrow(old, new)
	return f.change(p, old, new)
}

func (f face[G]) GrowZeroed(p unsafe.Pointer, old, new Layout) ([]byte, error) {
	checkGrow(old, new)
	if old.size == 0 {
		return f.AllocateZeroed(new)
	}
	b, err := f.change(p, old, new)
	if err == nil {
		clear(b[old.size:])
	}
	return b, err
}

func (f face[G]) Shrink(p unsafe.Pointer, old, new Layout) ([]byte, error) {
	checkShrink(old, new)
	return f.change(p, old, new)
}

// change makes the block at p, of layout old, one of layout new.
func (f face[G]) change(p unsafe.Pointer, old, new Layout) ([]byte, error) {
	switch {
	case old == new:
		return block(p, new)
	case old.size == 0:
		return f.Allocate(new)
	case new.size == 0:
		f.g.Dealloc(p, old)
		return emptyBlock(new), nil
	case old.lg == new.lg:
		return block(f.g.Realloc(p, old, new.size), new)
	}
	// A Realloc keeps the alignment, and a block must be deallocated with the one it
	// was allocated with: so another alignment, even a lower one, is another block.
	q := f.g.Alloc(new)
	if q != nil {
		copyBytes(q, p, min(old.size, new.size))
		f.g.Dealloc(p, old)
	}
	return block(q, new)
}

func (f face[G]) String() string { return allocatorName(f.g) }

// asGlobal is the GlobalAlloc in front of an Allocator.
type asGlobal struct{ a Allocator }

func (g asGlobal) Alloc(l Layout) unsafe.Pointer       { return address(g.a.Allocate(l)) }
func (g asGlobal) AllocZeroed(l Layout) unsafe.Pointer { return address(AllocateZeroed(g.a, l)) }
func (g asGlobal) Dealloc(p unsafe.Pointer, l Layout)  { g.a.Deallocate(p, l) }
func (g asGlobal) String() string                      { return allocatorName(g.a) }

func (g asGlobal) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	n := newLayout(newSize, l.lg)
	if newSize < l.size {
		return address(Shrink(g.a, p, l, n))
	}
	return address(Grow(g.a, p, l, n))
}

// isGlobal reports whether a is Global, or a wrapper that has it at its bottom, or a source that takes its memory from it. Its adapters are Global
// itself. (A wrapper tells what is in it by Unwrap, and by Second if there are two: see package wrap. A source tells it by Upstream.)
func isGlobal(a any) bool {
	switch a := a.(type) {
	case global, *global:
		return true
	case interface {
		Unwrap() Allocator
		Second() Allocator
	}:
		return isGlobal(a.Unwrap()) || isGlobal(a.Second())
	case interface{ Unwrap() Allocator }:
		return isGlobal(a.Unwrap())
	case interface{ Upstream() Allocator }:
		return isGlobal(a.Upstream())
	case asGlobal:
		return isGlobal(a.a)
	}
	return false
}

// block returns the memory of a block, or the error if there is none.
func block(p unsafe.Pointer, l Layout) ([]byte, error) {
	if p == nil {
		return nil, ErrOutOfMemory // as it is: failing must not allocate
	}
	// SAFETY: the allocator has returned at least l.size bytes at p.
	return unsafe.Slice((*byte)(p), l.size), nil
}

// emptyBlock returns the block of size 0.
func emptyBlock(l Layout) []byte { return unsafe.Slice((*byte)(l.Dangling()), 0) }

func address(b []byte, err error) unsafe.Pointer {
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

// copyBytes copies n bytes between two blocks that do not overlap.
func copyBytes(to, from unsafe.Pointer, n uintptr) {
	// SAFETY: both are currently allocated, of at least n bytes.
	copy(unsafe.Slice((*byte)(to), n), unsafe.Slice((*byte)(from), n))
}
