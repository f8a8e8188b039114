package collections

import (
	"fmt"
	"iter"
	"math"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Slab keeps values in slots and returns a [Handle] for each: an index and a generation. A slot has
// another generation for each value, so the handle of a deleted value is not valid for a later
// value. Handles contain no pointers, so elements of collections can refer to one another by
// handles. The zero value is empty and allocates from galloc.Global.
//
// Values do not move: a pointer to a value is valid until that value is deleted or the Slab is
// freed. Each operation on one value takes O(1). A new value takes the slot that was emptied last.
// A slot is retired after 2^31 values, so that no stale handle becomes valid again. A handle does
// not record which Slab it belongs to.
//
// The design is known as generational indices, from the entity systems of games; in Rust, see the
// crates slotmap and generational-arena.
type Slab[T any] struct {
	_       block.NoCopy
	alloc   galloc.Allocator // nil means Global
	slots   segments
	n       int    // number of values
	retired int    // number of slots that have had all generations
	free    uint32 // the first empty slot below fresh, or 0
	fresh   uint32 // slots from here on are unused; 0 before the first insertion or reservation
	born    uint32 // the generation of a slot that has never been used: even
	top     uint32 // the highest generation of all slots, rounded up to an even number
}

// Handle identifies a value in a Slab of T. The zero Handle identifies none. Handles are
// comparable.
type Handle[T any] struct {
	index      uint32
	generation uint32
}

// slabSlot is a place for a value.
//
//	generation is odd if the slot has a value
//	next is the next slot in the list of empty slots, or 0
type slabSlot[T any] struct {
	value      T
	generation uint32
	next       uint32
}

// firstSlots is the number of slots of the first block.
const firstSlots = 8

// NewSlab returns an empty Slab that allocates from a, or from galloc.Global if a is nil.
func NewSlab[T any](a galloc.Allocator) *Slab[T] { return &Slab[T]{alloc: usable(a)} }

// MakeSlab returns an empty Slab on a with capacity for at least n values. It panics if n is
// negative.
func MakeSlab[T any](a galloc.Allocator, n int) (*Slab[T], error) {
	s := NewSlab[T](a)
	return filled(s, func() error { return s.TryReserve(n) })
}

// Len returns the number of values.
func (s *Slab[T]) Len() int { return s.n }

// Cap returns the number of values that fit without allocating.
func (s *Slab[T]) Cap() int {
	if s.fresh == 0 {
		return 0
	}
	return int(min(s.slots.end()-uint64(s.slots.first()), math.MaxInt)) - s.retired
}

func (s *Slab[T]) at(i uint32) *slabSlot[T] { return (*slabSlot[T])(s.slots.at(i)) }

// Add puts x into an empty slot and returns its handle. If all slots are full, it doubles their
// number, or adds as many as there is memory for.
func (s *Slab[T]) Add(x T) Handle[T] { return mustValue(s.TryAdd(x)) }

// TryAdd is like Add but returns an error if memory runs out.
func (s *Slab[T]) TryAdd(x T) (Handle[T], error) {
	i := s.free
	var p *slabSlot[T]
	switch {
	case i != 0:
		p = s.at(i)
		s.free = p.next
	default:
		if s.fresh == 0 || uint64(s.fresh) == s.slots.end() {
			if err := s.TryReserve(1); err != nil {
				return Handle[T]{}, err
			}
		}
		i = s.fresh
		p = s.at(i)
		p.generation = s.born
		s.fresh++
	}
	p.value = x
	p.generation++
	s.top = max(s.top, p.generation+1) // 0 after the last generation
	s.n++
	return Handle[T]{i, p.generation}, nil
}

// prepare checks T and computes the layout of slots, before the first allocation.
func (s *Slab[T]) prepare() error {
	if s.fresh != 0 {
		return nil
	}
	if err := checkType[T](); err != nil {
		return err
	}
	l := galloc.LayoutOf[slabSlot[T]]()
	s.slots = segments{stride: l.Size(), align: l.Align(), initial: firstSlots}
	s.fresh = s.slots.first()
	return nil
}

// Get returns the value of h; ok reports whether h is valid.
func (s *Slab[T]) Get(h Handle[T]) (x T, ok bool) {
	if p := s.find(h); p != nil {
		return p.value, true
	}
	return x, false
}

// Ptr returns a pointer to the value of h, or nil if the value has been deleted. It is valid until
// the value is deleted or s is freed. A handle of another Slab of T is not detected if its slot
// here has a value of the same generation.
func (s *Slab[T]) Ptr(h Handle[T]) *T {
	if p := s.find(h); p != nil {
		return &p.value
	}
	return nil
}

// Has reports whether h identifies a value.
func (s *Slab[T]) Has(h Handle[T]) bool { return s.find(h) != nil }

// find returns the slot of h, or nil if h is not valid.
func (s *Slab[T]) find(h Handle[T]) *slabSlot[T] {
	if h.index >= s.fresh || h.index < s.slots.first() {
		return nil
	}
	if p := s.at(h.index); p.generation == h.generation && h.generation&1 != 0 {
		return p
	}
	return nil
}

// Delete removes the value of h and returns it; ok reports whether h was valid.
func (s *Slab[T]) Delete(h Handle[T]) (x T, ok bool) {
	p := s.find(h)
	if p == nil {
		return x, false
	}
	s.empty(h.index, p)
	return p.value, true
}

// DeleteFunc removes the values for which del returns true. del must not use s.
func (s *Slab[T]) DeleteFunc(del func(Handle[T], T) bool) {
	for h, p := range s.Pointers() {
		if del(h, *p) {
			s.empty(h.index, s.at(h.index))
		}
	}
}

// empty removes the value of slot i, at p.
func (s *Slab[T]) empty(i uint32, p *slabSlot[T]) {
	s.n--
	if p.generation++; p.generation == 0 {
		s.retired++
		return // the slot has had all generations
	}
	p.next = s.free
	s.free = i
}

// Clear removes all values and keeps the memory. It visits every slot that has been used.
func (s *Slab[T]) Clear() {
	for h := range s.Pointers() {
		s.empty(h.index, s.at(h.index))
	}
}

// Reserve ensures capacity for at least n more values. It panics if n is negative.
func (s *Slab[T]) Reserve(n int) { must(s.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (s *Slab[T]) TryReserve(n int) error {
	need, err := sum[T](s.n, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	if err := s.prepare(); err != nil {
		return err
	}
	return s.slots.growUntil(s.alloc, uint64(s.slots.first())+uint64(need)+uint64(s.retired))
}

// Clone returns a copy of s on the same allocator. The handles of s are valid in the copy and
// identify the copied values.
func (s *Slab[T]) Clone() *Slab[T] { return mustValue(s.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (s *Slab[T]) TryClone() (*Slab[T], error) {
	c := &Slab[T]{alloc: s.alloc}
	if err := s.cloneTo(c); err != nil {
		return nil, err
	}
	return c, nil
}

// cloneTo makes c, which is empty, a copy of s. If it fails, c stays empty.
func (s *Slab[T]) cloneTo(c *Slab[T]) error {
	if s.fresh != 0 {
		if err := c.slots.copyFrom(s.alloc, &s.slots, uint64(s.fresh)); err != nil {
			return err
		}
		c.n, c.retired, c.free, c.fresh = s.n, s.retired, s.free, s.fresh
	}
	c.born, c.top = s.born, s.top
	return nil
}

// All returns an iterator over handles and values, in the order of the slots. The loop may add
// values, which may be visited or not, and delete values.
func (s *Slab[T]) All() iter.Seq2[Handle[T], T] {
	return func(yield func(Handle[T], T) bool) {
		for h, p := range s.Pointers() {
			if !yield(h, *p) {
				return
			}
		}
	}
}

// Pointers returns an iterator over handles and pointers to the values, under the rules of All.
func (s *Slab[T]) Pointers() iter.Seq2[Handle[T], *T] {
	return func(yield func(Handle[T], *T) bool) {
		for i := s.slots.first(); i < s.fresh; i++ {
			p := s.at(i)
			if p.generation&1 != 0 && !yield(Handle[T]{i, p.generation}, &p.value) {
				return
			}
		}
	}
}

// Keys returns an iterator over the handles, under the rules of All.
func (s *Slab[T]) Keys() iter.Seq[Handle[T]] {
	return func(yield func(Handle[T]) bool) {
		for h := range s.Pointers() {
			if !yield(h) {
				return
			}
		}
	}
}

// Values returns an iterator over the values, under the rules of All.
func (s *Slab[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, p := range s.Pointers() {
			if !yield(*p) {
				return
			}
		}
	}
}

// String returns the values as Format prints them by %v.
func (s *Slab[T]) String() string { return fmt.Sprint(s) }

// Format implements fmt.Formatter. It prints the values as [1 2 3], and the verb applies to each.
func (s *Slab[T]) Format(f fmt.State, verb rune) { formatValues(f, verb, s.n, s.Values()) }

// Free releases all memory. s is then empty and can be used again. Handles from before do not
// become valid again, unless s has used one slot 2^30 times or more since it was created.
func (s *Slab[T]) Free() {
	s.slots.free(s.alloc)
	s.n, s.retired, s.free, s.fresh = 0, 0, 0, 0
	if s.top > math.MaxUint32/2 {
		s.top = 0 // few generations are left, and slots would be retired soon
	}
	s.born = s.top // later values have higher generations
}

// FreeFunc calls free for each value, in the order of the slots, and then frees s.
func (s *Slab[T]) FreeFunc(free func(*T)) {
	for h, p := range s.Pointers() {
		s.empty(h.index, s.at(h.index)) // first, as free may panic; the value stays
		free(p)
	}
	s.Free()
}
