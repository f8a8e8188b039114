package collections

import (
	"fmt"
	"iter"

	"github.com/galloc-go/galloc"
)

// Vec is an array that grows: Go's append off the Go heap, Rust's Vec. The zero value is empty, on
// galloc.Global.
//
// Slice is the way to read and write the elements: it costs nothing, and the slice is as fast as any.
// A view ends when the Vec grows, shrinks, or is freed.
//
// What package slices does in place is done on the view, and Truncate makes the Vec as long as the result:
//
//	v.Truncate(len(slices.DeleteFunc(v.Slice(), done)))
type Vec[T any] struct {
	_ noCopy
	a galloc.Allocator // nil means Global
	s []T              // cap(s) == 0, or the array comes from resizeArray on a
}

// NewVec returns an empty Vec on a, or on galloc.Global if a is nil. It allocates nothing off the
// Go heap.
func NewVec[T any](a galloc.Allocator) *Vec[T] { return &Vec[T]{a: a} }

// Len returns the number of elements.
func (v *Vec[T]) Len() int { return len(v.s) }

// Cap returns the number of elements that there is room for. It is math.MaxInt for elements of
// size 0 once there was one.
func (v *Vec[T]) Cap() int { return cap(v.s) }

// Slice returns the elements, as a view. Its capacity is its length, so that an append to it goes to
// the Go heap and leaves v alone.
func (v *Vec[T]) Slice() []T { return v.s[:len(v.s):len(v.s)] }

// At returns the element at index i. It panics if i is out of range, as a slice does.
func (v *Vec[T]) At(i int) T { return v.s[i] }

// Set replaces the element at index i.
func (v *Vec[T]) Set(i int, x T) { v.s[i] = x }

// Push adds x behind the last element, in amortised O(1).
func (v *Vec[T]) Push(x T) {
	if len(v.s) == cap(v.s) {
		v.grow()
	}
	v.s = append(v.s, x) // it has the room, and so it never allocates
}

func (v *Vec[T]) grow() { must(v.TryReserve(1)) }

// TryPush is Push that returns the error.
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

// Pop removes the last element and returns it; ok is false if there is none.
func (v *Vec[T]) Pop() (x T, ok bool) {
	n := len(v.s) - 1
	if n < 0 {
		return x, false
	}
	x = v.s[n]
	v.s = v.s[:n]
	return x, true
}

// Append adds elements behind the last one. They may be a view of v itself.
func (v *Vec[T]) Append(xs ...T) {
	if len(xs) > cap(v.s)-len(v.s) {
		must(v.appendGrown(xs))
		return
	}
	v.s = append(v.s, xs...)
}

// TryAppend is Append that returns the error; all elements are added, or none.
func (v *Vec[T]) TryAppend(xs ...T) error {
	if len(xs) > cap(v.s)-len(v.s) {
		return v.appendGrown(xs)
	}
	v.s = append(v.s, xs...)
	return nil
}

// appendGrown is TryAppend where there is no room. If xs is a part of v, it is copied from the new
// array, where it is as well, as the old one is given back by then.
func (v *Vec[T]) appendGrown(xs []T) error {
	from := within(v.s, xs)
	if err := v.TryReserve(len(xs)); err != nil {
		return err
	}
	if from >= 0 {
		xs = v.s[from : from+len(xs)]
	}
	v.s = append(v.s, xs...)
	return nil
}

// Extend adds what seq produces. seq may read v, but must not change it.
func (v *Vec[T]) Extend(seq iter.Seq[T]) {
	for x := range seq {
		v.Push(x)
	}
}

// TryExtend is Extend that returns the error; then none of what seq has produced is added.
func (v *Vec[T]) TryExtend(seq iter.Seq[T]) error {
	n := len(v.s)
	for x := range seq {
		if err := v.TryPush(x); err != nil {
			v.s = v.s[:n]
			return err
		}
	}
	return nil
}

// Insert puts elements in front of the one at index i, or behind the last one if i is Len, in
// O(Len-i+len(xs)). They may be a view of v itself. It panics if i is out of range.
func (v *Vec[T]) Insert(i int, xs ...T) { must(v.TryInsert(i, xs...)) }

// TryInsert is Insert that returns the error.
func (v *Vec[T]) TryInsert(i int, xs ...T) error {
	n, k := len(v.s), len(xs)
	if i < 0 || i > n {
		panic(fmt.Sprintf("galloc/collections: Insert at %d of %d", i, n))
	}
	from := within(v.s, xs)
	if k > cap(v.s)-n {
		if err := v.TryReserve(k); err != nil {
			return err
		}
	}
	v.s = v.s[:n+k]
	copy(v.s[i+k:], v.s[i:n])
	if from < 0 {
		copy(v.s[i:], xs)
		return nil
	}
	// What was in front of i is where it was, the rest has moved by k.
	before := min(max(i-from, 0), k)
	copy(v.s[i:], v.s[from:from+before])
	copy(v.s[i+before:i+k], v.s[from+before+k:])
	return nil
}

// Remove removes the element at index i and returns it; those behind it move up, in O(Len-i). It
// panics if i is out of range.
func (v *Vec[T]) Remove(i int) T {
	x := v.s[i]
	v.s = append(v.s[:i], v.s[i+1:]...)
	return x
}

// SwapRemove removes the element at index i and returns it; the last one takes its place, in O(1).
// It panics if i is out of range.
func (v *Vec[T]) SwapRemove(i int) T {
	x := v.s[i]
	n := len(v.s) - 1
	v.s[i] = v.s[n]
	v.s = v.s[:n]
	return x
}

// Truncate removes all elements from index n on. It does nothing if there are no more than n, and
// panics if n is negative.
func (v *Vec[T]) Truncate(n int) {
	if n < len(v.s) {
		v.s = v.s[:n]
	}
}

// Clear removes all elements and keeps the memory.
func (v *Vec[T]) Clear() { v.s = v.s[:0] }

// Reserve makes room for additional more elements, and for more than that where it has to allocate.
func (v *Vec[T]) Reserve(additional int) { must(v.TryReserve(additional)) }

// TryReserve is Reserve that returns the error.
func (v *Vec[T]) TryReserve(additional int) error {
	if additional >= 0 && additional <= cap(v.s)-len(v.s) {
		return nil
	}
	s, err := growArray(v.a, v.s, additional)
	if err == nil {
		v.s = s
	}
	return err
}

// ReserveExact makes room for additional more elements, and asks the allocator for no more.
func (v *Vec[T]) ReserveExact(additional int) { must(v.TryReserveExact(additional)) }

// TryReserveExact is ReserveExact that returns the error.
func (v *Vec[T]) TryReserveExact(additional int) error {
	if additional >= 0 && additional <= cap(v.s)-len(v.s) {
		return nil
	}
	n, err := sum[T](len(v.s), additional)
	if err != nil {
		return err
	}
	s, err := resizeArray(v.a, v.s, n)
	if err == nil {
		v.s = s
	}
	return err
}

// ShrinkToFit gives back the room that the elements do not need. If the allocator cannot give a
// smaller block, all stays as it is.
func (v *Vec[T]) ShrinkToFit() {
	if s, err := resizeArray(v.a, v.s, len(v.s)); err == nil {
		v.s = s
	}
}

// Clone returns a copy of v, on the same allocator, with room for no more than the elements.
func (v *Vec[T]) Clone() *Vec[T] { return galloc.Must(v.TryClone()) }

// TryClone is Clone that returns the error.
func (v *Vec[T]) TryClone() (*Vec[T], error) {
	c := NewVec[T](v.a)
	if err := c.TryReserveExact(len(v.s)); err != nil {
		return nil, err
	}
	c.s = append(c.s, v.s...)
	return c, nil
}

// All returns the indices and elements in order, as slices.All does of v.Slice(); what is added to v
// meanwhile is not seen.
func (v *Vec[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i, n := 0, len(v.s); i < n && i < len(v.s); i++ {
			if !yield(i, v.s[i]) {
				return
			}
		}
	}
}

// Backward is All from the last element to the first.
func (v *Vec[T]) Backward() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := len(v.s) - 1; i >= 0; i-- {
			if i < len(v.s) && !yield(i, v.s[i]) {
				return
			}
		}
	}
}

// Values returns the elements in order.
func (v *Vec[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range v.All() {
			if !yield(x) {
				return
			}
		}
	}
}

// Free gives back the memory. v is then empty and can be used again.
func (v *Vec[T]) Free() {
	freeArray(v.a, v.s)
	v.s = nil
}

// FreeFunc calls free for each element, in order, and gives back the memory.
func (v *Vec[T]) FreeFunc(free func(*T)) {
	for i := range v.s {
		free(&v.s[i])
	}
	v.Free()
}
