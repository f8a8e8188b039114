package galloc

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// Allocator is a source of memory, global or not. It is the minimum. An allocator that can do more
// implements the optional interfaces below. To use them, do not assert an interface: call the
// package function of the same name, which supplies the default. If such a function is passed a nil
// Allocator, it uses [Global].
//
// The words of the contract have one meaning everywhere:
//
//   - A block is currently allocated from the call of Allocate, AllocateZeroed, Grow, GrowZeroed or
//     Shrink that returns it until it is invalidated: by Deallocate, by a successful Grow,
//     GrowZeroed or Shrink of it, or by a Reset of the allocator. No other block overlaps it, and
//     the allocator does not access its bytes.
//   - A layout fits a block that was allocated with layout l, and returned as b, if it has the
//     alignment of l and a size from l.Size() to len(b). After a Resize that returns true, only the
//     new size fits.
//   - Two allocators are equivalent if each may deallocate the blocks of the other.
//
// Size 0 never fails and takes no memory: the block is not nil, is aligned, has length 0, and need
// not be deallocated. Growing a block of size 0, whose address may be nil, allocates; shrinking a
// block to size 0 deallocates.
//
// The documentation of an allocator says whether it is safe for concurrent use; all of this package
// are. No method panics except for a misuse by the caller.
type Allocator interface {
	// Allocate returns a block of at least l.Size() bytes at a multiple of l.Align(). Its length is
	// its usable size, and equals its capacity; the content is undefined. The caller owns the block
	// until it is invalidated. The error is an [*AllocError], or wraps one. Failing must not
	// allocate: return a sentinel such as [ErrLimit] or [ErrUnsupported] as it is.
	Allocate(l Layout) ([]byte, error)

	// Deallocate frees the block at p, currently allocated by this allocator or an equivalent one.
	// l must fit it. It ignores blocks of size 0.
	Deallocate(p unsafe.Pointer, l Layout)
}

// ZeroedAllocator can do better than allocate and clear.
type ZeroedAllocator interface {
	Allocator
	// AllocateZeroed is like Allocate, and all bytes of the block are zero, also those beyond
	// l.Size().
	AllocateZeroed(l Layout) ([]byte, error)
}

// Grower can do better than allocate, copy and deallocate.
type Grower interface {
	Allocator
	// Grow changes the layout of the block at p from old, which must fit the block, to a layout
	// that is not smaller. The alignment may change in either direction. The first old.Size() bytes
	// are kept, the others undefined. If Grow fails, the block is unchanged, and the caller still
	// owns it.
	Grow(p unsafe.Pointer, old, to Layout) ([]byte, error)
	// GrowZeroed is like Grow, and the added bytes are zero. If used is the length of the block
	// when it was allocated, and b the result:
	//
	//	b[0 : old.Size()]     is kept
	//	b[old.Size() : used]  is kept or zero
	//	b[used : len(b)]      is zero
	GrowZeroed(p unsafe.Pointer, old, to Layout) ([]byte, error)
}

// Shrinker can do better than allocate, copy and deallocate.
type Shrinker interface {
	Allocator
	// Shrink changes the layout of the block at p from old, which must fit the block, to a layout
	// that is not larger. The alignment may change in either direction. The first to.Size() bytes
	// are kept. If Shrink fails, the block is unchanged, and the caller still owns it.
	Shrink(p unsafe.Pointer, old, to Layout) ([]byte, error)
}

// Resizer can change the size of some blocks without moving them.
type Resizer interface {
	Allocator
	// Resize changes the size of the block at p to newSize, which is not 0, without moving it, and
	// reports whether it could. l must fit the block. If it returns true, the layout that fits is
	// (newSize, l.Align()), the first min(l.Size(), newSize) bytes are kept, and the others are
	// undefined. If it returns false, nothing has changed.
	Resize(p unsafe.Pointer, l Layout, newSize uintptr) bool
}

// UsableSizer knows the length of its blocks before it allocates them.
type UsableSizer interface {
	Allocator
	// UsableSize returns the least length of a block allocated with l, at least l.Size(). A caller
	// that can use all of it allocates that size.
	UsableSize(l Layout) uintptr
}

// Owner knows its blocks.
type Owner interface {
	Allocator
	// Owns returns true if p is the address of a block that is currently allocated, and false if p
	// is not in memory of this allocator. p may be any address. An Owner knows either the addresses
	// of its blocks, or only the memory that they are in, as an arena does: it owns none, or all,
	// of the other addresses in a block. For a deallocated block it may return either, until its
	// memory is used otherwise; an arena returns true. There is no default: the function [Owns]
	// fails without it.
	Owns(p unsafe.Pointer) bool
}

// Resetter can deallocate all its blocks at once.
type Resetter interface {
	Allocator
	// Reset invalidates all blocks. It must not be called at the same time as any other method.
	// There is no default: the function [Reset] fails without it.
	Reset()
}

// Equivalencer knows the allocators that it is interchangeable with.
type Equivalencer interface {
	Allocator
	// EquivalentTo reports whether this allocator may deallocate blocks of a, and a blocks of this
	// one.
	EquivalentTo(a Allocator) bool
}

// TypedAllocator is an allocator whose memory the garbage collector scans, as [GoHeap]'s. No other
// memory can hold values with Go pointers. A wrapper implements it too, by the function
// [AllocateTyped]; [HoldsPointers] reports whether there is such memory inside.
type TypedAllocator interface {
	Allocator
	// AllocateTyped returns zeroed memory for n values of type t. It stays allocated as long as Go
	// pointers lead to it.
	AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error)
}

// Wrapper is an allocator that adds behavior to another one: see package wrap. The functions
// [Owns], [Reset] and [HoldsPointers] use it to reach the allocators inside. A wrapper of two
// allocators also has a method Second() Allocator.
//
// A wrapper need not implement [Owner] and [Resetter]: the functions call the allocator inside. It
// can have methods that take part in that:
//
//	BeforeReset()                          called by Reset before the allocators inside are reset
//	AfterReset()                           called by Reset afterwards
//	Owns(p unsafe.Pointer) (bool, error)   called by Owns; it calls Owns of the allocator inside
//
// A wrapper that passes AllocateTyped on implements [TypedAllocator], also if the allocator inside
// does not.
type Wrapper interface {
	Allocator
	// Unwrap returns the allocator inside; of a wrapper of two, the first.
	Unwrap() Allocator
}

// AllocateZeroed returns a block whose bytes are all zero. It calls a's method, see
// [ZeroedAllocator], or clears the block.
func AllocateZeroed(a Allocator, l Layout) ([]byte, error) {
	a = orGlobal(a)
	if z, ok := a.(ZeroedAllocator); ok {
		return z.AllocateZeroed(l)
	}
	b, err := a.Allocate(l)
	block.ClearBytes(b)
	return b, err
}

// Grow makes the block at p larger. It calls a's method, see [Grower]. By default it resizes the
// block in place if a is a [Resizer] that can, or else allocates, copies old.Size() bytes and
// deallocates. It panics if to is smaller than old.
func Grow(a Allocator, p unsafe.Pointer, old, to Layout) ([]byte, error) {
	a = orGlobal(a)
	if g, ok := a.(Grower); ok {
		return g.Grow(p, old, to)
	}
	block.CheckGrow("galloc", old.size, to.size)
	return change(a, p, old, to)
}

// GrowZeroed is like [Grow], and the added bytes are zero. By default it clears all bytes beyond
// old.Size().
func GrowZeroed(a Allocator, p unsafe.Pointer, old, to Layout) ([]byte, error) {
	a = orGlobal(a)
	if g, ok := a.(Grower); ok {
		return g.GrowZeroed(p, old, to)
	}
	block.CheckGrow("galloc", old.size, to.size)
	if old.size == 0 {
		return AllocateZeroed(a, to)
	}
	b, err := change(a, p, old, to)
	if err == nil {
		block.ClearBytes(b[old.size:])
	}
	return b, err
}

// Shrink makes the block at p smaller. It calls a's method, see [Shrinker]. By default it does what
// [Grow] does, and copies to.Size() bytes. It panics if to is larger than old.
func Shrink(a Allocator, p unsafe.Pointer, old, to Layout) ([]byte, error) {
	a = orGlobal(a)
	if s, ok := a.(Shrinker); ok {
		return s.Shrink(p, old, to)
	}
	block.CheckShrink("galloc", old.size, to.size)
	return change(a, p, old, to)
}

// Resize changes the size of the block at p without moving it, if a is a [Resizer] that can, and
// reports whether it did. By default it returns true only if newSize is l.Size().
func Resize(a Allocator, p unsafe.Pointer, l Layout, newSize uintptr) bool {
	if newSize == l.size || newSize == 0 || newSize > block.MaxSize(l.Align()) {
		return newSize == l.size
	}
	r, ok := orGlobal(a).(Resizer)
	return ok && l.size != 0 && r.Resize(p, l, newSize)
}

// UsableSize returns the least length of a block allocated with l: see [UsableSizer]. By default
// that is l.Size().
func UsableSize(a Allocator, l Layout) uintptr {
	a = orGlobal(a)
	if u, ok := a.(UsableSizer); ok {
		return u.UsableSize(l)
	}
	return l.size
}

// Equivalent reports whether each of a and b may deallocate the blocks of the other: if one of them
// is an [Equivalencer] that reports it, or if they are equal.
func Equivalent(a, b Allocator) bool {
	a, b = orGlobal(a), orGlobal(b)
	if e, ok := a.(Equivalencer); ok && e.EquivalentTo(b) {
		return true
	}
	if e, ok := b.(Equivalencer); ok && e.EquivalentTo(a) {
		return true
	}
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// change is the default of Grow and Shrink.
func change(a Allocator, p unsafe.Pointer, old, to Layout) ([]byte, error) {
	if old.lg == to.lg && old.size != 0 && Resize(a, p, old, to.size) {
		return block.Bytes(p, to.size), nil
	}
	b, err := a.Allocate(to)
	if err == nil {
		block.Copy(unsafe.Pointer(unsafe.SliceData(b)), p, min(old.size, to.size))
		a.Deallocate(p, old)
	}
	return b, err
}

// inside returns the allocators that a wraps: none, one or two.
func inside(a Allocator) (first, second Allocator) {
	w, ok := a.(Wrapper)
	if !ok {
		return nil, nil
	}
	if two, ok := a.(interface{ Second() Allocator }); ok {
		second = orGlobal(two.Second())
	}
	return orGlobal(w.Unwrap()), second
}

// Owns reports whether p is the address of a block of a: see [Owner]. It calls the method of a, or
// of the outermost allocators inside that are an Owner. A wrapper of two owns the blocks of both.
// If there is no Owner inside, the error wraps [errors.ErrUnsupported].
func Owns(a Allocator, p unsafe.Pointer) (bool, error) {
	a = orGlobal(a)
	switch a := a.(type) {
	case Owner:
		return a.Owns(p), nil
	case interface {
		Owns(unsafe.Pointer) (bool, error)
	}:
		return a.Owns(p)
	}
	first, second := inside(a)
	if first == nil {
		return false, fmt.Errorf("galloc: Owns: %s does not know its blocks: %w", block.Name(a), errors.ErrUnsupported)
	}
	owns, err := Owns(first, p)
	if owns || second == nil {
		return owns, err
	}
	owns, err2 := Owns(second, p)
	if owns || err == nil {
		err = err2
	}
	return owns, err
}

// Reset invalidates all blocks of a: see [Resetter]. It resets a, or the outermost allocators
// inside that are a Resetter. A wrapper of two resets both. If there is no Resetter inside, Reset
// changes nothing, and the error wraps [errors.ErrUnsupported].
func Reset(a Allocator) error {
	a = orGlobal(a)
	if w := notResettable(a); w != nil {
		return fmt.Errorf("galloc: Reset: %s cannot deallocate all its blocks at once: %w",
			block.Name(w), errors.ErrUnsupported)
	}
	reset(a)
	return nil
}

// notResettable returns the allocator inside a that prevents a Reset, or nil.
func notResettable(a Allocator) Allocator {
	if _, ok := a.(Resetter); ok {
		return nil
	}
	first, second := inside(a)
	if first == nil {
		return a
	}
	if w := notResettable(first); w != nil || second == nil {
		return w
	}
	return notResettable(second)
}

func reset(a Allocator) {
	if r, ok := a.(Resetter); ok {
		r.Reset()
		return
	}
	if w, ok := a.(interface{ BeforeReset() }); ok {
		w.BeforeReset()
	}
	first, second := inside(a)
	reset(first)
	if second != nil {
		reset(second)
	}
	if w, ok := a.(interface{ AfterReset() }); ok {
		w.AfterReset()
	}
}

// HoldsPointers reports whether the garbage collector scans the memory of a, so that it can hold Go
// pointers: whether a is a [TypedAllocator], and so are all allocators inside.
func HoldsPointers(a Allocator) bool {
	a = orGlobal(a)
	if _, ok := a.(TypedAllocator); !ok {
		return false
	}
	first, second := inside(a)
	return (first == nil || HoldsPointers(first)) && (second == nil || HoldsPointers(second))
}

// AllocateTyped returns zeroed memory for n values of type t. If a holds pointers, see
// [HoldsPointers], it calls a's method. By default it calls [AllocateZeroed], and fails with
// [ErrPointers] if t contains Go pointers. If n is negative or the size overflows, it fails with a
// [*LayoutError].
func AllocateTyped(a Allocator, t reflect.Type, n int) (unsafe.Pointer, error) {
	a = orGlobal(a)
	if HoldsPointers(a) {
		return a.(TypedAllocator).AllocateTyped(t, n)
	}
	if err := pointerFreeType(t); err != nil {
		return nil, err
	}
	l, _, err := typeLayout(t).Repeat(n)
	if err != nil {
		return nil, err
	}
	b, err := AllocateZeroed(a, l)
	if err != nil {
		return nil, err
	}
	return unsafe.Pointer(unsafe.SliceData(b)), nil
}

// typeLayout returns the layout of one value of type t.
func typeLayout(t reflect.Type) Layout { return newLayout(t.Size(), block.Log2(uintptr(t.Align()))) }
