package collections

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// Check returns an error if an invariant of tree or node does not hold.
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
		return fmt.Errorf("last leaf %d (next %d), want %d; %d entries, want %d",
			t.last, t.node(t.last).next, c.prev, c.entries, t.n)
	}
	spare := 0
	for i := t.free; i != 0; i = t.node(i).next {
		spare++
	}
	if used := int(t.fresh - t.nodes.first()); spare != t.spare || c.nodes+spare != used {
		return fmt.Errorf("%d nodes in the tree and %d in the free list, whose count is %d; %d have been used",
			c.nodes, spare, t.spare, used)
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
		return fmt.Errorf("node %d on level %d of %d has %d keys, not %d to %d",
			i, level, t.height, x.n, least, capacity)
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

// A panic of the order leaves the tree unchanged and leaks nothing.
func TestPanicsOfTheOrder(t *testing.T) {
	left := -1 // comparisons before the panic; none if negative
	order := func(x, y int) int {
		if left--; left == -1 {
			panic("order")
		}
		return x - y
	}
	panics := func(f func()) (panicked bool) {
		defer func() { panicked = recover() != nil }()
		f()
		return false
	}
	victim := 0 // a key in a leaf that has the minimum
	for what, c := range map[string]struct {
		thin   bool
		change func(b *BTreeFunc[int, int])
		stride int
	}{
		"Put":                 {false, func(b *BTreeFunc[int, int]) { b.Put(1001, 1) }, 1},
		"Delete":              {true, func(b *BTreeFunc[int, int]) { b.Delete(victim) }, 1},
		"DeleteRange":         {false, func(b *BTreeFunc[int, int]) { b.DeleteRange(2001, 2003) }, 1},
		"DeleteRange of many": {true, func(b *BTreeFunc[int, int]) { b.DeleteRange(1000, 7000) }, 1},
		"ShrinkToFit":         {true, func(b *BTreeFunc[int, int]) { b.ShrinkToFit() }, 501},
		"Range": {false, func(b *BTreeFunc[int, int]) {
			for range b.RangeBackward(100, 300) {
				continue
			}
		}, 1},
	} {
		a := alloctest.Track(galloc.System)
		b := NewBTreeFunc[int, int](a, order)
		for i := range 4000 {
			b.Put(i*2, i) // every leaf is full
		}
		for i := range 4000 {
			if c.thin && i%2 != 0 && i%32 != 0 {
				b.Delete(i * 2) // many have the minimum
			}
		}
		for at := b.first; at != 0 && c.thin; {
			x := b.node(at)
			if at = x.next; int(x.n) == b.minLeaf && at != 0 {
				victim = b.keys(x, b.leafCap)[1]
			}
		}
		if c.thin && victim == 0 {
			t.Fatal("no leaf has the minimum")
		}
		n, live := b.Len(), len(a.Live())
		steps := 0
		for panicked := true; panicked; steps += c.stride {
			left = steps
			panicked = panics(func() { c.change(b) })
			left = -1
			if err := b.Check(); err != nil {
				t.Fatalf("%s, panic at comparison %d: %v", what, steps, err)
			}
			if what == "DeleteRange of many" { // removes a part at a time
				n = b.Len()
			}
			if got := len(a.Live()); panicked && (got != live || b.Len() != n) {
				t.Fatalf("%s, panic at comparison %d: %d entries in %d blocks, before %d in %d",
					what, steps, b.Len(), got, n, live)
			}
		}
		if steps == c.stride {
			t.Errorf("%s: no panic", what)
		}
		b.Free()
		if len(a.Live())+len(a.Misuses()) != 0 {
			t.Error(a.Live(), a.Misuses())
		}
	}
}

// Free nodes are used before new ones, and Reserve counts them.
func TestFreeNodesAreUsedAgain(t *testing.T) {
	a := alloctest.Track(galloc.System)
	b := NewBTree[uint32, uint32](a)
	scattered := func(i uint32) uint32 { return i * 0x9e3779b1 }
	n := uint32(0)
	for ; n < 10_000 || uint64(b.fresh) != b.nodes.end(); n++ { // all nodes are used
		b.Put(scattered(n), n)
	}
	for i := range n - 100 {
		b.Delete(scattered(i))
	}
	calls := a.Calls()
	for i := range n / 2 {
		b.Put(scattered(i), i)
	}
	if a.Calls() != calls {
		t.Errorf("%d allocations though there are %d free nodes", a.Calls()-calls, b.spare)
	}
	b.Free()

	// Descending keys leave half-full leaves, the worst case of insertion.
	for more := 50; more < 3000; more += 41 {
		b := NewBTreeFunc[[60]byte, struct{}](a, func(x, y [60]byte) int {
			return (int(x[0])<<8 + int(x[1])) - (int(y[0])<<8 + int(y[1]))
		})
		key := func(i int) [60]byte { return [60]byte{byte(i >> 8), byte(i)} }
		for i := range 400 {
			b.Put(key(10_000+i), struct{}{})
		}
		for i := range 399 {
			b.Delete(key(10_000 + i))
		}
		b.Reserve(more)
		calls := a.Calls()
		for i := range more {
			b.Put(key(9999-i), struct{}{})
		}
		if a.Calls() != calls {
			t.Fatalf("%d allocations after Reserve(%d)", a.Calls()-calls, more)
		}
		b.Free()
	}
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

// A range visits its own leaves and stops at its end.
func TestRangesEnd(t *testing.T) {
	comparisons := 0
	b := NewBTreeFunc[int, int](nil, func(x, y int) int { comparisons++; return x - y })
	defer b.Free()
	for i := range 20_000 {
		b.Put(i, i)
	}
	comparisons = 0
	n := 0
	for range b.Range(10_000, 10_010) {
		n++
	}
	for range b.RangeBackward(10_000, 10_010) {
		n++
	}
	for range b.Range(10_010, 10_000) {
		n++
	}
	for range b.RangeBackward(10_010, 10_000) {
		n++
	}
	if n != 20 || comparisons > 200 {
		t.Errorf("%d entries, %d comparisons", n, comparisons)
	}
}

// above counts the inner nodes if keys came in ascending order.
func TestInnerNodesAboveLeaves(t *testing.T) {
	b := NewBTreeFunc[[60]byte, struct{}](nil, func(x, y [60]byte) int {
		return (int(x[0])<<16 + int(x[1])<<8 + int(x[2])) - (int(y[0])<<16 + int(y[1])<<8 + int(y[2]))
	})
	defer b.Free()
	for i, leaves := 0, 0; leaves < 1000; i++ {
		b.Put([60]byte{byte(i >> 16), byte(i >> 8), byte(i)}, struct{}{})
		if leaves = i/b.leafCap + 1; int(b.fresh-b.nodes.first()) != leaves+b.above(leaves) {
			t.Fatalf("%d nodes for %d leaves, and %d above them", b.fresh-b.nodes.first(), leaves, b.above(leaves))
		}
	}
	if b.innerCap > 8 || b.height < 4 {
		t.Errorf("the tree is too low for the test: %d kids, height %d", b.innerCap, b.height)
	}
}
