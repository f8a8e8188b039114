package collections

import (
	"fmt"
	"iter"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Deque is a queue with two ends, in a ring buffer. The zero value is empty, on galloc.Global. Pushing
// and popping at either end are amortised O(1), and so is any element by its index, which counts from the
// front. Views end when the Deque grows, shrinks, or is freed.
type Deque[T any] struct {
	_ noCopy
	a galloc.Allocator // nil means Global

	// The elements are the n from ring[head] on, going on at ring[0].
	//
	//	len(ring) == cap(ring); 0 <= n <= len(ring); 0 <= head < len(ring), or 0
	ring []T
	head int
	n    int
}

// NewDeque returns an empty Deque on a, or on galloc.Global if a is nil.
func NewDeque[T any](a galloc.Allocator) *Deque[T] { return &Deque[T]{a: a} }

// Len returns the number of elements.
func (d *Deque[T]) Len() int { return d.n }

// Cap returns the number of elements that there is room for.
func (d *Deque[T]) Cap() int { return len(d.ring) }

// place returns where in the ring the element at index i is, 0 <= i <= len(ring).
func (d *Deque[T]) place(i int) int {
	// The sum would overflow for elements of size 0.
	if k := len(d.ring) - d.head; i >= k {
		return i - k
	}
	return d.head + i
}

func (d *Deque[T]) check(i int) {
	if uint(i) >= uint(d.n) {
		panic(fmt.Sprintf("galloc/collections: Deque index %d of %d", i, d.n))
	}
}

// At returns the element at index i. It panics if i is out of range.
func (d *Deque[T]) At(i int) T {
	d.check(i)
	return d.ring[d.place(i)]
}

// Set replaces the element at index i. It panics if i is out of range.
func (d *Deque[T]) Set(i int, x T) {
	d.check(i)
	d.ring[d.place(i)] = x
}

// Slices returns the elements as two views, the second one following the first.
func (d *Deque[T]) Slices() (front, back []T) {
	if k := len(d.ring) - d.head; d.n > k {
		return d.ring[d.head:], d.ring[: d.n-k : d.n-k]
	}
	end := d.head + d.n
	return d.ring[d.head:end:end], nil
}

// PushBack adds x at the back.
func (d *Deque[T]) PushBack(x T) {
	if d.n == len(d.ring) {
		d.Reserve(1)
	}
	d.ring[d.place(d.n)] = x
	d.n++
}

// TryPushBack is PushBack that returns the error.
func (d *Deque[T]) TryPushBack(x T) error {
	if d.n == len(d.ring) {
		if err := d.TryReserve(1); err != nil {
			return err
		}
	}
	d.ring[d.place(d.n)] = x
	d.n++
	return nil
}

// PushFront adds x at the front: its index is 0, and that of all others one more than before.
func (d *Deque[T]) PushFront(x T) { must(d.TryPushFront(x)) }

// TryPushFront is PushFront that returns the error.
func (d *Deque[T]) TryPushFront(x T) error {
	if d.n == len(d.ring) {
		if err := d.TryReserve(1); err != nil {
			return err
		}
	}
	if d.head == 0 {
		d.head = len(d.ring)
	}
	d.head--
	d.ring[d.head] = x
	d.n++
	return nil
}

// Append adds elements at the back. They may be a view of d itself.
func (d *Deque[T]) Append(xs ...T) { must(d.TryAppend(xs...)) }

// TryAppend is Append that returns the error; all elements are added, or none.
func (d *Deque[T]) TryAppend(xs ...T) error {
	if len(xs) > len(d.ring)-d.n {
		if within(d.ring, xs) >= 0 {
			return d.appendOwn(xs)
		}
		if err := d.TryReserve(len(xs)); err != nil {
			return err
		}
	}
	d.write(xs)
	return nil
}

// appendOwn is TryAppend where xs is a view of d, and there is no room: the old array must live until
// xs has been copied.
func (d *Deque[T]) appendOwn(xs []T) error {
	n, err := sum[T](d.n, len(xs))
	if err != nil {
		return err
	}
	if len(d.ring) <= math.MaxInt/2 {
		n = max(n, 2*len(d.ring))
	}
	ring, err := growArray[T](d.a, nil, n)
	if err != nil {
		return err
	}
	front, back := d.Slices()
	e := Deque[T]{ring: ring[:cap(ring)]}
	e.write(front)
	e.write(back)
	e.write(xs)
	freeArray(d.a, d.ring)
	d.ring, d.head, d.n = e.ring, 0, e.n
	return nil
}

// Extend adds what seq produces at the back. seq may read d, but must not change it.
func (d *Deque[T]) Extend(seq iter.Seq[T]) { must(d.TryExtend(seq)) }

// TryExtend is Extend that returns the error; then none of what seq has produced is added.
func (d *Deque[T]) TryExtend(seq iter.Seq[T]) error {
	n := d.n
	for x := range seq {
		if err := d.TryPushBack(x); err != nil {
			d.n = n
			return err
		}
	}
	return nil
}

// write adds xs at the back, where there is room for it.
func (d *Deque[T]) write(xs []T) {
	var v T
	if unsafe.Sizeof(v) != 0 && len(xs) != 0 {
		k := copy(d.ring[d.place(d.n):], xs)
		copy(d.ring, xs[k:])
	}
	d.n += len(xs)
}

// PopBack removes the last element and returns it; ok is false if there is none.
func (d *Deque[T]) PopBack() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	d.n--
	return d.ring[d.place(d.n)], true
}

// PopFront removes the first element and returns it; ok is false if there is none.
func (d *Deque[T]) PopFront() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	x = d.ring[d.head]
	d.n--
	if d.head++; d.head == len(d.ring) {
		d.head = 0
	}
	return x, true
}

// Front returns the first element; ok is false if there is none.
func (d *Deque[T]) Front() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	return d.ring[d.head], true
}

// Back returns the last element; ok is false if there is none.
func (d *Deque[T]) Back() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	return d.ring[d.place(d.n-1)], true
}

// Clear removes all elements and keeps the memory.
func (d *Deque[T]) Clear() { d.head, d.n = 0, 0 }

// Reserve makes room for additional more elements, and for more than that where it has to allocate.
func (d *Deque[T]) Reserve(additional int) { must(d.TryReserve(additional)) }

// TryReserve is Reserve that returns the error.
func (d *Deque[T]) TryReserve(additional int) error {
	if additional >= 0 && additional <= len(d.ring)-d.n {
		return nil
	}
	need, err := sum[T](d.n, additional)
	if err != nil {
		return err
	}
	ring, err := growArray(d.a, d.ring, need-len(d.ring))
	if err == nil {
		d.unwrap(ring)
	}
	return err
}

// ReserveExact makes room for additional more elements, and asks the allocator for no more.
func (d *Deque[T]) ReserveExact(additional int) { must(d.TryReserveExact(additional)) }

// TryReserveExact is ReserveExact that returns the error.
func (d *Deque[T]) TryReserveExact(additional int) error {
	if additional >= 0 && additional <= len(d.ring)-d.n {
		return nil
	}
	need, err := sum[T](d.n, additional)
	if err != nil {
		return err
	}
	ring, err := resizeArray(d.a, d.ring, need)
	if err == nil {
		d.unwrap(ring)
	}
	return err
}

// unwrap makes ring the ring: the old one with places added at its end. Elements that went on at the
// front of the old one go on in the new places, or those up to its end move to the new end: whichever
// are fewer.
func (d *Deque[T]) unwrap(ring []T) {
	old := len(d.ring)
	d.ring = ring[:cap(ring)]
	first := old - d.head // elements up to the old end
	if d.n <= first {
		return
	}
	rest := d.n - first
	if rest <= first && rest <= len(d.ring)-old {
		copy(d.ring[old:], d.ring[:rest])
		return
	}
	head := len(d.ring) - first
	copy(d.ring[head:], d.ring[d.head:old])
	d.head = head
}

// ShrinkToFit gives back the room that the elements do not need. If the allocator has no smaller
// block, all stays as it is. It copies the elements.
func (d *Deque[T]) ShrinkToFit() {
	if d.n == len(d.ring) {
		return
	}
	c, err := d.TryClone()
	if err != nil || len(c.ring) >= len(d.ring) {
		if err == nil {
			c.Free()
		}
		return
	}
	freeArray(d.a, d.ring)
	d.ring, d.head, d.n = c.ring, c.head, c.n
}

// Clone returns a copy of d, on the same allocator, with room for no more than the elements.
func (d *Deque[T]) Clone() *Deque[T] { return galloc.Must(d.TryClone()) }

// TryClone is Clone that returns the error.
func (d *Deque[T]) TryClone() (*Deque[T], error) {
	c := NewDeque[T](d.a)
	if err := c.TryReserveExact(d.n); err != nil {
		return nil, err
	}
	front, back := d.Slices()
	c.write(front)
	c.write(back)
	return c, nil
}

// All returns the indices and elements from front to back. If d is changed meanwhile, it goes on with the
// element that has the next index by then, up to as many as there were at first.
func (d *Deque[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i, n := 0, d.n; i < n && i < d.n; i++ {
			if !yield(i, d.ring[d.place(i)]) {
				return
			}
		}
	}
}

// Backward is All from back to front.
func (d *Deque[T]) Backward() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := d.n - 1; i >= 0; i-- {
			if i < d.n && !yield(i, d.ring[d.place(i)]) {
				return
			}
		}
	}
}

// Values returns the elements from front to back.
func (d *Deque[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range d.All() {
			if !yield(x) {
				return
			}
		}
	}
}

// Free gives back the memory. d is then empty and can be used again.
func (d *Deque[T]) Free() {
	freeArray(d.a, d.ring)
	d.ring, d.head, d.n = nil, 0, 0
}

// FreeFunc calls free for each element, from front to back, and gives back the memory.
func (d *Deque[T]) FreeFunc(free func(*T)) {
	for i := range d.n {
		free(&d.ring[d.place(i)])
	}
	d.Free()
}
