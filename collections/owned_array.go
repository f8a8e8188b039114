package collections

import (
	"fmt"
	"iter"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Array is a growing array in three words without Go pointers: a [Vec] that can be an element of
// other collections, as in a map from a group to the list of its members. So it does not hold its
// allocator: the caller passes it to each method that allocates or frees, and always the same one;
// nil means galloc.Global. The zero value is empty.
//
//	var groups collections.Map[int, collections.Array[int]]
//	list, _ := groups.GetOrPut(key)
//	list.Push(nil, x)
//
// An Array is a value, and a copy of it has the same elements until one of the two grows, shrinks
// or is freed: that ends the other. So change an Array where it is, by a pointer from Ptr or
// GetOrPut, and free exactly one copy. With GALLOC=debug, methods report the use of a copy whose
// memory was freed, if the allocator is the global one.
//
// An Array cannot be on galloc.GoHeap: see [String]. The rules of Vec hold otherwise. The memory is
// freed by FreeFunc of the outer collection:
//
//	groups.FreeFunc(func(_ *int, list *collections.Array[int]) { list.Free(nil) })
type Array[T any] struct {
	_   [0]useEqualOf[T]
	at  addr
	n   int
	cap int
}

// MakeArray returns an empty Array on a with capacity for at least n elements. It panics if n is
// negative.
func MakeArray[T any](a galloc.Allocator, n int) (Array[T], error) {
	var r Array[T]
	err := r.TryReserveExact(a, n)
	return r, err
}

// CollectArray returns an Array on a with the elements of seq.
func CollectArray[T any](a galloc.Allocator, seq iter.Seq[T]) (Array[T], error) {
	r := new(Array[T])
	done := false
	defer func() {
		if !done {
			r.Free(a)
		}
	}()
	if err := r.TryAppendSeq(a, seq); err != nil {
		return Array[T]{}, err
	}
	done = true
	return *r, nil
}

// all returns the elements, with the capacity of the array.
func (r *Array[T]) all() []T {
	checkUse(r.at)
	// SAFETY: the Array owns cap elements at the address.
	return unsafe.Slice((*T)(r.at.pointer()), r.cap)[:r.n]
}

// keep makes s, and its capacity, the array of r.
func (r *Array[T]) keep(s []T) { r.at, r.n, r.cap = addressOf(s), len(s), cap(s) }

// open returns a Vec with the array of r, which may allocate from a. The caller changes it and
// calls keep.
func (r *Array[T]) open(a galloc.Allocator) (Vec[T], error) {
	watch()
	if err := hidden(a); err != nil {
		return Vec[T]{}, err
	}
	return Vec[T]{alloc: usable(a), s: r.all()}, nil
}

// Len returns the number of elements.
func (r Array[T]) Len() int { return r.n }

// Cap returns the number of elements that fit without allocating.
func (r Array[T]) Cap() int { return r.cap }

// Slice returns the elements as a view, whose capacity is its length. It is valid until the Array
// grows, shrinks or is freed.
func (r Array[T]) Slice() []T { return r.all()[:r.n:r.n] }

// At returns element i. It panics if i is out of range.
func (r Array[T]) At(i int) T { return r.all()[i] }

// Set replaces element i. It panics if i is out of range.
func (r *Array[T]) Set(i int, x T) { r.all()[i] = x }

// Ptr returns a pointer to element i. It is valid as long as a view from Slice. Ptr panics if i is
// out of range.
func (r Array[T]) Ptr(i int) *T { return &r.all()[i] }

// Push adds x at the end, in amortized O(1).
func (r *Array[T]) Push(a galloc.Allocator, x T) {
	if r.n == r.cap {
		must(r.TryReserve(a, 1))
	}
	r.n++
	r.all()[r.n-1] = x
}

// TryPush is like Push but returns an error if memory runs out.
func (r *Array[T]) TryPush(a galloc.Allocator, x T) error {
	if r.n == r.cap {
		if err := r.TryReserve(a, 1); err != nil {
			return err
		}
	}
	r.n++
	r.all()[r.n-1] = x
	return nil
}

// Pop removes the last element and returns it; ok reports whether there was one.
func (r *Array[T]) Pop() (x T, ok bool) {
	if r.n == 0 {
		return x, false
	}
	x = r.all()[r.n-1]
	r.n--
	return x, true
}

// Append adds elements at the end. They may be a view of r.
func (r *Array[T]) Append(a galloc.Allocator, xs ...T) { must(r.TryAppend(a, xs...)) }

// TryAppend is like Append but returns an error if memory runs out. It adds all elements or none.
func (r *Array[T]) TryAppend(a galloc.Allocator, xs ...T) error {
	if len(xs) <= r.cap-r.n {
		r.keep(appendAll(r.all(), xs))
		return nil
	}
	v, err := r.open(a)
	if err == nil {
		err = v.appendGrown(xs)
		r.keep(v.s)
	}
	return err
}

// AppendSeq adds the elements of seq at the end. seq may read r but must not change it.
func (r *Array[T]) AppendSeq(a galloc.Allocator, seq iter.Seq[T]) {
	for x := range seq {
		r.Push(a, x)
	}
}

// TryAppendSeq is like AppendSeq but returns an error if memory runs out. It adds all elements or
// none.
func (r *Array[T]) TryAppendSeq(a galloc.Allocator, seq iter.Seq[T]) error {
	n := r.n
	for x := range seq {
		if err := r.TryPush(a, x); err != nil {
			r.n = n
			return err
		}
	}
	return nil
}

// Insert adds elements before element i, or at the end if i is Len, in O(Len-i+len(xs)). They may
// be a view of r. Insert panics if i is out of range.
func (r *Array[T]) Insert(a galloc.Allocator, i int, xs ...T) { must(r.TryInsert(a, i, xs...)) }

// TryInsert is like Insert but returns an error if memory runs out. It adds all elements or none.
func (r *Array[T]) TryInsert(a galloc.Allocator, i int, xs ...T) error {
	if i < 0 || i > r.n {
		panic(fmt.Sprintf("galloc/collections: Array.Insert: index %d out of range (length %d)", i, r.n))
	}
	v, err := r.open(a)
	if err == nil {
		err = v.TryInsert(i, xs...)
		r.keep(v.s)
	}
	return err
}

// Remove removes element i and returns it. Later elements move up, in O(Len-i). Remove panics if i
// is out of range.
func (r *Array[T]) Remove(i int) T {
	s := r.all()
	x := s[i]
	r.keep(deleteFrom(s, i, i+1))
	return x
}

// SwapRemove removes element i and returns it. The last element takes its place, in O(1).
// SwapRemove panics if i is out of range.
func (r *Array[T]) SwapRemove(i int) T {
	s := r.all()
	x := s[i]
	r.n--
	s[i] = s[r.n]
	return x
}

// DeleteFunc removes the elements for which del returns true and keeps the order of the others, in
// O(Len). del must not use r.
func (r *Array[T]) DeleteFunc(del func(T) bool) {
	v := Vec[T]{s: r.all()}
	defer func() { r.keep(v.s) }() // also if del panics
	v.DeleteFunc(del)
}

// Truncate removes the elements from index n on. It does nothing if there are at most n elements,
// and panics if n is negative.
func (r *Array[T]) Truncate(n int) {
	if n < 0 {
		panic(fmt.Sprintf("galloc/collections: Array.Truncate: negative length (%d)", n))
	}
	r.n = min(r.n, n)
}

// Resize changes the length to n. New elements are zero. It panics if n is negative.
func (r *Array[T]) Resize(a galloc.Allocator, n int) { must(r.TryResize(a, n)) }

// TryResize is like Resize but returns an error if memory runs out.
func (r *Array[T]) TryResize(a galloc.Allocator, n int) error {
	v, err := r.open(a)
	if err == nil {
		err = v.TryResize(n)
		r.keep(v.s)
	}
	return err
}

// Clear removes all elements and keeps the memory.
func (r *Array[T]) Clear() { r.n = 0 }

// Reserve ensures capacity for at least n more elements. If it must grow, it at least doubles the
// capacity, or as much of that as there is memory for. It panics if n is negative.
func (r *Array[T]) Reserve(a galloc.Allocator, n int) { must(r.TryReserve(a, n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (r *Array[T]) TryReserve(a galloc.Allocator, n int) error {
	v, err := r.open(a)
	if err == nil {
		err = v.TryReserve(n)
		r.keep(v.s)
	}
	return err
}

// ReserveExact ensures capacity for at least n more elements and requests no more. It panics if n
// is negative.
func (r *Array[T]) ReserveExact(a galloc.Allocator, n int) { must(r.TryReserveExact(a, n)) }

// TryReserveExact is like ReserveExact but returns an error if memory runs out.
func (r *Array[T]) TryReserveExact(a galloc.Allocator, n int) error {
	v, err := r.open(a)
	if err == nil {
		err = v.TryReserveExact(n)
		r.keep(v.s)
	}
	return err
}

// ShrinkToFit releases the memory that the elements do not need.
func (r *Array[T]) ShrinkToFit(a galloc.Allocator) { _ = r.TryShrinkToFit(a) }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a smaller
// array.
func (r *Array[T]) TryShrinkToFit(a galloc.Allocator) error {
	v, err := r.open(a)
	if err == nil {
		err = v.TryShrinkToFit()
		r.keep(v.s)
	}
	return err
}

// Clone returns a copy of r on a, which must be freed separately. Its capacity is exact.
func (r Array[T]) Clone(a galloc.Allocator) Array[T] { return mustValue(r.TryClone(a)) }

// TryClone is like Clone but returns an error if memory runs out.
func (r Array[T]) TryClone(a galloc.Allocator) (Array[T], error) {
	c, err := MakeArray[T](a, r.n)
	if err == nil {
		copyArray(c.all()[:r.n], r.all())
		c.n = r.n
	}
	return c, err
}

// All returns an iterator over indices and elements, in order. The loop may change r: elements
// added during the iteration are not visited.
func (r *Array[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i, n := 0, r.n; i < n && i < r.n; i++ {
			if !yield(i, r.At(i)) {
				return
			}
		}
	}
}

// Backward returns an iterator over indices and elements, from the last to the first. The loop may
// change r.
func (r *Array[T]) Backward() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := r.n - 1; i >= 0; i-- {
			if i < r.n && !yield(i, r.At(i)) {
				return
			}
		}
	}
}

// Values returns an iterator over the elements, in order, under the rules of All.
func (r *Array[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range r.All() {
			if !yield(x) {
				return
			}
		}
	}
}

// Equal reports whether r and o have the same elements in the same order, compared by ==.
func (r Array[T]) Equal(o Array[T]) bool { return r.EqualFunc(o, equal[T]) }

// EqualFunc reports whether r and o have the same length and eq returns true for each pair of
// elements.
func (r Array[T]) EqualFunc(o Array[T], eq func(T, T) bool) bool {
	return slices.EqualFunc(r.all(), o.all(), eq)
}

// String returns the elements as Format prints them by %v.
func (r Array[T]) String() string { return fmt.Sprint(r) }

// Format implements fmt.Formatter. It prints [1 2 3], and the verb applies to each element.
func (r Array[T]) Format(f fmt.State, verb rune) {
	formatValues(f, verb, r.n, slices.Values(r.all()))
}

// Free releases all memory to a, the allocator of r or an equivalent one. r is then empty and can
// be used again. All other copies of r are then invalid.
func (r *Array[T]) Free(a galloc.Allocator) {
	freeArray(a, r.all())
	*r = Array[T]{}
}

// FreeFunc calls free for each element, in order, and then frees r. free must not use r.
func (r *Array[T]) FreeFunc(a galloc.Allocator, free func(*T)) {
	v := Vec[T]{alloc: a, s: r.all()}
	defer func() { r.keep(v.s) }() // also if free panics
	v.FreeFunc(free)
}
