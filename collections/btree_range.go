package collections

// This file deletes ranges of entries.

// DeleteRange removes the entries with low <= key < high and returns their number. It removes
// leaves as a whole, without reading their entries: it takes O(1) for each leaf, and O(log n) for
// each node above leaves that loses some. If the entries own memory, free that first, in a loop
// over Range.
func (t *tree[K, V]) DeleteRange(low, high K) int {
	before := t.n
	for t.deleteSome(low, high) {
		continue
	}
	return before - t.n
}

// deleteSome removes the first entries of a range: the part in one leaf, or several whole leaves
// below one node. It reports whether there may be more. It compares keys before it changes the
// tree, as the order may panic.
func (t *tree[K, V]) deleteSome(low, high K) (more bool) {
	at, i, _ := t.seek(low)
	if at == 0 {
		return false
	}
	x := t.node(at)
	if i == int(x.n) {
		if at, i = x.next, 0; at == 0 {
			return false
		}
		x = t.node(at)
	}
	keys := t.keys(x, t.leafCap)
	end, _ := t.search(keys, high)
	switch {
	case end <= i:
		return false
	case end-i == t.n:
		t.Clear()
		return false
	}
	var path [maxHeight]step
	t.descend(keys[i], &path)
	above := t.height - 1 // number of nodes on the path
	if i > 0 || end < len(keys) || above == 0 {
		t.removeFrom(x, i, end)
		if above > 0 && int(x.n) < t.minLeaf {
			t.mend(path[:above])
		}
		return end == len(keys)
	}
	parent, first := path[above-1].node, path[above-1].kid
	// The keys of kids before the first separator that is not below high are below high too.
	last, _ := t.search(t.keys(parent, t.innerCap), high)
	t.dropLeaves(parent, first, max(last, first+1))
	if int(parent.n) < t.minInner {
		t.mend(path[:above-1])
	}
	return true
}

// dropLeaves removes the leaves that are kids i up to end of parent, which has others.
func (t *tree[K, V]) dropLeaves(parent *node, i, end int) {
	keys, kids := t.keys(parent, t.innerCap), t.kids(parent)
	before, after := t.node(kids[i]).prev, t.node(kids[end-1]).next
	for _, kid := range kids[i:end] {
		t.n -= int(t.node(kid).n)
		t.release(kid)
	}
	if before == 0 {
		t.first = after
	} else {
		t.node(before).next = after
	}
	if after == 0 {
		t.last = before
	} else {
		t.node(after).prev = before
	}
	copy(kids[i:], kids[end:])
	from := i // of the keys to remove: the upper bounds of the leaves
	if end == len(kids) {
		from-- // the last kid has no upper bound
	}
	copy(keys[from:], keys[from+end-i:])
	parent.n -= int32(end - i)
	t.version++
}
