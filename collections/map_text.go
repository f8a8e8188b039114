package collections

import (
	"fmt"
	"iter"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// TextMap is a hash table with strings as keys and values: map[string]string off the Go heap. It
// copies both. The rules of [StringMap] hold; so the strings that the map returns are views of its
// memory, valid until the next call that changes the map.
//
// The zero value is an empty map on galloc.Global. A map must not be copied after the first use.
// Several goroutines may read it and iterate over it at once, while none writes.
//
// The table takes 9 bytes for each slot. Key and value are packed together, as the keys of
// StringMap are.
type TextMap struct {
	_ block.NoCopy
	m StringMap[struct{}] // the values are in m.keys, which has pairs
}

// NewTextMap returns an empty map that allocates from a, or from galloc.Global if a is nil.
func NewTextMap(a galloc.Allocator) *TextMap {
	m := new(TextMap)
	m.m.t.alloc, m.m.keys.alloc = usable(a), a
	return m
}

// MakeTextMap returns an empty map on a with capacity for at least n entries. The strings will need
// more memory.
func MakeTextMap(a galloc.Allocator, n int) (*TextMap, error) {
	m := NewTextMap(a)
	return filled(m, func() error { return m.TryReserve(n) })
}

// CollectTextMap returns a map on a with the pairs of seq. Of several values of a key, the last
// remains.
func CollectTextMap(a galloc.Allocator, seq iter.Seq2[string, string]) (*TextMap, error) {
	m := NewTextMap(a)
	return filled(m, func() error { return m.TryPutSeq(seq) })
}

// Len returns the number of entries.
func (m *TextMap) Len() int { return m.m.Len() }

// Cap returns the number of entries that fit before the table must grow, as [Map.Cap] does.
func (m *TextMap) Cap() int { return m.m.Cap() }

// Get returns the value of key, as a view; ok reports whether key is present.
func (m *TextMap) Get(key string) (v string, ok bool) {
	if s := m.m.find(key); s != nil {
		return m.m.keys.valueAfter(s.handle(), len(key)), true
	}
	return "", false
}

// GetBytes is Get for a key in a byte slice.
func (m *TextMap) GetBytes(key []byte) (v string, ok bool) { return m.Get(viewOf(key)) }

// Has reports whether key is present.
func (m *TextMap) Has(key string) bool { return m.m.Has(key) }

// HasBytes is Has for a key in a byte slice.
func (m *TextMap) HasBytes(key []byte) bool { return m.Has(viewOf(key)) }

// Put sets the value of key to v. Both may be views of m.
func (m *TextMap) Put(key, v string) { must(m.TryPut(key, v)) }

// TryPut is like Put but returns an error if memory runs out. The map is then unchanged.
func (m *TextMap) TryPut(key, v string) error {
	s, found, err := m.put(key, v)
	if err == nil && found {
		err = m.replace(s, v)
	}
	if err == nil {
		m.m.tidy()
	}
	return err
}

// put adds an entry if key is absent, and returns its slot otherwise.
func (m *TextMap) put(key, v string) (s *stringSlot[struct{}], found bool, err error) {
	m.m.keys.pairs = true
	return m.m.put(key, v)
}

// replace replaces the value of the entry in slot s.
func (m *TextMap) replace(s *stringSlot[struct{}], v string) error {
	keys, busy := &m.m.keys, m.m.t.busy()
	if !busy && keys.overwrite(s.handle(), v) {
		return nil
	}
	handle, err := m.m.store(keys.get(s.handle()), v)
	if err != nil {
		return err
	}
	old := s.handle() // after store, which may have moved it
	s.ref = s.ref&^handleMask | handle
	keys.drop(old, busy)
	return nil
}

// PutBytes is Put for a key and a value in byte slices.
func (m *TextMap) PutBytes(key, v []byte) { must(m.TryPutBytes(key, v)) }

// TryPutBytes is like PutBytes but returns an error if memory runs out.
func (m *TextMap) TryPutBytes(key, v []byte) error { return m.TryPut(viewOf(key), viewOf(v)) }

// PutSeq puts the pairs of seq, which may read m itself.
func (m *TextMap) PutSeq(seq iter.Seq2[string, string]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is like PutSeq but stops at the first error and returns it. The pairs before it have
// been put.
func (m *TextMap) TryPutSeq(seq iter.Seq2[string, string]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent sets the value of key to v if key is absent, and reports whether it did.
func (m *TextMap) PutIfAbsent(key, v string) bool { return mustValue(m.TryPutIfAbsent(key, v)) }

// TryPutIfAbsent is like PutIfAbsent but returns an error if memory runs out.
func (m *TextMap) TryPutIfAbsent(key, v string) (put bool, err error) {
	_, found, err := m.put(key, v)
	if err == nil {
		m.m.tidy()
	}
	return err == nil && !found, err
}

// PutIfAbsentBytes is PutIfAbsent for a key and a value in byte slices.
func (m *TextMap) PutIfAbsentBytes(key, v []byte) bool {
	return m.PutIfAbsent(viewOf(key), viewOf(v))
}

// TryPutIfAbsentBytes is like PutIfAbsentBytes but returns an error if memory runs out.
func (m *TextMap) TryPutIfAbsentBytes(key, v []byte) (put bool, err error) {
	return m.TryPutIfAbsent(viewOf(key), viewOf(v))
}

// Delete removes key and returns its value, as a view; ok reports whether key was present. It
// allocates nothing off the Go heap.
func (m *TextMap) Delete(key string) (v string, ok bool) {
	s := m.m.find(key)
	if s == nil {
		return "", false
	}
	return m.m.keys.value(m.m.take(s)), true
}

// PopAny removes some entry and returns it, as views; ok reports whether there was one. Removing
// all entries like that takes O(Len+Cap), and O(length) for each.
func (m *TextMap) PopAny() (key, v string, ok bool) {
	_, s := m.m.t.any()
	if s == nil {
		return "", "", false
	}
	handle := m.m.take(s)
	return m.m.keys.get(handle), m.m.keys.value(handle), true
}

// DeleteBytes is Delete for a key in a byte slice.
func (m *TextMap) DeleteBytes(key []byte) (v string, ok bool) { return m.Delete(viewOf(key)) }

// DeleteFunc removes the entries for which del returns true. del must not use m.
func (m *TextMap) DeleteFunc(del func(key, v string) bool) {
	m.m.t.each(func(b *bucket[stringSlot[struct{}]], s *stringSlot[struct{}]) {
		if del(m.m.keys.get(s.handle()), m.m.keys.value(s.handle())) {
			m.m.remove(b, s)
		}
	})
	m.m.tidy()
}

// Clear removes all entries and keeps the memory, but frees blocks that hold one long entry.
func (m *TextMap) Clear() { m.m.Clear() }

// Reserve ensures capacity for at least n more entries. The strings will need more memory. It
// panics if n is negative.
func (m *TextMap) Reserve(n int) { m.m.Reserve(n) }

// TryReserve is like Reserve but returns an error if memory runs out, or a *galloc.LayoutError if
// no table can have that many entries.
func (m *TextMap) TryReserve(n int) error { return m.m.TryReserve(n) }

// ShrinkToFit releases the memory that the entries do not need; it copies the map. It does nothing
// during an iteration, or if there is no memory for the copy.
func (m *TextMap) ShrinkToFit() { _ = m.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for the copy. The
// map is then unchanged.
func (m *TextMap) TryShrinkToFit() error {
	if m.m.t.busy() {
		return nil
	}
	c, err := m.TryClone()
	if err != nil {
		return err
	}
	m.m.replace(&c.m)
	return nil
}

// Clone returns a copy of m on the same allocator, without spare capacity.
func (m *TextMap) Clone() *TextMap { return mustValue(m.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (m *TextMap) TryClone() (*TextMap, error) {
	c := NewTextMap(m.m.t.alloc)
	if err := m.m.cloneTo(&c.m); err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// Equal reports whether m and o have the same keys, with the same values.
func (m *TextMap) Equal(o *TextMap) bool {
	if m.Len() != o.Len() {
		return false
	}
	for k, v := range m.All() {
		if w, ok := o.Get(k); !ok || v != w {
			return false
		}
	}
	return true
}

// Format implements fmt.Formatter: see the package comment.
func (m *TextMap) Format(f fmt.State, verb rune) { formatPairs(f, verb, m.Len(), m.All()) }

// Free releases all memory. m is then empty and can be used again. Running iterations end.
func (m *TextMap) Free() { m.m.Free() }

// All returns an iterator over the entries, in an unspecified order. Keys and values are views. The
// rules of [Map.All] hold.
func (m *TextMap) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		m.m.entries(func(s *stringSlot[struct{}]) bool {
			return yield(m.m.keys.get(s.handle()), m.m.keys.value(s.handle()))
		})
	}
}

// Keys is like All but yields keys only.
func (m *TextMap) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.m.entries(func(s *stringSlot[struct{}]) bool { return yield(m.m.keys.get(s.handle())) })
	}
}

// Values is like All but yields values only.
func (m *TextMap) Values() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.m.entries(func(s *stringSlot[struct{}]) bool { return yield(m.m.keys.value(s.handle())) })
	}
}
