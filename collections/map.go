package collections

import (
	"encoding/binary"
	"fmt"
	"iter"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Map is a hash table. It compares keys as Go's map does: 0 and -0 are one key, and NaN != NaN, so
// each NaN is a new key. For strings as keys, see [StringMap].
//
// The zero value is an empty map on galloc.Global. A map must not be copied after the first use.
// Several goroutines may read it and iterate over it at once, while none writes.
//
// An operation on one entry costs O(1) on average for all sets of keys: the hash has random seeds.
// The table takes 8 + 8*(sizes of key and value, padded) bytes for each 8 slots, of which at most 7
// are used on average; so an entry of two uint64 takes 19 to 39 bytes.
//
// A small table is one block, which doubles. A table of more than about 3,500 entries (7,000 of up
// to 9 bytes, 800 of more than 128) has many blocks of that size, which are split one after the
// other. So no call moves more than 3,600 entries, whatever the size of the map is, and a growing
// map takes no more memory than the blocks themselves. Reserve, Clone, ShrinkToFit, Clear and Free
// take time in proportion to the map.
//
// The blocks are Swiss tables (Kulukundis 2017) under linear hashing (Litwin 1980): see
// map_table.go.
type Map[K comparable, V any] struct {
	_      block.NoCopy
	t      table[slot[K, V]]
	number bool    // a copy of recipe.number, which is read at each operation
	recipe *recipe // nil before the first allocation
}

// slot is an entry. The value comes first because Go pads structs whose last field has size 0.
type slot[K comparable, V any] struct {
	val V
	key K
}

// NewMap returns an empty map that allocates from a, or from galloc.Global if a is nil.
func NewMap[K comparable, V any](a galloc.Allocator) *Map[K, V] {
	m := new(Map[K, V])
	m.t.alloc = usable(a)
	return m
}

// MakeMap returns an empty map on a with capacity for at least n entries.
func MakeMap[K comparable, V any](a galloc.Allocator, n int) (*Map[K, V], error) {
	m := NewMap[K, V](a)
	return filled(m, func() error { return m.TryReserve(n) })
}

// CollectMap returns a map on a with the pairs of seq. Of several values of a key, the last
// remains.
func CollectMap[K comparable, V any](a galloc.Allocator, seq iter.Seq2[K, V]) (*Map[K, V], error) {
	m := NewMap[K, V](a)
	return filled(m, func() error { return m.TryPutSeq(seq) })
}

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return m.t.used }

// Cap returns the number of entries that fit before the table must grow. As long as there are never
// more, insertions and deletions keep the table and allocate nothing, with two exceptions: during
// an iteration, and in a large table after a loop over All, Keys or Values that removed a large
// part of the entries one by one. Those are next to each other, and the blocks that have kept their
// entries may have to double later. DeleteFunc and PopAny have no such order.
//
// An insertion moves up to 7,200 entries within a block now and then, in amortized O(1).
func (m *Map[K, V]) Cap() int { return m.t.capacity() }

// Get returns the value of key; ok reports whether key is present.
func (m *Map[K, V]) Get(key K) (v V, ok bool) {
	if s := m.find(&key); s != nil {
		return s.val, true
	}
	return v, false
}

// Ptr returns a pointer to the value of key, or nil if key is absent. It is valid until the next
// call that may add or remove entries.
func (m *Map[K, V]) Ptr(key K) *V {
	if s := m.find(&key); s != nil {
		return &s.val
	}
	return nil
}

// Has reports whether key is present.
func (m *Map[K, V]) Has(key K) bool { return m.find(&key) != nil }

// Put sets the value of key to v. It overwrites the old value; if that owns memory, use
// [Map.GetOrPut].
func (m *Map[K, V]) Put(key K, v V) {
	s, _, err := m.put(&key)
	must(err)
	s.val = v
	s.key = key // the old key may be 0 and the new one -0
}

// TryPut is like Put but returns an error if memory runs out, or if K or V contains Go pointers.
// The map is then unchanged.
func (m *Map[K, V]) TryPut(key K, v V) error {
	s, _, err := m.put(&key)
	if err != nil {
		return err
	}
	s.val = v
	s.key = key
	return nil
}

// PutSeq puts the pairs of seq, which may read m itself.
func (m *Map[K, V]) PutSeq(seq iter.Seq2[K, V]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is like PutSeq but stops at the first error and returns it. The pairs before it have
// been put.
func (m *Map[K, V]) TryPutSeq(seq iter.Seq2[K, V]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent sets the value of key to v if key is absent, and reports whether it did.
func (m *Map[K, V]) PutIfAbsent(key K, v V) bool { return mustValue(m.TryPutIfAbsent(key, v)) }

// TryPutIfAbsent is like PutIfAbsent but returns an error if memory runs out.
func (m *Map[K, V]) TryPutIfAbsent(key K, v V) (put bool, err error) {
	s, found, err := m.put(&key)
	if err != nil || found {
		return false, err
	}
	s.val = v
	return true, nil
}

// GetOrPut returns a pointer to the value of key; found reports whether key was present. If it was
// not, it has been added with the zero V. The pointer is valid as long as one from [Map.Ptr].
//
//	n, _ := m.GetOrPut(word)
//	*n++
func (m *Map[K, V]) GetOrPut(key K) (v *V, found bool) {
	v, found, err := m.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is like GetOrPut but returns an error if memory runs out.
func (m *Map[K, V]) TryGetOrPut(key K) (v *V, found bool, err error) {
	s, found, err := m.put(&key)
	if err != nil {
		return nil, false, err
	}
	return &s.val, found, nil
}

// Delete removes key and returns its value; ok reports whether key was present. It allocates
// nothing.
func (m *Map[K, V]) Delete(key K) (v V, ok bool) {
	s := m.find(&key)
	if s == nil {
		return v, false
	}
	v = s.val
	b := &m.t.one
	if m.t.dir != nil {
		b = m.t.at(m.hash(&key))
	}
	m.t.removeSlot(b, s)
	return v, true
}

// PopAny removes some entry and returns it; ok reports whether there was one. Removing all entries
// like that takes O(Len+Cap).
func (m *Map[K, V]) PopAny() (key K, v V, ok bool) {
	b, s := m.t.any()
	if s == nil {
		return key, v, false
	}
	key, v = s.key, s.val
	m.t.removeSlot(b, s)
	return key, v, true
}

// DeleteFunc removes the entries for which del returns true. del must not use m.
func (m *Map[K, V]) DeleteFunc(del func(key K, v V) bool) {
	m.t.each(func(b *bucket[slot[K, V]], s *slot[K, V]) {
		if del(s.key, s.val) {
			m.t.removeSlot(b, s)
		}
	})
}

// Clear removes all entries, also those whose keys are NaN, and keeps the memory. It takes time in
// proportion to the blocks of the table that have entries.
func (m *Map[K, V]) Clear() { m.t.clear() }

// Reserve ensures capacity for at least n more entries: adding them does not allocate. It panics if
// n is negative.
func (m *Map[K, V]) Reserve(n int) { must(m.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out, or a *galloc.LayoutError if
// no table can have that many entries.
func (m *Map[K, V]) TryReserve(n int) error {
	if err := m.prepare(); err != nil {
		return err
	}
	return m.t.reserve(n, m.rehasher())
}

// ShrinkToFit releases the memory that the entries do not need. It does nothing during an
// iteration, or if there is no memory for a smaller table.
func (m *Map[K, V]) ShrinkToFit() { _ = m.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a smaller
// table. The map is then unchanged.
func (m *Map[K, V]) TryShrinkToFit() error { return m.t.shrink(m.rehasher()) }

// Clone returns a copy of m on the same allocator. Keys and values are copied as they are.
func (m *Map[K, V]) Clone() *Map[K, V] { return mustValue(m.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (m *Map[K, V]) TryClone() (*Map[K, V], error) {
	c := NewMap[K, V](m.t.alloc)
	if err := c.copyFrom(m); err != nil {
		return nil, err
	}
	return c, nil
}

// copyFrom makes m, which is empty, a copy of from.
func (m *Map[K, V]) copyFrom(from *Map[K, V]) error {
	if from.t.used == 0 {
		return nil
	}
	m.number, m.recipe = from.number, from.recipe
	return m.t.copyFrom(&from.t)
}

// Equal reports whether m and o have the same keys, with the same values, compared by ==.
func (m *Map[K, V]) Equal(o *Map[K, V]) bool { return m.EqualFunc(o, equal[V]) }

// EqualFunc is like Equal but compares values with eq.
func (m *Map[K, V]) EqualFunc(o *Map[K, V], eq func(x, y V) bool) bool {
	if m.Len() != o.Len() {
		return false
	}
	for k, v := range m.All() {
		if s := o.find(&k); s == nil || !eq(v, s.val) {
			return false
		}
	}
	return true
}

// Format implements fmt.Formatter: see the package comment.
func (m *Map[K, V]) Format(f fmt.State, verb rune) { formatPairs(f, verb, m.Len(), m.All()) }

// Free releases all memory. m is then empty and can be used again. Running iterations end.
func (m *Map[K, V]) Free() { m.t.free() }

// FreeFunc calls free for each entry, and then frees m. free must not use m.
func (m *Map[K, V]) FreeFunc(free func(key *K, v *V)) {
	m.t.each(func(b *bucket[slot[K, V]], s *slot[K, V]) {
		m.t.removeSlot(b, s) // first, as free may panic; key and value stay
		free(&s.key, &s.val)
	})
	m.Free()
}

// All returns an iterator over the entries, in an unspecified order, another one each time.
//
// As with Go's map, m may be changed during the iteration. An entry that is removed before it is
// reached is not yielded. An entry that is added may be yielded or not. No entry is yielded twice.
// A value is read when it is yielded. Clear and Free end the iteration. If the block of the table
// that the iteration is in is replaced, the old one is kept until the iteration leaves it, and no
// others; so callers of iter.Pull must call stop.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.key, s.val) })
	}
}

// Pointers is like All but yields pointers to the values, valid as long as one from [Map.Ptr]. (A
// NaN cannot be looked up. If the table has grown during the iteration, the pointer for a NaN may
// lead to a copy of its value, and an entry with that key is yielded even if DeleteFunc has removed
// it.)
func (m *Map[K, V]) Pointers() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.key, &s.val) })
	}
}

// Keys is like All but yields keys only.
func (m *Map[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.key) })
	}
}

// Values is like All but yields values only.
func (m *Map[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.val) })
	}
}

func (m *Map[K, V]) hash(key *K) uint64 {
	if m.number {
		return m.t.seeds.number(number(key))
	}
	return m.t.seeds.hashParts(unsafe.Pointer(key), m.recipe.parts)
}

// number returns a key of 1, 2, 4 or 8 bytes as a number. K's size is a constant to the compiler.
func number[K comparable](key *K) uint64 {
	// SAFETY: each case reads as many bytes as K has.
	p := unsafe.Pointer(key)
	switch unsafe.Sizeof(*key) {
	case 8:
		return load64(p)
	case 4:
		return load32(p)
	case 2:
		return uint64(binary.NativeEndian.Uint16((*[2]byte)(p)[:]))
	default:
		return uint64(*(*uint8)(p))
	}
}

// find returns the slot of key, or nil. It repeats the code of hash and put because the compiler
// would not inline shared functions, and a call costs a third of a look-up in the CPU's cache.
func (m *Map[K, V]) find(key *K) *slot[K, V] {
	if m.t.guard.read(); m.t.used == 0 {
		return nil
	}
	var h uint64
	if m.number {
		h = m.t.seeds.number(number(key))
	} else {
		h = m.hash(key)
	}
	b := m.t.at(h)
	tags := b.tags(h)
	g := b.home(h)
	for d := uintptr(1); ; d++ {
		grp := b.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			if s := grp.slot(x.first()); s.key == *key {
				return s
			}
		}
		if matchEmpty(control) != 0 {
			return nil
		}
		g = (g + d) & uintptr(b.mask)
	}
}

// put returns the slot of key. If key is absent, put adds it with the zero V.
func (m *Map[K, V]) put(key *K) (s *slot[K, V], found bool, err error) {
	var h uint64
	var b *bucket[slot[K, V]]
	m.t.guard.begin()
	if m.t.limit == 0 {
		goto missing
	}
	if m.number {
		h = m.t.seeds.number(number(key))
	} else {
		h = m.hash(key)
	}
	b = m.t.at(h)
	for g, tags, d := b.home(h), b.tags(h), uintptr(1); ; d++ {
		grp := b.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			if s := grp.slot(x.first()); s.key == *key {
				m.t.guard.end()
				return s, true, nil
			}
		}
		if matchEmpty(control) != 0 {
			break
		}
		g = (g + d) & uintptr(b.mask)
	}
missing:
	if b == nil || m.t.full(b) {
		m.t.guard.end()
		if h, err = m.grow(key, h); err != nil {
			return nil, false, err
		}
		m.t.guard.begin()
		b = m.t.at(h)
	}
	s = m.t.add(b, h)
	*s = slot[K, V]{key: *key}
	m.t.guard.end()
	return s, false, nil
}

// grow makes room for key, and returns its hash. That is h unless m has no memory yet.
func (m *Map[K, V]) grow(key *K, h uint64) (uint64, error) {
	if m.t.limit == 0 {
		if err := m.prepare(); err != nil {
			return 0, err
		}
		if err := m.t.start(); err != nil {
			return 0, err
		}
		h = m.hash(key)
	}
	return h, m.t.makeRoom(h, m.rehasher())
}

// prepare checks K and V, and finds out how to hash a K.
func (m *Map[K, V]) prepare() error {
	if m.recipe != nil {
		return nil
	}
	if err := checkType[K](); err != nil {
		return err
	}
	if err := checkType[V](); err != nil {
		return err
	}
	m.recipe = recipeOf[K]()
	m.number = m.recipe.number
	return nil
}

func (m *Map[K, V]) rehasher() hasher[slot[K, V]] {
	if m.number {
		return func(_ uint64, s *slot[K, V]) uint64 { return m.t.seeds.number(number(&s.key)) }
	}
	return func(_ uint64, s *slot[K, V]) uint64 { return m.hash(&s.key) }
}

// current returns the slot of the entry that slot s of an old table has, or nil if it was removed.
func (m *Map[K, V]) current(s *slot[K, V]) *slot[K, V] {
	if s.key != s.key {
		return s // a NaN cannot be looked up
	}
	return m.find(&s.key)
}
