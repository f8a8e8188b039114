package collections

import (
	"fmt"
	"iter"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// StringMap is a [Map] with strings as keys. It copies the keys off the Go heap; looking up copies
// nothing. For strings as values too, see [TextMap].
//
// The zero value is an empty map on galloc.Global. A map must not be copied after the first use.
// Several goroutines may read it and iterate over it at once, while none writes.
//
// The keys that the map yields are views of its memory, valid until the next call that changes the
// map, which may move keys. During an iteration nothing moves, and the key of a removed entry is
// valid until the iteration ends. To keep a key longer, use strings.Clone. To delete many entries,
// use DeleteFunc, or Delete within an iteration; keys that were collected before end with the first
// Delete.
//
// A table like Map's has 8 bytes in place of each key. The keys are packed into blocks of at most 1
// MiB, with 1 byte for the length of each, or 3 bytes from 126 bytes on; a key of more than 64 KiB
// is a block alone. After any sequence of calls the blocks take at most twice the memory of the
// keys that are there, and about a block more: a call that removes an entry moves other keys if it
// must, in amortized O(length). All keys together can take 4 TiB, and there can be 2^22 blocks:
// then TryPut fails with galloc.ErrUnsupported. Beyond 29 million entries, an insertion that splits
// a block of the table reads the keys of up to 7,200 entries.
type StringMap[V any] struct {
	_       block.NoCopy
	t       table[stringSlot[V]]
	keys    store
	checked bool // V contains no pointers
}

// stringSlot is an entry. ref is the handle of the key, below the lowest 22 bits of its hash, not
// counting the tag. So a table of up to 2^22 groups grows without reading keys, and a look-up reads
// few others:
//
//	ref = untagged(hash)<<42 | handle
type stringSlot[V any] struct {
	val V
	ref uint64
}

// refBits is the number of hash bits in a ref. Tests lower it, as tables with more than 2^22 groups
// are too large for them.
var refBits = 64 - handleBits

func (s *stringSlot[V]) handle() uint64 { return s.ref & handleMask }

// refOf returns the hash bits in a ref: first the home, then the index.
func (m *StringMap[V]) refOf(h uint64) uint64 { return m.t.untagged(h) << handleBits }

// NewStringMap returns an empty map that allocates from a, or from galloc.Global if a is nil.
func NewStringMap[V any](a galloc.Allocator) *StringMap[V] {
	m := new(StringMap[V])
	m.t.alloc, m.keys.alloc = usable(a), a
	return m
}

// MakeStringMap returns an empty map on a with capacity for at least n entries. The keys will need
// more memory.
func MakeStringMap[V any](a galloc.Allocator, n int) (*StringMap[V], error) {
	m := NewStringMap[V](a)
	return filled(m, func() error { return m.TryReserve(n) })
}

// CollectStringMap returns a map on a with the pairs of seq. Of several values of a key, the last
// remains.
func CollectStringMap[V any](a galloc.Allocator, seq iter.Seq2[string, V]) (*StringMap[V], error) {
	m := NewStringMap[V](a)
	return filled(m, func() error { return m.TryPutSeq(seq) })
}

// Len returns the number of entries.
func (m *StringMap[V]) Len() int { return m.t.used }

// Cap returns the number of entries that fit before the table must grow, as [Map.Cap] does.
func (m *StringMap[V]) Cap() int { return m.t.capacity() }

// Get returns the value of key; ok reports whether key is present.
func (m *StringMap[V]) Get(key string) (v V, ok bool) {
	if s := m.find(key); s != nil {
		return s.val, true
	}
	return v, false
}

// GetBytes is Get for a key in a byte slice.
func (m *StringMap[V]) GetBytes(key []byte) (v V, ok bool) { return m.Get(viewOf(key)) }

// Ptr returns a pointer to the value of key, or nil if key is absent. It is valid until the next
// call that may add or remove entries.
func (m *StringMap[V]) Ptr(key string) *V {
	if s := m.find(key); s != nil {
		return &s.val
	}
	return nil
}

// PtrBytes is Ptr for a key in a byte slice.
func (m *StringMap[V]) PtrBytes(key []byte) *V { return m.Ptr(viewOf(key)) }

// Has reports whether key is present.
func (m *StringMap[V]) Has(key string) bool { return m.find(key) != nil }

// HasBytes is Has for a key in a byte slice.
func (m *StringMap[V]) HasBytes(key []byte) bool { return m.Has(viewOf(key)) }

// Put sets the value of key to v. It overwrites the old value; if that owns memory, use
// [StringMap.GetOrPut].
func (m *StringMap[V]) Put(key string, v V) { must(m.TryPut(key, v)) }

// TryPut is like Put but returns an error if memory runs out, or if V contains Go pointers. The map
// is then unchanged.
func (m *StringMap[V]) TryPut(key string, v V) error {
	s, _, err := m.put(key, "")
	if err == nil {
		s.val = v
	}
	return err
}

// PutBytes is Put for a key in a byte slice.
func (m *StringMap[V]) PutBytes(key []byte, v V) { must(m.TryPutBytes(key, v)) }

// TryPutBytes is like PutBytes but returns an error if memory runs out.
func (m *StringMap[V]) TryPutBytes(key []byte, v V) error { return m.TryPut(viewOf(key), v) }

// PutSeq puts the pairs of seq, which may read m itself.
func (m *StringMap[V]) PutSeq(seq iter.Seq2[string, V]) { must(m.TryPutSeq(seq)) }

// TryPutSeq is like PutSeq but stops at the first error and returns it. The pairs before it have
// been put.
func (m *StringMap[V]) TryPutSeq(seq iter.Seq2[string, V]) error { return putSeq(seq, m.TryPut) }

// PutIfAbsent sets the value of key to v if key is absent, and reports whether it did.
func (m *StringMap[V]) PutIfAbsent(key string, v V) bool { return mustValue(m.TryPutIfAbsent(key, v)) }

// TryPutIfAbsent is like PutIfAbsent but returns an error if memory runs out.
func (m *StringMap[V]) TryPutIfAbsent(key string, v V) (put bool, err error) {
	s, found, err := m.put(key, "")
	if err != nil || found {
		return false, err
	}
	s.val = v
	return true, nil
}

// PutIfAbsentBytes is PutIfAbsent for a key in a byte slice.
func (m *StringMap[V]) PutIfAbsentBytes(key []byte, v V) bool { return m.PutIfAbsent(viewOf(key), v) }

// TryPutIfAbsentBytes is like PutIfAbsentBytes but returns an error if memory runs out.
func (m *StringMap[V]) TryPutIfAbsentBytes(key []byte, v V) (put bool, err error) {
	return m.TryPutIfAbsent(viewOf(key), v)
}

// GetOrPut returns a pointer to the value of key; found reports whether key was present. If it was
// not, it has been added with the zero V. The pointer is valid as long as one from [StringMap.Ptr].
func (m *StringMap[V]) GetOrPut(key string) (v *V, found bool) {
	v, found, err := m.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is like GetOrPut but returns an error if memory runs out.
func (m *StringMap[V]) TryGetOrPut(key string) (v *V, found bool, err error) {
	s, found, err := m.put(key, "")
	if err != nil {
		return nil, false, err
	}
	return &s.val, found, nil
}

// GetOrPutBytes is GetOrPut for a key in a byte slice.
func (m *StringMap[V]) GetOrPutBytes(key []byte) (v *V, found bool) { return m.GetOrPut(viewOf(key)) }

// TryGetOrPutBytes is like GetOrPutBytes but returns an error if memory runs out.
func (m *StringMap[V]) TryGetOrPutBytes(key []byte) (v *V, found bool, err error) {
	return m.TryGetOrPut(viewOf(key))
}

// Delete removes key and returns its value; ok reports whether key was present. It allocates
// nothing off the Go heap.
func (m *StringMap[V]) Delete(key string) (v V, ok bool) {
	s := m.find(key)
	if s == nil {
		return v, false
	}
	v = s.val
	m.remove(m.bucketOf(s), s)
	m.tidy()
	return v, true
}

// DeleteBytes is Delete for a key in a byte slice.
func (m *StringMap[V]) DeleteBytes(key []byte) (v V, ok bool) { return m.Delete(viewOf(key)) }

// PopAny removes some entry and returns it, the key as a view; ok reports whether there was one.
// Removing all entries like that takes O(Len+Cap), and O(length) for each key.
func (m *StringMap[V]) PopAny() (key string, v V, ok bool) {
	_, s := m.t.any()
	if s == nil {
		return "", v, false
	}
	v = s.val
	handle := m.take(s)
	return m.keys.get(handle), v, true
}

// take removes the entry in slot s and returns its handle. The record stays readable until the next
// change.
func (m *StringMap[V]) take(s *stringSlot[V]) (handle uint64) {
	if m.t.busy() {
		handle = s.handle()
		m.remove(m.bucketOf(s), s)
		return handle
	}
	m.tidy() // not afterwards, since the caller reads the record then
	handle = s.handle()
	m.t.removeSlot(m.bucketOf(s), s)
	m.keys.dropNext(handle)
	return handle
}

// remove removes the entry in slot s. The key stays readable for iterations.
func (m *StringMap[V]) remove(b *bucket[stringSlot[V]], s *stringSlot[V]) {
	handle := s.handle()
	m.t.removeSlot(b, s)
	m.keys.drop(handle, m.t.busy())
}

// bucketOf returns the bucket with slot s.
func (m *StringMap[V]) bucketOf(s *stringSlot[V]) *bucket[stringSlot[V]] {
	return m.t.at(m.rehash(full, s)) // the tag does not matter
}

// DeleteFunc removes the entries for which del returns true. del must not use m.
func (m *StringMap[V]) DeleteFunc(del func(key string, v V) bool) {
	m.t.each(func(b *bucket[stringSlot[V]], s *stringSlot[V]) {
		if del(m.keys.get(s.handle()), s.val) {
			m.remove(b, s)
		}
	})
	m.tidy()
}

// Clear removes all entries and keeps the memory, but frees blocks that hold one long key.
func (m *StringMap[V]) Clear() {
	m.t.clear()
	m.keys.reset()
}

// Reserve ensures capacity for at least n more entries. The keys will need more memory. It panics
// if n is negative.
func (m *StringMap[V]) Reserve(n int) { must(m.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out, or a *galloc.LayoutError if
// no table can have that many entries.
func (m *StringMap[V]) TryReserve(n int) error {
	if err := m.prepare(); err != nil {
		return err
	}
	return m.t.reserve(n, m.rehash)
}

// ShrinkToFit releases the memory that the entries do not need; it copies the map. It does nothing
// during an iteration, or if there is no memory for the copy.
func (m *StringMap[V]) ShrinkToFit() { _ = m.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for the copy. The
// map is then unchanged.
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

// replace frees m and moves the contents of c to it.
func (m *StringMap[V]) replace(c *StringMap[V]) {
	m.Free()
	m.t.adopt(&c.t)
	m.keys = c.keys
}

// Clone returns a copy of m on the same allocator, without spare capacity.
func (m *StringMap[V]) Clone() *StringMap[V] { return mustValue(m.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (m *StringMap[V]) TryClone() (*StringMap[V], error) {
	c := NewStringMap[V](m.t.alloc)
	if err := m.cloneTo(c); err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// cloneTo makes c, which is empty, a copy of m. If there is an error, c has some of the entries.
func (m *StringMap[V]) cloneTo(c *StringMap[V]) error {
	if m.t.used == 0 {
		return nil
	}
	err := c.TryReserve(m.t.used)
	if err != nil {
		return err
	}
	c.keys.pairs = m.keys.pairs
	if err := c.keys.reserve(m.keys.live); err != nil {
		return err
	}
	m.t.entries(nil, func(s *stringSlot[V]) bool {
		key, value := m.keys.get(s.handle()), ""
		if c.keys.pairs {
			value = m.keys.value(s.handle())
		}
		var handle uint64
		if handle, err = c.keys.put(key, value); err != nil {
			return false
		}
		h := c.hash(key)
		if c.t.full(c.t.at(h)) {
			if err = c.t.makeRoom(h, c.rehash); err != nil {
				return false
			}
		}
		c.insert(h, handle).val = s.val
		return true
	})
	return err
}

// Equal reports whether m and o have the same keys, with the same values, compared by ==.
func (m *StringMap[V]) Equal(o *StringMap[V]) bool { return m.EqualFunc(o, equal[V]) }

// EqualFunc is like Equal but compares values with eq.
func (m *StringMap[V]) EqualFunc(o *StringMap[V], eq func(x, y V) bool) bool {
	if m.Len() != o.Len() {
		return false
	}
	for k, v := range m.All() {
		if s := o.find(k); s == nil || !eq(v, s.val) {
			return false
		}
	}
	return true
}

// Format implements fmt.Formatter: see the package comment.
func (m *StringMap[V]) Format(f fmt.State, verb rune) { formatPairs(f, verb, m.Len(), m.All()) }

// Free releases all memory. m is then empty and can be used again. Running iterations end.
func (m *StringMap[V]) Free() {
	m.t.free()
	m.keys.release()
}

// FreeFunc calls free for each entry, and then frees m. free must not use m.
func (m *StringMap[V]) FreeFunc(free func(key string, v *V)) {
	m.t.each(func(b *bucket[stringSlot[V]], s *stringSlot[V]) { m.freeEntry(b, s, free) })
	m.Free()
}

// freeEntry removes the entry in slot s, and calls free with it, which may panic.
func (m *StringMap[V]) freeEntry(b *bucket[stringSlot[V]], s *stringSlot[V], free func(key string, v *V)) {
	handle := s.handle()
	m.t.removeSlot(b, s)
	defer m.keys.drop(handle, m.t.busy())
	free(m.keys.get(handle), &s.val)
}

// All returns an iterator over the entries, in an unspecified order. The keys are views. The rules
// of [Map.All] hold.
func (m *StringMap[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(m.keys.get(s.handle()), s.val) })
	}
}

// Pointers is like All but yields pointers to the values, valid as long as one from
// [StringMap.Ptr].
func (m *StringMap[V]) Pointers() iter.Seq2[string, *V] {
	return func(yield func(string, *V) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(m.keys.get(s.handle()), &s.val) })
	}
}

// Keys is like All but yields keys only.
func (m *StringMap[V]) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(m.keys.get(s.handle())) })
	}
}

// Values is like All but yields values only.
func (m *StringMap[V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		m.entries(func(s *stringSlot[V]) bool { return yield(s.val) })
	}
}

func (m *StringMap[V]) entries(yield func(s *stringSlot[V]) bool) {
	defer m.ended()
	var ahead func(grp *group[stringSlot[V]], full matches)
	if m.keys.live > cachedKeys {
		ahead = m.readAhead
	}
	find := func(s *stringSlot[V]) *stringSlot[V] { return m.find(m.keys.get(s.handle())) }
	m.t.entriesAhead(ahead, find, yield)
}

// cachedKeys is the size from which keys are not likely to be in the CPU's cache.
const cachedKeys = 1 << 20

// readAhead reads the first byte of the keys of a group, so that the CPU waits for all of them at
// once. An iteration needs their lengths.
func (m *StringMap[V]) readAhead(grp *group[stringSlot[V]], full matches) {
	var sum byte
	for ; full != 0; full &= full - 1 {
		sum += *(*byte)(m.keys.at(grp.slot(full.first()).handle()))
	}
	readAheadSum(sum)
}

// readAheadSum keeps the compiler from leaving out the reads.
//
//go:noinline
func readAheadSum(byte) {}

// ended is called at the end of an iteration. After the last one it frees the keys that were
// removed during iterations. Readers that iterate concurrently remove nothing, so this changes
// nothing.
func (m *StringMap[V]) ended() {
	if len(m.keys.removed) != 0 {
		m.tidy()
	}
}

// tidy bounds the memory of the keys, after one was added or removed. During an iteration it does
// nothing.
func (m *StringMap[V]) tidy() {
	if (m.keys.freed != 0 || m.keys.last != 0 || m.keys.removed != nil) && !m.t.busy() {
		m.keys.bury()
		m.keys.tidy(m.locate)
	}
}

// locate is the locator of the keys. It reads the table only, since handles differ.
func (m *StringMap[V]) locate(key string, handle uint64) *uint64 {
	h := m.hash(key)
	ref := m.refOf(h) | handle
	b := m.t.at(h)
	tags := b.tags(h)
	g := b.home(h)
	for d := uintptr(1); ; d++ {
		grp := b.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			if s := grp.slot(x.first()); s.ref == ref {
				return &s.ref
			}
		}
		if matchEmpty(control) != 0 {
			panic("galloc/collections: a StringMap or TextMap was written by two goroutines at once")
		}
		g = (g + d) & uintptr(b.mask)
	}
}

// store adds a record. If there is no memory for a chunk, it moves others to make room.
func (m *StringMap[V]) store(key, value string) (uint64, error) {
	handle, err := m.keys.add(key, value)
	if err == nil {
		return handle, nil
	}
	if !m.t.busy() && m.keys.held != m.keys.live {
		key, value = strings.Clone(key), strings.Clone(value) // they may be views, which end now
		m.keys.bury()
		m.keys.reclaim(textSize(len(key))+textSize(len(value)), m.locate)
	}
	return m.keys.put(key, value)
}

func (m *StringMap[V]) hash(key string) uint64 { return m.t.seeds.text(key) }

// rehash is the hasher of the table.
func (m *StringMap[V]) rehash(control uint64, s *stringSlot[V]) uint64 {
	if control != 0 && m.t.hashBits() <= refBits {
		return m.t.tagged(s.ref>>handleBits, control) // the bits that are used
	}
	return m.hash(m.keys.get(s.handle()))
}

// find returns the slot of key, or nil.
func (m *StringMap[V]) find(key string) *stringSlot[V] {
	if m.t.guard.read(); m.t.used == 0 {
		return nil
	}
	return m.search(key, m.hash(key))
}

// search is find for a table that exists and a key with hash h.
func (m *StringMap[V]) search(key string, h uint64) *stringSlot[V] {
	b := m.t.at(h)
	tags, ref := b.tags(h), m.refOf(h)
	g := b.home(h)
	for d := uintptr(1); ; d++ {
		grp := b.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			s := grp.slot(x.first())
			if (s.ref^ref)&^handleMask == 0 && m.keys.is(s.ref&handleMask, key) {
				return s
			}
		}
		if matchEmpty(control) != 0 {
			return nil
		}
		g = (g + d) & uintptr(b.mask)
	}
}

// put returns the slot of key. If key is absent, put adds it with the zero V, and with value in a
// TextMap.
func (m *StringMap[V]) put(key, value string) (s *stringSlot[V], found bool, err error) {
	var h uint64
	m.t.guard.read()
	if m.t.limit == 0 {
		if err := m.start(); err != nil {
			return nil, false, err
		}
	}
	h = m.hash(key)
	if s := m.search(key, h); s != nil {
		return s, true, nil
	}
	if m.t.full(m.t.at(h)) {
		if err := m.t.makeRoom(h, m.rehash); err != nil {
			return nil, false, err
		}
	}
	handle, err := m.store(key, value)
	if err != nil {
		return nil, false, err
	}
	s = m.insert(h, handle)
	m.tidy() // moves records, but no slots
	return s, false, nil
}

// insert adds the entry of a key with hash h, for which the table has room.
func (m *StringMap[V]) insert(h, handle uint64) *stringSlot[V] {
	m.t.guard.begin()
	s := m.t.add(m.t.at(h), h)
	*s = stringSlot[V]{ref: m.refOf(h) | handle}
	m.t.guard.end()
	return s
}

// start allocates the table.
func (m *StringMap[V]) start() error {
	if err := m.prepare(); err != nil {
		return err
	}
	return m.t.start()
}

// prepare checks V.
func (m *StringMap[V]) prepare() error {
	if m.checked {
		return nil
	}
	if err := checkType[V](); err != nil {
		return err
	}
	m.checked = true
	return nil
}

// viewOf returns b as a string, without copying. It is valid while b is not written to.
func viewOf(b []byte) string {
	// SAFETY: the caller keeps b unchanged while the string is used.
	return unsafe.String(unsafe.SliceData(b), len(b))
}
