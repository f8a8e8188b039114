package collections

// This file inserts and deletes entries.

// step is a node on the path from the root to a leaf, and the index of its kid on the path.
type step struct {
	node *node
	kid  int
}

// descend returns the leaf that contains key, or would contain it. If path is not nil, descend
// stores the nodes above the leaf in it. The tree must not be empty.
func (t *tree[K, V]) descend(key K, path *[maxHeight]step) (uint32, *node) {
	i := t.root
	for level := range t.height - 1 {
		x := t.node(i)
		k, _ := t.search(t.keys(x, t.innerCap), key)
		if path != nil {
			path[level] = step{x, k}
		}
		i = t.kids(x)[k]
	}
	return i, t.node(i)
}

// insert returns a pointer to the value of key, after inserting v if key is absent. The tree must
// have an order.
func (t *tree[K, V]) insert(key K, v V) (p *V, found bool, err error) {
	if t.root == 0 {
		if err := t.reserve(1); err != nil {
			return nil, false, err
		}
		t.root, _ = t.take()
		t.first, t.last, t.height = t.root, t.root, 1
	}
	at, x := t.descend(key, nil)
	i, found := t.search(t.keys(x, t.leafCap), key)
	if found {
		return &t.values(x)[i], true, nil
	}
	if int(x.n) == t.leafCap {
		if x, i, err = t.split(at, x, i, key); err != nil {
			return nil, false, err
		}
	}
	insertAt(t.keys(x, t.leafCap), i, key)
	insertAt(t.values(x), i, v)
	x.n++
	t.n++
	t.version++
	return &t.values(x)[i], false, nil
}

// split splits the full leaf x, number at, before key is inserted at its index i. It returns the
// leaf and the index for key. If it fails, the tree is unchanged.
//
// If key goes to the end of the tree, x keeps all its entries, so ascending keys fill the nodes.
func (t *tree[K, V]) split(at uint32, x *node, i int, key K) (*node, int, error) {
	var path [maxHeight]step
	t.descend(key, &path)
	above := t.height - 1 // number of nodes on the path
	needed := 1
	level := above - 1
	for ; level >= 0 && int(path[level].node.n) == t.innerCap; level-- {
		needed++
	}
	if level < 0 {
		needed++ // a new root
	}
	if err := t.reserve(needed); err != nil {
		return nil, 0, err
	}

	keep := t.leafCap / 2
	if at == t.last && i == t.leafCap {
		keep = t.leafCap
	}
	added, y := t.take()
	y.n = x.n - int32(keep)
	copy(t.keys(y, t.leafCap), t.keys(x, t.leafCap)[keep:])
	copy(t.values(y), t.values(x)[keep:])
	x.n = int32(keep)
	y.prev, y.next, x.next = at, x.next, added
	if y.next == 0 {
		t.last = added
	} else {
		t.node(y.next).prev = added
	}
	separator := t.keys(x, t.leafCap)[keep-1]
	if i > keep || keep == t.leafCap {
		x, i = y, i-keep
	} else if i == keep {
		separator = key // it becomes the last key of x
	}
	t.linkUp(path[:above], separator, added)
	return x, i, nil
}

// linkUp adds a new node to the last node of path, after separator and the node that the new one
// was split from. If the node above is full, linkUp splits that too, and so on up to the root.
func (t *tree[K, V]) linkUp(path []step, separator K, added uint32) {
	for level := len(path) - 1; level >= 0; level-- {
		x, i := path[level].node, path[level].kid
		if int(x.n) < t.innerCap {
			t.insertKid(x, i, separator, added)
			return
		}
		mid := t.innerCap / 2 // index of the key that moves up
		if i == t.innerCap && t.edge(path[:level]) {
			mid = t.innerCap - 1
		}
		right, y := t.take()
		up := t.keys(x, t.innerCap)[mid]
		y.n = x.n - int32(mid) - 1
		copy(t.keys(y, t.innerCap), t.keys(x, t.innerCap)[mid+1:])
		copy(t.kids(y), t.kids(x)[mid+1:])
		x.n = int32(mid)
		if i <= mid {
			t.insertKid(x, i, separator, added)
		} else {
			t.insertKid(y, i-mid-1, separator, added)
		}
		separator, added = up, right
	}
	i, x := t.take()
	x.n = 1
	t.keys(x, t.innerCap)[0] = separator
	kids := t.kids(x)
	kids[0], kids[1] = t.root, added
	t.root = i
	t.height++
}

// edge reports whether path follows the right edge of the tree.
func (t *tree[K, V]) edge(path []step) bool {
	for _, s := range path {
		if s.kid != int(s.node.n) {
			return false
		}
	}
	return true
}

// insertKid inserts key at index i of the keys of x, and kid after it.
func (t *tree[K, V]) insertKid(x *node, i int, key K, kid uint32) {
	insertAt(t.keys(x, t.innerCap), i, key)
	insertAt(t.kids(x), i+1, kid)
	x.n++
}

// removeKid removes key i of x, and the kid after it.
func (t *tree[K, V]) removeKid(x *node, i int) {
	removeAt(t.keys(x, t.innerCap), i)
	removeAt(t.kids(x), i+1)
	x.n--
}

// Delete removes key and returns its value; ok reports whether key was present. Nodes that become
// empty are kept for later insertions; ShrinkToFit releases them.
func (t *tree[K, V]) Delete(key K) (v V, ok bool) {
	if t.root == 0 {
		return v, false
	}
	at, x := t.descend(key, nil)
	keys := t.keys(x, t.leafCap)
	i, ok := t.search(keys, key)
	if !ok {
		return v, false
	}
	v = t.values(x)[i]
	if int(x.n) > t.minLeaf || at == t.root {
		t.removeFrom(x, i, i+1)
		if t.n == 0 {
			t.release(t.root)
			t.root, t.first, t.last, t.height = 0, 0, 0, 0
		}
		return v, true
	}
	var path [maxHeight]step
	t.descend(key, &path) // before the change, as the order may panic
	t.removeFrom(x, i, i+1)
	t.mend(path[:t.height-1])
	return v, true
}

// removeFrom removes entries i up to end from leaf x.
func (t *tree[K, V]) removeFrom(x *node, i, end int) {
	keys, values := t.keys(x, t.leafCap), t.values(x)
	copy(keys[i:], keys[end:])
	copy(values[i:], values[end:])
	x.n -= int32(end - i)
	t.n -= end - i
	t.version++
}

// removeFirst removes the first entry. It compares no keys, as they may own memory that was freed.
// The tree must not be empty.
func (t *tree[K, V]) removeFirst() {
	var path [maxHeight]step
	at := t.root
	for level := range t.height - 1 {
		x := t.node(at)
		path[level] = step{x, 0}
		at = t.kids(x)[0]
	}
	x := t.node(at)
	t.removeFrom(x, 0, 1)
	switch {
	case t.n == 0:
		t.Clear()
	case int(x.n) < t.minLeaf && at != t.root:
		t.mend(path[:t.height-1])
	}
}

// DeleteFunc removes the entries for which del returns true, each in O(log n).
func (t *tree[K, V]) DeleteFunc(del func(K, V) bool) {
	for k, v := range t.All() {
		if del(k, v) {
			t.Delete(k)
		}
	}
}

// mend mends the node at the end of path, which has too few keys: it moves keys from a neighbor, or
// merges the two. After a merge the node above may have too few kids, and mend continues there.
func (t *tree[K, V]) mend(path []step) {
	for level := len(path) - 1; level >= 0; level-- {
		above, i := path[level].node, path[level].kid
		if i == int(above.n) {
			i-- // the last kid has only a left neighbor
		}
		left, right := t.kids(above)[i], t.kids(above)[i+1]
		x, y := t.node(left), t.node(right)
		fromLeft := path[level].kid > i // y has too few
		if level == t.height-2 {
			if t.mendLeaves(above, i, x, y, fromLeft) {
				return
			}
			x.next = y.next
			if y.next == 0 {
				t.last = left
			} else {
				t.node(y.next).prev = left
			}
		} else if t.mendInner(above, i, x, y, fromLeft) {
			return
		}
		t.release(right)
		t.removeKid(above, i)
		if level > 0 && int(above.n) >= t.minInner {
			return
		}
	}
	if x := t.node(t.root); x.n == 0 {
		only := t.kids(x)[0]
		t.release(t.root)
		t.root = only
		t.height--
	}
}

// mendLeaves makes x and y, kids i and i+1 of above, equally long. If there are not enough entries
// for both, it moves all entries of y to x and returns false. Equal lengths keep the next deletion
// from mending again. At the right edge y may be short; then x still keeps the minimum.
func (t *tree[K, V]) mendLeaves(above *node, i int, x, y *node, fromLeft bool) bool {
	enough := int(x.n+y.n) >= 2*t.minLeaf
	switch {
	case enough && fromLeft && int(x.n) > t.minLeaf:
		k := min(int(x.n-y.n)/2, int(x.n)-t.minLeaf)
		moveLast(t.keys(x, t.leafCap), t.keys(y, t.leafCap), k)
		moveLast(t.values(x), t.values(y), k)
		x.n -= int32(k)
		y.n += int32(k)
	case enough && !fromLeft && int(y.n) > t.minLeaf:
		k := int(y.n-x.n) / 2
		moveFirst(t.keys(x, t.leafCap), t.keys(y, t.leafCap), k)
		moveFirst(t.values(x), t.values(y), k)
		x.n += int32(k)
		y.n -= int32(k)
	default:
		moveFirst(t.keys(x, t.leafCap), t.keys(y, t.leafCap), int(y.n))
		moveFirst(t.values(x), t.values(y), int(y.n))
		x.n += y.n
		return false
	}
	t.keys(above, t.innerCap)[i] = t.keys(x, t.leafCap)[x.n-1]
	return true
}

// mendInner is mendLeaves for inner nodes. The key between the two moves down from above, and
// another key moves up.
func (t *tree[K, V]) mendInner(above *node, i int, x, y *node, fromLeft bool) bool {
	between := &t.keys(above, t.innerCap)[i]
	enough := int(x.n+y.n) >= 2*t.minInner
	switch {
	case enough && fromLeft && int(x.n) > t.minInner:
		k := min(int(x.n-y.n)/2, int(x.n)-t.minInner)
		moveLast(t.kids(x), t.kids(y), k)
		insertAt(t.keys(y, t.innerCap), 0, *between)
		y.n++
		moveLast(t.keys(x, t.innerCap), t.keys(y, t.innerCap), k-1)
		y.n += int32(k - 1)
		x.n -= int32(k)
		*between = t.keys(x, t.innerCap)[:x.n+1][x.n]
	case enough && !fromLeft && int(y.n) > t.minInner:
		k := int(y.n-x.n) / 2
		moveFirst(t.kids(x), t.kids(y), k)
		insertAt(t.keys(x, t.innerCap), int(x.n), *between)
		x.n++
		moveFirst(t.keys(x, t.innerCap), t.keys(y, t.innerCap), k-1)
		x.n += int32(k - 1)
		y.n -= int32(k - 1)
		*between = t.keys(y, t.innerCap)[0]
		removeAt(t.keys(y, t.innerCap), 0)
		y.n--
	default:
		moveFirst(t.kids(x), t.kids(y), int(y.n)+1)
		insertAt(t.keys(x, t.innerCap), int(x.n), *between)
		x.n++
		moveFirst(t.keys(x, t.innerCap), t.keys(y, t.innerCap), int(y.n))
		x.n += y.n
		return false
	}
	return true
}
