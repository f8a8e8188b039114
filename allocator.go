package galloc

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Allocator is what a collection takes: any source of memory, global or not. It is the
// minimum; what an allocator can do better than the defaults, or at all, it says by
// having the methods of the optional interfaces below. Do not assert those interfaces
// to use them: call the package function of the same name, which supplies the default.
//
// The words of the contract, used everywhere with one meaning:
//
//   - A block is currently allocated from when it is returned by Allocate, AllocateZeroed,
//     Grow, GrowZeroed or Shrink until it is invalidated: by Deallocate, by a successful
//     Grow, GrowZeroed or Shrink of it, or by a Reset of the allocator. No other block
//     overlaps it, and the allocator does not touch its bytes.
//   - A layout fits a block that was allocated with layout l, and returned as b, if it has
//     the alignment of l and a size from l.Size() to len(b). A Resize that returns true
//     makes the new size the one that fits.
//   - Two allocators are equivalent if each may deallocate the blocks of the other.
//
// Size 0 never fails and takes no memory: the block is not nil, aligned, of length 0, and
// need not be deallocated. Growing a block of size 0, whose address may be nil, allocates;
// shrinking one to size 0 deallocates. An allocator says in its documentation whether it may
// be used by several goroutines at once; all of this package may. No method panics except
// for a caller's bug. Where a function of this package takes an Allocator, nil stands for
// [Global].
type Allocator interface {
	// Allocate returns a block of at least l.Size() bytes at a multiple of l.Align().
	// Its length is its usable size, and equals its capacity; the content is undefined.
	// The caller owns it until it is invalidated. The error is an [*AllocError], or wraps one,
	// and failing must not allocate: return [ErrOutOfMemory] or [ErrUnsupported] as they are.
	Allocate(l Layout) ([]byte, error)

	// Deallocate takes back the block at p, currently allocated by this allocator or an
	// equivalent one. l must fit it. It cannot fail, and ignores blocks of size 0.
	Deallocate(p unsafe.Pointer, l Layout)
}

// ZeroedAllocator can do better than allocate and clear.
type ZeroedAllocator interface {
	Allocator
	// AllocateZeroed is Allocate with all bytes of the block zero, those beyond
	// l.Size() too.
	AllocateZeroed(l Layout) ([]byte, error)
}

// Grower can do better than allocate, copy and deallocate.
type Grower interface {
	Allocator
	// Grow makes the block at p one of layout new, which must not be smaller than old;
	// the alignment may be another in either direction. old must fit the block. The
	// first old.Size() bytes are kept, the others undefined. If it fails, the block
	// stays as it was, and owned by the caller.
	Grow(p unsafe.Pointer, old, new Layout) ([]byte, error)
	// GrowZeroed is Grow with the bytes that the block gains set to zero. With used
	// for the length of the block when it was allocated, and b for the result:
	//
	//	b[0 : old.Size()]     is kept
	//	b[old.Size() : used]  is kept or zero
	//	b[used : len(b)]      is zero
	GrowZeroed(p unsafe.Pointer, old, new Layout) ([]byte, error)
}

// Shrinker can do better than allocate, copy and deallocate.
type Shrinker interface {
	Allocator
	// Shrink makes the block at p one of layout new, which must not be larger than old;
	// the alignment may be another in either direction. old must fit the block. The
	// first new.Size() bytes are kept. If it fails, the block stays as it was, and
	// owned by the caller.
	Shrink(p unsafe.Pointer, old, new Layout) ([]byte, error)
}

// Resizer can change the size of some blocks without moving them.
type Resizer interface {
	Allocator
	// Resize makes the block at p newSize bytes large, where it is, and reports whether
	// it has. l must fit the block; newSize is not 0. If true, the layout that fits is
	// (newSize, l.Align()), the first min(l.Size(), newSize) bytes are kept, and the
	// others undefined. If false, nothing has changed.
	Resize(p unsafe.Pointer, l Layout, newSize uintptr) bool
}

// UsableSizer knows how large its blocks are before it makes them.
type UsableSizer interface {
	Allocator
	// UsableSize returns the length that a block allocated with l has at least: never
	// less than l.Size(), so that one can ask for exactly what one gets.
	UsableSize(l Layout) uintptr
}

// Owner knows its blocks.
type Owner interface {
	Allocator
	// Owns reports whether p is the address of a block that is currently allocated, or
	// was, by this allocator. There is no default.
	Owns(p unsafe.Pointer) bool
}

// Resetter can deallocate all at once.
type Resetter interface {
	Allocator
	// Reset invalidates all blocks. The allocator is as good as new. It must not be
	// called at the same time as any other method. There is no default.
	Reset()
}

// Equivalencer knows when another allocator is interchangeable with it.
type Equivalencer interface {
	Allocator
	// EquivalentTo reports whether blocks of a may be deallocated here, and the
	// other way round.
	EquivalentTo(a Allocator) bool
}

// TypedAllocator is an allocator whose memory the garbage collector scans, as [GoHeap]:
// the only kind that can hold values with Go pointers in them.
type TypedAllocator interface {
	Allocator
	// AllocateTyped returns zeroed memory for n values of type t, known as such to the
	// garbage collector. It stays allocated as long as Go pointers lead to it.
	AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error)
}

// AllocateZeroed allocates a block whose bytes are all zero, through a's
// [ZeroedAllocator] or by clearing it.
func AllocateZeroed(a Allocator, l Layout) ([]byte, error) {
	a = orGlobal(a)
	if z, ok := a.(ZeroedAllocator); ok {
		return z.AllocateZeroed(l)
	}
	b, err := a.Allocate(l)
	clear(b)
	return b, err
}

// Grow makes the block at p larger, as said at [Grower.Grow]. By default it resizes the
// block in place if a is a [Resizer] that can, or else allocates, copies old.Size() bytes
// and deallocates. It panics if new is smaller than old.
func Grow(a Allocator, p unsafe.Pointer, old, new Layout) ([]byte, error) {
	a = orGlobal(a)
	if g, ok := a.(Grower); ok {
		return g.Grow(p, old, new)
	}
	checkGrow(old, new)
	return change(a, p, old, new)
}

// GrowZeroed is Grow with the bytes that the block gains set to zero, as said at
// [Grower.GrowZeroed]. By default it clears everything beyond old.Size().
func GrowZeroed(a Allocator, p unsafe.Pointer, old, new Layout) ([]byte, error) {
	a = orGlobal(a)
	if g, ok := a.(Grower); ok {
		return g.GrowZeroed(p, old, new)
	}
	checkGrow(old, new)
	if old.size == 0 {
		return AllocateZeroed(a, new)
	}
	b, err := change(a, p, old, new)
	if err == nil {
		clear(b[old.size:])
	}
	return b, err
}

// Shrink makes the block at p smaller, as said at [Shrinker.Shrink]. By default it works
// as Grow does, with new.Size() bytes copied. It panics if new is larger than old.
func Shrink(a Allocator, p unsafe.Pointer, old, new Layout) ([]byte, error) {
	a = orGlobal(a)
	if s, ok := a.(Shrinker); ok {
		return s.Shrink(p, old, new)
	}
	checkShrink(old, new)
	return change(a, p, old, new)
}

// Resize changes the size of the block at p where it is, if a is a [Resizer] that can,
// and reports whether it has: see [Resizer.Resize]. By default only the size that the
// block has can be had.
func Resize(a Allocator, p unsafe.Pointer, l Layout, newSize uintptr) bool {
	if newSize == l.size || newSize == 0 || newSize > maxSize(l.Align()) {
		return newSize == l.size
	}
	r, ok := orGlobal(a).(Resizer)
	return ok && l.size != 0 && r.Resize(p, l, newSize)
}

// UsableSize returns how large a block of layout l is at least: see [UsableSizer]. By
// default that is l.Size().
func UsableSize(a Allocator, l Layout) uintptr {
	a = orGlobal(a)
	if u, ok := a.(UsableSizer); ok {
		return u.UsableSize(l)
	}
	return l.size
}

// Equivalent reports whether each of a and b may deallocate the blocks of the other: if
// one of them says so as an [Equivalencer], or if they are equal.
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
func change(a Allocator, p unsafe.Pointer, old, new Layout) ([]byte, error) {
	if old.lg == new.lg && old.size != 0 && Resize(a, p, old, new.size) {
		return block(p, new)
	}
	b, err := a.Allocate(new)
	if err == nil {
		copyBytes(unsafe.Pointer(unsafe.SliceData(b)), p, min(old.size, new.size))
		a.Deallocate(p, old)
	}
	return b, err
}

func checkGrow(old, new Layout) {
	if new.size < old.size {
		panic(fmt.Sprintf("galloc: Grow from %d to %d bytes: that is for Shrink", old.size, new.size))
	}
}

func checkShrink(old, new Layout) {
	if new.size > old.size {
		panic(fmt.Sprintf("galloc: Shrink from %d to %d bytes: that is for Grow", old.size, new.size))
	}
}
