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

// vecProgram does on a Vec of T what it does on a slice. value makes different elements of different numbers, where T
// has them.
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
			op := s.n(20)
			switch op {
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
			case 4: // of itself
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
			case 6: // of itself
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
				v.ShrinkToFit()
				s.shrunk()
			case 16:
				if xs := some(s.n(30)); !s.failed(v.TryExtend(slices.Values(xs))) {
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
				}
			}
			if !slices.Equal(v.Slice(), m) || v.Len() != len(m) || v.Cap() < len(m) {
				return differ("elements", v.Slice(), m)
			}
		}
		if got := slices.Collect(v.Values()); !slices.Equal(got, m) {
			return differ("Values", got, m)
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
	a := alloctest.Failing(0)
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
		t.Error("an append to the view has reached the Vec")
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

// caps returns the first capacity of a Vec of T that grows by itself, and the one after it.
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

func TestVecUsesAllOfTheBlock(t *testing.T) {
	g := &generous{f: alloctest.Failing(0), asked: map[ptr]galloc.Layout{}}
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
			"Slab":       insert(collections.NewSlab[[]int](a)),
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

func insert[T any](s *collections.Slab[T]) error {
	var x T
	_, err := s.TryInsert(x)
	return err
}

// Collections of collections are refused, values that own memory are not.
func TestWhatOwnsMemoryIsAnElement(t *testing.T) {
	if err := new(collections.Vec[collections.Vec[int]]).TryPush(collections.Vec[int]{}); !errors.Is(err, galloc.ErrPointers) {
		t.Errorf("a Vec of Vecs: %v", err)
	}
	a := alloctest.Failing(0)
	v := collections.NewVec[collections.String](a)
	for _, s := range []string{"one", "", "three"} {
		v.Push(collections.NewString(a, s))
	}
	if got := v.At(2).View(); got != "three" {
		t.Errorf("View %q", got)
	}
	v.FreeFunc(func(s *collections.String) { s.Free(a) })
	if len(a.Live()) > 0 || len(a.Mistakes()) > 0 || v.Len() != 0 || v.Cap() != 0 {
		t.Errorf("left: %v, mistakes: %v", a.Live(), a.Mistakes())
	}
}

func TestCapacityOverflow(t *testing.T) {
	var layout *galloc.LayoutError
	v := collections.NewVec[uint64](nil)
	v.Push(1)
	defer v.Free()
	for _, err := range []error{v.TryReserve(math.MaxInt), v.TryReserveExact(math.MaxInt / 8), v.TryReserve(math.MaxInt / 8)} {
		if !errors.As(err, &layout) {
			t.Errorf("error %v", err)
		}
	}
	z := collections.NewVec[struct{}](nil)
	z.Push(struct{}{})
	if err := z.TryReserve(math.MaxInt); !errors.As(err, &layout) {
		t.Errorf("of size 0: error %v", err)
	}
	mustPanic(t, "negative", func() { v.Reserve(-1) })
	mustPanic(t, "Insert", func() { v.Insert(2, 1) })
}

// What is named plainly calls HandleAllocError with the layout.
func TestRunningOutOfMemoryEndsThePlainMethods(t *testing.T) {
	defer galloc.SetAllocErrorHook(galloc.TakeAllocErrorHook())
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) })
	for what, f := range map[string]func(a galloc.Allocator){
		"Vec":      func(a galloc.Allocator) { collections.NewVec[int64](a).Push(1) },
		"Append":   func(a galloc.Allocator) { collections.NewVec[int64](a).Append(1, 2, 3) },
		"Deque":    func(a galloc.Allocator) { collections.NewDeque[int64](a).PushFront(1) },
		"Slab":     func(a galloc.Allocator) { collections.NewSlab[int64](a).Insert(1) },
		"BTree":    func(a galloc.Allocator) { collections.NewBTree[int64, int64](a).Put(1, 1) },
		"Interner": func(a galloc.Allocator) { collections.NewInterner(a).Intern("a") },
		"String":   func(a galloc.Allocator) { collections.NewString(a, "a") },
		"Rc":       func(a galloc.Allocator) { collections.NewRc(a, 1) },
		"Arc":      func(a galloc.Allocator) { collections.NewArc(a, 1) },
		"foreign":  func(galloc.Allocator) { collections.NewVec[int64](foreign{errForeign}).Push(1) },
		"bare":     func(galloc.Allocator) { collections.NewVec[int64](foreign{galloc.ErrOutOfMemory}).Push(1) },
	} {
		func() {
			defer func() {
				e, _ := recover().(*galloc.AllocError)
				if e == nil || e.Layout().Size() == 0 {
					t.Errorf("%s: %v", what, e)
				}
			}()
			f(alloctest.Failing(1))
		}()
	}
}

// foreign is an allocator that fails with an error of its own, or with a sentinel as it is.
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
