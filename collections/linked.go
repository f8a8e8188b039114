package collections

import (
	"fmt"
	"iter"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// LinkedMap is a hash table whose entries are in a list too. New entries come to the back, and
// MoveToBack moves one there, so that the front is the entry that was added or used least recently.
// That makes an LRU cache, which keeps each key once:
//
//	if v := m.MoveToBack(key); v != nil { return *v } // a hit
//	if m.Len() == limit { m.PopFront() }
//	m.Put(key, load(key))
//
// The zero value is an empty map on galloc.Global. It compares keys as [Map] does, and like a Map,
// several goroutines may read it and iterate over it at once, while none writes; MoveToBack writes.
//
// Entries do not move in memory: a pointer to a value, and a [Handle], are valid until that entry
// is deleted or the map is freed. Each operation on one entry takes O(1) on average. No operation
// takes longer because the map is large: an insertion allocates now and then, but moves nothing.
// An entry takes 28 bytes in addition to key and value; as with all growing arrays, up to the same
// amount is reserved for later entries.
//
// The entries are in a [Slab]. The table is one of linear hashing (Litwin 1980) with chains, which
// grows by splitting one chain at a time.
type LinkedMap[K comparable, V any] struct {
	_       block.NoCopy
	entries Slab[linked[K, V]]
	front   uint32 // the slot of the first entry, or 0
	back    uint32

	buckets segments // of uint32: the slot of the first entry of a chain, or 0
	chains  uint32   // number of buckets in use; 0 before the first insertion or reservation
	retry   int      // the number of entries from which to split chains again

	seeds   seeds
	recipe  *recipe // nil before the first insertion or reservation
	guard   guard
	cursors cursors
}

// linked is an entry.
type linked[K comparable, V any] struct {
	val        V
	key        K
	hash       uint32 // the lower bits
	chain      uint32 // the slot of the next entry in the bucket, or 0
	prev, next uint32 // slots, or 0
}

// NewLinkedMap returns an empty map that allocates from a, or from galloc.Global if a is nil.
func NewLinkedMap[K comparable, V any](a galloc.Allocator) *LinkedMap[K, V] {
	m := new(LinkedMap[K, V])
	m.entries.alloc = usable(a)
	return m
}

// MakeLinkedMap returns an empty map on a with capacity for at least n entries. It panics if n is
// negative.
func MakeLinkedMap[K comparable, V any](a galloc.Allocator, n int) (*LinkedMap[K, V], error) {
	m := NewLinkedMap[K, V](a)
	return filled(m, func() error { return m.TryReserve(n) })
}

// CollectLinkedMap returns a map on a with the pairs of seq. Of several values of a key, the last
// remains, in the place of the first.
func CollectLinkedMap[K comparable, V any](a galloc.Allocator, seq iter.Seq2[K, V]) (*LinkedMap[K, V], error) {
	m := NewLinkedMap[K, V](a)
	return filled(m, func() error { return m.TryPutSeq(seq) })
}

// Len returns the number of entries.
func (m *LinkedMap[K, V]) Len() int { return m.entries.n }

// Cap returns the number of entries that fit without allocating.
func (m *LinkedMap[K, V]) Cap() int {
	if m.chains == 0 {
		return 0
	}
	return max(m.Len(), min(m.entries.Cap(), int(m.buckets.end()-uint64(m.buckets.first()))))
}

// entry returns the entry in slot i.
func (m *LinkedMap[K, V]) entry(i uint32) *linked[K, V] { return &m.entries.at(i).value }

// Get returns the value of key; ok reports whether key is present.
func (m *LinkedMap[K, V]) Get(key K) (v V, ok bool) {
	if i := m.find(key); i != 0 {
		return m.entry(i).val, true
	}
	return v, false
}

// Ptr returns a pointer to the value of key, or nil if key is absent. It is valid until the entry
// is deleted or m is freed.
func (m *LinkedMap[K, V]) Ptr(key K) *V {
	if i := m.find(key); i != 0 {
		return &m.entry(i).val
	}
	return nil
}

// Has reports whether key is present.
func (m *LinkedMap[K, V]) Has(key K) bool { return m.find(key) != 0 }

// Put sets the value of key to v. A new entry comes to the back; one that is present keeps its
// place, and its value is overwritten; if that owns memory, use GetOrPut.
func (m *LinkedMap[K, V]) Put(key K, v V) { must(m.TryPut(key, v)) }

// TryPut is like Put but returns an error if memory runs out, or if K or V contains Go pointers.
// The map is then unchanged.
func (m *LinkedMap[K, V]) TryPut(key K, v V) error {
	e, _, err := m.put(key)
	if err == nil {
		e.val = v
		e.key = key // the old key may be 0 and the new one -0
	}
	return err
}

// PutSeq puts the pairs of seq, which may read m itself.
func (m *LinkedMap[K, V]) PutSeq(seq iter.Seq2[K, V]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is like PutSeq but stops at the first error and returns it. The pairs before it have
// been put.
func (m *LinkedMap[K, V]) TryPutSeq(seq iter.Seq2[K, V]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent sets the value of key to v if key is absent, and reports whether it did.
func (m *LinkedMap[K, V]) PutIfAbsent(key K, v V) bool { return mustValue(m.TryPutIfAbsent(key, v)) }

// TryPutIfAbsent is like PutIfAbsent but returns an error if memory runs out.
func (m *LinkedMap[K, V]) TryPutIfAbsent(key K, v V) (put bool, err error) {
	e, found, err := m.put(key)
	if err != nil || found {
		return false, err
	}
	e.val = v
	return true, nil
}

// GetOrPut returns a pointer to the value of key; found reports whether key was present. If it was
// not, it has been added at the back with the zero V. The pointer is valid as long as one from
// Ptr.
func (m *LinkedMap[K, V]) GetOrPut(key K) (v *V, found bool) {
	v, found, err := m.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is like GetOrPut but returns an error if memory runs out.
func (m *LinkedMap[K, V]) TryGetOrPut(key K) (v *V, found bool, err error) {
	e, found, err := m.put(key)
	if err != nil {
		return nil, false, err
	}
	return &e.val, found, nil
}

// MoveToBack moves the entry of key to the back of the list and returns a pointer to its value, or
// nil if key is absent. The pointer is valid as long as one from Ptr.
func (m *LinkedMap[K, V]) MoveToBack(key K) *V {
	i := m.find(key)
	if i == 0 {
		return nil
	}
	e := m.entry(i)
	if i != m.back {
		m.guard.begin()
		m.unlink(i, e)
		m.linkBetween(m.back, i, 0)
		m.guard.end()
	}
	return &e.val
}

// MoveToFront is like MoveToBack, for the front of the list.
func (m *LinkedMap[K, V]) MoveToFront(key K) *V {
	i := m.find(key)
	if i == 0 {
		return nil
	}
	e := m.entry(i)
	if i != m.front {
		m.guard.begin()
		m.unlink(i, e)
		m.linkBetween(0, i, m.front)
		m.guard.end()
	}
	return &e.val
}

// Front returns the first entry of the list; ok is false if the map is empty.
func (m *LinkedMap[K, V]) Front() (key K, v V, ok bool) { return m.end(m.front) }

// Back returns the last entry of the list; ok is false if the map is empty.
func (m *LinkedMap[K, V]) Back() (key K, v V, ok bool) { return m.end(m.back) }

func (m *LinkedMap[K, V]) end(i uint32) (key K, v V, ok bool) {
	if m.guard.read(); i == 0 {
		return key, v, false
	}
	e := m.entry(i)
	return e.key, e.val, true
}

// PopFront removes the first entry of the list and returns it; ok is false if the map is empty.
func (m *LinkedMap[K, V]) PopFront() (key K, v V, ok bool) { return m.pop(m.front) }

// PopBack removes the last entry of the list and returns it; ok is false if the map is empty.
func (m *LinkedMap[K, V]) PopBack() (key K, v V, ok bool) { return m.pop(m.back) }

func (m *LinkedMap[K, V]) pop(i uint32) (key K, v V, ok bool) {
	if key, v, ok = m.end(i); ok {
		m.remove(i)
	}
	return key, v, ok
}

// Handle returns a handle of the entry of key; ok reports whether key is present. Other
// collections can refer to the entry by it. It stays valid, wherever the entry is moved in the
// list, until the entry is deleted.
func (m *LinkedMap[K, V]) Handle(key K) (h Handle[V], ok bool) {
	i := m.find(key)
	if i == 0 {
		return h, false
	}
	return Handle[V]{i, m.entries.at(i).generation}, true
}

// Entry returns the key of the entry of h and a pointer to its value, valid as long as one from
// Ptr; or nil if the entry has been deleted. A handle of another collection is not detected if its
// slot here has an entry of the same generation.
func (m *LinkedMap[K, V]) Entry(h Handle[V]) (key K, v *V) {
	m.guard.read()
	if e := m.entries.Ptr(Handle[linked[K, V]](h)); e != nil {
		return e.key, &e.val
	}
	return key, nil
}

// Delete removes key and returns its value; ok reports whether key was present. It allocates
// nothing.
func (m *LinkedMap[K, V]) Delete(key K) (v V, ok bool) {
	i := m.find(key)
	if i == 0 {
		return v, false
	}
	v = m.entry(i).val
	m.remove(i)
	return v, true
}

// DeleteFunc removes the entries for which del returns true. del must not use m.
func (m *LinkedMap[K, V]) DeleteFunc(del func(key K, v V) bool) {
	for i := m.front; i != 0; {
		e := m.entry(i)
		next := e.next
		if del(e.key, e.val) {
			m.remove(i)
		}
		i = next
	}
}

// Clear removes all entries and keeps the memory. It visits every slot that has been used.
func (m *LinkedMap[K, V]) Clear() {
	if m.chains == 0 {
		return
	}
	m.cursors.end()
	m.entries.Clear()
	m.front, m.back, m.retry = 0, 0, 0
	m.reset()
}

// Reserve ensures capacity for at least n more entries. It panics if n is negative.
func (m *LinkedMap[K, V]) Reserve(n int) { must(m.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (m *LinkedMap[K, V]) TryReserve(n int) error {
	need, err := sum[linked[K, V]](m.Len(), n)
	if err != nil {
		return err
	}
	if err := m.prepare(); err != nil {
		return err
	}
	if err := m.entries.TryReserve(n); err != nil {
		return err
	}
	return m.buckets.growUntil(m.entries.alloc, uint64(m.buckets.first())+uint64(need))
}

// Clone returns a copy of m on the same allocator, in the same order. The handles of m are valid in
// the copy and identify the copied entries.
func (m *LinkedMap[K, V]) Clone() *LinkedMap[K, V] { return mustValue(m.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (m *LinkedMap[K, V]) TryClone() (*LinkedMap[K, V], error) {
	c := NewLinkedMap[K, V](m.entries.alloc)
	return filled(c, func() error {
		if err := m.entries.cloneTo(&c.entries); err != nil || m.chains == 0 {
			return err
		}
		c.seeds, c.recipe = m.seeds, m.recipe
		err := c.buckets.copyFrom(m.entries.alloc, &m.buckets, uint64(m.buckets.first()+m.chains))
		if err == nil {
			c.front, c.back, c.chains = m.front, m.back, m.chains
		}
		return err
	})
}

// Equal reports whether m and o have the same keys, with the same values, compared by ==. The order
// does not matter.
func (m *LinkedMap[K, V]) Equal(o *LinkedMap[K, V]) bool { return m.EqualFunc(o, equal[V]) }

// EqualFunc is like Equal but compares values with eq.
func (m *LinkedMap[K, V]) EqualFunc(o *LinkedMap[K, V], eq func(x, y V) bool) bool {
	if m.Len() != o.Len() {
		return false
	}
	for k, v := range m.All() {
		if w := o.Ptr(k); w == nil || !eq(v, *w) {
			return false
		}
	}
	return true
}

// String returns the entries as Format prints them by %v.
func (m *LinkedMap[K, V]) String() string { return fmt.Sprint(m) }

// Format implements fmt.Formatter. It prints map[1:10 2:20], in the order of the list, and the verb
// applies to each key and value.
func (m *LinkedMap[K, V]) Format(f fmt.State, verb rune) { formatPairs(f, verb, m.Len(), m.All()) }

// Free releases all memory. m is then empty and can be used again. Running iterations end. Handles
// from before do not become valid again: see [Slab.Free].
func (m *LinkedMap[K, V]) Free() {
	m.cursors.end()
	m.buckets.free(m.entries.alloc)
	m.entries.Free()
	m.front, m.back, m.chains, m.retry = 0, 0, 0, 0
}

// FreeFunc calls free for each entry, from the front to the back, and then frees m. free must not
// use m.
func (m *LinkedMap[K, V]) FreeFunc(free func(key *K, v *V)) {
	for m.front != 0 {
		e := m.entry(m.front)
		m.remove(m.front) // first, as free may panic; key and value stay
		free(&e.key, &e.val)
	}
	m.Free()
}
