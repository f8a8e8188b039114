package collections

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Rc is a value with several owners, off the Go heap: it lives until the last of them has called Free.
// The owners are counted, and are not safe for concurrent use: see [Arc]. An Rc is one word without Go
// pointers, to be put into collections. The zero value owns nothing.
//
// Each owner has an Rc of its own, made by Share, and frees it once, with the allocator that NewRc was
// given; a mere copy of an Rc is no owner. A value that leads to itself by way of an Rc is never
// freed. It cannot be made on galloc.GoHeap, as [String] says.
type Rc[T any] struct{ at addr }

// rcBlock is what the owners share.
type rcBlock[T any] struct {
	owners int
	value  T
}

// NewRc returns the only owner of a value v on a, or on galloc.Global if a is nil.
func NewRc[T any](a galloc.Allocator, v T) Rc[T] { return galloc.Must(TryNewRc(a, v)) }

// TryNewRc is NewRc that returns the error.
func TryNewRc[T any](a galloc.Allocator, v T) (Rc[T], error) {
	p, err := newShared(a, rcBlock[T]{1, v})
	return Rc[T]{p}, err
}

// newShared returns the address of a copy of block on a.
func newShared[B any](a galloc.Allocator, block B) (addr, error) {
	if err := hidden(a); err != nil {
		return 0, err
	}
	p, err := galloc.New[B](a)
	if err != nil {
		return 0, err
	}
	*p = block
	return addr(unsafe.Pointer(p)), nil
}

func (r Rc[T]) block() *rcBlock[T] {
	if r.at == 0 {
		panic("galloc/collections: an Rc that owns nothing")
	}
	return (*rcBlock[T])(r.at.pointer())
}

// Get returns the value, as a view that ends with the last owner. It panics if r owns nothing.
func (r Rc[T]) Get() *T { return &r.block().value }

// Share returns another owner of the value. It does not allocate. It panics if r owns nothing, or if there are math.MaxInt
// owners already.
func (r Rc[T]) Share() Rc[T] {
	b := r.block()
	if b.owners == math.MaxInt {
		panic("galloc/collections: more owners of an Rc than can be counted")
	}
	b.owners++
	return r
}

// Owners returns the number of owners, 0 if r owns nothing.
func (r Rc[T]) Owners() int {
	if r.at == 0 {
		return 0
	}
	return r.block().owners
}

// Free makes r own nothing. If it was the last owner, the memory goes back to a, the allocator that the
// value was made on or an equivalent one; last says so. It does nothing if r owns nothing.
func (r *Rc[T]) Free(a galloc.Allocator) (last bool) { return r.FreeFunc(a, nil) }

// FreeFunc is Free that calls free with the value before it gives back the memory, if r is the last
// owner: for values that own memory themselves.
func (r *Rc[T]) FreeFunc(a galloc.Allocator, free func(*T)) (last bool) {
	if r.at == 0 {
		return false
	}
	b := r.block()
	r.at = 0
	if b.owners--; b.owners > 0 {
		return false
	}
	if free != nil {
		free(&b.value)
	}
	galloc.Free(a, b)
	return true
}

// Arc is an [Rc] whose owners may belong to several goroutines: they are counted atomically. What is
// done with the value itself is for the program to guard. One Arc, the word, is not safe for
// concurrent use: each goroutine has an owner of its own.
//
// The race detector does not see the count where it does not see the memory, so that it may find a race
// between the last use by one owner and what FreeFunc's free does. In programs built with -race it sees the
// memory of galloc's heap, but not galloc.System's.
type Arc[T any] struct{ at addr }

type arcBlock[T any] struct {
	owners uintptr
	value  T
}

// NewArc returns the only owner of a value v on a, or on galloc.Global if a is nil.
func NewArc[T any](a galloc.Allocator, v T) Arc[T] { return galloc.Must(TryNewArc(a, v)) }

// TryNewArc is NewArc that returns the error.
func TryNewArc[T any](a galloc.Allocator, v T) (Arc[T], error) {
	p, err := newShared(a, arcBlock[T]{1, v})
	return Arc[T]{p}, err
}

func (r Arc[T]) block() *arcBlock[T] {
	if r.at == 0 {
		panic("galloc/collections: an Arc that owns nothing")
	}
	return (*arcBlock[T])(r.at.pointer())
}

// Get returns the value, as a view that ends with the last owner. It panics if r owns nothing.
func (r Arc[T]) Get() *T { return &r.block().value }

// Share returns another owner of the value. It does not allocate. It panics if r owns nothing, or if there are math.MaxInt
// owners already.
func (r Arc[T]) Share() Arc[T] {
	b := r.block()
	if atomic.AddUintptr(&b.owners, 1) > math.MaxInt {
		atomic.AddUintptr(&b.owners, ^uintptr(0)) // those who recover and go on could make it overflow in the end
		panic("galloc/collections: more owners of an Arc than can be counted")
	}
	return r
}

// Owners returns the number of owners, 0 if r owns nothing. Others may change it at any time.
func (r Arc[T]) Owners() int {
	if r.at == 0 {
		return 0
	}
	return int(atomic.LoadUintptr(&r.block().owners))
}

// Free makes r own nothing. If it was the last owner, the memory goes back to a, the allocator that the
// value was made on or an equivalent one; last says so. It does nothing if r owns nothing.
func (r *Arc[T]) Free(a galloc.Allocator) (last bool) { return r.FreeFunc(a, nil) }

// FreeFunc is Free that calls free with the value before it gives back the memory, if r is the last
// owner. What the other owners did before their Free has happened by then.
func (r *Arc[T]) FreeFunc(a galloc.Allocator, free func(*T)) (last bool) {
	if r.at == 0 {
		return false
	}
	b := r.block()
	r.at = 0
	if atomic.AddUintptr(&b.owners, ^uintptr(0)) > 0 {
		return false
	}
	if free != nil {
		free(&b.value)
	}
	galloc.Free(a, b)
	return true
}
