package collections

import (
	"iter"
	"slices"
	"sync"
)

// This file is the list of a LinkedMap, and the iterations over it.

// linkBetween inserts entry i after prev, which is 0 at the front, and before next, which is 0 at
// the back.
func (m *LinkedMap[K, V]) linkBetween(prev, i, next uint32) {
	e := m.entry(i)
	e.prev, e.next = prev, next
	m.setNext(prev, i)
	m.setPrev(next, i)
}

// unlink removes entry i from the list. Iterations that would come to it continue with the next
// one.
func (m *LinkedMap[K, V]) unlink(i uint32, e *linked[K, V]) {
	for _, c := range m.cursors.list {
		c.skip(i, e.prev, e.next)
	}
	m.setNext(e.prev, e.next)
	m.setPrev(e.next, e.prev)
}

// setNext makes next the entry after i, or the first one if i is 0.
func (m *LinkedMap[K, V]) setNext(i, next uint32) {
	if i == 0 {
		m.front = next
	} else {
		m.entry(i).next = next
	}
}

// setPrev makes prev the entry before i, or the last one if i is 0.
func (m *LinkedMap[K, V]) setPrev(i, prev uint32) {
	if i == 0 {
		m.back = prev
	} else {
		m.entry(i).prev = prev
	}
}

// All returns an iterator over keys and values, from the front to the back.
//
// The loop may change m. An entry that is removed before it is reached is not yielded. Neither is
// an entry that was added, or moved before it was reached, since the iteration began. Clear and
// Free end the iteration.
func (m *LinkedMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		m.iterate(false, func(e *linked[K, V]) bool { return yield(e.key, e.val) })
	}
}

// Backward returns an iterator over keys and values, from the back to the front, under the rules of
// All.
func (m *LinkedMap[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		m.iterate(true, func(e *linked[K, V]) bool { return yield(e.key, e.val) })
	}
}

// Keys returns an iterator over the keys, under the rules of All.
func (m *LinkedMap[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		m.iterate(false, func(e *linked[K, V]) bool { return yield(e.key) })
	}
}

// Values returns an iterator over the values, under the rules of All.
func (m *LinkedMap[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		m.iterate(false, func(e *linked[K, V]) bool { return yield(e.val) })
	}
}

// Pointers returns an iterator over keys and pointers to the values, under the rules of All. The
// pointers are valid as long as one from Ptr.
func (m *LinkedMap[K, V]) Pointers() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		m.iterate(false, func(e *linked[K, V]) bool { return yield(e.key, &e.val) })
	}
}

// iterate yields the entries of the list, in the order of All or Backward.
func (m *LinkedMap[K, V]) iterate(backward bool, yield func(*linked[K, V]) bool) {
	if m.guard.read(); m.front == 0 {
		return
	}
	c := &cursor{at: m.front, last: m.back, backward: backward}
	if backward {
		c.at, c.last = c.last, c.at
	}
	m.cursors.add(c)
	defer m.cursors.remove(c)
	for c.at != 0 {
		e := m.entry(c.at)
		c.skip(c.at, e.prev, e.next)
		if !yield(e) {
			return
		}
		m.guard.read()
	}
}

// cursors are the running iterations of a LinkedMap. Readers add and remove theirs concurrently;
// only writers read the list, while there are no readers.
type cursors struct {
	mu   sync.Mutex
	list []*cursor
}

// A cursor is the place of an iteration. The entries from at to last have been in the list, in this
// order, since the iteration began. It ends when at is 0.
type cursor struct {
	at, last uint32
	backward bool
}

// skip takes entry i, which is between prev and next, out of the rest of the iteration.
func (c *cursor) skip(i, prev, next uint32) {
	if c.backward {
		prev, next = next, prev
	}
	switch {
	case i == c.at && i == c.last:
		c.at = 0
	case i == c.at:
		c.at = next
	case i == c.last && c.at != 0:
		c.last = prev
	}
}

func (cs *cursors) add(c *cursor) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.list = append(cs.list, c)
}

func (cs *cursors) remove(c *cursor) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	i := slices.Index(cs.list, c)
	cs.list = slices.Delete(cs.list, i, i+1)
}

// end ends all iterations.
func (cs *cursors) end() {
	for _, c := range cs.list {
		c.at = 0
	}
}
