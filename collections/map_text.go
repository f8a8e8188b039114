package collections

import (
	"iter"

	"github.com/galloc-go/galloc"
)

// TextMap is a hash table of strings, with strings as keys: map[string]string off the Go heap. It keeps copies
// of both. The rules are those of [StringMap]; so strings that it gives are views of its memory. That of a
// value is valid until the entry is removed or put anew, too.
//
// The zero value is an empty map on galloc.Global. A map must not be copied after its first use. Several goroutines
// may read it at once, iterate over it too, while none writes.
//
// Memory: 17 bytes of table for each slot, and keys and values packed as the keys of StringMap.
type TextMap struct {
	_      noCopy
	m      StringMap[uint64] // to the handles of values
	values store
}

// NewTextMap returns an empty map on a; nil stands for galloc.Global. It takes no memory before it is used.
func NewTextMap(a galloc.Allocator) *TextMap {
	m := new(TextMap)
	m.m.t.alloc, m.m.keys.alloc, m.values.alloc = a, a, a
	return m
}

// Len returns the number of entries.
func (m *TextMap) Len() int { return m.m.Len() }

// Cap returns how many entries the map can have before its table must grow.
func (m *TextMap) Cap() int { return m.m.Cap() }

// Get returns the value of key, as a view, and whether there is one; "" if not.
func (m *TextMap) Get(key string) (v string, ok bool) {
	if s := m.m.find(key); s != nil {
		return m.values.get(s.val), true
	}
	return "", false
}

// GetBytes is Get for a key that is not a string.
func (m *TextMap) GetBytes(key []byte) (v string, ok bool) { return m.Get(viewOf(key)) }

// Has reports whether there is an entry with that key.
func (m *TextMap) Has(key string) bool { return m.m.Has(key) }

// Put makes v the value of key. Out of memory ends in galloc.HandleAllocError. Both are copied; v may be a view of
// this map.
func (m *TextMap) Put(key, v string) { must(m.TryPut(key, v)) }

// TryPut is Put, but returns an error if there is no memory. The map is then as it was.
func (m *TextMap) TryPut(key, v string) error {
	value, err := m.values.put(v)
	if err != nil {
		return err
	}
	s, found, err := m.m.put(key)
	if err != nil {
		m.values.free(value)
		return err
	}
	if found {
		m.values.drop(s.val, m.m.t.busy())
	}
	s.val = value
	return nil
}

// PutBytes is Put for what is not strings.
func (m *TextMap) PutBytes(key, v []byte) { must(m.TryPutBytes(key, v)) }

// TryPutBytes is PutBytes with an error, as [TextMap.TryPut] has it.
func (m *TextMap) TryPutBytes(key, v []byte) error { return m.TryPut(viewOf(key), viewOf(v)) }

// PutSeq puts all that seq gives, which may be of this map. Out of memory ends in galloc.HandleAllocError.
func (m *TextMap) PutSeq(seq iter.Seq2[string, string]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is PutSeq with an error, at which it stops: what came before has been put.
func (m *TextMap) TryPutSeq(seq iter.Seq2[string, string]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent makes v the value of key if key has none, and reports whether it has done so.
func (m *TextMap) PutIfAbsent(key, v string) bool {
	put, err := m.TryPutIfAbsent(key, v)
	must(err)
	return put
}

// TryPutIfAbsent is PutIfAbsent with an error, as [TextMap.TryPut] has it.
func (m *TextMap) TryPutIfAbsent(key, v string) (put bool, err error) {
	if m.Has(key) {
		return false, nil
	}
	err = m.TryPut(key, v)
	return err == nil, err
}

// Delete removes the entry with that key, and reports whether there was one.
func (m *TextMap) Delete(key string) bool {
	value, ok := m.m.Take(key)
	if ok {
		m.values.drop(value, m.m.t.busy())
	}
	return ok
}

// DeleteBytes is Delete for a key that is not a string.
func (m *TextMap) DeleteBytes(key []byte) bool { return m.Delete(viewOf(key)) }

// Clear removes all entries, and keeps the memory but for that of strings of more than 64 KiB.
func (m *TextMap) Clear() {
	m.m.Clear()
	m.values.reset()
}

// Reserve makes room in the table for n entries more than there are. The strings will need memory still.
// If n is negative, it panics.
func (m *TextMap) Reserve(n int) { m.m.Reserve(n) }

// TryReserve is Reserve with an error, as [StringMap.TryReserve] has it.
func (m *TextMap) TryReserve(n int) error { return m.m.TryReserve(n) }

// ShrinkToFit makes the table as small as its entries allow, and moves the strings close together. It does nothing while
// there are iterations, or if there is no memory for the smaller copy.
func (m *TextMap) ShrinkToFit() { _ = m.TryShrinkToFit() }

// TryShrinkToFit is ShrinkToFit that returns an error where there is no memory for the smaller copy. The map is then as it
// was.
func (m *TextMap) TryShrinkToFit() error {
	if m.m.t.busy() {
		return nil
	}
	c, err := m.TryClone()
	if err != nil {
		return err
	}
	m.Free()
	m.m.replace(&c.m)
	m.values = c.values
	return nil
}

// Clone returns a copy of the map on the same allocator, as small as it can be.
func (m *TextMap) Clone() *TextMap {
	c, err := m.TryClone()
	must(err)
	return c
}

// TryClone is Clone with an error.
func (m *TextMap) TryClone() (*TextMap, error) {
	c := NewTextMap(m.m.t.alloc)
	err := m.m.cloneTo(&c.m, func(v *uint64) error {
		handle, err := c.values.put(m.values.get(*v))
		*v = handle
		return err
	})
	if err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// Free gives back all memory. The map is then empty, on the same allocator, and can be used again. Iterations that
// are running end.
func (m *TextMap) Free() {
	m.m.Free()
	m.values.release()
}

// All gives all entries, under the rules of [Map.All]. Keys and values are views.
func (m *TextMap) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		m.entries(func(s *stringSlot[uint64]) bool {
			return yield(m.m.keys.get(s.handle()), m.values.get(s.val))
		})
	}
}

// Keys gives all keys, as All does.
func (m *TextMap) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.entries(func(s *stringSlot[uint64]) bool { return yield(m.m.keys.get(s.handle())) })
	}
}

// Values gives all values, as All does.
func (m *TextMap) Values() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.entries(func(s *stringSlot[uint64]) bool { return yield(m.values.get(s.val)) })
	}
}

func (m *TextMap) entries(yield func(s *stringSlot[uint64]) bool) {
	defer func() {
		if !m.m.t.busy() {
			m.values.bury()
		}
	}()
	m.m.entries(yield)
}
