package collections

import (
	"fmt"
	"iter"
	"slices"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Vec is a growing array, as a Go slice with append or Rust's Vec. The zero value is empty and
// allocates from galloc.Global.
//
// Slice is the way to read and write elements: it costs nothing, and package slices works on it. A
// view is valid until the Vec grows, shrinks or is freed.
//
//	slices.Sort(v.Slice())
//	v.Truncate(len(slices.Compact(v.Slice())))
type Vec[T any] struct {
	_     block.NoCopy
	alloc galloc.Allocator // nil means Global
	s     []T              // cap(s) == 0, or the array comes from resizeArray on alloc
}

// NewVec returns an empty Vec that allocates from a, or from galloc.Global if a is nil.
func NewVec[T any](a galloc.Allocator) *Vec[T] { return &Vec[T]{alloc: usable(a)} }

// MakeVec returns an empty Vec on a with capacity for at least n elements. It panics if n is
// negative.
func MakeVec[T any](a galloc.Allocator, n int) (*Vec[T], error) {
	v := NewVec[T](a)
	return filled(v, func() error { return v.TryReserveExact(n) })
}

// CollectVec returns a Vec on a with the elements of seq.
func CollectVec[T any](a galloc.Allocator, seq iter.Seq[T]) (*Vec[T], error) {
	v := NewVec[T](a)
	return filled(v, func() error { return v.TryAppendSeq(seq) })
}

// Len returns the number of elements.
func (v *Vec[T]) Len() int { return len(v.s) }

// Cap returns the number of elements that fit without allocating. If elements have size 0, it is
// math.MaxInt after the first insertion.
func (v *Vec[T]) Cap() int { return cap(v.s) }

// Slice returns the elements as a view. Its capacity is its length, so an append to the view
// allocates on the Go heap and does not change v.
func (v *Vec[T]) Slice() []T { return v.s[:len(v.s):len(v.s)] }

// At returns element i. It panics if i is out of range.
func (v *Vec[T]) At(i int) T { return v.s[i] }

// Set replaces element i. It panics if i is out of range.
func (v *Vec[T]) Set(i int, x T) { v.s[i] = x }

// Ptr returns a pointer to element i. It is valid until v grows, shrinks or is freed. Ptr panics if
// i is out of range.
func (v *Vec[T]) Ptr(i int) *T { return &v.s[i] }

// Push adds x at the end, in amortized O(1).
func (v *Vec[T]) Push(x T) {
	if len(v.s) == cap(v.s) {
		v.grow()
	}
	v.s = append(v.s, x) // has room, and does not allocate
}

func (v *Vec[T]) grow() { must(v.TryReserve(1)) }

// TryPush is like Push but returns an error if memory runs out.
func (v *Vec[T]) TryPush(x T) error {
	if len(v.s) == cap(v.s) {
		if err := v.TryReserve(1); err != nil {
			return err
		}
	}
	v.s = v.s[:len(v.s)+1]
	v.s[len(v.s)-1] = x
	return nil
}

// Pop removes the last element and returns it; ok reports whether there was one.
func (v *Vec[T]) Pop() (x T, ok bool) {
	n := len(v.s) - 1
	if n < 0 {
		return x, false
	}
	x = v.s[n]
	v.s = v.s[:n]
	return x, true
}

// Append adds elements at the end. They may be a view of v.
func (v *Vec[T]) Append(xs ...T) {
	if len(xs) > cap(v.s)-len(v.s) {
		must(v.appendGrown(xs))
		return
	}
	v.s = appendAll(v.s, xs)
}

// TryAppend is like Append but returns an error if memory runs out. It adds all elements or none.
func (v *Vec[T]) TryAppend(xs ...T) error {
	if len(xs) > cap(v.s)-len(v.s) {
		return v.appendGrown(xs)
	}
	v.s = appendAll(v.s, xs)
	return nil
}

// appendGrown is TryAppend for elements that do not fit. If xs is a part of v, it is copied from
// the new array, because the old one has been freed.
func (v *Vec[T]) appendGrown(xs []T) error {
	from := within(v.s, xs)
	if err := v.TryReserve(len(xs)); err != nil {
		return err
	}
	if from >= 0 {
		xs = v.s[from : from+len(xs)]
	}
	v.s = appendAll(v.s, xs)
	return nil
}

// AppendSeq adds the elements of seq at the end. seq may read v but must not change it.
func (v *Vec[T]) AppendSeq(seq iter.Seq[T]) {
	for x := range seq {
		v.Push(x)
	}
}

// TryAppendSeq is like AppendSeq but returns an error if memory runs out. It adds all elements or
// none.
func (v *Vec[T]) TryAppendSeq(seq iter.Seq[T]) error {
	n := len(v.s)
	for x := range seq {
		if err := v.TryPush(x); err != nil {
			v.s = v.s[:n]
			return err
		}
	}
	return nil
}

// Insert adds elements before element i, or at the end if i is Len, in O(Len-i+len(xs)). They may
// be a view of v. Insert panics if i is out of range.
func (v *Vec[T]) Insert(i int, xs ...T) { must(v.TryInsert(i, xs...)) }

// TryInsert is like Insert but returns an error if memory runs out. It adds all elements or none.
func (v *Vec[T]) TryInsert(i int, xs ...T) error {
	n, k := len(v.s), len(xs)
	if i < 0 || i > n {
		panic(fmt.Sprintf("galloc/collections: Vec.Insert: index %d out of range (length %d)", i, n))
	}
	from := within(v.s, xs)
	if k > cap(v.s)-n {
		if err := v.TryReserve(k); err != nil {
			return err
		}
	}
	v.s = v.s[:n+k]
	copyArray(v.s[i+k:], v.s[i:n])
	if from < 0 {
		copyArray(v.s[i:i+k], xs)
		return nil
	}
	// xs is a part of v. Its elements before i are in their place; the others have moved by k.
	before := min(max(i-from, 0), k)
	copyArray(v.s[i:i+before], v.s[from:from+before])
	copyArray(v.s[i+before:i+k], v.s[from+before+k:from+k+k])
	return nil
}

// Remove removes element i and returns it. Later elements move up, in O(Len-i). Remove panics if i
// is out of range.
func (v *Vec[T]) Remove(i int) T {
	x := v.s[i]
	v.s = deleteFrom(v.s, i, i+1)
	return x
}

// SwapRemove removes element i and returns it. The last element takes its place, in O(1).
// SwapRemove panics if i is out of range.
func (v *Vec[T]) SwapRemove(i int) T {
	x := v.s[i]
	n := len(v.s) - 1
	v.s[i] = v.s[n]
	v.s = v.s[:n]
	return x
}

// DeleteFunc removes the elements for which del returns true and keeps the order of the others, in
// O(Len). del must not use v.
func (v *Vec[T]) DeleteFunc(del func(T) bool) {
	kept, i := 0, 0
	// Deferred, so that a panic of del leaves no element twice.
	defer func() { v.s = deleteFrom(v.s, kept, i) }()
	for ; i < len(v.s); i++ {
		if x := v.s[i]; !del(x) {
			v.s[kept] = x
			kept++
		}
	}
}

// Truncate removes the elements from index n on. It does nothing if there are at most n elements,
// and panics if n is negative.
func (v *Vec[T]) Truncate(n int) {
	if n < 0 {
		panic(fmt.Sprintf("galloc/collections: Vec.Truncate: negative length (%d)", n))
	}
	if n < len(v.s) {
		v.s = v.s[:n]
	}
}

// Resize changes the length to n. It adds zero elements at the end, or removes the elements from
// index n on and keeps their memory. If the allocator knows that memory is zero, Resize does not
// write to it. It panics if n is negative.
func (v *Vec[T]) Resize(n int) { must(v.TryResize(n)) }

// TryResize is like Resize but returns an error if memory runs out.
func (v *Vec[T]) TryResize(n int) error {
	had, capacity := len(v.s), cap(v.s)
	switch {
	case n < 0:
		panic(fmt.Sprintf("galloc/collections: Vec.Resize: negative length (%d)", n))
	case n > capacity:
		s, err := growArrayBy(galloc.GrowZeroed, v.alloc, v.s, n-had)
		if err != nil {
			return err
		}
		v.s = s
	}
	v.s = v.s[:n]
	if dirty := min(n, capacity); dirty > had { // not zeroed by GrowZeroed
		clearArray(v.s[had:dirty])
	}
	return nil
}

// Clear removes all elements and keeps the memory.
func (v *Vec[T]) Clear() { v.s = v.s[:0] }

// Reserve ensures capacity for at least n more elements. If it must grow, it at least doubles the
// capacity, or as much of that as there is memory for. It panics if n is negative.
func (v *Vec[T]) Reserve(n int) { must(v.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (v *Vec[T]) TryReserve(n int) error {
	if n >= 0 && n <= cap(v.s)-len(v.s) {
		return nil
	}
	s, err := growArray(v.alloc, v.s, n)
	if err == nil {
		v.s = s
	}
	return err
}

// ReserveExact ensures capacity for at least n more elements and requests no more. It panics if n
// is negative.
func (v *Vec[T]) ReserveExact(n int) { must(v.TryReserveExact(n)) }

// TryReserveExact is like ReserveExact but returns an error if memory runs out.
func (v *Vec[T]) TryReserveExact(n int) error {
	if n >= 0 && n <= cap(v.s)-len(v.s) {
		return nil
	}
	need, err := sum[T](len(v.s), n)
	if err != nil {
		return err
	}
	s, err := resizeArray(v.alloc, v.s, need)
	if err == nil {
		v.s = s
	}
	return err
}

// ShrinkToFit releases the memory that the elements do not need.
func (v *Vec[T]) ShrinkToFit() { _ = v.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a smaller
// array.
func (v *Vec[T]) TryShrinkToFit() error {
	s, err := resizeArray(v.alloc, v.s, len(v.s))
	if err == nil {
		v.s = s
	}
	return err
}

// Clone returns a copy of v on the same allocator. The capacity of the copy is exact.
func (v *Vec[T]) Clone() *Vec[T] { return mustValue(v.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (v *Vec[T]) TryClone() (*Vec[T], error) {
	c := NewVec[T](v.alloc)
	if err := c.TryReserveExact(len(v.s)); err != nil {
		return nil, err
	}
	c.s = c.s[:len(v.s)]
	copyArray(c.s, v.s)
	return c, nil
}

// All returns an iterator over indices and elements, in order. The loop may change v: elements
// added during the iteration are not visited.
func (v *Vec[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i, n := 0, len(v.s); i < n && i < len(v.s); i++ {
			if !yield(i, v.s[i]) {
				return
			}
		}
	}
}

// Backward returns an iterator over indices and elements, from the last to the first. The loop may
// change v.
func (v *Vec[T]) Backward() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := len(v.s) - 1; i >= 0; i-- {
			if i < len(v.s) && !yield(i, v.s[i]) {
				return
			}
		}
	}
}

// Values returns an iterator over the elements, in order, under the rules of All.
func (v *Vec[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range v.All() {
			if !yield(x) {
				return
			}
		}
	}
}

// Equal reports whether v and w have the same elements in the same order, compared by ==.
func (v *Vec[T]) Equal(w *Vec[T]) bool { return v.EqualFunc(w, equal[T]) }

// EqualFunc reports whether v and w have the same length and eq returns true for each pair of
// elements.
func (v *Vec[T]) EqualFunc(w *Vec[T], eq func(T, T) bool) bool {
	return slices.EqualFunc(v.s, w.s, eq)
}

// String returns the elements as Format prints them by %v.
func (v *Vec[T]) String() string { return fmt.Sprint(v) }

// Format implements fmt.Formatter. It prints [1 2 3], and the verb applies to each element.
func (v *Vec[T]) Format(f fmt.State, verb rune) { formatValues(f, verb, len(v.s), v.Values()) }

// Free releases all memory. v is then empty and can be used again.
func (v *Vec[T]) Free() {
	freeArray(v.alloc, v.s)
	v.s = nil
}

// FreeFunc calls free for each element, in order, and then frees v.
func (v *Vec[T]) FreeFunc(free func(*T)) {
	done := 0
	// Deferred, so that a panic of free leaves the elements after the current one.
	defer func() { v.s = deleteFrom(v.s, 0, min(done, len(v.s))) }()
	for done < len(v.s) {
		done++
		free(&v.s[done-1])
	}
	v.Free()
}
