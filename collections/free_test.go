package collections_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// freer is a collection of the numbers from 0 to n-1.
type freer struct {
	len   func() int
	free  func(f func(i int))
	check func() // that the collection is consistent, by using it
}

// freers returns a constructor of each collection that has FreeFunc.
func freers(a galloc.Allocator) map[string]func(n int) freer {
	return map[string]func(n int) freer{
		"Vec": func(n int) freer {
			v := collections.NewVec[int](a)
			for i := range n {
				v.Push(i)
			}
			return freer{v.Len, func(f func(int)) { v.FreeFunc(func(x *int) { f(*x) }) }, func() {}}
		},
		"Deque": func(n int) freer {
			d := collections.NewDeque[int](a)
			for i := range n {
				d.PushFront(i)
			}
			return freer{d.Len, func(f func(int)) { d.FreeFunc(func(x *int) { f(*x) }) }, func() {}}
		},
		"Array": func(n int) freer {
			var r collections.Array[int]
			for i := range n {
				r.Push(a, i)
			}
			length := func() int { return r.Len() }
			return freer{length, func(f func(int)) { r.FreeFunc(a, func(x *int) { f(*x) }) }, func() {}}
		},
		"LinkedMap": func(n int) freer {
			m := collections.NewLinkedMap[int, int](a)
			for i := range n {
				m.Put(i, i)
			}
			return freer{m.Len, func(f func(int)) { m.FreeFunc(func(_, x *int) { f(*x) }) }, func() { m.Put(-1, 0); m.Delete(-1) }}
		},
		"Slab": func(n int) freer {
			s := collections.NewSlab[int](a)
			for i := range n {
				s.Add(i)
			}
			return freer{s.Len, func(f func(int)) { s.FreeFunc(func(x *int) { f(*x) }) }, func() { s.Delete(s.Add(-1)) }}
		},
		"Map": func(n int) freer {
			m := collections.NewMap[int, int](a)
			for i := range n {
				m.Put(i, i)
			}
			return freer{m.Len, func(f func(int)) { m.FreeFunc(func(_, x *int) { f(*x) }) }, func() { m.Put(-1, 0); m.Delete(-1) }}
		},
		"Set": func(n int) freer {
			s := collections.NewSet[int](a)
			for i := range n {
				s.Add(i)
			}
			return freer{s.Len, func(f func(int)) { s.FreeFunc(func(x *int) { f(*x) }) }, func() { s.Add(-1); s.Delete(-1) }}
		},
		"StringMap": func(n int) freer {
			m := collections.NewStringMap[int](a)
			for i := range n {
				m.Put(fmt.Sprint("the key of entry ", i), i)
			}
			return freer{m.Len, func(f func(int)) {
				m.FreeFunc(func(k string, x *int) {
					if k != fmt.Sprint("the key of entry ", *x) {
						panic("wrong key " + k)
					}
					f(*x)
				})
			}, func() {
				for i := range 1000 { // moves the other keys
					m.Put(fmt.Sprint("another key ", i), 0)
				}
				m.DeleteFunc(func(k string, _ int) bool { return k[0] == 'a' })
			}}
		},
		"BTree": func(n int) freer {
			t := collections.NewBTree[int, int](a)
			for i := range n {
				t.Put(i, i)
			}
			return freer{t.Len, func(f func(int)) { t.FreeFunc(func(_, x *int) { f(*x) }) }, func() {
				next := 0
				for k := range t.All() {
					next = max(next, k)
					if !t.Has(k) {
						panic("a key is missing")
					}
				}
				t.Put(next+1, 0)
				t.Delete(next + 1)
			}}
		},
		"BTreeFunc": func(n int) freer {
			freed := map[int]bool{} // a comparison may not read keys that were freed
			t := collections.NewBTreeFunc[int, int](a, func(x, y int) int {
				if freed[x] || freed[y] {
					panic("a freed key was compared")
				}
				return cmp.Compare(x, y)
			})
			for i := range n {
				t.Put(i, i)
			}
			return freer{t.Len, func(f func(int)) { t.FreeFunc(func(k, x *int) { freed[*k] = true; f(*x) }) }, func() {
				for k := range t.All() {
					t.Put(k, k)
				}
			}}
		},
	}
}

// If the function of FreeFunc panics, no element is freed twice, and none is forgotten.
func TestPanicsInFreeFunc(t *testing.T) {
	for what := range freers(nil) {
		t.Run(what, func(t *testing.T) {
			for _, n := range []int{1, 2, 7, 100, 3000} {
				for _, every := range []int{1, 2, 50, 997} {
					if n/every > 100 {
						continue // quadratic
					}
					a := alloctest.Track(galloc.System)
					testPanics(t, freers(a)[what](n), n, every)
					if len(a.Live())+len(a.Misuses()) != 0 {
						t.Error(a.Live(), a.Misuses())
					}
				}
			}
		})
	}
}

// testPanics frees the n elements of c by a function that panics at each call that every divides.
func testPanics(t *testing.T, c freer, n, every int) {
	freed, calls := make([]int, n), 0
	for rounds := 0; ; rounds++ {
		if rounds > n {
			t.Fatalf("FreeFunc makes no progress: %d of %d left", c.len(), n)
		}
		panicked := false
		func() {
			defer func() {
				if r := recover(); r != nil {
					if panicked = r == "free"; !panicked {
						panic(r)
					}
				}
			}()
			c.free(func(i int) {
				freed[i]++
				if calls++; calls%every == 0 {
					panic("free")
				}
			})
		}()
		if !panicked {
			break
		}
		if got := c.len(); got != n-calls {
			t.Fatalf("%d elements after %d of %d were freed", got, calls, n)
		}
		c.check()
	}
	for i, k := range freed {
		if k != 1 {
			t.Fatalf("element %d was freed %d times", i, k)
		}
	}
}

// The tests above are of every type that has FreeFunc.
func TestEveryFreeFuncIsTested(t *testing.T) {
	tested := freers(nil)
	for _, name := range methodsNamed(t, "FreeFunc") {
		switch name {
		case "tree": // of BTree and BTreeFunc
		case "Rc", "Arc": // TestPanicsInRcFreeFunc
		default:
			if tested[name] == nil {
				t.Errorf("%s.FreeFunc", name)
			}
		}
	}
}

// methodsNamed returns the types of this package that have a method of that name.
func methodsNamed(t *testing.T, method string) (types []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != method {
				continue
			}
			x := fn.Recv.List[0].Type
			if star, ok := x.(*ast.StarExpr); ok {
				x = star.X
			}
			switch generic := x.(type) {
			case *ast.IndexExpr:
				x = generic.X
			case *ast.IndexListExpr:
				x = generic.X
			}
			types = append(types, x.(*ast.Ident).Name)
		}
	}
	if len(types) < 5 {
		t.Fatalf("%s: %v", method, types)
	}
	return types
}

// deleters returns, for each collection that has DeleteFunc, one with the numbers from 0 to n-1.
func deleters(n int) map[string]func() (remove func(del func(i int) bool), left func() []int, free func()) {
	type three = func() (func(func(int) bool), func() []int, func())
	sorted := func(seq iter.Seq[int]) func() []int { return func() []int { return slices.Sorted(seq) } }
	return map[string]three{
		"Vec": func() (func(func(int) bool), func() []int, func()) {
			v := galloc.Must(collections.CollectVec(nil, below(n)))
			return v.DeleteFunc, sorted(v.Values()), v.Free
		},
		"Array": func() (func(func(int) bool), func() []int, func()) {
			r := galloc.Must(collections.CollectArray(nil, below(n)))
			return r.DeleteFunc, func() []int { return slices.Sorted(r.Values()) }, func() { r.Free(nil) }
		},
		"Deque": func() (func(func(int) bool), func() []int, func()) {
			d := galloc.Must(collections.CollectDeque(nil, below(n)))
			return d.DeleteFunc, sorted(d.Values()), d.Free
		},
		"Slab": func() (func(func(int) bool), func() []int, func()) {
			s := collections.NewSlab[int](nil)
			for i := range n {
				s.Add(i)
			}
			return func(del func(int) bool) {
				s.DeleteFunc(func(_ collections.Handle[int], i int) bool { return del(i) })
			}, sorted(s.Values()), s.Free
		},
		"Set": func() (func(func(int) bool), func() []int, func()) {
			s := galloc.Must(collections.CollectSet(nil, below(n)))
			return s.DeleteFunc, sorted(s.All()), s.Free
		},
		"Map": func() (func(func(int) bool), func() []int, func()) {
			m := collections.NewMap[int, int](nil)
			return deleterOf(n, m.Put, m.DeleteFunc), sorted(m.Values()), m.Free
		},
		"LinkedMap": func() (func(func(int) bool), func() []int, func()) {
			m := collections.NewLinkedMap[int, int](nil)
			return deleterOf(n, m.Put, m.DeleteFunc), sorted(m.Values()), m.Free
		},
		"tree": func() (func(func(int) bool), func() []int, func()) {
			b := collections.NewBTree[int, int](nil)
			return deleterOf(n, b.Put, b.DeleteFunc), sorted(b.Values()), b.Free
		},
		"StringMap": func() (func(func(int) bool), func() []int, func()) {
			m := collections.NewStringMap[int](nil)
			put := func(i, v int) { m.Put(fmt.Sprint("key ", i), v) }
			return deleterOf(n, put, func(del func(int, int) bool) {
				m.DeleteFunc(func(_ string, i int) bool { return del(i, i) })
			}), sorted(m.Values()), m.Free
		},
		"TextMap": func() (func(func(int) bool), func() []int, func()) {
			m := collections.NewTextMap(nil)
			number := func(s string) (i int) { _, _ = fmt.Sscan(s, &i); return i }
			put := func(i, v int) { m.Put(fmt.Sprint("key ", i), fmt.Sprint(v)) }
			return deleterOf(n, put, func(del func(int, int) bool) {
					m.DeleteFunc(func(_, v string) bool { return del(number(v), 0) })
				}), func() (left []int) {
					for v := range m.Values() {
						left = append(left, number(v))
					}
					slices.Sort(left)
					return left
				}, m.Free
		},
	}
}

// deleterOf puts the numbers below n and returns remove.
func deleterOf(n int, put func(k, v int), remove func(func(k, v int) bool)) func(func(int) bool) {
	for i := range n {
		put(i, i)
	}
	return func(del func(int) bool) { remove(func(k, _ int) bool { return del(k) }) }
}

// If the function of DeleteFunc panics, the elements that it has deleted are gone, the others are
// there once, and the collection can be used.
func TestPanicsInEveryDeleteFunc(t *testing.T) {
	const n = 300
	all := deleters(n)
	for _, name := range methodsNamed(t, "DeleteFunc") {
		if all[name] == nil {
			t.Fatalf("%s.DeleteFunc is not tested", name)
		}
	}
	for name, construct := range all {
		for _, at := range []int{1, 2, 50, 299, 300} {
			remove, left, free := construct()
			gone := map[int]bool{}
			for round := range 3 { // the last one does not panic
				calls := 0
				func() {
					defer func() {
						if r := recover(); r != nil && r != "del" {
							panic(r)
						}
					}()
					remove(func(i int) bool {
						if calls++; calls == at && round < 2 {
							panic("del")
						}
						if gone[i] {
							t.Errorf("%s: %d was deleted before", name, i)
						}
						gone[i] = calls%2 == 0
						return gone[i]
					})
				}()
				var want []int
				for i := range n {
					if !gone[i] {
						want = append(want, i)
					}
				}
				if got := left(); !slices.Equal(got, want) {
					t.Fatalf("%s: %v are left, want %v", name, got, want)
				}
			}
			free()
		}
	}
}

// If the function of Rc.FreeFunc panics, the block is freed all the same.
func TestPanicsInRcFreeFunc(t *testing.T) {
	a := alloctest.Track(galloc.System)
	r, err := collections.NewRc(a, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := collections.NewArc(a, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, free := range []func(func(*int)) bool{
		func(f func(*int)) bool { return r.FreeFunc(a, f) },
		func(f func(*int)) bool { return s.FreeFunc(a, f) },
	} {
		func() {
			defer func() { _ = recover() }()
			free(func(*int) { panic("free") })
		}()
		if free(func(*int) { t.Error("the value was freed twice") }) {
			t.Error("the last owner was freed twice")
		}
	}
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}
