package collections

import "fmt"

// Check returns an error if t is not as tree and node say.
func (t *tree[K, V]) Check() error {
	if t.root == 0 {
		if t.n != 0 || t.first != 0 || t.last != 0 || t.height != 0 {
			return fmt.Errorf("an empty tree with n=%d first=%d last=%d height=%d", t.n, t.first, t.last, t.height)
		}
		return nil
	}
	c := checker[K, V]{t: t}
	if err := c.node(t.root, 1, true, nil, nil); err != nil {
		return err
	}
	if c.prev != t.last || t.node(t.last).next != 0 || c.entries != t.n {
		return fmt.Errorf("last leaf %d (next %d), want %d; %d entries, want %d", t.last, t.node(t.last).next, c.prev, c.entries, t.n)
	}
	spare := 0
	for i := t.free; i != 0; i = t.node(i).next {
		spare++
	}
	if used := int(t.fresh - t.nodes.first()); spare != t.spare || c.nodes+spare != used {
		return fmt.Errorf("%d nodes in the tree, %d in the list of the free, which says %d; %d have been used", c.nodes, spare, t.spare, used)
	}
	return nil
}

type checker[K, V any] struct {
	t       *tree[K, V]
	prev    uint32 // leaf
	entries int
	nodes   int
}

// node checks node i, whose keys must be > *low and <= *high.
func (c *checker[K, V]) node(i uint32, level int, edge bool, low, high *K) error {
	t := c.t
	c.nodes++
	x := t.node(i)
	leaf := level == t.height
	capacity, least := t.innerCap, t.minInner
	if leaf {
		capacity, least = t.leafCap, t.minLeaf
	}
	if edge {
		least = 1
	}
	if int(x.n) < least || int(x.n) > capacity {
		return fmt.Errorf("node %d on level %d of %d has %d keys, not %d to %d", i, level, t.height, x.n, least, capacity)
	}
	keys := t.keys(x, capacity)
	for j := range keys {
		if k, ok := t.search(keys, keys[j]); k != j || !ok {
			return fmt.Errorf("key %d of node %d is found at %d: %v", j, i, k, ok)
		}
	}
	before := func(a, b K) bool { // a < b
		k, ok := t.search([]K{a}, b)
		return k == 1 && !ok
	}
	if low != nil && !before(*low, keys[0]) || high != nil && before(*high, keys[len(keys)-1]) {
		return fmt.Errorf("node %d has keys outside of its bounds", i)
	}
	if leaf {
		if x.prev != c.prev || c.prev == 0 && t.first != i || c.prev != 0 && t.node(c.prev).next != i {
			return fmt.Errorf("leaf %d is not linked to leaf %d", i, c.prev)
		}
		c.prev = i
		c.entries += len(keys)
		return nil
	}
	for j, kid := range t.kids(x) {
		l, h := low, high
		if j > 0 {
			l = &keys[j-1]
		}
		if j < len(keys) {
			h = &keys[j]
		}
		if err := c.node(kid, level+1, edge && j == len(keys), l, h); err != nil {
			return err
		}
	}
	return nil
}
