package collections

import (
	"math/bits"
	"unsafe"
)

// This file is the hash table of a LinkedMap.

// firstChains is the number of buckets that are allocated at first.
const firstChains = 16

// put returns the entry of key. If key is absent, put adds it with the zero V.
func (m *LinkedMap[K, V]) put(key K) (e *linked[K, V], found bool, err error) {
	if m.chains == 0 {
		if err := m.prepare(); err != nil {
			return nil, false, err
		}
	}
	m.guard.read()
	hash := m.hash(&key)
	if i := m.search(hash, &key); i != 0 {
		return m.entry(i), true, nil
	}
	h, err := m.entries.TryAdd(linked[K, V]{key: key, hash: hash})
	if err != nil {
		return nil, false, err
	}
	m.guard.begin()
	e = m.entry(h.index)
	b := m.bucket(hash)
	e.chain, *b = *b, h.index
	m.linkBetween(m.back, h.index, 0)
	m.guard.end()
	for range 2 { // two, so that the table catches up after it could not grow
		if n := m.Len(); n > int(m.chains) && n >= m.retry {
			m.split()
		}
	}
	return e, false, nil
}

// prepare checks K and V, and makes an empty table.
func (m *LinkedMap[K, V]) prepare() error {
	if m.recipe == nil {
		if err := checkType[K](); err != nil {
			return err
		}
		if err := checkType[V](); err != nil {
			return err
		}
		m.recipe = recipeOf[K]()
		size := unsafe.Sizeof(m.chains)
		m.buckets = segments{stride: size, align: size, initial: firstChains}
	}
	if m.chains != 0 {
		return nil
	}
	if err := m.buckets.growUntil(m.entries.alloc, uint64(m.buckets.first())+1); err != nil {
		return err
	}
	m.reset()
	return nil
}

// hash returns the lower bits of the hash of key.
func (m *LinkedMap[K, V]) hash(key *K) uint32 {
	if m.recipe.number {
		return uint32(m.seeds.number(number(key)))
	}
	return uint32(m.seeds.hashParts(unsafe.Pointer(key), m.recipe.parts))
}

// find returns the slot of key, or 0.
func (m *LinkedMap[K, V]) find(key K) uint32 {
	if m.guard.read(); m.chains == 0 {
		return 0
	}
	return m.search(m.hash(&key), &key)
}

// search is find in a table that has memory.
func (m *LinkedMap[K, V]) search(hash uint32, key *K) uint32 {
	i := *m.bucket(hash)
	for i != 0 {
		e := m.entry(i)
		if e.hash == hash && e.key == *key {
			break
		}
		i = e.chain
	}
	return i
}

// bucket returns the bucket of a hash.
//
//	number = hash mod 2^k, or hash mod 2^(k-1) if there is no such bucket yet
//	2^(k-1) < chains <= 2^k
func (m *LinkedMap[K, V]) bucket(hash uint32) *uint32 {
	mask := uint32(1)<<(bits.Len32(m.chains-1)&31) - 1
	number := hash & mask
	if number >= m.chains {
		number &= mask >> 1
	}
	return (*uint32)(m.buckets.at(firstUnit + number))
}

// split adds a bucket, and moves those entries there that belong to it, from one other. If there is
// no memory for buckets, the chains become longer, and split is not called again before there are
// an eighth more entries.
func (m *LinkedMap[K, V]) split() {
	number := m.chains
	if m.buckets.growUntil(m.entries.alloc, uint64(m.buckets.first())+uint64(number)+1) != nil {
		m.retry = m.Len() + m.Len()/8 + 1
		return
	}
	m.guard.begin()
	mask := uint32(1)<<bits.Len32(number) - 1 // of the new bucket
	from := m.bucket(number)                  // that has its entries now
	m.chains++
	to := (*uint32)(m.buckets.at(firstUnit + number))
	*to = 0
	for at := from; *at != 0; {
		e := m.entry(*at)
		if e.hash&mask != number {
			at = &e.chain
			continue
		}
		*at, e.chain, *to = e.chain, *to, *at
	}
	m.guard.end()
}

// remove removes the entry in slot i.
func (m *LinkedMap[K, V]) remove(i uint32) {
	m.guard.begin()
	slot := m.entries.at(i)
	e := &slot.value
	at := m.bucket(e.hash)
	for *at != i {
		at = &m.entry(*at).chain
	}
	*at = e.chain
	m.unlink(i, e)
	m.entries.empty(i, slot)
	m.guard.end()
}

// reset empties the table, which has memory.
func (m *LinkedMap[K, V]) reset() {
	m.seeds = newSeeds()
	m.chains = 1
	*m.bucket(0) = 0
}
