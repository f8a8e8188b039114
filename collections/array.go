package collections

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// resizeArray returns s with a capacity of at least n elements, n >= len(s). The elements are
// copied, and the rest of the array is undefined. s comes from resizeArray on a, or is nil. If
// resizeArray fails, s is unchanged.
//
//	cap(result) * size of T is a size that fits the block, and the same holds for s
func resizeArray[T any](a galloc.Allocator, s []T, n int) ([]T, error) {
	return resizeArrayBy(galloc.Grow, a, s, n)
}

// grower is galloc.Grow or galloc.GrowZeroed.
type grower func(a galloc.Allocator, p unsafe.Pointer, old, to galloc.Layout) ([]byte, error)

// resizeArrayBy is resizeArray that grows the array by grow. The elements that GrowZeroed adds are
// zero.
func resizeArrayBy[T any](grow grower, a galloc.Allocator, s []T, n int) ([]T, error) {
	l, err := galloc.ArrayLayout[T](n)
	if err != nil {
		return nil, err
	}
	if err := checkType[T](); err != nil {
		return nil, err
	}
	var v T
	if unsafe.Sizeof(v) == 0 {
		// SAFETY: elements of size 0 take no memory, whatever their number.
		return unsafe.Slice((*T)(l.Dangling()), math.MaxInt)[:len(s)], nil
	}
	p, old := unsafe.Pointer(unsafe.SliceData(s)), arrayLayout(s)
	var b []byte
	switch {
	case l.Size() == old.Size():
		return s, nil
	case l.Size() == 0:
		freeArray(a, s)
		return nil, nil
	case l.Size() < old.Size():
		b, err = galloc.Shrink(a, p, old, l)
	default:
		b, err = grow(a, p, old, l)
	}
	if err != nil {
		return nil, forLayout(err, l)
	}
	// SAFETY: the block has the alignment of T, its length is rounded down to whole elements, and
	// any bytes are a valid T, as T contains no pointers.
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(v)))[:len(s)], nil
}

// copyArray copies the elements of from to to, which is as long and may overlap it. It can be
// preempted, however long they are.
func copyArray[T any](to, from []T) {
	block.Copy(unsafe.Pointer(unsafe.SliceData(to)), unsafe.Pointer(unsafe.SliceData(from)), uintptr(len(to))*unsafe.Sizeof(*new(T)))
}

// appendAll returns s with xs at its end. s has the capacity for them, and they may be a part of s.
func appendAll[T any](s, xs []T) []T {
	n := len(s)
	s = s[:n+len(xs)]
	copyArray(s[n:], xs)
	return s
}

// deleteFrom returns s without elements [i, j).
func deleteFrom[T any](s []T, i, j int) []T {
	rest := s[j:]
	copyArray(s[i:i+len(rest)], rest)
	return s[:i+len(rest)]
}

// clearArray makes the elements of s zero. It can be preempted, however long s is.
func clearArray[T any](s []T) {
	block.Clear(unsafe.Pointer(unsafe.SliceData(s)), uintptr(len(s))*unsafe.Sizeof(*new(T)))
}

// freeArray frees the array of s, made by resizeArray on a.
func freeArray[T any](a galloc.Allocator, s []T) {
	if cap(s) != 0 {
		deallocate(a, unsafe.Pointer(unsafe.SliceData(s)), arrayLayout(s))
	}
}

// arrayLayout returns the layout of the array of s.
func arrayLayout[T any](s []T) galloc.Layout {
	l, _ := galloc.ArrayLayout[T](cap(s))
	return l
}

// growArray returns s with capacity for n more elements, and with at least twice the capacity if
// there is memory for that.
func growArray[T any](a galloc.Allocator, s []T, n int) ([]T, error) {
	return growArrayBy(galloc.Grow, a, s, n)
}

// growArrayBy is growArray that grows the array by grow: see resizeArrayBy.
func growArrayBy[T any](grow grower, a galloc.Allocator, s []T, n int) ([]T, error) {
	need, err := sum[T](len(s), n)
	if err != nil {
		return nil, err
	}
	want := max(need, firstCap[T]())
	if cap(s) <= math.MaxInt/2 {
		want = max(want, 2*cap(s))
	}
	return resizeBetweenBy(grow, a, s, need, want)
}

// resizeBetween is resizeArray with a capacity of want, or less where there is no memory for that,
// but at least need: see spared.
func resizeBetween[T any](a galloc.Allocator, s []T, need, want int) ([]T, error) {
	return resizeBetweenBy(galloc.Grow, a, s, need, want)
}

func resizeBetweenBy[T any](grow grower, a galloc.Allocator, s []T, need, want int) ([]T, error) {
	for {
		grown, err := resizeArrayBy(grow, a, s, want)
		if err == nil || want <= need || errors.Is(err, galloc.ErrPointers) {
			return grown, err
		}
		want = need + int(spared(uint64(want-need), uint64(need)))
	}
}

// spared returns what to ask for beyond need after there was no memory for need+extra: half of
// extra, and nothing beyond need once that is less than a 64th of it. (Smaller additions would not
// make the growth after them rare.)
func spared(extra, need uint64) uint64 {
	if extra /= 2; extra < need/64 {
		return 0
	}
	return extra
}

// sum returns length+n, or an error if no collection can have that many elements of type T. It
// panics if n is negative.
func sum[T any](length, n int) (int, error) {
	if n < 0 {
		panic(fmt.Sprintf("galloc/collections: negative number of elements (%d)", n))
	}
	if n > math.MaxInt-length {
		l := galloc.LayoutOf[T]()
		return 0, &galloc.LayoutError{Size: l.Size(), Align: l.Align(), Count: n}
	}
	return length + n, nil
}

// firstCap returns the smallest capacity that growArray allocates. Most allocators have no blocks
// of fewer than 8 bytes, and a very large element may remain the only one.
func firstCap[T any]() int {
	var v T
	switch size := unsafe.Sizeof(v); {
	case size == 1:
		return 8
	case size <= 1024:
		return 4
	}
	return 1
}

// within returns the index in s at which part begins, or -1 if part is not a part of s.
func within[T any](s, part []T) int {
	var v T
	if unsafe.Sizeof(v) == 0 || len(s) == 0 || len(part) == 0 {
		return -1
	}
	// The addresses are only compared.
	d := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&s[0]))
	if d >= uintptr(len(s))*unsafe.Sizeof(v) {
		return -1
	}
	return int(d / unsafe.Sizeof(v))
}
