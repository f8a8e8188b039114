package collections

import (
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/memcheck"
)

// Ptr is a pointer to a T off the Go heap, in one word without Go pointers: for trees, lists and
// graphs whose nodes refer to one another, mostly in an arena. It is like a *T: a copy points to
// the same value, == compares addresses, and the zero value is nil.
//
//	type node struct {
//		left, right collections.Ptr[node]
//		key         int
//	}
//
// The value is valid until its memory is freed, by Free or with its arena. With GALLOC=debug, Get
// reports the use of a value that was freed, if the value is a block of the global allocator, or
// begins one.
type Ptr[T any] struct {
	_  [0]*T
	at addr
}

// NewPtr returns a pointer to a copy of v, allocated from a, or from galloc.Global if a is nil. It
// fails with galloc.ErrPointers if T contains Go pointers, and with galloc.ErrUnsupported on
// galloc.GoHeap: see [String].
func NewPtr[T any](a galloc.Allocator, v T) (Ptr[T], error) {
	at, err := newShared(a, v)
	return Ptr[T]{at: at}, err
}

// PtrTo returns p as a Ptr. p must be nil, or come from a function of package galloc, or point into
// memory from there, but not on galloc.GoHeap and not on the Go heap: the garbage collector does
// not see a Ptr, and would free the value. PtrTo panics if T contains Go pointers.
func PtrTo[T any](p *T) Ptr[T] {
	must(checkType[T]())
	watch()
	return Ptr[T]{at: addr(unsafe.Pointer(p))}
}

// Get returns the pointer, or nil.
func (p Ptr[T]) Get() *T {
	checkUse(p.at)
	return (*T)(p.at.pointer())
}

// Free frees the value on a, which must be the allocator of the value or an equivalent one, and
// makes p nil. All other copies of p are then invalid. Free does nothing if p is nil.
func (p *Ptr[T]) Free(a galloc.Allocator) {
	galloc.Free(a, (*T)(p.at.pointer()))
	p.at = 0
}

// Slice is a []T off the Go heap whose length does not change, in two words without Go pointers,
// under the rules of [Ptr]. The zero value is empty. An [Array] can grow, and a [String] is a Slice
// for text.
type Slice[T any] struct {
	_  [0]useEqualOf[T]
	at addr
	n  int
}

// useEqualOf makes == on a Slice or Array an error of the compiler, which names the type.
type useEqualOf[T any] func(*T)

// NewSlice returns a copy of s that is allocated from a, or from galloc.Global if a is nil. It
// fails as [NewPtr] does.
func NewSlice[T any](a galloc.Allocator, s []T) (Slice[T], error) {
	watch()
	if err := hidden(a); err != nil {
		return Slice[T]{}, err
	}
	c, err := resizeArray[T](a, nil, len(s))
	if err != nil {
		return Slice[T]{}, err
	}
	c = c[:len(s)]
	copyArray(c, s)
	return Slice[T]{at: addressOf(c), n: len(c)}, nil
}

// SliceTo returns s as a Slice, under the conditions of [PtrTo]. The Slice does not keep the
// capacity of s, so Free must not be used if that is larger than the length.
func SliceTo[T any](s []T) Slice[T] {
	must(checkType[T]())
	watch()
	return Slice[T]{at: addressOf(s), n: len(s)}
}

// Len returns the number of elements.
func (s Slice[T]) Len() int { return s.n }

// Slice returns the elements, to read and to write them. It is valid until Free.
func (s Slice[T]) Slice() []T {
	checkUse(s.at)
	// SAFETY: the Slice has n elements at the address.
	return unsafe.Slice((*T)(s.at.pointer()), s.n)
}

// String returns the elements as Format prints them by %v.
func (s Slice[T]) String() string { return fmt.Sprint(s) }

// Format implements fmt.Formatter. It prints [1 2 3], and the verb applies to each element.
func (s Slice[T]) Format(f fmt.State, verb rune) {
	formatValues(f, verb, s.n, slices.Values(s.Slice()))
}

// Free frees the elements on a, which must be their allocator or an equivalent one, and makes s
// empty. All other copies of s are then invalid.
func (s *Slice[T]) Free(a galloc.Allocator) {
	freeArray(a, s.Slice())
	*s = Slice[T]{}
}

// addressOf returns the address of the array of s.
func addressOf[T any](s []T) addr { return addr(unsafe.Pointer(unsafe.SliceData(s))) }

// useChecker is the memory checker of the global allocator, or nil if it has none or watch was not
// called.
var useChecker atomic.Pointer[memcheck.Checker]

var watched atomic.Bool

// watch sets useChecker. It is called when a value is made that checkUse will check.
func watch() {
	if watched.Load() {
		return
	}
	if c, settled := bridge.SettledChecker(); settled {
		useChecker.Store(c)
		watched.Store(true)
	}
}

// checkUse reports misuse if a block starts at the address that the global allocator has freed, and
// a memory checker knows that.
func checkUse(at addr) {
	if c := useChecker.Load(); c != nil && at != 0 {
		c.CheckUse(at.pointer())
	}
}
