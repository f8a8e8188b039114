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
	keys := t.keys(x, t.leafCap)
	i, ok := t.search(keys, key)
	if !ok {
		return v, false
	}
	values := t.values(x)
	v = values[i]
	removeAt(keys, i)
	removeAt(values, i)
	x.n--
	t.n--
	t.version++
	switch {
	case t.n == 0:
		t.give(t.root)
		t.root, t.first, t.last, t.height = 0, 0, 0, 0
	case int(x.n) < t.minLeaf && at != t.root:
		t.mendAbove(key)
	}
	return v, true
}

// mendAbove mends the nodes on the way to key, in whose leaf there are too few entries.
func (t *tree[K, V]) mendAbove(key K) {
	var path [maxHeight]step
	t.descend(key, &path)
	t.mend(path[:t.height-1])
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

// mendLeaves makes x and y, kids i and i+1 of above, equally long, or returns false after moving all of y to x. They are made so, and
// not just long enough, since otherwise the next deletion would be in need of mending, too. But x keeps the minimum: y may be short
// at the right edge.
func (t *tree[K, V]) mendLeaves(above *node, i int, x, y *node, fromLeft bool) bool {
	switch {
	case fromLeft && int(x.n) > t.minLeaf:
		k := min(int(x.n-y.n)/2, int(x.n)-t.minLeaf)
		moveLast(t.keys(x, t.leafCap), t.keys(y, t.leafCap), k)
		moveLast(t.values(x), t.values(y), k)
		x.n -= int32(k)
		y.n += int32(k)
	case !fromLeft && int(y.n) > t.minLeaf:
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

// mendInner is mendLeaves for inner nodes: the key between the two comes down from above, and another one goes up.
func (t *tree[K, V]) mendInner(above *node, i int, x, y *node, fromLeft bool) bool {
	between := &t.keys(above, t.innerCap)[i]
	switch {
	case fromLeft && int(x.n) > t.minInner:
		k := min(int(x.n-y.n)/2, int(x.n)-t.minInner)
		moveLast(t.kids(x), t.kids(y), k)
		insertAt(t.keys(y, t.innerCap), 0, *between)
		y.n++
		moveLast(t.keys(x, t.innerCap), t.keys(y, t.innerCap), k-1)
		y.n += int32(k - 1)
		x.n -= int32(k)
		*between = t.keys(x, t.innerCap)[:x.n+1][x.n]
	case !fromLeft && int(y.n) > t.minInner:
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
