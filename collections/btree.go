package collections

import (
	"cmp"
	"iter"

	"github.com/galloc-go/galloc"
)

// BTree is a map that keeps its keys in order. The zero value is empty and allocates from
// galloc.Global. The order is cmp.Compare's, in which a NaN is less than all other numbers.
// [BTreeFunc] has other orders, and keys of other types, such as structs.
//
// Looking up, inserting and deleting a key take O(log n); moving to the next key takes O(1). A
// pointer to a value is valid until the next insertion or deletion. The loop over an iterator may
// change the tree: the iteration continues with the next key after the one that it yielded last.
//
// BTree is a B+ tree (Bayer and McCreight 1972; Comer 1979). Its entries are in leaves, of 512
// bytes unless entries are large, which are linked both ways; the nodes above contain only keys. In
// a tree of a million entries of two uint64, an entry takes 24.5 bytes if the keys came in random
// order, and 17 bytes if they came in ascending order. As with all growing arrays, up to the same
// amount is reserved for later entries.
type BTree[K cmp.Ordered, V any] struct{ tree[K, V] }

// NewBTree returns an empty BTree that allocates from a, or from galloc.Global if a is nil.
func NewBTree[K cmp.Ordered, V any](a galloc.Allocator) *BTree[K, V] {
	return &BTree[K, V]{tree[K, V]{alloc: usable(a), search: searchOrdered[K]}}
}

// CollectBTree returns a BTree on a with the entries of seq.
func CollectBTree[K cmp.Ordered, V any](a galloc.Allocator, seq iter.Seq2[K, V]) (*BTree[K, V], error) {
	t := NewBTree[K, V](a)
	return filled(t, func() error { return t.TryPutSeq(seq) })
}

// Put sets the value of key to v. An equal key that is present stays as it is, and its value is
// overwritten; if that owns memory, use GetOrPut.
func (t *BTree[K, V]) Put(key K, v V) { must(t.TryPut(key, v)) }

// TryPut is like Put but returns an error if memory runs out.
func (t *BTree[K, V]) TryPut(key K, v V) error {
	p, found, err := t.entry(key, v)
	if found {
		*p = v
	}
	return err
}

// PutSeq puts the entries of seq, which may read t itself.
func (t *BTree[K, V]) PutSeq(seq iter.Seq2[K, V]) { must(t.TryPutSeq(seq)) }

// TryPutSeq is like PutSeq but stops and returns an error if memory runs out.
func (t *BTree[K, V]) TryPutSeq(seq iter.Seq2[K, V]) error { return putSeq(seq, t.TryPut) }

// putSeq puts the entries of seq by put, up to the first error.
func putSeq[K, V any](seq iter.Seq2[K, V], put func(K, V) error) error {
	for k, v := range seq {
		if err := put(k, v); err != nil {
			return err
		}
	}
	return nil
}

// PutIfAbsent sets the value of key to v if key is absent, and reports whether it did.
func (t *BTree[K, V]) PutIfAbsent(key K, v V) bool { return mustValue(t.TryPutIfAbsent(key, v)) }

// TryPutIfAbsent is like PutIfAbsent but returns an error if memory runs out.
func (t *BTree[K, V]) TryPutIfAbsent(key K, v V) (put bool, err error) {
	_, found, err := t.entry(key, v)
	return !found && err == nil, err
}

// GetOrPut returns a pointer to the value of key; found reports whether key was present. If it was
// not, it has been added with the zero V. The pointer is valid until the next insertion or
// deletion.
func (t *BTree[K, V]) GetOrPut(key K) (v *V, found bool) {
	v, found, err := t.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is like GetOrPut but returns an error if memory runs out.
func (t *BTree[K, V]) TryGetOrPut(key K) (v *V, found bool, err error) {
	var zero V
	return t.entry(key, zero)
}

// entry returns a pointer to the value of key, after inserting v if key is absent.
func (t *BTree[K, V]) entry(key K, v V) (p *V, found bool, err error) {
	if t.search == nil {
		t.search = searchOrdered[K]
	}
	return t.insert(key, v)
}

// Clone returns a copy of t on the same allocator. It copies the nodes in a few large pieces.
func (t *BTree[K, V]) Clone() *BTree[K, V] { return mustValue(t.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (t *BTree[K, V]) TryClone() (*BTree[K, V], error) {
	c := new(BTree[K, V])
	if err := t.cloneTo(&c.tree); err != nil {
		return nil, err
	}
	return c, nil
}

// Equal reports whether t and o have the same keys, and equal values, compared by ==.
func (t *BTree[K, V]) Equal(o *BTree[K, V]) bool { return t.equalFunc(&o.tree, equal[V]) }

// EqualFunc reports whether t and o have the same keys and eq returns true for each pair of values.
func (t *BTree[K, V]) EqualFunc(o *BTree[K, V], eq func(V, V) bool) bool {
	return t.equalFunc(&o.tree, eq)
}

// BTreeFunc is a [BTree] with a custom order. [NewBTreeFunc] creates one. Inserting into the zero
// value panics, as it has no order.
type BTreeFunc[K, V any] struct{ tree[K, V] }

// NewBTreeFunc returns an empty BTreeFunc that allocates from a, or from galloc.Global if a is nil.
// compare returns a negative number if x comes before y, a positive number if x comes after y, and
// 0 if they are the same key. It must be a consistent order, and must not call methods of the tree.
func NewBTreeFunc[K, V any](a galloc.Allocator, compare func(x, y K) int) *BTreeFunc[K, V] {
	search := func(keys []K, key K) (int, bool) {
		low, n := 0, len(keys)
		for n > 0 {
			half := n / 2
			switch c := compare(keys[low+half], key); {
			case c < 0:
				low += half + 1
				n -= half + 1
			case c == 0:
				return low + half, true
			default:
				n = half
			}
		}
		return low, false
	}
	return &BTreeFunc[K, V]{tree[K, V]{alloc: usable(a), search: search}}
}

// CollectBTreeFunc returns a BTreeFunc on a with the entries of seq. compare is as in
// [NewBTreeFunc].
func CollectBTreeFunc[K, V any](
	a galloc.Allocator, compare func(x, y K) int, seq iter.Seq2[K, V],
) (*BTreeFunc[K, V], error) {
	t := NewBTreeFunc[K, V](a, compare)
	return filled(t, func() error { return t.TryPutSeq(seq) })
}

// Put is [BTree.Put].
func (t *BTreeFunc[K, V]) Put(key K, v V) { must(t.TryPut(key, v)) }

// TryPut is [BTree.TryPut].
func (t *BTreeFunc[K, V]) TryPut(key K, v V) error {
	p, found, err := t.entry(key, v)
	if found {
		*p = v
	}
	return err
}

// PutSeq is [BTree.PutSeq].
func (t *BTreeFunc[K, V]) PutSeq(seq iter.Seq2[K, V]) { must(t.TryPutSeq(seq)) }

// TryPutSeq is [BTree.TryPutSeq].
func (t *BTreeFunc[K, V]) TryPutSeq(seq iter.Seq2[K, V]) error { return putSeq(seq, t.TryPut) }

// PutIfAbsent is [BTree.PutIfAbsent].
func (t *BTreeFunc[K, V]) PutIfAbsent(key K, v V) bool { return mustValue(t.TryPutIfAbsent(key, v)) }

// TryPutIfAbsent is [BTree.TryPutIfAbsent].
func (t *BTreeFunc[K, V]) TryPutIfAbsent(key K, v V) (put bool, err error) {
	_, found, err := t.entry(key, v)
	return !found && err == nil, err
}

// GetOrPut is [BTree.GetOrPut].
func (t *BTreeFunc[K, V]) GetOrPut(key K) (v *V, found bool) {
	v, found, err := t.TryGetOrPut(key)
	must(err)
	return v, found
}

// TryGetOrPut is [BTree.TryGetOrPut].
func (t *BTreeFunc[K, V]) TryGetOrPut(key K) (v *V, found bool, err error) {
	var zero V
	return t.entry(key, zero)
}

// entry is BTree's entry.
func (t *BTreeFunc[K, V]) entry(key K, v V) (p *V, found bool, err error) {
	if t.search == nil {
		panic("galloc/collections: insertion into a BTreeFunc without an order: use NewBTreeFunc")
	}
	return t.insert(key, v)
}

// Clone is [BTree.Clone].
func (t *BTreeFunc[K, V]) Clone() *BTreeFunc[K, V] { return mustValue(t.TryClone()) }

// TryClone is [BTree.TryClone].
func (t *BTreeFunc[K, V]) TryClone() (*BTreeFunc[K, V], error) {
	c := new(BTreeFunc[K, V])
	if err := t.cloneTo(&c.tree); err != nil {
		return nil, err
	}
	return c, nil
}

// Equal reports whether t and o have the same keys in the order of t, and equal values, compared by
// ==.
func (t *BTreeFunc[K, V]) Equal(o *BTreeFunc[K, V]) bool { return t.equalFunc(&o.tree, equal[V]) }

// EqualFunc reports whether t and o have the same keys in the order of t and eq returns true for
// each pair of values.
func (t *BTreeFunc[K, V]) EqualFunc(o *BTreeFunc[K, V], eq func(V, V) bool) bool {
	return t.equalFunc(&o.tree, eq)
}

// searchOrdered returns the index of the first of the sorted keys that is not less than key, and
// reports whether it is key. Its steps are branches that the processor predicts. A branch-free
// search was a third faster for random keys in a tree of 100,000, and slower by half or more if
// keys come in order or the tree is small.
func searchOrdered[K cmp.Ordered](keys []K, key K) (int, bool) {
	low, n := 0, len(keys)
	if n == 0 {
		return 0, false
	}
	for n > 1 {
		half := n / 2
		if cmp.Less(keys[low+half-1], key) {
			low += half
		}
		n -= half
	}
	if cmp.Less(keys[low], key) {
		low++
	}
	return low, low < len(keys) && !cmp.Less(key, keys[low])
}
