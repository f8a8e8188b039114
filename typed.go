package galloc

import (
	"fmt"
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/gotype"
	"github.com/galloc-go/galloc/internal/pages"
)

// The functions of this file that allocate return an error: for errors.Is it is ErrOutOfMemory,
// ErrUnsupported or ErrPointers.

// New allocates a zeroed T on a, or on [Global] if a is nil. The caller owns the value until it
// calls [Free]. A T of size 0 takes no memory.
//
// The error is an [*AllocError]. It is [ErrPointers] if T contains Go pointers (strings and slices
// too) and the garbage collector does not scan the memory of a: see [HoldsPointers].
func New[T any](a Allocator) (*T, error) {
	p, err := newValue(a, (*T)(nil))
	return (*T)(p), err
}

// NewUninit is like [New], but the value is undefined. T must not contain Go pointers, on any
// allocator. It saves clearing a large T that the caller overwrites.
func NewUninit[T any](a Allocator) (*T, error) {
	if err := pointerFree(gotype.Of((*T)(nil))); err != nil {
		return nil, err
	}
	l := LayoutOf[T]()
	b, err := orGlobal(a).Allocate(l)
	if err != nil {
		return nil, forLayout(err, l)
	}
	// SAFETY: the block has the layout of T, and any bytes are a valid T without pointers.
	return (*T)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

// Free frees a value made by [New] or [NewUninit] on a, or on an equivalent allocator. If p is nil,
// it does nothing.
func Free[T any](a Allocator, p *T) {
	if p != nil {
		free(a, unsafe.Pointer(p), unsafe.Sizeof(*p), block.Log2(unsafe.Alignof(*p)))
	}
}

// MakeSlice allocates a zeroed slice of length and capacity n on a, or on [Global] if a is nil. The
// caller owns the array until it calls [FreeSlice]. Do not append beyond the capacity, which would
// move the slice to the Go heap: use [AppendSlice] or [GrowSlice].
//
// It fails as [New] does, and with a [*LayoutError] if n is negative or the size overflows.
func MakeSlice[T any](a Allocator, n int) ([]T, error) {
	p, n, err := newArray(a, (*T)(nil), n)
	// SAFETY: the block has the layout of n values of T, zeroed, which is a valid T without
	// pointers.
	return unsafe.Slice((*T)(p), n), err
}

// MakeSliceCap is like [MakeSlice] with length n and a larger capacity. It panics if n is negative
// or exceeds capacity.
func MakeSliceCap[T any](a Allocator, n, capacity int) ([]T, error) {
	if n < 0 || n > capacity {
		panic(fmt.Sprintf("galloc: MakeSliceCap: length %d is not in [0, %d]: pass the length, then the capacity",
			n, capacity))
	}
	s, err := MakeSlice[T](a, capacity)
	if err != nil {
		return nil, err
	}
	return s[:n], nil
}

// GrowSlice changes the length and the capacity of s to n. It keeps the first min(cap(s), n)
// elements; the others are zero. n may be less than cap(s). s must come from a function of this
// package on a, and begin at the first element of its array; a nil s is empty.
//
// If GrowSlice fails, as MakeSlice does, s is unchanged. Otherwise the result replaces s.
func GrowSlice[T any](a Allocator, s []T, n int) ([]T, error) {
	p, n, err := growArray(a, (*T)(nil), unsafe.Pointer(unsafe.SliceData(s)), cap(s), n)
	// SAFETY: as in MakeSlice.
	return unsafe.Slice((*T)(p), n), err
}

// AppendSlice appends values to s, as append does, and returns the result. If the capacity does not
// suffice, it doubles it or more by [GrowSlice], under the conditions of that function. values may
// be a part of s. If AppendSlice fails, s is unchanged.
func AppendSlice[T any](a Allocator, s []T, values ...T) ([]T, error) {
	n := len(s) + len(values)
	if n >= 0 && n <= cap(s) {
		return appendWithin(s, values), nil
	}
	to := n
	if n >= 0 {
		to = max(n, 2*cap(s), 4)
	}
	from, part := indexIn(s, values)
	grown, err := GrowSlice(a, s, to)
	if err != nil {
		return s, err
	}
	if part {
		values = grown[from : from+len(values)]
	}
	return appendWithin(grown[:len(s)], values), nil
}

// appendWithin is append where the capacity suffices. It copies as block.Copy does: no piece is
// longer than MaxBulk, but for a single value that is.
func appendWithin[T any](s, values []T) []T {
	var v T
	size, n := unsafe.Sizeof(v), len(values)
	if size*uintptr(n) <= block.MaxBulk {
		return append(s, values...)
	}
	per := max(1, int(block.MaxBulk/size))
	to := s[len(s) : len(s)+n]
	if addrOf(to)-addrOf(values) < size*uintptr(n) { // later values are where earlier ones go
		for ; n > per; n -= per {
			copy(to[n-per:n], values[n-per:n])
		}
	}
	for from := 0; from < n; from += per {
		copy(to[from:n], values[from:min(from+per, n)])
	}
	return s[:len(s)+len(values)]
}

func addrOf[T any](s []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s))) }

// indexIn returns the index in the array of s at which part begins, if it is a part of that array.
func indexIn[T any](s, part []T) (int, bool) {
	var v T
	size := unsafe.Sizeof(v)
	if len(part) == 0 || cap(s) == 0 || size == 0 {
		return 0, false
	}
	offset := addrOf(part) - addrOf(s)
	return int(offset / size), offset < size*uintptr(cap(s))
}

// FreeSlice frees the array of s, made by a function of this package on a, or on an equivalent
// allocator. s must begin at the first element of the array and have its capacity; its length does
// not matter. If s is nil, it does nothing.
func FreeSlice[T any](a Allocator, s []T) {
	var v T
	free(a, unsafe.Pointer(unsafe.SliceData(s)), unsafe.Sizeof(v)*uintptr(cap(s)), block.Log2(unsafe.Alignof(v)))
}

// Box owns a T off the Go heap. The zero value is an empty box on [Global]. It must not be copied,
// since two boxes would free the same value: go vet reports copies. A box costs two words; NewBox
// and Set of an empty box allocate, Free and Take deallocate, and the other methods take a few
// instructions. Not safe for concurrent use.
type Box[T any] struct {
	_ block.NoCopy
	a Allocator // nil means Global
	p *T
}

// NewBox returns a box on a, or on [Global] if a is nil, that contains v. It fails as [New] does.
func NewBox[T any](a Allocator, v T) (Box[T], error) {
	p, err := New[T](a)
	if err == nil {
		*p = v
	}
	return Box[T]{a: a, p: p}, err
}

// Set replaces the value in the box by v. If the box is empty, it allocates, and fails as [New]
// does.
func (b *Box[T]) Set(v T) error {
	if b.p == nil {
		p, err := New[T](b.a)
		if err != nil {
			return err
		}
		b.p = p
	}
	*b.p = v
	return nil
}

// Get returns a pointer to the value in the box, or nil if the box is empty. The pointer is valid
// until the value is taken or freed.
func (b *Box[T]) Get() *T { return b.p }

// Take returns the value in the box and frees its memory. ok is false if the box was empty.
func (b *Box[T]) Take() (v T, ok bool) {
	if b.p != nil {
		v, ok = *b.p, true
		b.Free()
	}
	return v, ok
}

// Leak returns the value in the box, or nil, and leaves the box empty. The caller must free the
// value by [Free] with the allocator of the box.
func (b *Box[T]) Leak() *T {
	p := b.p
	b.p = nil
	return p
}

// Adopt frees the value in the box and replaces it by the value at p, made by [New] on the
// allocator of the box.
func (b *Box[T]) Adopt(p *T) {
	b.Free()
	b.p = p
}

// Free frees the value in the box, if any, and leaves the box empty.
func (b *Box[T]) Free() {
	Free(b.a, b.p)
	b.p = nil
}

// The functions below do the work of the generic ones. These are inlined, since they only call
// them: the code of a generic function that is not inlined gets its types from a dictionary. To
// tell the type, they pass a nil pointer to it, which the compiler makes of a constant.
//
// If a is nil, they call the fast path of the global heap, which calls the slow path of the global
// allocator, whatever that is.

// newValue allocates a zeroed value of the type that pointer points to.
func newValue(a Allocator, pointer any) (unsafe.Pointer, error) {
	t := gotype.Of(pointer)
	if a != nil || !t.PointerFree() || !isSmall(t.Size()) {
		return newAny(a, t)
	}
	p := engine.FastAllocZeroed(t.Size(), t.Log2Align(), smallClass(t.Size()))
	if p == nil {
		return nil, outOfMemory(t.Size(), t.Log2Align())
	}
	return p, nil
}

// newAny is newValue for any allocator and size.
func newAny(a Allocator, t gotype.Type) (unsafe.Pointer, error) {
	return newTyped(a, t, typeLayout(t.Reflect()), 1)
}

// newArray allocates n zeroed values of the type that pointer points to, and returns n; or nil and
// 0 if it fails.
func newArray(a Allocator, pointer any, n int) (unsafe.Pointer, int, error) {
	t := gotype.Of(pointer)
	if a == nil && t.PointerFree() {
		hi, size := bits.Mul64(uint64(t.Size()), uint64(n))
		if hi == 0 && size-1 < pages.MaxSmall && n >= 0 {
			p := engine.FastAllocZeroed(uintptr(size), t.Log2Align(), smallClass(uintptr(size)))
			if p == nil {
				return nil, 0, outOfMemory(uintptr(size), t.Log2Align())
			}
			return p, n, nil
		}
	}
	return newLongArray(a, t, n)
}

//go:noinline
func outOfMemory(size uintptr, lg uint32) error {
	return forLayout(current().refusal(), newLayout(size, lg))
}

// newLongArray is newArray for any allocator and size.
func newLongArray(a Allocator, t gotype.Type, n int) (unsafe.Pointer, int, error) {
	l, err := arrayLayout(typeLayout(t.Reflect()), n)
	if err != nil {
		return nil, 0, err
	}
	p, err := newTyped(a, t, l, n)
	if err != nil {
		return nil, 0, err
	}
	return p, n, nil
}

// growArray changes the number of values of the array at p from old to n, and returns n; or nil and
// 0 if it fails.
func growArray(a Allocator, pointer any, p unsafe.Pointer, old, n int) (unsafe.Pointer, int, error) {
	t := gotype.Of(pointer)
	if a == nil && t.PointerFree() {
		from := t.Size() * uintptr(old)
		hi, to := bits.Mul64(uint64(t.Size()), uint64(n))
		if isSmall(from) && hi == 0 && to-1 < pages.MaxSmall && n >= 0 {
			l := Layout{from, t.Log2Align(), smallClass(from)}
			q := Realloc(p, l, uintptr(to))
			if q == nil {
				return nil, 0, outOfMemory(uintptr(to), l.lg)
			}
			if uintptr(to) > from {
				clear(block.Bytes(unsafe.Add(q, from), uintptr(to)-from))
			}
			return q, n, nil
		}
	}
	return growLongArray(a, t, p, old, n)
}

// growLongArray is growArray for any allocator and sizes.
func growLongArray(a Allocator, t gotype.Type, p unsafe.Pointer, old, n int) (unsafe.Pointer, int, error) {
	a = orGlobal(a)
	r := t.Reflect()
	to, err := arrayLayout(typeLayout(r), n)
	if err != nil {
		return nil, 0, err
	}
	from := newLayout(r.Size()*uintptr(old), to.lg)
	if !t.PointerFree() && pointerFreeType(r) != nil {
		// Only the collector may move such values: by typed copies, with its write barriers.
		q, err := newTyped(a, t, to, n)
		if err != nil {
			return nil, 0, err
		}
		reflect.Copy(reflect.SliceAt(r, q, n), reflect.SliceAt(r, p, old))
		a.Deallocate(p, from)
		return q, n, nil
	}
	var b []byte
	if to.size < from.size {
		b, err = Shrink(a, p, from, to)
	} else {
		b, err = GrowZeroed(a, p, from, to)
	}
	if err != nil {
		return nil, 0, forLayout(err, to)
	}
	return unsafe.Pointer(unsafe.SliceData(b)), n, nil
}

// free frees the block at p, allocated on a.
func free(a Allocator, p unsafe.Pointer, size uintptr, lg uint32) {
	if a != nil || !isSmall(size) {
		freeAny(a, p, size, lg)
		return
	}
	engine.FastFree(p, size, lg, smallClass(size))
}

//go:noinline
func freeAny(a Allocator, p unsafe.Pointer, size uintptr, lg uint32) {
	orGlobal(a).Deallocate(p, newLayout(size, lg))
}

// isSmall reports whether blocks of size bytes have a class.
func isSmall(size uintptr) bool { return size-1 < pages.MaxSmall }

// smallClass is pages.ClassOf of a small size.
func smallClass(size uintptr) uint32 { return uint32(pages.ClassTable[(size+7)/8]) }

// newTyped allocates n zeroed values of type t, whose array has the layout l.
func newTyped(a Allocator, t gotype.Type, l Layout, n int) (unsafe.Pointer, error) {
	a = orGlobal(a)
	if err := pointerFree(t); err != nil {
		if !HoldsPointers(a) {
			return nil, err
		}
		p, err := a.(TypedAllocator).AllocateTyped(t.Reflect(), n)
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

// orGlobal returns a, or Global if a is nil.
func orGlobal(a Allocator) Allocator {
	if a == nil {
		return Global
	}
	return a
}
