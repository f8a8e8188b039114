package collections

import (
	"fmt"
	"iter"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Deque is a double-ended queue in a ring buffer. The zero value is empty and allocates from
// galloc.Global. Pushing and popping at either end take amortized O(1), and reading an element by
// its index, which counts from the front, takes O(1). A view is valid until the Deque grows,
// shrinks or is freed.
type Deque[T any] struct {
	_     block.NoCopy
	alloc galloc.Allocator // nil means Global

	// The elements are the n from ring[head] on; after the end of ring they continue at ring[0].
	//
	//	len(ring) == cap(ring); 0 <= n <= len(ring); 0 <= head < len(ring), or 0
	ring []T
	head int
	n    int
}

// NewDeque returns an empty Deque that allocates from a, or from galloc.Global if a is nil.
func NewDeque[T any](a galloc.Allocator) *Deque[T] { return &Deque[T]{alloc: usable(a)} }

// MakeDeque returns an empty Deque on a with capacity for at least n elements. It panics if n is
// negative.
func MakeDeque[T any](a galloc.Allocator, n int) (*Deque[T], error) {
	d := NewDeque[T](a)
	return filled(d, func() error { return d.TryReserveExact(n) })
}

// CollectDeque returns a Deque on a with the elements of seq.
func CollectDeque[T any](a galloc.Allocator, seq iter.Seq[T]) (*Deque[T], error) {
	d := NewDeque[T](a)
	return filled(d, func() error { return d.TryAppendSeq(seq) })
}

// Len returns the number of elements.
func (d *Deque[T]) Len() int { return d.n }

// Cap returns the number of elements that fit without allocating.
func (d *Deque[T]) Cap() int { return len(d.ring) }

// place returns the index in the ring of element i, 0 <= i <= len(ring).
func (d *Deque[T]) place(i int) int {
	// The sum would overflow for elements of size 0.
	if k := len(d.ring) - d.head; i >= k {
		return i - k
	}
	return d.head + i
}

func (d *Deque[T]) check(i int) {
	if uint(i) >= uint(d.n) {
		panic(fmt.Sprintf("galloc/collections: Deque: index %d out of range (length %d)", i, d.n))
	}
}

// At returns element i. It panics if i is out of range.
func (d *Deque[T]) At(i int) T {
	d.check(i)
	return d.ring[d.place(i)]
}

// Set replaces element i. It panics if i is out of range.
func (d *Deque[T]) Set(i int, x T) {
	d.check(i)
	d.ring[d.place(i)] = x
}

// Ptr returns a pointer to element i. It is valid until the next call that adds or removes
// elements, or frees d. Ptr panics if i is out of range.
func (d *Deque[T]) Ptr(i int) *T {
	d.check(i)
	return &d.ring[d.place(i)]
}

// Swap swaps elements i and j. It panics if either is out of range.
func (d *Deque[T]) Swap(i, j int) {
	p, q := d.Ptr(i), d.Ptr(j)
	*p, *q = *q, *p
}

// Slices returns the elements as two views: the elements of back follow the elements of front.
func (d *Deque[T]) Slices() (front, back []T) {
	if k := len(d.ring) - d.head; d.n > k {
		return d.ring[d.head:], d.ring[: d.n-k : d.n-k]
	}
	end := d.head + d.n
	return d.ring[d.head:end:end], nil
}

// PushBack adds x at the back, in amortized O(1).
func (d *Deque[T]) PushBack(x T) {
	if d.n == len(d.ring) {
		d.Reserve(1)
	}
	d.ring[d.place(d.n)] = x
	d.n++
}

// TryPushBack is like PushBack but returns an error if memory runs out.
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

// PushFront adds x at the front, as element 0, in amortized O(1).
func (d *Deque[T]) PushFront(x T) { must(d.TryPushFront(x)) }

// TryPushFront is like PushFront but returns an error if memory runs out.
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

// Append adds elements at the back. They may be a view of d.
func (d *Deque[T]) Append(xs ...T) { must(d.TryAppend(xs...)) }

// TryAppend is like Append but returns an error if memory runs out. It adds all elements or none.
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

// appendOwn is TryAppend for a view of d that does not fit. It frees the old array after it has
// copied xs.
func (d *Deque[T]) appendOwn(xs []T) error {
	n, err := sum[T](d.n, len(xs))
	if err != nil {
		return err
	}
	want := n
	if len(d.ring) <= math.MaxInt/2 {
		want = max(n, 2*len(d.ring))
	}
	ring, err := resizeBetween[T](d.alloc, nil, n, want)
	if err != nil {
		return err
	}
	front, back := d.Slices()
	e := Deque[T]{ring: ring[:cap(ring)]}
	e.write(front)
	e.write(back)
	e.write(xs)
	freeArray(d.alloc, d.ring)
	d.ring, d.head, d.n = e.ring, 0, e.n
	return nil
}

// AppendSeq adds the elements of seq at the back. seq may read d but must not change it.
func (d *Deque[T]) AppendSeq(seq iter.Seq[T]) { must(d.TryAppendSeq(seq)) }

// TryAppendSeq is like AppendSeq but returns an error if memory runs out. It adds all elements or
// none.
func (d *Deque[T]) TryAppendSeq(seq iter.Seq[T]) error {
	n := d.n
	for x := range seq {
		if err := d.TryPushBack(x); err != nil {
			d.n = n
			return err
		}
	}
	return nil
}

// write adds xs at the back. The caller has reserved room.
func (d *Deque[T]) write(xs []T) {
	var v T
	if unsafe.Sizeof(v) != 0 && len(xs) != 0 {
		end := d.ring[d.place(d.n):]
		k := min(len(end), len(xs))
		copyArray(end[:k], xs[:k])
		copyArray(d.ring[:len(xs)-k], xs[k:])
	}
	d.n += len(xs)
}

// Insert adds elements before element i, or at the back if i is Len. They may be a view of d. It
// moves the elements on the shorter side, in O(min(i, Len-i)+len(xs)). Insert panics if i is out of
// range.
func (d *Deque[T]) Insert(i int, xs ...T) { must(d.TryInsert(i, xs...)) }

// TryInsert is like Insert but returns an error if memory runs out. It adds all elements or none.
func (d *Deque[T]) TryInsert(i int, xs ...T) error {
	n, k := d.n, len(xs)
	if i < 0 || i > n {
		panic(fmt.Sprintf("galloc/collections: Deque.Insert: index %d out of range (length %d)", i, n))
	}
	// The new elements go to one end of the old ones, where they overwrite no part of xs, and then
	// change places with the elements that they must precede or follow.
	if i < n-i && k <= len(d.ring)-n {
		d.head, d.n = d.place(len(d.ring)-k), 0
		d.write(xs)
		d.n = n + k
		d.rotate(0, k, k+i)
		return nil
	}
	if err := d.TryAppend(xs...); err != nil {
		return err
	}
	d.rotate(i, n, n+k)
	return nil
}

// rotate exchanges elements [i, j) with elements [j, k), and keeps the order of both.
func (d *Deque[T]) rotate(i, j, k int) {
	d.reverse(i, j)
	d.reverse(j, k)
	d.reverse(i, k)
}

// reverse reverses the order of elements [i, j).
func (d *Deque[T]) reverse(i, j int) {
	var v T
	if unsafe.Sizeof(v) == 0 {
		return // there may be more elements than a loop can visit
	}
	for j--; i < j; i, j = i+1, j-1 {
		d.Swap(i, j)
	}
}

// Remove removes element i and returns it. It moves the elements on the shorter side, in O(min(i,
// Len-i)). Remove panics if i is out of range.
func (d *Deque[T]) Remove(i int) T {
	x := d.At(i)
	if i < d.n/2 {
		for ; i > 0; i-- {
			d.ring[d.place(i)] = d.ring[d.place(i-1)]
		}
		d.PopFront()
		return x
	}
	for ; i < d.n-1; i++ {
		d.ring[d.place(i)] = d.ring[d.place(i+1)]
	}
	d.n--
	return x
}

// DeleteFunc removes the elements for which del returns true and keeps the order of the others, in
// O(Len). del must not use d.
func (d *Deque[T]) DeleteFunc(del func(T) bool) {
	kept, i := 0, 0
	keep := func() {
		d.ring[d.place(kept)] = d.ring[d.place(i)]
		kept++
	}
	defer func() { // so that a panic of del leaves no element twice
		for ; i < d.n; i++ {
			keep()
		}
		d.n = kept
	}()
	for ; i < d.n; i++ {
		if !del(d.ring[d.place(i)]) {
			keep()
		}
	}
}

// PopBack removes the last element and returns it; ok reports whether there was one.
func (d *Deque[T]) PopBack() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	d.n--
	return d.ring[d.place(d.n)], true
}

// PopFront removes the first element and returns it; ok reports whether there was one.
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

// Front returns the first element; ok reports whether there is one.
func (d *Deque[T]) Front() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	return d.ring[d.head], true
}

// Back returns the last element; ok reports whether there is one.
func (d *Deque[T]) Back() (x T, ok bool) {
	if d.n == 0 {
		return x, false
	}
	return d.ring[d.place(d.n-1)], true
}

// Clear removes all elements and keeps the memory.
func (d *Deque[T]) Clear() { d.head, d.n = 0, 0 }

// Reserve ensures capacity for at least n more elements. If it must grow, it at least doubles the
// capacity, or as much of that as there is memory for. It panics if n is negative.
func (d *Deque[T]) Reserve(n int) { must(d.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (d *Deque[T]) TryReserve(n int) error {
	if n >= 0 && n <= len(d.ring)-d.n {
		return nil
	}
	need, err := sum[T](d.n, n)
	if err != nil {
		return err
	}
	ring, err := growArray(d.alloc, d.ring, need-len(d.ring))
	if err == nil {
		d.unwrap(ring)
	}
	return err
}

// ReserveExact ensures capacity for at least n more elements and requests no more. It panics if n
// is negative.
func (d *Deque[T]) ReserveExact(n int) { must(d.TryReserveExact(n)) }

// TryReserveExact is like ReserveExact but returns an error if memory runs out.
func (d *Deque[T]) TryReserveExact(n int) error {
	if n >= 0 && n <= len(d.ring)-d.n {
		return nil
	}
	need, err := sum[T](d.n, n)
	if err != nil {
		return err
	}
	ring, err := resizeArray(d.alloc, d.ring, need)
	if err == nil {
		d.unwrap(ring)
	}
	return err
}

// unwrap replaces the ring by a longer one that begins with the same places. If the elements
// wrapped around the old end, it moves the shorter part of them: the part at the front of the ring
// to the new places, or the other part to the new end.
func (d *Deque[T]) unwrap(ring []T) {
	old := len(d.ring)
	d.ring = ring[:cap(ring)]
	first := old - d.head // number of elements up to the old end
	if d.n <= first {
		return
	}
	rest := d.n - first
	if rest <= first && rest <= len(d.ring)-old {
		copyArray(d.ring[old:old+rest], d.ring[:rest])
		return
	}
	head := len(d.ring) - first
	copyArray(d.ring[head:], d.ring[d.head:old])
	d.head = head
}

// ShrinkToFit releases the memory that the elements do not need. It copies the elements.
func (d *Deque[T]) ShrinkToFit() { _ = d.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a smaller ring.
func (d *Deque[T]) TryShrinkToFit() error {
	if d.n == len(d.ring) {
		return nil
	}
	c, err := d.TryClone()
	if err != nil {
		return err
	}
	if len(c.ring) >= len(d.ring) {
		c.Free()
		return nil
	}
	freeArray(d.alloc, d.ring)
	d.ring, d.head, d.n = c.ring, c.head, c.n
	return nil
}

// Clone returns a copy of d on the same allocator. The capacity of the copy is exact.
func (d *Deque[T]) Clone() *Deque[T] { return mustValue(d.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (d *Deque[T]) TryClone() (*Deque[T], error) {
	c := NewDeque[T](d.alloc)
	if err := c.TryReserveExact(d.n); err != nil {
		return nil, err
	}
	front, back := d.Slices()
	c.write(front)
	c.write(back)
	return c, nil
}

// All returns an iterator over indices and elements, from front to back. The loop may change d: the
// iteration continues with the element that has the next index then, and does not go past the
// length that d had at first.
func (d *Deque[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i, n := 0, d.n; i < n && i < d.n; i++ {
			if !yield(i, d.ring[d.place(i)]) {
				return
			}
		}
	}
}

// Backward returns an iterator over indices and elements, from back to front. The loop may change
// d.
func (d *Deque[T]) Backward() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := d.n - 1; i >= 0; i-- {
			if i < d.n && !yield(i, d.ring[d.place(i)]) {
				return
			}
		}
	}
}

// Values returns an iterator over the elements, from front to back, under the rules of All.
func (d *Deque[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, x := range d.All() {
			if !yield(x) {
				return
			}
		}
	}
}

// Equal reports whether d and e have the same elements in the same order, compared by ==.
func (d *Deque[T]) Equal(e *Deque[T]) bool { return d.EqualFunc(e, equal[T]) }

// EqualFunc reports whether d and e have the same length and eq returns true for each pair of
// elements.
func (d *Deque[T]) EqualFunc(e *Deque[T], eq func(T, T) bool) bool {
	if d.n != e.n {
		return false
	}
	for i := range d.n {
		if !eq(d.ring[d.place(i)], e.ring[e.place(i)]) {
			return false
		}
	}
	return true
}

// String returns the elements as Format prints them by %v.
func (d *Deque[T]) String() string { return fmt.Sprint(d) }

// Format implements fmt.Formatter. It prints [1 2 3], and the verb applies to each element.
func (d *Deque[T]) Format(f fmt.State, verb rune) { formatValues(f, verb, d.n, d.Values()) }

// Free releases all memory. d is then empty and can be used again.
func (d *Deque[T]) Free() {
	freeArray(d.alloc, d.ring)
	d.ring, d.head, d.n = nil, 0, 0
}

// FreeFunc calls free for each element, from front to back, and then frees d.
func (d *Deque[T]) FreeFunc(free func(*T)) {
	for d.n > 0 {
		p := &d.ring[d.head]
		d.PopFront() // first, as free may panic
		free(p)
	}
	d.Free()
}
