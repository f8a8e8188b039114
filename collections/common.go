package collections

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// noCopy makes go vet report copies of what has it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// checkType returns an error that wraps galloc.ErrPointers if there are Go pointers in T. It costs
// some nanoseconds: galloc keeps what it has found out about a type.
func checkType[T any]() error {
	_, err := galloc.MakeSlice[T](galloc.Null, 0)
	return err
}

// must is galloc.Must for functions that return nothing but an error.
func must(err error) {
	if err != nil {
		galloc.Must(0, err)
	}
}

// orGlobal is what makes a nil allocator stand for galloc.Global.
func orGlobal(a galloc.Allocator) galloc.Allocator {
	if a == nil {
		return galloc.Global
	}
	return a
}

// allocate allocates a block of layout l. Its error says l, as galloc.Must wants it.
func allocate(a galloc.Allocator, l galloc.Layout) ([]byte, error) {
	b, err := orGlobal(a).Allocate(l)
	if err != nil {
		return nil, forLayout(err, l)
	}
	return b, nil
}

func deallocate(a galloc.Allocator, p unsafe.Pointer, l galloc.Layout) {
	orGlobal(a).Deallocate(p, l)
}

// forLayout returns err, which an allocator has returned, with the layout that was asked for.
func forLayout(err error, l galloc.Layout) error {
	if e, ok := err.(*galloc.AllocError); ok {
		if e.Layout() == (galloc.Layout{}) {
			return e.For(l)
		}
		return e
	}
	return fmt.Errorf("%w (%w)", galloc.ErrOutOfMemory.For(l), err)
}

// resizeArray returns the array of s with room for n elements or more, n >= len(s), and the length of s.
// The elements are kept, the others undefined. s comes from resizeArray on a, or is nil. If it fails,
// s is as it was.
//
//	cap(result) * size of T is a size that fits the block; of s, too
func resizeArray[T any](a galloc.Allocator, s []T, n int) ([]T, error) {
	l, err := galloc.ArrayLayout[T](n)
	if err != nil {
		return nil, err
	}
	if err := checkType[T](); err != nil {
		return nil, err
	}
	var v T
	if unsafe.Sizeof(v) == 0 {
		// SAFETY: elements of size 0 take no memory, however many there are.
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
		b, err = galloc.Grow(a, p, old, l)
	}
	if err != nil {
		return nil, forLayout(err, l)
	}
	// SAFETY: the block has the alignment of T, its length is rounded down to whole elements, and any
	// bytes are a valid T, which has no pointers.
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(v)))[:len(s)], nil
}

// freeArray gives back the array of s, made by resizeArray on a.
func freeArray[T any](a galloc.Allocator, s []T) {
	if cap(s) != 0 {
		deallocate(a, unsafe.Pointer(unsafe.SliceData(s)), arrayLayout(s))
	}
}

// arrayLayout returns the layout of the array of s, which exists.
func arrayLayout[T any](s []T) galloc.Layout {
	l, _ := galloc.ArrayLayout[T](cap(s))
	return l
}

// growArray returns s with room for additional more elements: at least twice as much room as before.
func growArray[T any](a galloc.Allocator, s []T, additional int) ([]T, error) {
	need, err := sum[T](len(s), additional)
	if err != nil {
		return nil, err
	}
	n := max(need, firstCap[T]())
	if cap(s) <= math.MaxInt/2 {
		n = max(n, 2*cap(s))
	}
	grown, err := resizeArray(a, s, n)
	if err != nil && n > need {
		// Twice as much is not to be had, or too much for any layout. What is needed may be.
		if _, ok := err.(*galloc.LayoutError); ok {
			return resizeArray(a, s, need)
		}
	}
	return grown, err
}

// sum returns n+additional, or the error for a number of elements that cannot be. It panics if additional is
// negative, which is a caller's bug.
func sum[T any](n, additional int) (int, error) {
	if additional < 0 {
		panic("galloc/collections: a negative number of elements")
	}
	if additional > math.MaxInt-n {
		_, err := galloc.ArrayLayout[[2]byte](math.MaxInt)
		return 0, err
	}
	return n + additional, nil
}

// firstCap returns the least capacity that an array gets which grows by itself. Blocks of fewer bytes
// than 8 are not smaller in most allocators, and one very large element may be all there will be.
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

// within returns the index in s at which part begins, if part is a piece of the array of s, or else -1.
func within[T any](s, part []T) int {
	var v T
	if unsafe.Sizeof(v) == 0 || len(s) == 0 || len(part) == 0 {
		return -1
	}
	// Addresses are compared only. Nothing is made of them.
	d := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&s[0]))
	if d >= uintptr(len(s))*unsafe.Sizeof(v) {
		return -1
	}
	return int(d / unsafe.Sizeof(v))
}
