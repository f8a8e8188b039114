package collections

import (
	"iter"

	"github.com/galloc-go/galloc"
)

// Set is a [Map] without values: its elements are the keys, and all that is said there holds. An element takes
// its size and 1 byte for each slot. For strings, use StringMap[struct{}].
//
// The zero value is an empty set on galloc.Global.
type Set[K comparable] struct {
	m Map[K, struct{}]
}

// NewSet returns an empty set on a; nil stands for galloc.Global. It takes no memory before it is used.
func NewSet[K comparable](a galloc.Allocator) *Set[K] {
	s := new(Set[K])
	s.m.t.alloc = a
	return s
}

// Len returns the number of elements.
func (s *Set[K]) Len() int { return s.m.Len() }

// Cap returns how many elements the set can have before its table must grow.
func (s *Set[K]) Cap() int { return s.m.Cap() }

// Has reports whether k is in the set.
func (s *Set[K]) Has(k K) bool { return s.m.find(&k) != nil }

// Add puts k into the set, and reports whether it was not there. Out of memory ends in galloc.HandleAllocError.
func (s *Set[K]) Add(k K) bool { return s.m.PutIfAbsent(k, struct{}{}) }

// TryAdd is Add with an error, as [Map.TryPut] has it.
func (s *Set[K]) TryAdd(k K) (added bool, err error) { return s.m.TryPutIfAbsent(k, struct{}{}) }

// AddSeq adds all that seq gives, which may be of this set.
func (s *Set[K]) AddSeq(seq iter.Seq[K]) { must(s.TryAddSeq(seq)) }

// TryAddSeq is AddSeq with an error, at which it stops: what came before has been added.
func (s *Set[K]) TryAddSeq(seq iter.Seq[K]) error {
	for k := range seq {
		if _, err := s.TryAdd(k); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes k, and reports whether it was there.
func (s *Set[K]) Delete(k K) bool { return s.m.Delete(k) }

// Clear removes all elements, and keeps the memory.
func (s *Set[K]) Clear() { s.m.Clear() }

// Reserve makes room for n elements more than there are, as [Map.Reserve].
func (s *Set[K]) Reserve(n int) { s.m.Reserve(n) }

// TryReserve is Reserve with an error, as [Map.TryReserve].
func (s *Set[K]) TryReserve(n int) error { return s.m.TryReserve(n) }

// ShrinkToFit makes the table as small as its elements allow, as [Map.ShrinkToFit].
func (s *Set[K]) ShrinkToFit() { s.m.ShrinkToFit() }

// TryShrinkToFit is ShrinkToFit with an error, as [Map.TryShrinkToFit].
func (s *Set[K]) TryShrinkToFit() error { return s.m.TryShrinkToFit() }

// Clone returns a copy of the set on the same allocator.
func (s *Set[K]) Clone() *Set[K] {
	c, err := s.TryClone()
	must(err)
	return c
}

// TryClone is Clone with an error.
func (s *Set[K]) TryClone() (*Set[K], error) {
	c := NewSet[K](s.m.t.alloc)
	if err := c.m.copyFrom(&s.m); err != nil {
		return nil, err
	}
	return c, nil
}

// Free gives back all memory. The set is then empty, on the same allocator, and can be used again.
func (s *Set[K]) Free() { s.m.Free() }

// FreeFunc calls release for each element, and then does what Free does, as [Map.FreeFunc].
func (s *Set[K]) FreeFunc(release func(k *K)) {
	s.m.FreeFunc(func(k *K, _ *struct{}) { release(k) })
}

// All gives all elements, under the rules of [Map.All].
func (s *Set[K]) All() iter.Seq[K] { return s.m.Keys() }

// Union gives what is in s, and then what is in o only. This and the following take no memory, and look each element
// up once: add what they give to a set by [Set.AddSeq].
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

// Intersection gives what is in both s and o. It goes through the smaller one.
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

// Difference gives what is in s and not in o.
func (s *Set[K]) Difference(o *Set[K]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range s.All() {
			if !o.Has(k) && !yield(k) {
				return
			}
		}
	}
}

// SymmetricDifference gives what is in one of s and o, and not in the other.
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
