package collections

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Rc is an owner of a value off the Go heap that may have several. The value lives until its last
// owner calls Free. The count of owners is not safe for concurrent use: see [Arc]. An Rc is one
// word without Go pointers, so it can be an element of a collection. The zero value owns nothing.
//
// Share makes another owner. Each owner must be freed once, on the allocator that was passed to
// NewRc. A copy of an Rc is the same owner. Values that own one another in a cycle are never freed.
// An Rc cannot be created on galloc.GoHeap: see [String]. With GALLOC=debug, methods report the use
// of an owner whose value was freed, if it is on the global allocator.
type Rc[T any] struct{ at addr }

// rcBlock is the block that the owners share.
type rcBlock[T any] struct {
	owners int
	value  T
}

// NewRc returns the only owner of a copy of v, allocated from a, or from galloc.Global if a is nil.
func NewRc[T any](a galloc.Allocator, v T) (Rc[T], error) {
	p, err := newShared(a, rcBlock[T]{1, v})
	return Rc[T]{p}, err
}

// newShared allocates a copy of block from a and returns its address.
func newShared[B any](a galloc.Allocator, block B) (addr, error) {
	watch()
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
		panic("galloc/collections: use of an Rc that owns nothing")
	}
	checkUse(r.at)
	return (*rcBlock[T])(r.at.pointer())
}

// Get returns a pointer to the value. It is valid as long as the value has an owner. Get panics if
// r owns nothing.
func (r Rc[T]) Get() *T { return &r.block().value }

// Share returns another owner of the value. It does not allocate. It panics if r owns nothing or
// the value has math.MaxInt owners.
func (r Rc[T]) Share() Rc[T] {
	b := r.block()
	if b.owners == math.MaxInt {
		panic("galloc/collections: Rc.Share: more than math.MaxInt owners")
	}
	b.owners++
	return r
}

// Owners returns the number of owners of the value, or 0 if r owns nothing.
func (r Rc[T]) Owners() int {
	if r.at == 0 {
		return 0
	}
	return r.block().owners
}

// Free ends the ownership of r, which then owns nothing, and reports whether r was the last owner.
// If so, it frees the value on a, which must be the allocator of the value or an equivalent one.
// Free does nothing if r owns nothing.
func (r *Rc[T]) Free(a galloc.Allocator) (last bool) { return r.FreeFunc(a, nil) }

// FreeFunc is like Free but calls free before it frees the value. free can free memory that the
// value owns.
func (r *Rc[T]) FreeFunc(a galloc.Allocator, free func(*T)) (last bool) {
	if r.at == 0 {
		return false
	}
	b := r.block()
	r.at = 0
	if b.owners--; b.owners > 0 {
		return false
	}
	defer galloc.Free(a, b) // also if free panics
	if free != nil {
		free(&b.value)
	}
	return true
}

// Arc is an [Rc] whose owners may belong to different goroutines: the count of owners is atomic.
// The program must synchronize access to the value. A single Arc, the word, is not safe for
// concurrent use; Share makes an owner for each goroutine.
//
// The race detector does not see the count in memory that it does not know. It may then report a
// race between the last use by one owner and the free function of FreeFunc. In programs built with
// -race it knows the memory of galloc's heap, but not the memory of galloc.System.
type Arc[T any] struct{ at addr }

type arcBlock[T any] struct {
	owners uintptr
	value  T
}

// NewArc returns the only owner of a copy of v, allocated from a, or from galloc.Global if a is
// nil.
func NewArc[T any](a galloc.Allocator, v T) (Arc[T], error) {
	p, err := newShared(a, arcBlock[T]{1, v})
	return Arc[T]{p}, err
}

func (r Arc[T]) block() *arcBlock[T] {
	if r.at == 0 {
		panic("galloc/collections: use of an Arc that owns nothing")
	}
	checkUse(r.at)
	return (*arcBlock[T])(r.at.pointer())
}

// Get returns a pointer to the value. It is valid as long as the value has an owner. Get panics if
// r owns nothing.
func (r Arc[T]) Get() *T { return &r.block().value }

// Share returns another owner of the value. It does not allocate. It panics if r owns nothing or
// the value has math.MaxInt owners.
func (r Arc[T]) Share() Arc[T] {
	b := r.block()
	if atomic.AddUintptr(&b.owners, 1) > math.MaxInt {
		atomic.AddUintptr(&b.owners, ^uintptr(0)) // a program that recovers cannot overflow it
		panic("galloc/collections: Arc.Share: more than math.MaxInt owners")
	}
	return r
}

// Owners returns the number of owners of the value, or 0 if r owns nothing. Other goroutines may
// change it at any time.
func (r Arc[T]) Owners() int {
	if r.at == 0 {
		return 0
	}
	return int(atomic.LoadUintptr(&r.block().owners))
}

// Free ends the ownership of r, which then owns nothing, and reports whether r was the last owner.
// If so, it frees the value on a, which must be the allocator of the value or an equivalent one.
// Free does nothing if r owns nothing.
func (r *Arc[T]) Free(a galloc.Allocator) (last bool) { return r.FreeFunc(a, nil) }

// FreeFunc is like Free but calls free before it frees the value. All that other owners did before
// their call of Free happens before the call of free.
func (r *Arc[T]) FreeFunc(a galloc.Allocator, free func(*T)) (last bool) {
	if r.at == 0 {
		return false
	}
	b := r.block()
	r.at = 0
	if atomic.AddUintptr(&b.owners, ^uintptr(0)) > 0 {
		return false
	}
	defer galloc.Free(a, b) // also if free panics
	if free != nil {
		free(&b.value)
	}
	return true
}
