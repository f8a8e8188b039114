package collections_test

import (
	"slices"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// dequeProgram tests a Deque of T against a slice.
func dequeProgram[T comparable](value func(int) T) program {
	return func(a galloc.Allocator, s *script) error {
		d := collections.NewDeque[T](a)
		defer func() { d.Free() }()
		var m []T
		count := 0
		next := func() T { count++; return value(count) }
		for s.more() {
			switch s.n(23) {
			case 0, 1:
				x := next()
				if !s.failed(d.TryPushBack(x)) {
					m = append(m, x)
				}
			case 2, 3:
				x := next()
				if !s.failed(d.TryPushFront(x)) {
					m = slices.Insert(m, 0, x)
				}
			case 4, 5:
				x, ok := d.PopBack()
				if ok != (len(m) > 0) || ok && x != m[len(m)-1] {
					return differ("PopBack", x, ok)
				}
				m = m[:max(len(m)-1, 0)]
			case 6, 7:
				x, ok := d.PopFront()
				if ok != (len(m) > 0) || ok && x != m[0] {
					return differ("PopFront", x, ok)
				}
				m = m[min(1, len(m)):]
			case 8, 9:
				var xs []T
				for range s.n(20) {
					xs = append(xs, next())
				}
				if !s.failed(d.TryAppend(xs...)) {
					m = append(slices.Clip(m), xs...)
				}
			case 10: // a view of d
				front, back := d.Slices()
				xs := front
				if s.n(2) == 1 {
					xs = back
				}
				i := s.n(len(xs) + 1)
				xs = xs[i : i+s.n(min(len(xs)-i, 30)+1)]
				add := slices.Clone(xs)
				if !s.failed(d.TryAppend(xs...)) {
					m = append(slices.Clip(m), add...)
				}
			case 11:
				n := s.n(60)
				if !s.failed(d.TryReserve(n)) && d.Cap() < len(m)+n {
					return differ("Cap after Reserve", d.Cap(), len(m)+n)
				}
			case 12:
				n := s.n(60)
				if !s.failed(d.TryReserveExact(n)) && d.Cap() < len(m)+n {
					return differ("Cap after ReserveExact", d.Cap(), len(m)+n)
				}
			case 13:
				s.failed(d.TryShrinkToFit())
			case 14:
				if c, err := d.TryClone(); !s.failed(err) {
					d.Free()
					d = c
				}
			case 15:
				if s.n(10) == 0 {
					d.Clear()
					m = nil
				}
			case 16:
				if s.n(10) == 0 {
					d.Free()
					m = nil
				}
			case 17:
				if len(m) > 0 {
					i, x := s.n(len(m)), next()
					d.Set(i, x)
					m = slices.Clone(m)
					m[i] = x
					i, x = s.n(len(m)), next()
					*d.Ptr(i) = x
					m[i] = x
				}
			case 18:
				i := s.n(len(m) + 1)
				var xs []T
				for range s.n(9) {
					xs = append(xs, next())
				}
				if !s.failed(d.TryInsert(i, xs...)) {
					m = slices.Insert(slices.Clip(m), i, xs...)
				}
			case 19: // a view of d
				at := s.n(len(m) + 1)
				front, back := d.Slices()
				xs := front
				if s.n(2) == 1 {
					xs = back
				}
				i := s.n(len(xs) + 1)
				xs = xs[i : i+s.n(min(len(xs)-i, 9)+1)]
				add := slices.Clone(xs)
				if !s.failed(d.TryInsert(at, xs...)) {
					m = slices.Insert(slices.Clip(m), at, add...)
				}
			case 20:
				if len(m) > 0 {
					i := s.n(len(m))
					if x := d.Remove(i); x != m[i] {
						return differ("Remove", x, m[i])
					}
					m = slices.Delete(slices.Clone(m), i, i+1)
				}
			case 21:
				if len(m) > 0 {
					i, j := s.n(len(m)), s.n(len(m))
					d.Swap(i, j)
					m = slices.Clone(m)
					m[i], m[j] = m[j], m[i]
				}
			case 22:
				del := every[T](2 + s.n(3))
				d.DeleteFunc(del())
				m = slices.DeleteFunc(slices.Clone(m), del())
			}
			front, back := d.Slices()
			if got := slices.Concat(front, back); !slices.Equal(got, m) || d.Len() != len(m) || d.Cap() < len(m) {
				return differ("elements", got, m)
			}
			if cap(front) != len(front) || cap(back) != len(back) {
				return differ("capacities of Slices", cap(front), len(front))
			}
			x, ok := d.Front()
			y, _ := d.Back()
			if ok != (len(m) > 0) || ok && (x != m[0] || y != m[len(m)-1]) {
				return differ("ends", []T{x, y}, m)
			}
		}
		if got := slices.Collect(d.Values()); !slices.Equal(got, m) {
			return differ("Values", got, m)
		}
		n := len(m)
		for i, x := range d.Backward() {
			if n--; i != n || x != m[i] || x != d.At(i) {
				return differ("Backward", i, n)
			}
		}
		if n != 0 {
			return differ("Backward ends at", n, 0)
		}
		c, err := collections.CollectDeque(a, slices.Values(m))
		if s.failed(err) {
			return nil
		}
		defer c.Free()
		if !d.Equal(c) || !c.Equal(d) {
			return differ("Equal", c, d)
		}
		if !s.failed(c.TryPushBack(next())) && d.Equal(c) {
			return differ("Equal to a longer Deque", c, d)
		}
		return nil
	}
}

func TestDequeIsASliceWithTwoEnds(t *testing.T) {
	t.Run("uint32", func(t *testing.T) { testProgram(t, dequeProgram(number)) })
	t.Run("3 bytes", func(t *testing.T) {
		testProgram(t, dequeProgram(func(i int) [3]byte { return [3]byte{byte(i), byte(i >> 8), 1} }))
	})
	t.Run("0 bytes", func(t *testing.T) {
		each(t, func(t *testing.T, a galloc.Allocator) {
			if err := run(dequeProgram(func(int) struct{} { return struct{}{} }), a, random(1, 1000)); err != nil {
				t.Error(err)
			}
		})
	})
}

func FuzzDeque(f *testing.F) { fuzzProgram(f, dequeProgram(number)) }

func TestDequeBounds(t *testing.T) {
	var d collections.Deque[int]
	defer d.Free()
	d.PushBack(1)
	d.PushFront(0)
	d.Append(2, 3)
	mustPanic(t, "At(4)", func() { d.At(4) })
	mustPanic(t, "At(-1)", func() { d.At(-1) })
	mustPanic(t, "Set(4)", func() { d.Set(4, 0) })
	mustPanic(t, "Ptr(4)", func() { d.Ptr(4) })
	mustPanic(t, "Insert(5)", func() { d.Insert(5, 0) })
	mustPanic(t, "Insert(-1)", func() { d.Insert(-1, 0) })
	mustPanic(t, "Remove(4)", func() { d.Remove(4) })
	mustPanic(t, "Swap(0, 4)", func() { d.Swap(0, 4) })
	mustPanic(t, "Swap(-1, 0)", func() { d.Swap(-1, 0) })
	var sum int
	d.FreeFunc(func(x *int) { sum = 10*sum + *x })
	if sum != 123 || d.Len() != 0 || d.Cap() != 0 {
		t.Errorf("FreeFunc visited %d; Len %d, Cap %d", sum, d.Len(), d.Cap())
	}
}

func TestIteratorsOfAChangingDeque(t *testing.T) {
	var d collections.Deque[int]
	defer d.Free()
	d.Append(0, 1, 2, 3)
	var seen []int
	for _, x := range d.All() {
		seen = append(seen, x)
		d.PushBack(x + 10)
	}
	if !slices.Equal(seen, []int{0, 1, 2, 3}) {
		t.Errorf("All: %v", seen)
	}
	seen = nil
	for i := range d.Backward() {
		seen = append(seen, i)
		d.PopBack()
		d.PopBack()
		d.PopBack()
	}
	if !slices.Equal(seen, []int{7, 4, 1}) {
		t.Errorf("Backward: %v", seen)
	}
}

// A Deque grows wherever its elements are in the ring, and by however few places.
func TestDequeGrowsWithItsElementsAnywhere(t *testing.T) {
	a := alloctest.Track(galloc.System)
	for c := 1; c <= 9; c++ {
		for head := range c {
			for n := range c + 1 {
				for more := 1; more <= 10; more++ {
					d := collections.NewDeque[int](a)
					d.ReserveExact(c)
					for range head {
						d.PushBack(-1)
						d.PopFront()
					}
					for i := range n {
						d.PushBack(i)
					}
					d.ReserveExact(c - n + more)
					if d.Cap() != c+more {
						t.Fatalf("capacity %d, want %d", d.Cap(), c+more)
					}
					for i := n; i < c+more; i++ {
						d.PushBack(i)
					}
					for i := range c + more {
						if x, ok := d.PopFront(); !ok || x != i {
							t.Fatalf("from %d at %d, %d elements, to %d: element %d is %d", c, head, n, c+more, i, x)
						}
					}
					d.Free()
				}
			}
		}
	}
	if len(a.Live()) > 0 {
		t.Errorf("left: %v", a.Live())
	}
}

// Insert does not allocate in reserved capacity, wherever the elements are and however near the
// front.
func TestDequeInsertsInReservedCapacity(t *testing.T) {
	a := alloctest.Track(galloc.System)
	const n, k = 12, 5
	for head := range n {
		for at := range n - k + 1 {
			d := collections.NewDeque[int](a)
			d.ReserveExact(n)
			for range head {
				d.PushBack(-1)
				d.PopFront()
			}
			var want []int
			for i := range n - k {
				d.PushBack(i)
				want = append(want, i)
			}
			calls, xs := a.Calls(), []int{10, 11, 12, 13, 14}
			d.Insert(at, xs...)
			want = slices.Insert(want, at, xs...)
			if got := slices.Collect(d.Values()); a.Calls() != calls || !slices.Equal(got, want) {
				t.Errorf("head %d, Insert at %d: %v, want %v; %d allocations", head, at, got, want, a.Calls()-calls)
			}
			d.Free()
		}
	}
	if len(a.Live())+len(a.Misuses()) > 0 {
		t.Error(a.Live(), a.Misuses())
	}
}
