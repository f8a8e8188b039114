package collections_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// vecProgram tests a Vec of T against a slice. value returns different elements for different
// numbers, if T has enough of them.
func vecProgram[T comparable](value func(int) T) program {
	return func(a galloc.Allocator, s *script) error {
		v := collections.NewVec[T](a)
		defer func() { v.Free() }()
		var m []T
		count := 0
		next := func() T { count++; return value(count) }
		some := func(n int) (xs []T) {
			for range n {
				xs = append(xs, next())
			}
			return xs
		}
		for s.more() {
			switch s.n(22) {
			case 0, 1, 2:
				x := next()
				if !s.failed(v.TryPush(x)) {
					m = append(m, x)
				}
			case 3:
				xs := some(s.n(20))
				if !s.failed(v.TryAppend(xs...)) {
					m = append(m, xs...)
				}
			case 4: // a view of v
				i := s.n(len(m) + 1)
				j := i + s.n(min(len(m)-i, 50)+1)
				if !s.failed(v.TryAppend(v.Slice()[i:j]...)) {
					m = append(m, m[i:j]...)
				}
			case 5:
				i, xs := s.n(len(m)+1), some(s.n(9))
				if !s.failed(v.TryInsert(i, xs...)) {
					m = slices.Insert(m, i, xs...)
				}
			case 6: // a view of v
				at := s.n(len(m) + 1)
				i := s.n(len(m) + 1)
				j := i + s.n(min(len(m)-i, 9)+1)
				if !s.failed(v.TryInsert(at, v.Slice()[i:j]...)) {
					m = slices.Insert(m, at, slices.Clone(m[i:j])...)
				}
			case 7, 8:
				x, ok := v.Pop()
				if ok != (len(m) > 0) || ok && x != m[len(m)-1] {
					return differ("Pop", x, ok)
				}
				m = m[:max(len(m)-1, 0)]
			case 9, 10:
				if len(m) > 0 {
					i := s.n(len(m))
					if x := v.Remove(i); x != m[i] {
						return differ("Remove", x, m[i])
					}
					m = slices.Delete(m, i, i+1)
				}
			case 11:
				if len(m) > 0 {
					i := s.n(len(m))
					if x := v.SwapRemove(i); x != m[i] {
						return differ("SwapRemove", x, m[i])
					}
					m[i] = m[len(m)-1]
					m = m[:len(m)-1]
				}
			case 12:
				n := s.n(300)
				v.Truncate(n)
				m = m[:min(n, len(m))]
			case 13:
				n := s.n(100)
				if !s.failed(v.TryReserve(n)) && v.Cap() < len(m)+n {
					return differ("Cap after Reserve", v.Cap(), len(m)+n)
				}
			case 14:
				n := s.n(100)
				if !s.failed(v.TryReserveExact(n)) && v.Cap() < len(m)+n {
					return differ("Cap after ReserveExact", v.Cap(), len(m)+n)
				}
			case 15:
				s.failed(v.TryShrinkToFit())
			case 16:
				if xs := some(s.n(30)); !s.failed(v.TryAppendSeq(slices.Values(xs))) {
					m = append(m, xs...)
				}
			case 17:
				if c, err := v.TryClone(); !s.failed(err) {
					v.Free()
					v = c
				}
			case 18:
				if s.n(8) == 0 {
					v.Clear()
					m = m[:0]
				}
			case 19:
				if s.n(8) == 0 {
					v.Free()
					m = m[:0]
					if v.Cap() != 0 {
						return differ("Cap after Free", v.Cap(), 0)
					}
				} else if len(m) > 0 {
					i, x := s.n(len(m)), next()
					v.Set(i, x)
					m[i] = x
					i, x = s.n(len(m)), next()
					*v.Ptr(i) = x
					m[i] = x
				}
			case 21:
				n := s.n(300)
				if !s.failed(v.TryResize(n)) {
					m = append(m[:min(n, len(m))], make([]T, max(n-len(m), 0))...)
				}
			case 20:
				del := every[T](2 + s.n(3))
				v.DeleteFunc(del())
				m = slices.DeleteFunc(m, del())
			}
			if !slices.Equal(v.Slice(), m) || v.Len() != len(m) || v.Cap() < len(m) {
				return differ("elements", v.Slice(), m)
			}
		}
		if got := slices.Collect(v.Values()); !slices.Equal(got, m) {
			return differ("Values", got, m)
		}
		c, err := collections.CollectVec(a, slices.Values(m))
		if s.failed(err) {
			return nil
		}
		defer c.Free()
		if !v.Equal(c) || !c.Equal(v) {
			return differ("Equal", c, v)
		}
		if !s.failed(c.TryPush(next())) && v.Equal(c) {
			return differ("Equal to a longer Vec", c, v)
		}
		for i, x := range v.All() {
			if x != m[i] || x != v.At(i) {
				return differ("All", x, m[i])
			}
		}
		n := len(m)
		for i, x := range v.Backward() {
			if n--; i != n || x != m[i] {
				return differ("Backward", i, n)
			}
		}
		return nil
	}
}

// every returns a function that returns functions for DeleteFunc, which return true at each n-th
// call.
func every[T any](n int) func() func(T) bool {
	return func() func(T) bool {
		calls := 0
		return func(T) bool { calls++; return calls%n == 0 }
	}
}

func number(i int) uint32 { return uint32(i) }

func TestVecIsASlice(t *testing.T) {
	t.Run("uint32", func(t *testing.T) { testProgram(t, vecProgram(number)) })
	t.Run("3 bytes", func(t *testing.T) {
		testProgram(t, vecProgram(func(i int) [3]byte { return [3]byte{byte(i), byte(i >> 8), 1} }))
	})
	t.Run("1040 bytes", func(t *testing.T) {
		testProgram(t, vecProgram(func(i int) [130]uint64 { return [130]uint64{0: uint64(i), 129: uint64(i)} }))
	})
	t.Run("0 bytes", func(t *testing.T) {
		each(t, func(t *testing.T, a galloc.Allocator) {
			if err := run(vecProgram(func(int) struct{} { return struct{}{} }), a, random(1, 2000)); err != nil {
				t.Error(err)
			}
		})
	})
}

func FuzzVec(f *testing.F) { fuzzProgram(f, vecProgram(number)) }

func TestVecGrowth(t *testing.T) {
	a := alloctest.Track(galloc.System)
	for _, c := range []struct {
		push func() (first, second int)
		want [2]int
	}{
		{func() (int, int) { return caps[byte](a) }, [2]int{8, 16}},
		{func() (int, int) { return caps[uint64](a) }, [2]int{4, 8}},
		{func() (int, int) { return caps[[128]uint64](a) }, [2]int{4, 8}},
		{func() (int, int) { return caps[[129]uint64](a) }, [2]int{1, 2}},
		{func() (int, int) { return caps[struct{}](a) }, [2]int{math.MaxInt, math.MaxInt}},
	} {
		if first, second := c.push(); first != c.want[0] || second != c.want[1] {
			t.Errorf("capacities %d, %d, want %v", first, second, c.want)
		}
	}
	v := collections.NewVec[uint32](a)
	v.Append(1, 2, 3, 4, 5)
	if v.Cap() != 5 {
		t.Errorf("capacity %d after 5 at once", v.Cap())
	}
	v.ReserveExact(2)
	if v.Cap() != 7 {
		t.Errorf("capacity %d after ReserveExact", v.Cap())
	}
	v.Reserve(3)
	if v.Cap() != 14 {
		t.Errorf("capacity %d after Reserve", v.Cap())
	}
	_ = append(v.Slice(), 6)
	if v.Len() != 5 || cap(v.Slice()) != 5 {
		t.Error("an append to the view changed the Vec")
	}
	v.ShrinkToFit()
	if v.Cap() != 5 {
		t.Errorf("capacity %d after ShrinkToFit", v.Cap())
	}
	v.Free()
	if n := a.Calls(); len(a.Live()) != 0 || n == 0 {
		t.Errorf("left: %v", a.Live())
	}
}

// caps returns the first and the second capacity of a Vec of T that grows by Push.
func caps[T any](a galloc.Allocator) (first, second int) {
	v := collections.NewVec[T](a)
	defer v.Free()
	var x T
	v.Push(x)
	first = v.Cap()
	for v.Cap() == first && v.Len() < 100 {
		v.Push(x)
	}
	return first, v.Cap()
}

func TestVecUsesTheWholeBlock(t *testing.T) {
	g := &generous{f: alloctest.Track(galloc.System), asked: map[ptr]galloc.Layout{}}
	v := collections.NewVec[uint32](g)
	defer v.Free()
	v.ReserveExact(10)
	if want := (10*4 + extra) / 4; v.Cap() != want {
		t.Errorf("capacity %d, want %d", v.Cap(), want)
	}
}

func TestPointersAreRefused(t *testing.T) {
	type named struct {
		n    int
		name string
	}
	for _, a := range []galloc.Allocator{nil, galloc.GoHeap} {
		for what, err := range map[string]error{
			"Vec":        collections.NewVec[named](a).TryPush(named{}),
			"Deque":      collections.NewDeque[*int](a).TryPushBack(nil),
			"BTree":      collections.NewBTree[string, int](a).TryPut("a", 1),
			"BTree of V": collections.NewBTree[int, named](a).TryPut(1, named{}),
			"Slab":       add(collections.NewSlab[[]int](a)),
			"Reserve":    collections.NewVec[string](a).TryReserve(3),
		} {
			if !errors.Is(err, galloc.ErrPointers) {
				t.Errorf("%s: error %v", what, err)
			}
		}
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, galloc.ErrPointers) {
			t.Errorf("panic %v", err)
		}
	}()
	new(collections.Vec[named]).Push(named{})
}

func add[T any](s *collections.Slab[T]) error {
	var x T
	_, err := s.TryAdd(x)
	return err
}

// A collection is not an element; a value that owns memory is.
func TestOwnersOfMemoryAreElements(t *testing.T) {
	err := new(collections.Vec[collections.Vec[int]]).TryPush(collections.Vec[int]{})
	if !errors.Is(err, galloc.ErrPointers) {
		t.Errorf("a Vec of Vecs: %v", err)
	}
	a := alloctest.Track(galloc.System)
	v := collections.NewVec[collections.String](a)
	for _, s := range []string{"one", "", "three"} {
		v.Push(galloc.Must(collections.NewString(a, s)))
	}
	if got := v.At(2).View(); got != "three" {
		t.Errorf("View %q", got)
	}
	v.FreeFunc(func(s *collections.String) { s.Free(a) })
	if len(a.Live()) > 0 || len(a.Misuses()) > 0 || v.Len() != 0 || v.Cap() != 0 {
		t.Errorf("left: %v, misuses: %v", a.Live(), a.Misuses())
	}
}

func TestCapacityOverflow(t *testing.T) {
	var layout *galloc.LayoutError
	v := collections.NewVec[uint64](nil)
	v.Push(1)
	defer v.Free()
	for _, err := range []error{
		v.TryReserve(math.MaxInt), v.TryReserveExact(math.MaxInt / 8), v.TryReserve(math.MaxInt / 8),
	} {
		if !errors.As(err, &layout) {
			t.Errorf("error %v", err)
		}
	}
	d, b := collections.NewDeque[uint64](nil), collections.NewBTree[uint64, byte](nil)
	s, m := collections.NewSlab[uint64](nil), collections.NewMap[uint64, byte](nil)
	d.PushBack(1)
	b.Put(1, 1)
	m.Put(1, 1)
	s.Add(1)
	defer d.Free()
	defer b.Free()
	defer m.Free()
	defer s.Free()
	for what, err := range map[string]error{
		"Vec": v.TryReserve(math.MaxInt), "Vec exact": v.TryReserveExact(math.MaxInt), "Deque": d.TryReserve(math.MaxInt),
		"Slab": s.TryReserve(math.MaxInt), "BTree": b.TryReserve(math.MaxInt), "Map": m.TryReserve(math.MaxInt),
	} {
		if !errors.As(err, &layout) || layout.Size < 8 || layout.Align < galloc.LayoutOf[uint64]().Align() || layout.Count != math.MaxInt {
			t.Errorf("%s: error %v", what, err)
		}
	}
	z := collections.NewVec[struct{}](nil)
	z.Push(struct{}{})
	if err := z.TryReserve(math.MaxInt); !errors.As(err, &layout) {
		t.Errorf("of size 0: error %v", err)
	}
	mustPanic(t, "negative", func() { v.Reserve(-1) })
	mustPanic(t, "Insert", func() { v.Insert(2, 1) })
	mustPanic(t, "Resize", func() { v.Resize(-1) })
	if err := v.TryResize(math.MaxInt); !errors.As(err, &layout) {
		t.Errorf("Resize: error %v", err)
	}
}

// Methods without Try call HandleAllocError with the layout.
func TestMethodsAbortWithoutMemory(t *testing.T) {
	defer galloc.SetAllocErrorHook(galloc.SetAllocErrorHook(nil))
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) })
	for what, f := range map[string]func(a galloc.Allocator){
		"Vec":      func(a galloc.Allocator) { collections.NewVec[int64](a).Push(1) },
		"Append":   func(a galloc.Allocator) { collections.NewVec[int64](a).Append(1, 2, 3) },
		"Deque":    func(a galloc.Allocator) { collections.NewDeque[int64](a).PushFront(1) },
		"Slab":     func(a galloc.Allocator) { collections.NewSlab[int64](a).Add(1) },
		"BTree":    func(a galloc.Allocator) { collections.NewBTree[int64, int64](a).Put(1, 1) },
		"Interner": func(a galloc.Allocator) { collections.NewInterner(a).Intern("a") },
		"String": func(a galloc.Allocator) {
			s := galloc.Must(collections.NewString(nil, "a"))
			defer s.Free(nil)
			s.Clone(a)
		},
		"foreign": func(galloc.Allocator) { collections.NewVec[int64](foreign{errForeign}).Push(1) },
		"bare":    func(galloc.Allocator) { collections.NewVec[int64](foreign{galloc.ErrOutOfMemory}).Push(1) },
	} {
		func() {
			defer func() {
				e, _ := recover().(*galloc.AllocError)
				if e == nil || e.Layout().Size() == 0 {
					t.Errorf("%s: %v", what, e)
				}
			}()
			f(alloctest.Fail(galloc.System, alloctest.After(0)))
		}()
	}
}

// foreign is an allocator that fails with err, which contains no layout.
type foreign struct{ err error }

var errForeign = errors.New("none left")

func (f foreign) Allocate(galloc.Layout) ([]byte, error) { return nil, f.err }
func (foreign) Deallocate(ptr, galloc.Layout)            {}

func TestErrorsOfForeignAllocators(t *testing.T) {
	err := collections.NewVec[int64](foreign{errForeign}).TryPush(1)
	if !errors.Is(err, errForeign) || !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("error %v", err)
	}
}

func TestIteratorsOfAChangingVec(t *testing.T) {
	var v collections.Vec[int]
	defer v.Free()
	v.Append(0, 1, 2, 3)
	var seen []int
	for _, x := range v.All() {
		seen = append(seen, x)
		v.Push(x + 10)
	}
	if !slices.Equal(seen, []int{0, 1, 2, 3}) {
		t.Errorf("All: %v", seen)
	}
	seen = nil
	for _, x := range v.Backward() {
		seen = append(seen, x)
		v.Truncate(2)
	}
	if !slices.Equal(seen, []int{13, 1, 0}) {
		t.Errorf("Backward: %v", seen)
	}
	for range v.Values() {
		break
	}
}

// If the function of DeleteFunc panics, the elements that it has not seen stay, and none is there
// twice.
func TestPanicsInDeleteFunc(t *testing.T) {
	var v collections.Vec[int]
	var d collections.Deque[int]
	defer v.Free()
	defer d.Free()
	d.ReserveExact(10)
	for range 7 { // so that the elements wrap around the end of the ring
		d.PushBack(0)
		d.PopFront()
	}
	for i := range 10 {
		v.Push(i)
		d.PushBack(i)
	}
	del := func(x int) bool {
		if x == 6 {
			panic("DeleteFunc")
		}
		return x%2 == 1
	}
	for what, deleteFunc := range map[string]func(func(int) bool){"Vec": v.DeleteFunc, "Deque": d.DeleteFunc} {
		func() {
			defer func() {
				if recover() != "DeleteFunc" {
					t.Errorf("%s: no panic", what)
				}
			}()
			deleteFunc(del)
		}()
	}
	want := []int{0, 2, 4, 6, 7, 8, 9}
	if !slices.Equal(v.Slice(), want) || !slices.Equal(slices.Collect(d.Values()), want) {
		t.Errorf("Vec: %v, Deque: %v, want %v", &v, &d, want)
	}
}
