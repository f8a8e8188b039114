package collections

import (
	"encoding/binary"
	"iter"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Map is a hash table of keys and values that have no Go pointers in them. It is used as Go's map is, and
// compares keys as Go does: 0 and -0 are one key, and a NaN is another one each time. For
// strings as keys, see [StringMap].
//
// The zero value is an empty map on galloc.Global. A map must not be copied after its first use. Several goroutines
// may read it at once, iterate over it too, while none writes.
//
// Memory: one block, of 8 + 8*(sizes of key and value, padded) bytes for each 8 slots; of 8 slots 7 are used
// at most, and the table doubles when they are. So an entry of two uint64 takes 19 to 39 bytes.
// While the table doubles, there are both; all entries are moved at that moment, not bit by bit, unless [Map.Reserve]
// has seen to it before. All operations on one entry cost O(1) on average, whatever the keys: the
// hash has random seeds.
//
// The design is that of the Swiss tables (Kulukundis 2017), with differences: map_table.go tells.
type Map[K comparable, V any] struct {
	_      noCopy
	t      table[slot[K, V]]
	number bool    // keys are hashed as numbers; of recipe, to have it at hand
	recipe *recipe // nil before the first allocation
}

// slot is an entry. The value comes first, since Go pads structs whose last field has size 0.
type slot[K comparable, V any] struct {
	val V
	key K
}

// NewMap returns an empty map on a; nil stands for galloc.Global. It takes no memory before it is used.
func NewMap[K comparable, V any](a galloc.Allocator) *Map[K, V] {
	m := new(Map[K, V])
	m.t.alloc = a
	return m
}

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return m.t.used }

// Cap returns how many entries the map can have before its table must grow.
func (m *Map[K, V]) Cap() int { return m.t.limit() }

// Get returns the value of key, and whether there is one; the zero V if not.
func (m *Map[K, V]) Get(key K) (v V, ok bool) {
	if s := m.find(&key); s != nil {
		return s.val, true
	}
	return v, false
}

// GetPtr returns the address of the value of key, or nil if there is none. It is valid until the next call that
// may add or remove entries.
func (m *Map[K, V]) GetPtr(key K) *V {
	if s := m.find(&key); s != nil {
		return &s.val
	}
	return nil
}

// Has reports whether there is an entry with that key.
func (m *Map[K, V]) Has(key K) bool { return m.find(&key) != nil }

// Put makes v the value of key. Out of memory ends in galloc.HandleAllocError, and types with Go pointers
// in a panic: see [Map.TryPut].
//
// The value that was there is overwritten; if it owns memory, use [Map.GetOrPut].
func (m *Map[K, V]) Put(key K, v V) {
	s, _, err := m.put(&key)
	must(err)
	s.val = v
	s.key = key // 0 may have been -0
}

// TryPut is Put, but returns an error if the map must grow and there is no memory, or if K or V has
// Go pointers in it. The map is then as it was.
func (m *Map[K, V]) TryPut(key K, v V) error {
	s, _, err := m.put(&key)
	if err != nil {
		return err
	}
	s.val = v
	s.key = key
	return nil
}

// PutSeq puts all that seq gives, which may be of this map. Out of memory ends in galloc.HandleAllocError.
func (m *Map[K, V]) PutSeq(seq iter.Seq2[K, V]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is PutSeq with an error, at which it stops: what came before has been put.
func (m *Map[K, V]) TryPutSeq(seq iter.Seq2[K, V]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent makes v the value of key if key has none, and reports whether it has done so.
func (m *Map[K, V]) PutIfAbsent(key K, v V) bool {
	put, err := m.TryPutIfAbsent(key, v)
	must(err)
	return put
}

// TryPutIfAbsent is PutIfAbsent with an error, as [Map.TryPut] has it.
func (m *Map[K, V]) TryPutIfAbsent(key K, v V) (put bool, err error) {
	s, found, err := m.put(&key)
	if err != nil || found {
		return false, err
	}
	s.val = v
	return true, nil
}

// GetOrPut returns the address of the value of key, and whether there was one; if not, there is now: the zero V.
// The address is valid as said at [Map.GetPtr].
//
//	n, _ := m.GetOrPut(word)
//	*n++
func (m *Map[K, V]) GetOrPut(key K) (v *V, found bool) {
	v, found, err := m.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is GetOrPut with an error, as [Map.TryPut] has it.
func (m *Map[K, V]) TryGetOrPut(key K) (v *V, found bool, err error) {
	s, found, err := m.put(&key)
	if err != nil {
		return nil, false, err
	}
	return &s.val, found, nil
}

// Delete removes the entry with that key, and reports whether there was one. It needs no memory.
func (m *Map[K, V]) Delete(key K) bool {
	s := m.find(&key)
	if s == nil {
		return false
	}
	m.t.removeSlot(s)
	return true
}

// Take is Delete, and returns the value.
func (m *Map[K, V]) Take(key K) (v V, ok bool) {
	s := m.find(&key)
	if s == nil {
		return v, false
	}
	v = s.val
	m.t.removeSlot(s)
	return v, true
}

// Clear removes all entries, those too whose keys are NaN, and keeps the memory. It costs as much as
// writing to all of that.
func (m *Map[K, V]) Clear() { m.t.clear() }

// Reserve makes room for n entries more than there are: adding them does not allocate. If n is negative, it panics.
func (m *Map[K, V]) Reserve(n int) { must(m.TryReserve(n)) }

// TryReserve is Reserve with an error, as [Map.TryPut] has it, or a *galloc.LayoutError if there cannot be so many.
func (m *Map[K, V]) TryReserve(n int) error {
	if err := m.prepare(); err != nil {
		return err
	}
	return m.t.reserve(n, m.rehasher())
}

// ShrinkToFit makes the table as small as its entries allow, or gives it back if there are none. It does nothing
// while there are iterations, or if there is no memory for a smaller table.
func (m *Map[K, V]) ShrinkToFit() { _ = m.TryShrinkToFit() }

// TryShrinkToFit is ShrinkToFit that returns an error where there is no memory for the smaller table. The map is then as
// it was.
func (m *Map[K, V]) TryShrinkToFit() error {
	switch {
	case m.t.busy() || m.t.base == nil:
		return nil
	case m.t.used == 0:
		m.t.free()
		return nil
	}
	lg := groupsFor(m.t.used)
	if lg == m.t.lg() {
		return nil
	}
	c, err := m.t.makeCells(lg)
	if err != nil {
		return err
	}
	old := m.t.cells
	m.t.reseed() // see map_table.go
	m.t.moveTo(c, m.rehasher())
	m.t.discard(old)
	return nil
}

// Clone returns a copy of the map on the same allocator. Keys and values are copied as they are.
func (m *Map[K, V]) Clone() *Map[K, V] {
	c, err := m.TryClone()
	must(err)
	return c
}

// TryClone is Clone with an error.
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

// Free gives back all memory. The map is then empty, on the same allocator, and can be used again. Iterations
// that are running end.
func (m *Map[K, V]) Free() { m.t.free() }

// FreeFunc calls release for each entry, and then does what Free does: for keys and values that
// own memory themselves. release must not use the map.
func (m *Map[K, V]) FreeFunc(release func(key *K, v *V)) {
	m.t.entries(nil, func(s *slot[K, V]) bool {
		release(&s.key, &s.val)
		return true
	})
	m.Free()
}

// All gives all entries, in an order that is another one for each map, and when the map is cleared or grows.
//
// The map may be changed meanwhile, as Go's can: an entry that is removed before its turn is not given; one
// that is added may be given or not; no entry is given twice. The value is the one of the moment. Clear and Free
// end the iteration. A table that is replaced meanwhile, because it grows, is given back at the end of the
// last iteration: those who use iter.Pull must call stop.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.key, s.val) })
	}
}

// Pointers is All with the addresses of the values, to change them: valid as said at [Map.GetPtr].
// (Of a NaN, whose value cannot be found again, it is a copy if the table has been replaced during the iteration.)
func (m *Map[K, V]) Pointers() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.key, &s.val) })
	}
}

// Keys gives all keys, as All does.
func (m *Map[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.key) })
	}
}

// Values gives all values, as All does.
func (m *Map[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		m.t.entries(m.current, func(s *slot[K, V]) bool { return yield(s.val) })
	}
}

// hash returns the hash of a key.
func (m *Map[K, V]) hash(key *K) uint64 {
	if m.number {
		return m.t.seeds.number(number(key))
	}
	return m.t.seeds.hashParts(unsafe.Pointer(key), m.recipe.parts)
}

// number returns a key that is a number as such. The compiler knows the size of K.
func number[K comparable](key *K) uint64 {
	// SAFETY: it reads as many bytes as there are.
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

// find returns the slot of a key, or nil. It is written out, with hash in it, as put is: the compiler makes calls of
// what it could share, and those cost a third of the time of looking up what is in the cache.
func (m *Map[K, V]) find(key *K) *slot[K, V] {
	if m.t.base == nil {
		return nil
	}
	var h uint64
	if m.number {
		h = m.t.seeds.number(number(key))
	} else {
		h = m.hash(key)
	}
	tags := tagsOf(h)
	g := m.t.home(h)
	for d := uintptr(1); ; d++ {
		grp := m.t.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			if s := grp.slot(x.first()); s.key == *key {
				return s
			}
		}
		if matchEmpty(control) != 0 {
			return nil
		}
		g = (g + d) & m.t.mask
	}
}

// put returns the slot of a key: the one that there is, or a new one with the key and the zero V.
func (m *Map[K, V]) put(key *K) (s *slot[K, V], found bool, err error) {
	var h uint64
	if m.t.base == nil {
		goto missing
	}
	if m.number {
		h = m.t.seeds.number(number(key))
	} else {
		h = m.hash(key)
	}
	for g, tags, d := m.t.home(h), tagsOf(h), uintptr(1); ; d++ {
		grp := m.t.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			if s := grp.slot(x.first()); s.key == *key {
				return s, true, nil
			}
		}
		if matchEmpty(control) != 0 {
			break
		}
		g = (g + d) & m.t.mask
	}
missing:
	if m.t.left == 0 {
		if err := m.grow(); err != nil {
			return nil, false, err
		}
		h = m.hash(key) // the first table comes with its seeds
	}
	s = m.t.take(h)
	*s = slot[K, V]{key: *key}
	return s, false, nil
}

// grow makes room for one more entry.
func (m *Map[K, V]) grow() error {
	if err := m.prepare(); err != nil {
		return err
	}
	return m.t.makeRoom(m.rehasher())
}

// prepare finds out what there is to know about K and V.
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
	return func(_ uint64, s *slot[K, V]) uint64 { return m.hash(&s.key) }
}

// current returns where the entry in slot s of a former table is now, or nil.
func (m *Map[K, V]) current(s *slot[K, V]) *slot[K, V] {
	if s.key != s.key {
		return s // a NaN cannot be found, nor removed but by Clear and Free, which end iterations
	}
	return m.find(&s.key)
}
