package galloc

import (
	"reflect"
	"unsafe"
)

// The typed face: values and slices in place of blocks. The memory is zeroed. A type that
// contains Go pointers is refused with ErrPointers, unless the allocator is a TypedAllocator:
// see pointers.go.

// New allocates a zeroed T from a, or from [Global] if a is nil. It fails with an
// [*AllocError] if memory cannot be had or if T contains Go pointers (strings and slices
// too) that the garbage collector would not see in a's memory: errors.Is tells which. The
// caller owns the value, until [Free]. A T of size 0 takes no memory.
func New[T any](a Allocator) (*T, error) {
	p, err := allocateTyped[T](a, LayoutOf[T](), 1)
	return (*T)(p), err
}

// Free gives back a value made by [New] on a, or on an equivalent allocator. It does
// nothing if p is nil.
func Free[T any](a Allocator, p *T) {
	if p != nil {
		orGlobal(a).Deallocate(unsafe.Pointer(p), LayoutOf[T]())
	}
}

// MakeSlice allocates a zeroed slice of length and capacity n from a, or from [Global] if
// a is nil. It fails as [New] does, and with a *LayoutError if n is negative or the
// size overflows. The caller owns the array, until [FreeSlice]. Do not append beyond the
// capacity: that would move the slice to the Go heap. See [GrowSlice].
func MakeSlice[T any](a Allocator, n int) ([]T, error) {
	l, err := ArrayLayout[T](n)
	if err != nil {
		return nil, err
	}
	p, err := allocateTyped[T](a, l, n)
	if err != nil {
		return nil, err
	}
	// SAFETY: the block has the layout of n values of T, zeroed, which is a valid T without pointers.
	return unsafe.Slice((*T)(p), n), nil
}

// GrowSlice returns the slice s, made by [MakeSlice] or GrowSlice on a, with its length and
// capacity changed to n: the first min(cap(s), n) elements are kept, the others zero. n
// may be less than cap(s) too. s must begin where it was made to begin. It is
// invalidated, unless GrowSlice fails, as MakeSlice does: then it is as it was.
func GrowSlice[T any](a Allocator, s []T, n int) ([]T, error) {
	a = orGlobal(a)
	l, err := ArrayLayout[T](n)
	if err != nil {
		return nil, err
	}
	if err := pointerFree[T](); err != nil {
		// Only the collector may move such values: typed, with its write barriers.
		t, err := MakeSlice[T](a, n)
		if err == nil {
			copy(t, s[:cap(s)])
			FreeSlice(a, s)
		}
		return t, err
	}
	p, old := unsafe.Pointer(unsafe.SliceData(s)), capLayout(s)
	var b []byte
	if l.size < old.size {
		b, err = Shrink(a, p, old, l)
	} else {
		b, err = GrowZeroed(a, p, old, l)
	}
	if err != nil {
		return nil, forLayout(err, l)
	}
	// SAFETY: as in MakeSlice.
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n), nil
}

// FreeSlice gives back a slice made by [MakeSlice] or [GrowSlice] on a, or on an equivalent
// allocator. Its length does not matter, but it must begin where it was made to begin and
// have the capacity it was made with. It does nothing if s is nil.
func FreeSlice[T any](a Allocator, s []T) {
	orGlobal(a).Deallocate(unsafe.Pointer(unsafe.SliceData(s)), capLayout(s))
}

// capLayout returns the layout of the array of s, which exists.
func capLayout[T any](s []T) Layout {
	l := LayoutOf[T]()
	return newLayout(l.size*uintptr(cap(s)), l.lg)
}

// allocateTyped allocates n zeroed values of type T, which have the layout l together.
func allocateTyped[T any](a Allocator, l Layout, n int) (unsafe.Pointer, error) {
	a = orGlobal(a)
	if _, ok := a.(goHeap); ok && !tooLargeForGo(l.size) {
		return unsafe.Pointer(unsafe.SliceData(make([]T, n))), nil // of any T, without reflection
	}
	if err := pointerFree[T](); err != nil {
		typed, ok := a.(TypedAllocator)
		if !ok {
			return nil, err
		}
		p, err := typed.AllocateTyped(reflect.TypeFor[T](), n)
		if err != nil {
			return nil, forLayout(err, l)
		}
		return p, nil
	}
	b, err := AllocateZeroed(a, l)
	if err != nil {
		return nil, forLayout(err, l)
	}
	return unsafe.Pointer(unsafe.SliceData(b)), nil
}

// orGlobal is what makes nil stand for Global in every function of this package.
func orGlobal(a Allocator) Allocator {
	if a == nil {
		return Global
	}
	return a
}
