package collections_test

import (
	"cmp"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// ordered has the common methods of both kinds of trees.
type ordered[K, V any] interface {
	Len() int
	Cap() int
	TryPut(K, V) error
	TryGetOrPut(K) (*V, bool, error)
	TryPutIfAbsent(K, V) (bool, error)
	TryReserve(int) error
	Get(K) (V, bool)
	Delete(K) (V, bool)
	DeleteFunc(func(K, V) bool)
	DeleteRange(low, high K) int
	Ptr(K) *V
	Min() (K, V, bool)
	Max() (K, V, bool)
	Floor(K) (K, V, bool)
	Ceiling(K) (K, V, bool)
	PopMin() (K, V, bool)
	PopMax() (K, V, bool)
	Clear()
	Free()
	TryShrinkToFit() error
	Check() error
	All() iter.Seq2[K, V]
	Backward() iter.Seq2[K, V]
	Ascend(K) iter.Seq2[K, V]
	Descend(K) iter.Seq2[K, V]
	Range(low, high K) iter.Seq2[K, V]
	RangeBackward(low, high K) iter.Seq2[K, V]
	Keys() iter.Seq[K]
	Values() iter.Seq[V]
	Pointers() iter.Seq2[K, *V]
}

// kind is a kind of tree and its model.
type kind[K, V any] struct {
	make    func(galloc.Allocator) ordered[K, V]
	clone   func(ordered[K, V]) (ordered[K, V], error)
	collect func(galloc.Allocator, iter.Seq2[K, V]) (ordered[K, V], error)
	same    func(x, y ordered[K, V]) bool // Equal
	compare func(K, K) int
	key     func(int) K
	value   func(int) V
	equal   func(V, V) bool
}

// sorted is the model: entries in the order of their keys.
type sorted[K, V any] struct {
	kind   kind[K, V]
	keys   []K
	values []V
}

func (m *sorted[K, V]) find(k K) (int, bool) {
	return slices.BinarySearchFunc(m.keys, k, m.kind.compare)
}

func (m *sorted[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i, k := range m.keys {
			if !yield(k, m.values[i]) {
				return
			}
		}
	}
}

func (m *sorted[K, V]) put(k K, v V) {
	i, ok := m.find(k)
	if ok {
		m.values[i] = v
		return
	}
	m.keys, m.values = slices.Insert(m.keys, i, k), slices.Insert(m.values, i, v)
}

func (m *sorted[K, V]) remove(k K) (v V, ok bool) {
	i, ok := m.find(k)
	if ok {
		v = m.values[i]
		m.keys, m.values = slices.Delete(m.keys, i, i+1), slices.Delete(m.values, i, i+1)
	}
	return v, ok
}

// same compares what seq yields with the entries of m from i up to j, or from j-1 down to i.
func (m *sorted[K, V]) same(what string, seq iter.Seq2[K, V], i, j int, backward bool) error {
	n := 0
	for k, v := range seq {
		at := i + n
		if backward {
			at = j - 1 - n
		}
		if n >= j-i || m.kind.compare(k, m.keys[at]) != 0 || !m.kind.equal(v, m.values[at]) {
			return differ(what, k, m.keys[i:max(i, j)])
		}
		n++
	}
	if n < j-i {
		return differ(what+" ends after", n, j-i)
	}
	return nil
}

// pointed returns an iterator over the values that the pointers of seq point to.
func pointed[K, V any](seq iter.Seq2[K, *V]) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, p := range seq {
			if !yield(k, *p) {
				return
			}
		}
	}
}

// treeProgram tests a tree against the model. An operation works on a run of keys, so that trees
// get several levels. A run ascends, descends or jumps.
func treeProgram[K, V any](kind kind[K, V]) program {
	return func(a galloc.Allocator, s *script) error {
		b := kind.make(a)
		defer func() { b.Free() }()
		m := sorted[K, V]{kind: kind}
		count := 0
		run := func(f func(K) error) error {
			start, n, step := s.n(5000), s.n(120), []int{1, 1, -1, 37, 4999}[s.n(5)]
			for i := range n {
				if err := f(kind.key(((start+i*step)%5000 + 5000) % 5000)); err != nil {
					return err
				}
			}
			return nil
		}
		for s.more() {
			var err error
			switch s.n(18) {
			case 0, 1, 2, 3:
				err = run(func(k K) error {
					count++
					if v := kind.value(count); !s.failed(b.TryPut(k, v)) {
						m.put(k, v)
					}
					return nil
				})
			case 4, 5, 6:
				err = run(func(k K) error {
					want, has := m.remove(k)
					if v, ok := b.Delete(k); ok != has || ok && !kind.equal(v, want) {
						return differ("Delete", v, want)
					}
					return nil
				})
			case 7:
				calls, n := 0, 2+s.n(20)
				del := func(K, V) bool { calls++; return calls%n == 0 }
				b.DeleteFunc(del)
				calls = 0
				for i := 0; i < len(m.keys); {
					if k := m.keys[i]; del(k, m.values[i]) {
						m.remove(k)
					} else {
						i++
					}
				}
			case 8:
				count++
				k, v := kind.key(s.n(5000)), kind.value(count)
				i, has := m.find(k)
				p, found, err := b.TryGetOrPut(k)
				if s.failed(err) {
					break
				}
				var zero V
				if found != has || found && !kind.equal(*p, m.values[i]) || !found && !kind.equal(*p, zero) {
					return differ("GetOrPut", found, has)
				}
				if !found {
					*p = v
					m.put(k, v)
				}
			case 9:
				if c, err := kind.clone(b); !s.failed(err) {
					b.Free()
					b = c
				}
			case 10:
				s.failed(b.TryShrinkToFit())
			case 11:
				if f, ok := a.(*alloctest.Failer); ok && f.Failures() == 0 {
					n := s.n(200)
					if s.failed(b.TryReserve(n)) {
						break
					}
					calls := f.Calls()
					for range n {
						count++
						k, v := kind.key(s.n(5000)+count), kind.value(count)
						s.failed(b.TryPut(k, v))
						m.put(k, v)
					}
					if f.Calls() != calls {
						return differ("calls of Allocate after Reserve", f.Calls()-calls, 0)
					}
				}
			case 12:
				if s.n(6) == 0 {
					b.Clear()
					m = sorted[K, V]{kind: kind}
				}
			case 15:
				count++
				k, v := kind.key(s.n(5000)), kind.value(count)
				_, has := m.find(k)
				put, err := b.TryPutIfAbsent(k, v)
				if s.failed(err) {
					if put {
						return differ("PutIfAbsent", put, err)
					}
					break
				}
				if put == has {
					return differ("PutIfAbsent", put, !has)
				}
				if put {
					m.put(k, v)
				}
			case 16:
				c, err := kind.collect(a, m.all())
				if s.failed(err) {
					break
				}
				equal := kind.same(b, c) && kind.same(c, b)
				c.PopMin()
				longer := c.Len() < b.Len() && kind.same(b, c)
				c.Free()
				if !equal || longer {
					return differ("Equal", equal, longer)
				}
			case 17:
				low := s.n(5000)
				j := low + s.n([]int{10, 200, 6000}[s.n(3)])
				from, to := kind.key(low), kind.key(j)
				if kind.compare(from, to) > 0 && s.n(4) > 0 {
					from, to = to, from
				}
				i, _ := m.find(from)
				end, _ := m.find(to)
				end = max(i, end)
				if n := b.DeleteRange(from, to); n != end-i {
					return differ("DeleteRange", n, end-i)
				}
				m.keys, m.values = slices.Delete(m.keys, i, end), slices.Delete(m.values, i, end)
			case 14:
				for range s.n(70) {
					pop, at := b.PopMin, 0
					if s.n(2) == 0 {
						pop, at = b.PopMax, max(len(m.keys)-1, 0)
					}
					k, v, ok := pop()
					if ok != (len(m.keys) > 0) ||
						ok && (kind.compare(k, m.keys[at]) != 0 || !kind.equal(v, m.values[at])) {
						return differ("PopMin or PopMax", k, ok)
					}
					if ok {
						m.remove(k)
					}
				}
			case 13:
				if s.n(6) == 0 {
					b.Free()
					m = sorted[K, V]{kind: kind}
				}
			}
			if err != nil {
				return err
			}
			if err := b.Check(); err != nil {
				return err
			}
			n := len(m.keys)
			if b.Len() != n || b.Cap() < n {
				return differ("Len", b.Len(), n)
			}
			low, high := kind.key(s.n(5000)), kind.key(s.n(5000))
			i, _ := m.find(low)
			j, found := m.find(high)
			v, ok := b.Get(high)
			if ok != found || ok && !kind.equal(v, m.values[j]) {
				return differ("Get", ok, found)
			}
			if p := b.Ptr(high); (p != nil) != found || found && !kind.equal(*p, v) {
				return differ("Ptr", p, found)
			}
			through := j
			if found {
				through++
			}
			for _, err := range []error{
				m.same("All", b.All(), 0, n, false),
				m.same("Pointers", pointed(b.Pointers()), 0, n, false),
				m.same("Backward", b.Backward(), 0, n, true),
				m.same("Ascend", b.Ascend(low), i, n, false),
				m.same("Descend", b.Descend(high), 0, through, true),
				m.same("Range", b.Range(low, high), i, max(i, j), false),
				m.same("RangeBackward", b.RangeBackward(low, high), i, max(i, j), true),
			} {
				if err != nil {
					return err
				}
			}
			// i is the first index at or after low, and through the first index after high.
			if k, v, ok := b.Ceiling(low); ok != (i < n) ||
				ok && (kind.compare(k, m.keys[i]) != 0 || !kind.equal(v, m.values[i])) {
				return differ("Ceiling", k, low)
			}
			if k, v, ok := b.Floor(high); ok != (through > 0) ||
				ok && (kind.compare(k, m.keys[through-1]) != 0 || !kind.equal(v, m.values[through-1])) {
				return differ("Floor", k, high)
			}
			least, _, ok := b.Min()
			if ok != (n > 0) || ok && kind.compare(least, m.keys[0]) != 0 {
				return differ("Min", least, ok)
			}
			most, _, ok := b.Max()
			if ok != (n > 0) || ok && kind.compare(most, m.keys[n-1]) != 0 {
				return differ("Max", most, ok)
			}
		}
		i := 0
		for k := range b.Keys() {
			if kind.compare(k, m.keys[i]) != 0 {
				return differ("Keys", k, m.keys[i])
			}
			i++
		}
		for v := range b.Values() {
			if i--; !kind.equal(v, m.values[len(m.keys)-1-i]) {
				return differ("Values", v, i)
			}
		}
		if i != 0 {
			return differ("Keys and Values", i, 0)
		}
		return nil
	}
}

// plain returns the kind of BTree[K, V].
func plain[K cmp.Ordered, V comparable](key func(int) K, value func(int) V) kind[K, V] {
	return kind[K, V]{
		make: func(a galloc.Allocator) ordered[K, V] { return collections.NewBTree[K, V](a) },
		clone: func(b ordered[K, V]) (ordered[K, V], error) {
			c, err := b.(*collections.BTree[K, V]).TryClone()
			return c, err
		},
		collect: func(a galloc.Allocator, seq iter.Seq2[K, V]) (ordered[K, V], error) {
			c, err := collections.CollectBTree(a, seq)
			return c, err
		},
		same: func(x, y ordered[K, V]) bool {
			return x.(*collections.BTree[K, V]).Equal(y.(*collections.BTree[K, V]))
		},
		compare: cmp.Compare[K],
		key:     key, value: value,
		equal: func(x, y V) bool { return x == y },
	}
}

type wide struct {
	a uint8
	b uint64
	_ [100]byte
}

var (
	numbers = plain(func(i int) uint64 { return uint64(i) }, number)
	floats  = plain(func(i int) float64 {
		switch i % 5000 {
		case 0:
			return math.NaN()
		case 1:
			return math.Inf(-1)
		}
		return 1/float64(i) - 0.01
	}, func(i int) uint16 { return uint16(i) })
	bytes   = plain(func(i int) uint8 { return uint8(i) }, func(int) struct{} { return struct{}{} })
	structs = kind[wide, [60]byte]{
		make: func(a galloc.Allocator) ordered[wide, [60]byte] {
			return collections.NewBTreeFunc[wide, [60]byte](a, compareWide)
		},
		clone: func(b ordered[wide, [60]byte]) (ordered[wide, [60]byte], error) {
			c, err := b.(*collections.BTreeFunc[wide, [60]byte]).TryClone()
			return c, err
		},
		collect: func(a galloc.Allocator, seq iter.Seq2[wide, [60]byte]) (ordered[wide, [60]byte], error) {
			c, err := collections.CollectBTreeFunc(a, compareWide, seq)
			return c, err
		},
		same: func(x, y ordered[wide, [60]byte]) bool {
			return x.(*collections.BTreeFunc[wide, [60]byte]).Equal(y.(*collections.BTreeFunc[wide, [60]byte]))
		},
		compare: compareWide,
		key:     func(i int) wide { return wide{a: uint8(i % 7), b: uint64(i)} },
		value:   func(i int) [60]byte { return [60]byte{0: byte(i), 59: byte(i >> 8)} },
		equal:   func(x, y [60]byte) bool { return x == y },
	}
)

func compareWide(x, y wide) int {
	if c := cmp.Compare(y.a, x.a); c != 0 {
		return c
	}
	return cmp.Compare(x.b, y.b)
}

func TestBTreeIsASortedMap(t *testing.T) {
	t.Run("numbers", func(t *testing.T) { testProgram(t, treeProgram(numbers)) })
	t.Run("floats", func(t *testing.T) { testProgram(t, treeProgram(floats)) })
	t.Run("bytes", func(t *testing.T) { testProgram(t, treeProgram(bytes)) })
	t.Run("structs", func(t *testing.T) { testProgram(t, treeProgram(structs)) })
}

func FuzzBTree(f *testing.F) {
	numbers, structs := treeProgram(numbers), treeProgram(structs)
	fuzzProgram(f, func(a galloc.Allocator, s *script) error {
		if s.n(2) == 0 {
			return numbers(a, s)
		}
		return structs(a, s)
	})
}

func TestZeroBTree(t *testing.T) {
	var b collections.BTree[int, int]
	if _, ok := b.Get(1); ok || b.Has(1) || b.Cap() != 0 || b.Ptr(1) != nil {
		t.Error("an empty tree has an entry")
	}
	if _, ok := b.Delete(1); ok {
		t.Error("Delete found an entry in an empty tree")
	}
	for range b.Ascend(0) {
		t.Error("an empty tree yields")
	}
	for range b.Descend(0) {
		t.Error("an empty tree yields")
	}
	b.Put(2, 20)
	b.Put(1, 10)
	if p, found := b.GetOrPut(2); !found || *p != 20 {
		t.Error("GetOrPut")
	}
	c := b.Clone()
	var sum int
	c.FreeFunc(func(k, v *int) { sum = 100*sum + *k + *v })
	if sum != 1122 || b.Len() != 2 || c.Len() != 0 {
		t.Errorf("FreeFunc: %d", sum)
	}
	b.Free()
	mustPanic(t, "no order", func() { new(collections.BTreeFunc[int, int]).Put(1, 1) })
}

// A tree filled in ascending order has full leaves, and room for exactly Cap entries.
func TestAscendingKeysFillTheNodes(t *testing.T) {
	a := alloctest.Track(galloc.System)
	b := collections.NewBTree[uint64, uint64](a)
	for range 14 {
		b.Put(uint64(b.Len()), 0)
		room, calls := b.Cap(), a.Calls()
		for b.Len() < room {
			b.Put(uint64(b.Len()), 0)
		}
		if a.Calls() != calls {
			t.Errorf("no room for %d entries", room)
		}
	}
	nodes := 0
	for _, l := range a.Live() {
		nodes += int(l.Size()) / 512
	}
	if n := b.Len(); n < 31*nodes*97/100 { // 97 % of the nodes are full leaves
		t.Errorf("%d entries in %d nodes", n, nodes)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	b.Free()
}

// Nodes at the right edge may be short. Mending them must not make their neighbors short, at any
// level.
func TestDeletionAtTheRightEdge(t *testing.T) {
	seeds := 1000
	if collections.Slow {
		seeds = 100
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 0))
		n := 1 + r.IntN(500)
		b := collections.NewBTreeFunc[[6]uint64, [60]byte](nil, func(x, y [6]uint64) int {
			return cmp.Compare(x[0], y[0])
		})
		for i := range uint64(n) {
			b.Put([6]uint64{i}, [60]byte{})
		}
		window := 1 + r.IntN(n)
		for range 2 * window {
			b.Delete([6]uint64{uint64(n - 1 - r.IntN(window))})
			if err := b.Check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		b.Free()
	}
}

// An iteration continues with the key after the last one, whatever the loop does to the tree.
func TestBTreeChangesWhileIterating(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		var b collections.BTree[int, int]
		m := sorted[int, int]{kind: kind[int, int]{compare: cmp.Compare[int]}}
		change := func() {
			for range r.IntN(40) {
				k := r.IntN(2000)
				if r.IntN(2) == 0 {
					b.Put(k, k)
					m.put(k, k)
				} else {
					b.Delete(k)
					m.remove(k)
				}
			}
			if r.IntN(200) == 0 {
				b.ShrinkToFit()
			}
			if r.IntN(300) == 0 {
				b.Free()
				m.keys, m.values = nil, nil
			}
		}
		for range 60 {
			change()
		}
		for _, backward := range []bool{false, true} {
			last, steps := -1, 0
			seq := b.Range(100, 1900)
			if backward {
				last, seq = 1900, b.RangeBackward(100, 1900)
			}
			want := func() (int, bool) { // the next key in the model
				i, found := m.find(max(last, 100))
				if backward {
					i, _ = m.find(last)
					i--
					return i, i >= 0 && m.keys[i] >= 100
				}
				if found && last >= 100 {
					i++
				}
				return i, i < len(m.keys) && m.keys[i] < 1900
			}
			for k := range seq {
				if i, ok := want(); !ok || m.keys[i] != k {
					t.Fatalf("seed %d, after %d: %d (backward %v)", seed, last, k, backward)
				}
				last = k
				if steps++; steps%5 == 0 {
					change()
				}
			}
			if i, ok := want(); ok {
				t.Fatalf("seed %d: the iteration ends at %d before %d (backward %v)", seed, last, m.keys[i], backward)
			}
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		b.Free()
	}
}
