package collections

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// tree is what BTree and BTreeFunc have in common: everything but the order, which is in search. The
// nodes are units of segments and refer to one another by their indices: half as large as pointers,
// and good on every allocator. They move no more than units do.
type tree[K, V any] struct {
	_      noCopy
	a      galloc.Allocator                       // nil means Global
	search func(keys []K, key K) (i int, ok bool) // as searchOrdered

	root        uint32 // 0 in an empty tree
	first, last uint32 // leaves
	height      int    // nodes from the root to a leaf, both included
	n           int    // entries
	version     uint   // counts what moves or removes entries

	nodes segments
	fresh uint32 // nodes from here on have never been used; 0 before there is a geometry
	free  uint32 // the first of the nodes that are not used any more, linked by next
	spare int    // how many these are

	geometry
}

// node is the head of a node; what follows it is told by the geometry.
//
//	leaf:   keys[:n], values[:n]
//	inner:  keys[:n], kids[:n+1], where keys in kids[i] <= keys[i] < keys in kids[i+1]
//	n <= the capacity; n >= the minimum, but for the root and the nodes at the right edge, where inner
//	nodes have a key at least, and a leaf has an entry
type node struct {
	n          int32
	next, prev uint32 // leaves only, but next in all that are free; 0 is none
}

// geometry is where things are in a node, in bytes from its beginning.
type geometry struct {
	leafCap, innerCap  int // keys
	keysAt             uintptr
	valuesAt, kidsAt   uintptr
	minLeaf, minInner  int
	keySize, valueSize uintptr
}

const (
	nodeSize  = 512 // bytes, unless minKeys entries are larger
	minKeys   = 8   // that every node has room for
	cacheLine = 64

	// maxHeight is more than any tree has: with 2^31 nodes, of which all but the right edge have 4 kids or
	// more.
	maxHeight = 20
)

// layOut sets the geometry, and with it the size of a unit.
func (t *tree[K, V]) layOut() {
	var k K
	var v V
	g := &t.geometry
	g.keySize, g.valueSize = unsafe.Sizeof(k), unsafe.Sizeof(v)
	up := func(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }
	g.keysAt = up(unsafe.Sizeof(node{}), unsafe.Alignof(k))
	leafEnd := func(n uintptr) uintptr { return up(g.keysAt+n*g.keySize, unsafe.Alignof(v)) + n*g.valueSize }
	innerEnd := func(n uintptr) uintptr { return up(g.keysAt+n*g.keySize, 4) + (n+1)*4 }
	size := max(nodeSize, up(max(leafEnd(minKeys), innerEnd(minKeys)), cacheLine))
	most := func(end func(uintptr) uintptr) uintptr {
		n := uintptr(minKeys)
		for n < nodeSize && end(n+1) <= size {
			n++
		}
		return n
	}
	leaf, inner := most(leafEnd), most(innerEnd)
	g.leafCap, g.innerCap = int(leaf), int(inner)
	if g.valueSize != 0 { // otherwise they would be behind the end
		g.valuesAt = up(g.keysAt+leaf*g.keySize, unsafe.Alignof(v))
	}
	g.kidsAt = up(g.keysAt+inner*g.keySize, 4)
	g.minLeaf, g.minInner = g.leafCap/2, (g.innerCap-1)/2
	t.nodes = segments{stride: size, align: max(cacheLine, unsafe.Alignof(k), unsafe.Alignof(v))}
}

func (t *tree[K, V]) node(i uint32) *node { return (*node)(t.nodes.at(i)) }

// keys returns the keys of x, with its capacity.
//
// SAFETY: layOut has seen to it that the arrays of both kinds of nodes are within a unit, aligned, and do not
// overlap; so has it for values and kids.
func (t *tree[K, V]) keys(x *node, capacity int) []K {
	return unsafe.Slice((*K)(unsafe.Add(unsafe.Pointer(x), t.keysAt)), capacity)[:x.n]
}

func (t *tree[K, V]) values(x *node) []V {
	return unsafe.Slice((*V)(unsafe.Add(unsafe.Pointer(x), t.valuesAt)), t.leafCap)[:x.n]
}

func (t *tree[K, V]) kids(x *node) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Add(unsafe.Pointer(x), t.kidsAt)), t.innerCap+1)[:x.n+1]
}

// reserve sees to it that k nodes can be taken.
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
	return t.nodes.growUntil(t.a, uint64(t.fresh)+uint64(max(k-t.spare, 0)))
}

// take returns a node, which has been reserved.
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

// give takes back node i.
func (t *tree[K, V]) give(i uint32) {
	t.node(i).next = t.free
	t.free = i
	t.spare++
}

// insertAt inserts x at index i of s, whose array has room for it.
func insertAt[T any](s []T, i int, x T) {
	s = s[:len(s)+1]
	copy(s[i+1:], s[i:])
	s[i] = x
}

// removeAt removes what is at index i of s.
func removeAt[T any](s []T, i int) { copy(s[i:], s[i+1:]) }

// moveLast moves the last k elements of x to the front of y, whose array has room for them.
func moveLast[T any](x, y []T, k int) {
	n := len(y)
	y = y[:n+k]
	copy(y[k:], y[:n])
	copy(y, x[len(x)-k:])
}

// moveFirst moves the first k elements of y behind those of x, whose array has room for them.
func moveFirst[T any](x, y []T, k int) {
	copy(x[len(x):len(x)+k], y)
	copy(y, y[k:])
}
