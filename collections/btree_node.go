package collections

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// tree is the common part of BTree and BTreeFunc, which differ in search. The nodes are units of
// segments: they do not move, and refer to one another by 32-bit indices, on every allocator.
type tree[K, V any] struct {
	_      block.NoCopy
	alloc  galloc.Allocator                       // nil means Global
	search func(keys []K, key K) (i int, ok bool) // like searchOrdered

	root        uint32 // 0 in an empty tree
	first, last uint32 // leaves
	height      int    // nodes from the root to a leaf, both included
	n           int    // number of entries
	version     uint   // incremented by every call that moves or removes entries

	nodes segments
	fresh uint32 // nodes from here on have never been used; 0 before the geometry is set
	free  uint32 // the first free node below fresh; next links them
	spare int    // number of free nodes

	geometry
}

// node is the header of a node. The geometry says what follows it.
//
//	leaf:   keys[:n], values[:n]
//	inner:  keys[:n], kids[:n+1], where keys in kids[i] <= keys[i] < keys in kids[i+1]
//	n <= the capacity
//	n >= the minimum, except in the root and in nodes at the right edge, where n >= 1
type node struct {
	n          int32
	next, prev uint32 // of leaves, and next of free nodes too; 0 means none
}

// geometry is the layout of nodes: capacities, and offsets in bytes from the beginning of a node.
type geometry struct {
	leafCap, innerCap  int // number of keys
	keysAt             uintptr
	valuesAt, kidsAt   uintptr
	minLeaf, minInner  int
	keySize, valueSize uintptr
}

const (
	nodeSize  = 512 // bytes, unless minKeys entries are larger
	minKeys   = 8   // the lowest capacity of a node
	cacheLine = 64

	// maxHeight is greater than the height of any tree: there are at most 2^31 nodes, and those not
	// at the right edge have at least 4 kids.
	maxHeight = 20
)

// layOut sets the geometry and the size of a unit.
func (t *tree[K, V]) layOut() {
	var k K
	var v V
	g := &t.geometry
	g.keySize, g.valueSize = unsafe.Sizeof(k), unsafe.Sizeof(v)
	g.keysAt = block.RoundUp(unsafe.Sizeof(node{}), unsafe.Alignof(k))
	leafEnd := func(n uintptr) uintptr { return block.RoundUp(g.keysAt+n*g.keySize, unsafe.Alignof(v)) + n*g.valueSize }
	innerEnd := func(n uintptr) uintptr { return block.RoundUp(g.keysAt+n*g.keySize, 4) + (n+1)*4 }
	size := max(nodeSize, block.RoundUp(max(leafEnd(minKeys), innerEnd(minKeys)), cacheLine))
	capacity := func(end func(uintptr) uintptr) uintptr {
		n := uintptr(minKeys)
		for n < nodeSize && end(n+1) <= size {
			n++
		}
		return n
	}
	leaf, inner := capacity(leafEnd), capacity(innerEnd)
	g.leafCap, g.innerCap = int(leaf), int(inner)
	if g.valueSize != 0 { // an array of size 0 would begin past the end
		g.valuesAt = block.RoundUp(g.keysAt+leaf*g.keySize, unsafe.Alignof(v))
	}
	g.kidsAt = block.RoundUp(g.keysAt+inner*g.keySize, 4)
	g.minLeaf, g.minInner = g.leafCap/2, (g.innerCap-1)/2
	t.nodes = segments{initial: 1, stride: size, align: max(cacheLine, unsafe.Alignof(k), unsafe.Alignof(v))}
}

func (t *tree[K, V]) node(i uint32) *node { return (*node)(t.nodes.at(i)) }

// keys returns the keys of x, which has room for capacity keys.
//
// SAFETY (keys, values, kids): layOut places the arrays of both kinds of nodes within a unit,
// aligned and without overlap.
func (t *tree[K, V]) keys(x *node, capacity int) []K {
	return unsafe.Slice((*K)(unsafe.Add(unsafe.Pointer(x), t.keysAt)), capacity)[:x.n]
}

func (t *tree[K, V]) values(x *node) []V {
	return unsafe.Slice((*V)(unsafe.Add(unsafe.Pointer(x), t.valuesAt)), t.leafCap)[:x.n]
}

func (t *tree[K, V]) kids(x *node) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Add(unsafe.Pointer(x), t.kidsAt)), t.innerCap+1)[:x.n+1]
}

// reserve ensures that take can be called k times.
func (t *tree[K, V]) reserve(k int) error {
	if t.fresh == 0 {
		if err := checkType[K](); err != nil {
			return err
		}
		if err := checkType[V](); err != nil {
			return err
		}
		t.layOut()
		t.fresh = t.nodes.first()
	}
	return t.nodes.growUntil(t.alloc, uint64(t.fresh)+uint64(max(k-t.spare, 0)))
}

// take returns a node. The caller has reserved it.
func (t *tree[K, V]) take() (uint32, *node) {
	i := t.free
	if i != 0 {
		t.free = t.node(i).next
		t.spare--
	} else {
		i = t.fresh
		t.fresh++
	}
	x := t.node(i)
	*x = node{}
	return i, x
}

// release adds node i to the free nodes.
func (t *tree[K, V]) release(i uint32) {
	t.node(i).next = t.free
	t.free = i
	t.spare++
}

// insertAt inserts x at index i of s, whose array has room.
func insertAt[T any](s []T, i int, x T) {
	s = s[:len(s)+1]
	copy(s[i+1:], s[i:])
	s[i] = x
}

// removeAt moves the elements after index i of s up by one.
func removeAt[T any](s []T, i int) { copy(s[i:], s[i+1:]) }

// moveLast moves the last k elements of x to the front of y, whose array has room.
func moveLast[T any](x, y []T, k int) {
	n := len(y)
	y = y[:n+k]
	copy(y[k:], y[:n])
	copy(y, x[len(x)-k:])
}

// moveFirst moves the first k elements of y to the end of x, whose array has room.
func moveFirst[T any](x, y []T, k int) {
	copy(x[len(x):len(x)+k], y)
	copy(y, y[k:])
}
