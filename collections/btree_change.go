package collections

// This file inserts and deletes.

// step is a node on the way from the root to a leaf, and which of its kids is the next one.
type step struct {
	node *node
	kid  int
}

// descend returns the leaf where key is, or would be; the nodes above it are put into path, if it is not
// nil. The tree is not empty.
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

// insert is TryGetOrPut of a tree that has an order.
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

// split makes two leaves of the full one, x, where key is to be inserted at index i. It returns the
// one to insert it into, and at which index. If it fails, nothing has changed.
//
// A full node that is split at the end of the tree keeps all it has: so ascending keys fill the nodes.
func (t *tree[K, V]) split(at uint32, x *node, i int, key K) (*node, int, error) {
	var path [maxHeight]step
	t.descend(key, &path)
	above := t.height - 1 // the nodes on the path
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
	new, y := t.take()
	y.n = x.n - int32(keep)
	copy(t.keys(y, t.leafCap), t.keys(x, t.leafCap)[keep:])
	copy(t.values(y), t.values(x)[keep:])
	x.n = int32(keep)
	y.prev, y.next, x.next = at, x.next, new
	if y.next == 0 {
		t.last = new
	} else {
		t.node(y.next).prev = new
	}
	separator := t.keys(x, t.leafCap)[keep-1]
	if i > keep || keep == t.leafCap {
		x, i = y, i-keep
	} else if i == keep {
		separator = key // it becomes the last of x
	}
	t.linkUp(path[:above], separator, new)
	return x, i, nil
}

// linkUp puts a new node into the one above, the last in path: behind the node that it has been split from,
// and after separator. That may have to be split in turn, and so on.
func (t *tree[K, V]) linkUp(path []step, separator K, new uint32) {
	for level := len(path) - 1; level >= 0; level-- {
		x, i := path[level].node, path[level].kid
		if int(x.n) < t.innerCap {
			t.insertKid(x, i, separator, new)
			return
		}
		mid := t.innerCap / 2 // the index of the key that goes up
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
			t.insertKid(x, i, separator, new)
		} else {
			t.insertKid(y, i-mid-1, separator, new)
		}
		separator, new = up, right
	}
	i, x := t.take()
	x.n = 1
	t.keys(x, t.innerCap)[0] = separator
	kids := t.kids(x)
	kids[0], kids[1] = t.root, new
	t.root = i
	t.height++
}

// edge reports whether path goes along the right edge of the tree.
func (t *tree[K, V]) edge(path []step) bool {
	for _, s := range path {
		if s.kid != int(s.node.n) {
			return false
		}
	}
	return true
}

// insertKid puts key at index i of the keys of x, and kid behind it.
func (t *tree[K, V]) insertKid(x *node, i int, key K, kid uint32) {
	insertAt(t.keys(x, t.innerCap), i, key)
	insertAt(t.kids(x), i+1, kid)
	x.n++
}

// removeKid removes key i of x, and the kid behind it.
func (t *tree[K, V]) removeKid(x *node, i int) {
	removeAt(t.keys(x, t.innerCap), i)
	removeAt(t.kids(x), i+1)
	x.n--
}

// Delete removes key and its value, and reports whether it was there. Nodes that become empty are
// kept for new ones: see ShrinkToFit.
func (t *tree[K, V]) Delete(key K) bool {
	_, ok := t.Take(key)
	return ok
}

// Take removes key and returns its value; ok is false if it was not there.
func (t *tree[K, V]) Take(key K) (v V, ok bool) {
	if t.root == 0 {
		return v, false
	}
	at, x := t.descend(key, nil)
	i, ok := t.search(t.keys(x, t.leafCap), key)
	if !ok {
		return v, false
	}
	v = t.values(x)[i]
	if int(x.n) <= t.minLeaf && at != t.root {
		var path [maxHeight]step
		t.descend(key, &path)
		t.removeEntry(x, i)
		t.mend(path[:t.height-1])
	} else {
		t.removeEntry(x, i)
	}
	t.n--
	t.version++
	if t.n == 0 {
		t.give(t.root)
		t.root, t.first, t.last, t.height = 0, 0, 0, 0
	}
	return v, true
}

func (t *tree[K, V]) removeEntry(x *node, i int) {
	removeAt(t.keys(x, t.leafCap), i)
	removeAt(t.values(x), i)
	x.n--
}

// mend gives the leaf at the end of path, which has too few entries, some of a neighbour's, or makes
// one leaf of both; then the node above may have too few kids, and so on.
func (t *tree[K, V]) mend(path []step) {
	for level := len(path) - 1; level >= 0; level-- {
		above, i := path[level].node, path[level].kid
		if i == int(above.n) {
			i-- // the last kid has a neighbour to the left only
		}
		left, right := t.kids(above)[i], t.kids(above)[i+1]
		x, y := t.node(left), t.node(right)
		fromLeft := path[level].kid > i // it is y that has too few
		if level == len(path)-1 {
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
		t.give(right)
		t.removeKid(above, i)
		if level > 0 && int(above.n) >= t.minInner {
			return
		}
	}
	if x := t.node(t.root); x.n == 0 {
		only := t.kids(x)[0]
		t.give(t.root)
		t.root = only
		t.height--
	}
}

// mendLeaves moves an entry between x and y, kids i and i+1 of above, or returns false after moving
// all of y to x.
func (t *tree[K, V]) mendLeaves(above *node, i int, x, y *node, fromLeft bool) bool {
	switch {
	case fromLeft && int(x.n) > t.minLeaf:
		last := int(x.n) - 1
		insertAt(t.keys(y, t.leafCap), 0, t.keys(x, t.leafCap)[last])
		insertAt(t.values(y), 0, t.values(x)[last])
		y.n++
		x.n--
	case !fromLeft && int(y.n) > t.minLeaf:
		insertAt(t.keys(x, t.leafCap), int(x.n), t.keys(y, t.leafCap)[0])
		insertAt(t.values(x), int(x.n), t.values(y)[0])
		x.n++
		t.removeEntry(y, 0)
	default:
		n := x.n
		x.n += y.n
		copy(t.keys(x, t.leafCap)[n:], t.keys(y, t.leafCap))
		copy(t.values(x)[n:], t.values(y))
		return false
	}
	t.keys(above, t.innerCap)[i] = t.keys(x, t.leafCap)[x.n-1]
	return true
}

// mendInner is mendLeaves for inner nodes: a key goes up to above, whose key comes down.
func (t *tree[K, V]) mendInner(above *node, i int, x, y *node, fromLeft bool) bool {
	between := &t.keys(above, t.innerCap)[i]
	switch {
	case fromLeft && int(x.n) > t.minInner:
		last := int(x.n) - 1
		insertAt(t.keys(y, t.innerCap), 0, *between)
		insertAt(t.kids(y), 0, t.kids(x)[last+1])
		y.n++
		*between = t.keys(x, t.innerCap)[last]
		x.n--
	case !fromLeft && int(y.n) > t.minInner:
		t.insertKid(x, int(x.n), *between, t.kids(y)[0])
		*between = t.keys(y, t.innerCap)[0]
		removeAt(t.keys(y, t.innerCap), 0)
		removeAt(t.kids(y), 0)
		y.n--
	default:
		n := int(x.n)
		x.n += y.n + 1
		keys := t.keys(x, t.innerCap)
		keys[n] = *between
		copy(keys[n+1:], t.keys(y, t.innerCap))
		copy(t.kids(x)[n+1:], t.kids(y))
		return false
	}
	return true
}
