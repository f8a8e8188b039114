package collections

import (
	"iter"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// StringMap is a [Map] with strings as keys. It keeps copies of them off the Go heap; looking up makes none.
// The values have no Go pointers in them. For strings as values too, see [TextMap].
//
// The zero value is an empty map on galloc.Global. A map must not be copied after its first use. Several goroutines
// may read it at once, iterate over it too, while none writes.
//
// Strings that the map gives are views of its memory: valid until the entry is removed, or Clear, ShrinkToFit
// or Free is called; during an iteration, that of a removed entry is so until the iteration ends. Keep
// strings.Clone of them. Adding entries moves no strings.
//
// Memory: a table as Map has it, with 8 bytes in place of the key, and the strings packed into blocks of up to
// 1 MiB, rounded up to 4 bytes, and 8 at least (those from 255 bytes on have 8 more). What removed keys took is used
// again for keys of about the same length. All keys together may have 64 GiB, and 65535 of them more than 64 KiB
// each: then TryPut fails with galloc.ErrUnsupported.
type StringMap[V any] struct {
	_       noCopy
	t       table[stringSlot[V]]
	keys    store
	checked bool // V has no pointers
}

// stringSlot is an entry. ref is the handle of the key, and above it the upper bits of its hash, so that nobody need look
// at the keys when the table grows, up to 2^22 groups, nor at others when one is looked up:
//
//	ref = hash>>42<<42 | handle
type stringSlot[V any] struct {
	val V
	ref uint64
}

const (
	handleBits = 42
	handleMask = 1<<handleBits - 1
	placeMask  = handleMask &^ longLength
	maxPlace   = 1 << (handleBits - lengthBits)
)

// refBits is how many bits of a hash are in a ref. Tests have fewer, as tables of so many groups take too long.
var refBits = 64 - handleBits

func (s *stringSlot[V]) handle() uint64 { return s.ref & handleMask }

// NewStringMap returns an empty map on a; nil stands for galloc.Global. It takes no memory before it is used.
func NewStringMap[V any](a galloc.Allocator) *StringMap[V] {
	m := new(StringMap[V])
	m.t.alloc, m.keys.alloc = a, a
	return m
}

// Len returns the number of entries.
func (m *StringMap[V]) Len() int { return m.t.used }

// Cap returns how many entries the map can have before its table must grow.
func (m *StringMap[V]) Cap() int { return m.t.limit() }

// Get returns the value of key, and whether there is one; the zero V if not.
func (m *StringMap[V]) Get(key string) (v V, ok bool) {
	if s := m.find(key); s != nil {
		return s.val, true
	}
	return v, false
}

// GetBytes is Get for a key that is not a string.
func (m *StringMap[V]) GetBytes(key []byte) (v V, ok bool) { return m.Get(viewOf(key)) }

// GetPtr returns the address of the value of key, or nil if there is none. It is valid until the next call that
// may add or remove entries.
func (m *StringMap[V]) GetPtr(key string) *V {
	if s := m.find(key); s != nil {
		return &s.val
	}
	return nil
}

// Has reports whether there is an entry with that key.
func (m *StringMap[V]) Has(key string) bool { return m.find(key) != nil }

// Put makes v the value of key. Out of memory ends in galloc.HandleAllocError, and a V with Go pointers in
// a panic: see [StringMap.TryPut].
func (m *StringMap[V]) Put(key string, v V) { must(m.TryPut(key, v)) }

// TryPut is Put, but returns an error if there is no memory, or if V has Go pointers in it. The map is then as it was.
func (m *StringMap[V]) TryPut(key string, v V) error {
	s, _, err := m.put(key)
	if err == nil {
		s.val = v
	}
	return err
}

// PutBytes is Put for a key that is not a string.
func (m *StringMap[V]) PutBytes(key []byte, v V) { must(m.TryPutBytes(key, v)) }

// TryPutBytes is PutBytes with an error, as [StringMap.TryPut] has it.
func (m *StringMap[V]) TryPutBytes(key []byte, v V) error { return m.TryPut(viewOf(key), v) }

// PutSeq puts all that seq gives, which may be of this map. Out of memory ends in galloc.HandleAllocError.
func (m *StringMap[V]) PutSeq(seq iter.Seq2[string, V]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is PutSeq with an error, at which it stops: what came before has been put.
func (m *StringMap[V]) TryPutSeq(seq iter.Seq2[string, V]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent makes v the value of key if key has none, and reports whether it has done so.
func (m *StringMap[V]) PutIfAbsent(key string, v V) bool {
	put, err := m.TryPutIfAbsent(key, v)
	must(err)
	return put
}

// TryPutIfAbsent is PutIfAbsent with an error, as [StringMap.TryPut] has it.
func (m *StringMap[V]) TryPutIfAbsent(key string, v V) (put bool, err error) {
	s, found, err := m.put(key)
	if err != nil || found {
		return false, err
	}
	s.val = v
	return true, nil
}

// GetOrPut returns the address of the value of key, and whether there was one; if not, there is now: the zero V.
// The address is valid as said at [StringMap.GetPtr].
func (m *StringMap[V]) GetOrPut(key string) (v *V, found bool) {
	v, found, err := m.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is GetOrPut with an error, as [StringMap.TryPut] has it.
func (m *StringMap[V]) TryGetOrPut(key string) (v *V, found bool, err error) {
	s, found, err := m.put(key)
	if err != nil {
		return nil, false, err
	}
	return &s.val, found, nil
}

// GetOrPutBytes is GetOrPut for a key that is not a string.
func (m *StringMap[V]) GetOrPutBytes(key []byte) (v *V, found bool) { return m.GetOrPut(viewOf(key)) }

// TryGetOrPutBytes is TryGetOrPut for a key that is not a string.
func (m *StringMap[V]) TryGetOrPutBytes(key []byte) (v *V, found bool, err error) {
	return m.TryGetOrPut(viewOf(key))
}

// Delete removes the entry with that key, and reports whether there was one. It needs no memory but some of the
// Go heap, now and then.
func (m *StringMap[V]) Delete(key string) bool {
	_, ok := m.Take(key)
	return ok
}

// DeleteBytes is Delete for a key that is not a string.
func (m *StringMap[V]) DeleteBytes(key []byte) bool { return m.Delete(viewOf(key)) }

// Take is Delete, and returns the value.
func (m *StringMap[V]) Take(key string) (v V, ok bool) {
	s := m.find(key)
	if s == nil {
		return v, false
	}
	v = s.val
	m.keys.drop(s.handle(), m.t.busy())
	m.t.removeSlot(s)
	return v, true
}

// Clear removes all entries, and keeps the memory but for that of keys of more than 64 KiB.
func (m *StringMap[V]) Clear() {
	m.t.clear()
	m.keys.reset()
}

// Reserve makes room in the table for n entries more than there are. Their keys will need memory still.
// If n is negative, it panics.
func (m *StringMap[V]) Reserve(n int) { must(m.TryReserve(n)) }

// TryReserve is Reserve with an error, as [StringMap.TryPut] has it, or a *galloc.LayoutError if there cannot be so many.
func (m *StringMap[V]) TryReserve(n int) error {
	if err := m.check(); err != nil {
		return err
	}
	return m.t.reserve(n, m.rehash)
}

// ShrinkToFit makes the table as small as its entries allow, and moves the keys close together. It does nothing while
// there are iterations, or if there is no memory for the smaller copy.
func (m *StringMap[V]) ShrinkToFit() { _ = m.TryShrinkToFit() }

// TryShrinkToFit is ShrinkToFit that returns an error where there is no memory for the smaller copy. The map is then as it
// was.
func (m *StringMap[V]) TryShrinkToFit() error {
	if m.t.busy() {
		return nil
	}
	c, err := m.TryClone()
	if err != nil {
		return err
	}
	m.replace(c)
	return nil
}

// replace gives m what c has.
func (m *StringMap[V]) replace(c *StringMap[V]) {
	m.Free()
	m.t.cells, m.t.used, m.t.left, m.t.seeds = c.t.cells, c.t.used, c.t.left, c.t.seeds
	c.keys.limit = m.keys.limit // c may never have had a key
	m.keys = c.keys
}

// Clone returns a copy of the map on the same allocator, as small as it can be.
func (m *StringMap[V]) Clone() *StringMap[V] {
	c, err := m.TryClone()
	must(err)
	return c
}

// TryClone is Clone with an error.
func (m *StringMap[V]) TryClone() (*StringMap[V], error) {
	c := NewStringMap[V](m.t.alloc)
	if err := m.cloneTo(c, nil); err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// cloneTo makes c, which is empty, a copy, in which adopt, if there is one, has been called for each value: it may
// fail. If there is an error, c has some of the entries.
func (m *StringMap[V]) cloneTo(c *StringMap[V], adopt func(v *V) error) error {
	if m.t.used == 0 {
		return nil
	}
	err := c.TryReserve(m.t.used)
	if err != nil {
		return err
	}
	m.t.entries(nil, func(s *stringSlot[V]) bool {
		v := s.val
		if adopt != nil {
			if err = adopt(&v); err != nil {
				return false
			}
		}
		err = c.add(m.keys.get(s.handle()), v)
		return err == nil
	})
	return err
}

// add puts an entry that is not there into a table that has room.
func (m *StringMap[V]) add(key string, v V) error {
	handle, err := m.keys.put(key)
	if err != nil {
		return err
	}
	h := m.hash(key)
	*m.t.take(h) = stringSlot[V]{v, h&^handleMask | handle}
	return nil
}

// Free gives back all memory. The map is then empty, on the same allocator, and can be used again. Iterations that
// are running end.
func (m *StringMap[V]) Free() {
	m.t.free()
	m.keys.release()
}

// FreeFunc calls release for each entry, and then does what Free does: for values that own memory
// themselves. release must not use the map.
func (m *StringMap[V]) FreeFunc(release func(key string, v *V)) {
	m.t.entries(nil, func(s *stringSlot[V]) bool {
		release(m.keys.get(s.handle()), &s.val)
		return true
	})
	m.Free()
}

// All gives all entries, under the rules of [Map.All]. The keys are views.
func (m *StringMap[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(m.keys.get(s.handle()), s.val) })
	}
}

// Pointers is All with the addresses of the values, to change them: valid as said at [StringMap.GetPtr].
func (m *StringMap[V]) Pointers() iter.Seq2[string, *V] {
	return func(yield func(string, *V) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(m.keys.get(s.handle()), &s.val) })
	}
}

// Keys gives all keys, as All does.
func (m *StringMap[V]) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(m.keys.get(s.handle())) })
	}
}

// Values gives all values, as All does.
func (m *StringMap[V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(s.val) })
	}
}

func (m *StringMap[V]) entries(yield func(s *stringSlot[V]) bool) {
	defer m.bury()
	m.t.entries(func(s *stringSlot[V]) *stringSlot[V] { return m.find(m.keys.get(s.handle())) }, yield)
}

// bury frees the keys that have been removed, if no iteration is running any more.
func (m *StringMap[V]) bury() {
	if !m.t.busy() {
		m.keys.bury()
	}
}

func (m *StringMap[V]) hash(key string) uint64 { return m.t.seeds.text(key) }

// rehash is the hasher of the table.
func (m *StringMap[V]) rehash(control uint64, s *stringSlot[V]) uint64 {
	if m.t.lg() <= refBits {
		return s.ref&^handleMask | control&0x7f // all the bits that are used
	}
	return m.hash(m.keys.get(s.handle()))
}

// find returns the slot of a key, or nil.
func (m *StringMap[V]) find(key string) *stringSlot[V] {
	if m.t.base == nil {
		return nil
	}
	return m.search(key, m.hash(key))
}

// search is find where there is a table, and h is the hash of the key.
func (m *StringMap[V]) search(key string, h uint64) *stringSlot[V] {
	// What is known of the ref: all but the place.
	known := h&^handleMask | uint64(min(len(key), longLength))
	tags := tagsOf(h)
	g := m.t.home(h)
	for d := uintptr(1); ; d++ {
		grp := m.t.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			s := grp.slot(x.first())
			if (s.ref^known)&^placeMask == 0 && m.keys.is(s.ref&handleMask, key) {
				return s
			}
		}
		if matchEmpty(control) != 0 {
			return nil
		}
		g = (g + d) & m.t.mask
	}
}

// put returns the slot of a key: the one that there is, or a new one with the zero V.
func (m *StringMap[V]) put(key string) (s *stringSlot[V], found bool, err error) {
	var h uint64
	if m.t.base != nil {
		h = m.hash(key)
		if s := m.search(key, h); s != nil {
			return s, true, nil
		}
	}
	if m.t.left == 0 {
		if err := m.check(); err != nil {
			return nil, false, err
		}
		if err := m.t.makeRoom(m.rehash); err != nil {
			return nil, false, err
		}
		h = m.hash(key) // the first table comes with its seeds
	}
	handle, err := m.keys.put(key)
	if err != nil {
		return nil, false, err
	}
	s = m.t.take(h)
	*s = stringSlot[V]{ref: h&^handleMask | handle}
	return s, false, nil
}

func (m *StringMap[V]) check() error {
	if m.checked {
		return nil
	}
	if err := checkType[V](); err != nil {
		return err
	}
	m.keys.limit, m.checked = maxPlace, true
	return nil
}

// viewOf returns b as a string, without a copy, for as long as nobody writes to b.
func viewOf(b []byte) string {
	// SAFETY: so it says.
	return unsafe.String(unsafe.SliceData(b), len(b))
}
