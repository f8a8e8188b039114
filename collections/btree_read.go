package collections

import (
	"fmt"
	"iter"
	"sort"
)

// This file looks up entries, iterates over them, and manages the memory.

// Len returns the number of entries.
func (t *tree[K, V]) Len() int { return t.n }

// Get returns the value of key; ok reports whether key is present.
func (t *tree[K, V]) Get(key K) (v V, ok bool) {
	if p := t.Ptr(key); p != nil {
		return *p, true
	}
	return v, false
}

// Ptr returns a pointer to the value of key, or nil if key is absent. It is valid until the next
// insertion or deletion.
func (t *tree[K, V]) Ptr(key K) *V {
	if t.root == 0 {
		return nil
	}
	_, x := t.descend(key, nil)
	if i, ok := t.search(t.keys(x, t.leafCap), key); ok {
		return &t.values(x)[i]
	}
	return nil
}

// Has reports whether key is present.
func (t *tree[K, V]) Has(key K) bool { return t.Ptr(key) != nil }

// Min returns the entry with the lowest key; ok is false if the tree is empty.
func (t *tree[K, V]) Min() (key K, v V, ok bool) {
	if t.root == 0 {
		return key, v, false
	}
	x := t.node(t.first)
	return t.keys(x, t.leafCap)[0], t.values(x)[0], true
}

// Max returns the entry with the highest key; ok is false if the tree is empty.
func (t *tree[K, V]) Max() (key K, v V, ok bool) {
	if t.root == 0 {
		return key, v, false
	}
	x := t.node(t.last)
	return t.keys(x, t.leafCap)[x.n-1], t.values(x)[x.n-1], true
}

// Floor returns the entry with the highest key at or before key; ok is false if there is none.
func (t *tree[K, V]) Floor(key K) (k K, v V, ok bool) {
	at, i, found := t.seek(key)
	if at == 0 {
		return k, v, false
	}
	x := t.node(at)
	if !found {
		if i == 0 {
			if x.prev == 0 {
				return k, v, false
			}
			x = t.node(x.prev)
			i = int(x.n)
		}
		i--
	}
	return t.keys(x, t.leafCap)[i], t.values(x)[i], true
}

// Ceiling returns the entry with the lowest key at or after key; ok is false if there is none.
func (t *tree[K, V]) Ceiling(key K) (k K, v V, ok bool) {
	at, i, _ := t.seek(key)
	if at == 0 {
		return k, v, false
	}
	x := t.node(at)
	if i == int(x.n) {
		if x.next == 0 {
			return k, v, false
		}
		x, i = t.node(x.next), 0
	}
	return t.keys(x, t.leafCap)[i], t.values(x)[i], true
}

// PopMin removes the entry with the lowest key and returns it; ok is false if the tree is empty.
func (t *tree[K, V]) PopMin() (key K, v V, ok bool) {
	if key, v, ok = t.Min(); ok {
		t.Delete(key)
	}
	return key, v, ok
}

// PopMax removes the entry with the highest key and returns it; ok is false if the tree is empty.
func (t *tree[K, V]) PopMax() (key K, v V, ok bool) {
	if key, v, ok = t.Max(); ok {
		t.Delete(key)
	}
	return key, v, ok
}

// All returns an iterator over keys and values, in ascending order of the keys.
func (t *tree[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.ascend(t.first, 0, nil, yield) }
}

// Backward returns an iterator over keys and values, in descending order of the keys.
func (t *tree[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.root != 0 {
			t.descendFrom(t.last, int(t.node(t.last).n)-1, nil, yield)
		}
	}
}

// Ascend returns an iterator over the entries at or after low, in ascending order.
func (t *tree[K, V]) Ascend(low K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, _ := t.seek(low)
		t.ascend(at, i, nil, yield)
	}
}

// Descend returns an iterator over the entries at or before high, in descending order.
func (t *tree[K, V]) Descend(high K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, found := t.seek(high)
		if !found {
			i--
		}
		t.descendFrom(at, i, nil, yield)
	}
}

// Range returns an iterator over the entries with low <= key < high, in ascending order.
func (t *tree[K, V]) Range(low, high K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, _ := t.seek(low)
		t.ascend(at, i, &high, yield)
	}
}

// RangeBackward returns an iterator over the entries with low <= key < high, in descending order.
func (t *tree[K, V]) RangeBackward(low, high K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, _ := t.seek(high)
		t.descendFrom(at, i-1, &low, yield)
	}
}

// Keys returns an iterator over the keys, in ascending order.
func (t *tree[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		t.ascend(t.first, 0, nil, func(k K, _ V) bool { return yield(k) })
	}
}

// Values returns an iterator over the values, in ascending order of their keys.
func (t *tree[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		t.ascend(t.first, 0, nil, func(_ K, v V) bool { return yield(v) })
	}
}

// Pointers returns an iterator over keys and pointers to the values, in ascending order of the
// keys. A pointer is valid until the next insertion or deletion.
func (t *tree[K, V]) Pointers() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for at, i := t.first, 0; at != 0; {
			x := t.node(at)
			if i == int(x.n) {
				at, i = x.next, 0
				continue
			}
			k, version := t.keys(x, t.leafCap)[i], t.version
			if !yield(k, &t.values(x)[i]) {
				return
			}
			found := true
			if t.version != version {
				at, i, found = t.seek(k)
			}
			if found {
				i++
			}
		}
	}
}

// seek returns the leaf of key and the index there of the first entry at or after key, which may be
// past the last entry of the leaf. found reports whether that entry has key. The leaf is 0 if the
// tree is empty.
func (t *tree[K, V]) seek(key K) (at uint32, i int, found bool) {
	if t.root == 0 {
		return 0, 0, false
	}
	at, x := t.descend(key, nil)
	i, found = t.search(t.keys(x, t.leafCap), key)
	return at, i, found
}

// ascend yields the entries from index i of leaf at on, up to but not including *high. A nil high
// means no limit.
func (t *tree[K, V]) ascend(at uint32, i int, high *K, yield func(K, V) bool) {
leaves:
	for at != 0 {
		x := t.node(at)
		keys, values := t.keys(x, t.leafCap), t.values(x)
		end := len(keys)
		if high != nil {
			end, _ = t.search(keys, *high)
		}
		for ; i < end; i++ {
			k, version := keys[i], t.version
			if !yield(k, values[i]) {
				return
			}
			if t.version != version {
				var found bool
				if at, i, found = t.seek(k); found {
					i++
				}
				continue leaves
			}
		}
		if end < len(keys) {
			return
		}
		at, i = x.next, 0
	}
}

// descendFrom yields the entries from index i of leaf at down to *low. i may be -1, and a nil low
// means no limit.
func (t *tree[K, V]) descendFrom(at uint32, i int, low *K, yield func(K, V) bool) {
leaves:
	for at != 0 {
		x := t.node(at)
		if i < 0 {
			if at = x.prev; at == 0 {
				return
			}
			x = t.node(at)
			i = int(x.n) - 1
		}
		keys, values := t.keys(x, t.leafCap), t.values(x)
		end := 0
		if low != nil {
			end, _ = t.search(keys, *low)
		}
		for ; i >= end; i-- {
			k, version := keys[i], t.version
			if !yield(k, values[i]) {
				return
			}
			if t.version != version {
				at, i, _ = t.seek(k)
				i--
				continue leaves
			}
		}
		if end > 0 {
			return
		}
		i = -1
	}
}

// equalFunc is EqualFunc, with the order of t for both trees.
func (t *tree[K, V]) equalFunc(o *tree[K, V], eq func(V, V) bool) bool {
	if t.n != o.n {
		return false
	}
	at, i := o.first, 0
	for k, v := range t.All() {
		x := o.node(at)
		if _, same := t.search(o.keys(x, o.leafCap)[i:i+1], k); !same || !eq(v, o.values(x)[i]) {
			return false
		}
		if i++; i == int(x.n) {
			at, i = x.next, 0
		}
	}
	return true
}

// String returns the entries as Format prints them by %v.
func (t *tree[K, V]) String() string { return fmt.Sprint(t) }

// Format implements fmt.Formatter. It prints map[1:10 2:20], in ascending order of the keys, and
// the verb applies to each key and value.
func (t *tree[K, V]) Format(f fmt.State, verb rune) { formatPairs(f, verb, t.n, t.All()) }

// Clear removes all entries and keeps the memory.
func (t *tree[K, V]) Clear() {
	t.root, t.first, t.last, t.height, t.n = 0, 0, 0, 0, 0
	t.free, t.spare = 0, 0
	t.fresh = min(t.fresh, t.nodes.first()) // 0 if the tree has no nodes
	t.version++
}

// Cap returns the number of entries that fit without allocating if they are added in ascending
// order. More or fewer may fit in another order.
func (t *tree[K, V]) Cap() int {
	if t.fresh == 0 {
		return 0
	}
	nodes := int(t.nodes.end() - uint64(t.nodes.first()))
	leaves := sort.Search(nodes, func(n int) bool { return n+1+t.above(n+1) > nodes })
	return max(leaves*t.leafCap, t.n)
}

// above returns the number of inner nodes above n leaves if keys were added in ascending order.
// Then inner nodes have innerCap kids, and the last node of each level up to one more.
func (t *tree[K, V]) above(n int) (nodes int) {
	for n > 1 {
		n = 1 + (n-2)/t.innerCap
		nodes += n
	}
	return nodes
}

// Reserve ensures capacity for at least n more entries, in any order. It panics if n is negative.
func (t *tree[K, V]) Reserve(n int) { must(t.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (t *tree[K, V]) TryReserve(n int) error {
	if _, err := sum[K](t.n, n); err != nil || n == 0 {
		return err
	}
	if err := t.reserve(0); err != nil { // sets the geometry
		return err
	}
	// In the worst case all nodes but one on each level have the minimum.
	level := (t.n+n)/t.minLeaf + 1
	nodes := level + 1
	for level > 1 {
		level = level/(t.minInner+1) + 1
		nodes += level
	}
	used := int(t.fresh-t.nodes.first()) - t.spare
	return t.reserve(max(nodes-used, 0))
}

// ShrinkToFit releases the nodes that are not needed if entries fill all others. It builds a new
// tree, in O(n log n), and keeps the old one if the new one is not smaller.
func (t *tree[K, V]) ShrinkToFit() { _ = t.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a new tree.
func (t *tree[K, V]) TryShrinkToFit() error {
	if t.n == 0 {
		t.Free()
		return nil
	}
	c := tree[K, V]{alloc: t.alloc, search: t.search}
	defer func() { c.nodes.free(t.alloc) }() // unless t has taken them; the order may panic
	for k, v := range t.All() {
		if _, _, err := c.insert(k, v); err != nil {
			return err
		}
	}
	if c.nodes.end() >= t.nodes.end() {
		return nil
	}
	t.nodes.free(t.alloc)
	t.root, t.first, t.last, t.height = c.root, c.first, c.last, c.height
	t.nodes, t.fresh, t.free, t.spare = c.nodes, c.fresh, c.free, c.spare
	c.nodes = segments{}
	t.version++
	return nil
}

// cloneTo copies t to c, which must be empty.
func (t *tree[K, V]) cloneTo(c *tree[K, V]) error {
	c.alloc, c.search = t.alloc, t.search
	if t.n == 0 {
		return nil
	}
	if err := c.nodes.copyFrom(t.alloc, &t.nodes, uint64(t.fresh)); err != nil {
		return err
	}
	c.root, c.first, c.last, c.height, c.n = t.root, t.first, t.last, t.height, t.n
	c.fresh, c.free, c.spare, c.geometry = t.fresh, t.free, t.spare, t.geometry
	return nil
}

// Free releases all memory. The tree is then empty and can be used again.
func (t *tree[K, V]) Free() {
	t.Clear()
	t.nodes.free(t.alloc)
	t.fresh = 0
}

// FreeFunc calls free for each entry, in ascending order of the keys, and then frees the tree. free
// must not change the order of the keys.
func (t *tree[K, V]) FreeFunc(free func(*K, *V)) {
	done := 0
	defer func() { // the entries after the current one stay if free panics
		for ; done > 0 && t.n > 0; done-- {
			t.removeFirst()
		}
	}()
	for at := t.first; at != 0; {
		x := t.node(at)
		keys, values := t.keys(x, t.leafCap), t.values(x)
		for i := range keys {
			done++
			free(&keys[i], &values[i])
		}
		at = x.next
	}
	t.Free()
}
