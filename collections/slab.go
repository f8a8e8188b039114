package collections

import (
	"iter"
	"math"

	"github.com/galloc-go/galloc"
)

// Slab keeps values in slots and gives out a [Handle] for each: an index with a generation, by which it
// knows a handle whose value has been removed, even if the slot has another value meanwhile. Handles have
// no pointers in them, so they are what elements of collections refer to one another by. The zero value
// is empty, on galloc.Global.
//
// Values do not move: a pointer to one is valid until that one is removed, or the Slab is
// freed. Every operation on one value is O(1). Slots are used again, the one that was emptied last first,
// but each only 2^31 times, so that no stale handle is ever taken for a good one. A handle does not say which Slab it is of.
//
// The idea is that of generational indices, known from entity systems of games; in Rust, the crates
// slotmap and generational-arena.
type Slab[T any] struct {
	_     noCopy
	a     galloc.Allocator // nil means Global
	slots segments
	n     int    // values
	worn  int    // slots that have had all generations, and are not used any more
	free  uint32 // the first empty slot that has been used, or 0
	fresh uint32 // the slots from here on have never been used; 0 before the first insertion or reservation
	born  uint32 // the generation of a slot that has never been used: even
	top   uint32 // the highest generation of all slots, rounded up to an even one
}

// Handle tells a value in a Slab of T. The zero Handle tells none. Handles are comparable.
type Handle[T any] struct {
	index      uint32
	generation uint32
}

// slabSlot is a place for a value.
//
//	generation is odd while there is one
//	next is the next in the list of empty slots, or 0
type slabSlot[T any] struct {
	value      T
	generation uint32
	next       uint32
}

// lowSlab makes 8 slots the first ones.
const lowSlab = 3

// NewSlab returns an empty Slab on a, or on galloc.Global if a is nil.
func NewSlab[T any](a galloc.Allocator) *Slab[T] { return &Slab[T]{a: a} }

// Len returns the number of values.
func (s *Slab[T]) Len() int { return s.n }

// Cap returns the number of values that there are slots for.
func (s *Slab[T]) Cap() int {
	if s.fresh == 0 {
		return 0
	}
	return int(min(s.slots.end()-uint64(s.slots.first()), math.MaxInt)) - s.worn
}

func (s *Slab[T]) at(i uint32) *slabSlot[T] { return (*slabSlot[T])(s.slots.at(i)) }

// Insert puts x into a slot and returns its handle. It allocates when all slots are full, as much as
// there is.
func (s *Slab[T]) Insert(x T) Handle[T] { return galloc.Must(s.TryInsert(x)) }

// TryInsert is Insert that returns the error.
func (s *Slab[T]) TryInsert(x T) (Handle[T], error) {
	i := s.free
	var p *slabSlot[T]
	switch {
	case i != 0:
		p = s.at(i)
		s.free = p.next
	default:
		if s.fresh == 0 || uint64(s.fresh) == s.slots.end() {
			if err := s.grow(); err != nil {
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
	s.top = max(s.top, p.generation+1) // 0 after the last generation is never the highest
	s.n++
	return Handle[T]{i, p.generation}, nil
}

// grow adds slots, as many as there are.
func (s *Slab[T]) grow() error {
	if err := s.prepare(); err != nil {
		return err
	}
	return s.slots.grow(s.a)
}

// prepare finds out what there is to know about T.
func (s *Slab[T]) prepare() error {
	if s.fresh != 0 {
		return nil
	}
	if err := checkType[T](); err != nil {
		return err
	}
	l := galloc.LayoutOf[slabSlot[T]]()
	s.slots = segments{stride: l.Size(), align: l.Align(), low: lowSlab}
	s.fresh = s.slots.first()
	return nil
}

// Get returns the value of h, or nil if it has been removed. A handle of another Slab of T is good here if its slot has a
// value of the same generation by chance, so keep them apart. The
// pointer is valid until the value is removed.
func (s *Slab[T]) Get(h Handle[T]) *T {
	if p := s.find(h); p != nil {
		return &p.value
	}
	return nil
}

// Has reports whether h tells a value.
func (s *Slab[T]) Has(h Handle[T]) bool { return s.find(h) != nil }

// find returns the slot of h if it has h's value.
func (s *Slab[T]) find(h Handle[T]) *slabSlot[T] {
	if h.index >= s.fresh || h.index < s.slots.first() {
		return nil
	}
	if p := s.at(h.index); p.generation == h.generation && h.generation&1 != 0 {
		return p
	}
	return nil
}

// Remove removes the value of h and returns it; ok is false if there is none.
func (s *Slab[T]) Remove(h Handle[T]) (x T, ok bool) {
	p := s.find(h)
	if p == nil {
		return x, false
	}
	s.empty(h.index, p)
	return p.value, true
}

// empty makes slot i, at p, an empty one.
func (s *Slab[T]) empty(i uint32, p *slabSlot[T]) {
	s.n--
	if p.generation++; p.generation == 0 {
		s.worn++
		return // it has had all generations: nothing is to come into it any more
	}
	p.next = s.free
	s.free = i
}

// Clear removes all values and keeps the memory. It takes as long as there are slots.
func (s *Slab[T]) Clear() {
	for h := range s.All() {
		s.empty(h.index, s.at(h.index))
	}
}

// Reserve makes room for additional more values.
func (s *Slab[T]) Reserve(additional int) { must(s.TryReserve(additional)) }

// TryReserve is Reserve that returns the error. There may be more slots by then than before.
func (s *Slab[T]) TryReserve(additional int) error {
	n, err := sum[T](s.n, additional)
	if err != nil {
		return err
	}
	if additional == 0 {
		return nil
	}
	if err := s.prepare(); err != nil {
		return err
	}
	return s.slots.growUntil(s.a, uint64(s.slots.first())+uint64(n)+uint64(s.worn))
}

// Clone returns a copy of s, on the same allocator. The handles of s tell the copies of their values in
// it.
func (s *Slab[T]) Clone() *Slab[T] { return galloc.Must(s.TryClone()) }

// TryClone is Clone that returns the error.
func (s *Slab[T]) TryClone() (*Slab[T], error) {
	c := &Slab[T]{a: s.a, born: s.born, top: s.top}
	if s.fresh != 0 {
		if err := c.slots.copyFrom(s.a, &s.slots, uint64(s.fresh)); err != nil {
			return nil, err
		}
		c.n, c.worn, c.free, c.fresh = s.n, s.worn, s.free, s.fresh
	}
	return c, nil
}

// All returns the handles and values, in the order of the slots. Values may be removed meanwhile, which are
// then not produced, and inserted, which may be.
func (s *Slab[T]) All() iter.Seq2[Handle[T], *T] {
	return func(yield func(Handle[T], *T) bool) {
		for i := s.slots.first(); i < s.fresh; i++ {
			p := s.at(i)
			if p.generation&1 != 0 && !yield(Handle[T]{i, p.generation}, &p.value) {
				return
			}
		}
	}
}

// Values returns the values, as All does.
func (s *Slab[T]) Values() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, p := range s.All() {
			if !yield(p) {
				return
			}
		}
	}
}

// Free gives back the memory. s is then empty and can be used again; the handles given out before
// tell nothing in it, unless it has used a slot 2^30 times or more, in all its lives.
func (s *Slab[T]) Free() {
	s.slots.free(s.a)
	s.n, s.worn, s.free, s.fresh = 0, 0, 0, 0
	if s.top > math.MaxUint32/2 {
		s.top = 0 // what is left would soon be used up, and the slots with it
	}
	s.born = s.top // what is inserted from now on has later generations
}

// FreeFunc calls free for each value and gives back the memory.
func (s *Slab[T]) FreeFunc(free func(*T)) {
	for _, p := range s.All() {
		free(p)
	}
	s.Free()
}
