package collections

import (
	"iter"
	"sort"
)

// This file looks up, iterates, and ends.

// Len returns the number of entries.
func (t *tree[K, V]) Len() int { return t.n }

// Get returns the value of key; ok is false if there is none.
func (t *tree[K, V]) Get(key K) (v V, ok bool) {
	if p := t.GetPtr(key); p != nil {
		return *p, true
	}
	return v, false
}

// GetPtr returns the value of key, as a view until the next insertion or deletion, or nil if there is
// none.
func (t *tree[K, V]) GetPtr(key K) *V {
	if t.root == 0 {
		return nil
	}
	_, x := t.descend(key, nil)
	if i, ok := t.search(t.keys(x, t.leafCap), key); ok {
		return &t.values(x)[i]
	}
	return nil
}

// Has reports whether there is an entry of key.
func (t *tree[K, V]) Has(key K) bool { return t.GetPtr(key) != nil }

// Min returns the entry with the least key; ok is false if the tree is empty.
func (t *tree[K, V]) Min() (key K, v V, ok bool) {
	if t.root == 0 {
		return key, v, false
	}
	x := t.node(t.first)
	return t.keys(x, t.leafCap)[0], t.values(x)[0], true
}

// Max returns the entry with the greatest key; ok is false if the tree is empty.
func (t *tree[K, V]) Max() (key K, v V, ok bool) {
	if t.root == 0 {
		return key, v, false
	}
	x := t.node(t.last)
	return t.keys(x, t.leafCap)[x.n-1], t.values(x)[x.n-1], true
}

// Floor returns the entry with the greatest key that is not after key; ok is false if there is none.
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

// Ceiling returns the entry with the least key that is not before key; ok is false if there is none.
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

// PopMin removes the entry with the least key and returns it; ok is false if the tree is empty.
func (t *tree[K, V]) PopMin() (key K, v V, ok bool) {
	if key, v, ok = t.Min(); ok {
		t.Delete(key)
	}
	return key, v, ok
}

// PopMax removes the entry with the greatest key and returns it; ok is false if the tree is empty.
func (t *tree[K, V]) PopMax() (key K, v V, ok bool) {
	if key, v, ok = t.Max(); ok {
		t.Delete(key)
	}
	return key, v, ok
}

// All returns the entries in ascending order of their keys.
func (t *tree[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.ascend(t.first, 0, nil, yield) }
}

// Backward returns the entries in descending order of their keys.
func (t *tree[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if t.root != 0 {
			t.descendFrom(t.last, int(t.node(t.last).n)-1, nil, yield)
		}
	}
}

// Ascend returns the entries with keys from low on, in ascending order.
func (t *tree[K, V]) Ascend(low K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, _ := t.seek(low)
		t.ascend(at, i, nil, yield)
	}
}

// Descend returns the entries with keys up to high, high included, in descending order.
func (t *tree[K, V]) Descend(high K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, found := t.seek(high)
		if !found {
			i--
		}
		t.descendFrom(at, i, nil, yield)
	}
}

// Range returns the entries with low <= key < high, in ascending order.
func (t *tree[K, V]) Range(low, high K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, _ := t.seek(low)
		t.ascend(at, i, &high, yield)
	}
}

// RangeBackward returns the entries of Range(low, high) in descending order.
func (t *tree[K, V]) RangeBackward(low, high K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		at, i, _ := t.seek(high)
		t.descendFrom(at, i-1, &low, yield)
	}
}

// Keys returns the keys in ascending order.
func (t *tree[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) {
		t.ascend(t.first, 0, nil, func(k K, _ V) bool { return yield(k) })
	}
}

// Values returns the values in ascending order of their keys.
func (t *tree[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		t.ascend(t.first, 0, nil, func(_ K, v V) bool { return yield(v) })
	}
}

// seek returns the place of the first entry in the leaf of key that is not before it, which may be
// behind all in the leaf; found says that it is key's. The leaf is 0 if the tree is empty.
func (t *tree[K, V]) seek(key K) (at uint32, i int, found bool) {
	if t.root == 0 {
		return 0, 0, false
	}
	at, x := t.descend(key, nil)
	i, found = t.search(t.keys(x, t.leafCap), key)
	return at, i, found
}

// ascend yields the entries from index i of leaf at on, up to the first that is not before *high.
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

// descendFrom yields the entries from index i of leaf at down, which may be -1, to the last that is not
// before *low.
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

// Clear removes all entries and keeps the memory.
func (t *tree[K, V]) Clear() {
	t.root, t.first, t.last, t.height, t.n = 0, 0, 0, 0, 0
	t.free, t.spare = 0, 0
	t.fresh = min(t.fresh, t.nodes.first()) // 0 if there are no nodes
	t.version++
}

// Cap returns the number of entries that there is room for at least, if they come in ascending order.
func (t *tree[K, V]) Cap() int {
	if t.fresh == 0 {
		return 0
	}
	nodes := int(t.nodes.end() - uint64(t.nodes.first()))
	leaves := sort.Search(nodes, func(n int) bool { return n+1+t.above(n+1) > nodes })
	return max(leaves*t.leafCap, t.n)
}

// above returns how many inner nodes there are above n leaves that came in ascending order: those that split leaves
// behind have innerCap kids, and the last on each level up to one more.
func (t *tree[K, V]) above(n int) (nodes int) {
	for n > 1 {
		n = 1 + (n-2)/t.innerCap
		nodes += n
	}
	return nodes
}

// Reserve makes room for additional more entries, so that inserting them does not allocate: whatever
// their order is.
func (t *tree[K, V]) Reserve(additional int) { must(t.TryReserve(additional)) }

// TryReserve is Reserve that returns the error. There may be more nodes by then than before.
func (t *tree[K, V]) TryReserve(additional int) error {
	if _, err := sum[K](t.n, additional); err != nil || additional == 0 {
		return err
	}
	if err := t.reserve(0); err != nil { // it says how large nodes are
		return err
	}
	// In the worst case all nodes have no more than the minimum, but for one on each level.
	level := (t.n+additional)/t.minLeaf + 1
	nodes := level + 1
	for level > 1 {
		level = level/(t.minInner+1) + 1
		nodes += level
	}
	used := int(t.fresh-t.nodes.first()) - t.spare
	return t.reserve(max(nodes-used, 0))
}

// ShrinkToFit gives back nodes that are not needed if entries fill all of them: it makes a new tree, and
// keeps the old one if the allocator has no memory for that, or if the new one is not smaller.
func (t *tree[K, V]) ShrinkToFit() {
	if t.n == 0 {
		t.Free()
		return
	}
	c := tree[K, V]{a: t.a, search: t.search}
	defer func() { c.nodes.free(t.a) }() // those that t has not got in the end; the order may panic
	for k, v := range t.All() {
		if _, _, err := c.insert(k, v); err != nil {
			return
		}
	}
	if len(c.nodes.blocks) >= len(t.nodes.blocks) {
		return
	}
	t.nodes.free(t.a)
	t.root, t.first, t.last, t.height = c.root, c.first, c.last, c.height
	t.nodes, t.fresh, t.free, t.spare = c.nodes, c.fresh, c.free, c.spare
	c.nodes = segments{}
	t.version++
}

// cloneTo makes c, which is empty, a copy of t.
func (t *tree[K, V]) cloneTo(c *tree[K, V]) error {
	c.a, c.search = t.a, t.search
	if t.n == 0 {
		return nil
	}
	if err := c.nodes.copyFrom(t.a, &t.nodes, uint64(t.fresh)); err != nil {
		return err
	}
	c.root, c.first, c.last, c.height, c.n = t.root, t.first, t.last, t.height, t.n
	c.fresh, c.free, c.spare, c.geometry = t.fresh, t.free, t.spare, t.geometry
	return nil
}

// Free gives back the memory. The tree is then empty and can be used again.
func (t *tree[K, V]) Free() {
	t.Clear()
	t.nodes.free(t.a)
	t.fresh = 0
}

// FreeFunc calls free for each entry, in ascending order of the keys, and gives back the memory. It
// must not change what the order of the keys depends on.
func (t *tree[K, V]) FreeFunc(free func(*K, *V)) {
	for at := t.first; at != 0; {
		x := t.node(at)
		keys, values := t.keys(x, t.leafCap), t.values(x)
		for i := range keys {
			free(&keys[i], &values[i])
		}
		at = x.next
	}
	t.Free()
}
