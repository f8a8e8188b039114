package collections

import (
	"fmt"
	"iter"

	"github.com/galloc-go/galloc"
)

// Set is a [Map] without values: its elements are the keys, and the rules of Map hold. An element
// takes its size and 1 byte for each slot. For strings, use StringMap[struct{}].
//
// The zero value is an empty set on galloc.Global.
type Set[K comparable] struct {
	m Map[K, struct{}]
}

// NewSet returns an empty set that allocates from a, or from galloc.Global if a is nil.
func NewSet[K comparable](a galloc.Allocator) *Set[K] {
	s := new(Set[K])
	s.m.t.alloc = usable(a)
	return s
}

// MakeSet returns an empty set on a with capacity for at least n elements.
func MakeSet[K comparable](a galloc.Allocator, n int) (*Set[K], error) {
	s := NewSet[K](a)
	return filled(s, func() error { return s.TryReserve(n) })
}

// CollectSet returns a set on a with the elements of seq.
func CollectSet[K comparable](a galloc.Allocator, seq iter.Seq[K]) (*Set[K], error) {
	s := NewSet[K](a)
	return filled(s, func() error { return s.TryAddSeq(seq) })
}

// Len returns the number of elements.
func (s *Set[K]) Len() int { return s.m.Len() }

// Cap returns the number of elements that fit before the table must grow, as [Map.Cap] does.
func (s *Set[K]) Cap() int { return s.m.Cap() }

// Has reports whether k is present.
func (s *Set[K]) Has(k K) bool { return s.m.find(&k) != nil }

// Add adds k if it is absent, and reports whether it did.
func (s *Set[K]) Add(k K) bool { return s.m.PutIfAbsent(k, struct{}{}) }

// TryAdd is like Add but returns an error if memory runs out.
func (s *Set[K]) TryAdd(k K) (added bool, err error) { return s.m.TryPutIfAbsent(k, struct{}{}) }

// AddSeq adds the elements of seq, which may read s itself.
func (s *Set[K]) AddSeq(seq iter.Seq[K]) { must(s.TryAddSeq(seq)) }

// TryAddSeq is like AddSeq but stops at the first error and returns it. The elements before it have
// been added.
func (s *Set[K]) TryAddSeq(seq iter.Seq[K]) error {
	for k := range seq {
		if _, err := s.TryAdd(k); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes k and reports whether it was present.
func (s *Set[K]) Delete(k K) bool {
	_, ok := s.m.Delete(k)
	return ok
}

// PopAny removes some element and returns it; ok reports whether there was one. Removing all
// elements like that takes O(Len+Cap).
func (s *Set[K]) PopAny() (k K, ok bool) {
	k, _, ok = s.m.PopAny()
	return k, ok
}

// DeleteFunc removes the elements for which del returns true. del must not use s.
func (s *Set[K]) DeleteFunc(del func(k K) bool) {
	s.m.DeleteFunc(func(k K, _ struct{}) bool { return del(k) })
}

// Clear removes all elements and keeps the memory.
func (s *Set[K]) Clear() { s.m.Clear() }

// Reserve ensures capacity for at least n more elements. It panics if n is negative.
func (s *Set[K]) Reserve(n int) { s.m.Reserve(n) }

// TryReserve is like Reserve but returns an error if memory runs out, or a *galloc.LayoutError if
// no table can have that many elements.
func (s *Set[K]) TryReserve(n int) error { return s.m.TryReserve(n) }

// ShrinkToFit releases the memory that the elements do not need. It does nothing during an
// iteration, or if there is no memory for a smaller table.
func (s *Set[K]) ShrinkToFit() { s.m.ShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a smaller
// table. The set is then unchanged.
func (s *Set[K]) TryShrinkToFit() error { return s.m.TryShrinkToFit() }

// Clone returns a copy of s on the same allocator.
func (s *Set[K]) Clone() *Set[K] { return mustValue(s.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (s *Set[K]) TryClone() (*Set[K], error) {
	c := NewSet[K](s.m.t.alloc)
	if err := c.m.copyFrom(&s.m); err != nil {
		return nil, err
	}
	return c, nil
}

// Format implements fmt.Formatter: see the package comment.
func (s *Set[K]) Format(f fmt.State, verb rune) { formatValues(f, verb, s.Len(), s.All()) }

// Free releases all memory. s is then empty and can be used again. Running iterations end.
func (s *Set[K]) Free() { s.m.Free() }

// FreeFunc calls free for each element, and then frees s. free must not use s.
func (s *Set[K]) FreeFunc(free func(k *K)) {
	s.m.FreeFunc(func(k *K, _ *struct{}) { free(k) })
}

// All returns an iterator over the elements, in an unspecified order. The rules of [Map.All] hold.
func (s *Set[K]) All() iter.Seq[K] { return s.m.Keys() }

// Union returns an iterator over the elements of s, and then the elements of o that are not in s.
// Union and the iterators below allocate nothing and look each element up once. AddSeq puts them
// into a set.
func (s *Set[K]) Union(o *Set[K]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range s.All() {
			if !yield(k) {
				return
			}
		}
		for k := range o.Difference(s) {
			if !yield(k) {
				return
			}
		}
	}
}

// Intersection returns an iterator over the elements that are in s and in o. It goes through the
// smaller set.
func (s *Set[K]) Intersection(o *Set[K]) iter.Seq[K] {
	return func(yield func(K) bool) {
		a, b := s, o
		if b.Len() < a.Len() {
			a, b = b, a
		}
		for k := range a.All() {
			if b.Has(k) && !yield(k) {
				return
			}
		}
	}
}

// Difference returns an iterator over the elements that are in s and not in o.
func (s *Set[K]) Difference(o *Set[K]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range s.All() {
			if !o.Has(k) && !yield(k) {
				return
			}
		}
	}
}

// SymmetricDifference returns an iterator over the elements that are in exactly one of s and o.
func (s *Set[K]) SymmetricDifference(o *Set[K]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range s.Difference(o) {
			if !yield(k) {
				return
			}
		}
		for k := range o.Difference(s) {
			if !yield(k) {
				return
			}
		}
	}
}

// Subset reports whether all elements of s are in o.
func (s *Set[K]) Subset(o *Set[K]) bool {
	if s.Len() > o.Len() {
		return false
	}
	for range s.Difference(o) {
		return false
	}
	return true
}

// Disjoint reports whether no element is in both s and o.
func (s *Set[K]) Disjoint(o *Set[K]) bool {
	for range s.Intersection(o) {
		return false
	}
	return true
}

// Equal reports whether s and o have the same elements.
func (s *Set[K]) Equal(o *Set[K]) bool { return s.Len() == o.Len() && s.Subset(o) }
