package collections_test

import (
	"errors"
	"fmt"
	stdmaps "maps"
	"math"
	"slices"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// linkedProgram tests a LinkedMap against a slice of keys and a Go map. It keeps a handle and the
// address of each value.
func linkedProgram[K comparable](key func(int) K) program {
	return func(a galloc.Allocator, s *script) error {
		type handle = collections.Handle[int]
		b := collections.NewLinkedMap[K, int](a)
		defer func() { b.Free() }()
		var order []K
		m := map[K]int{}
		handles := map[handle]K{} // of all entries ever
		at := map[K]*int{}
		count := 0
		entered := func(k K, v int) error {
			if _, has := m[k]; !has {
				order = append(order, k)
				h, ok := b.Handle(k)
				if _, old := handles[h]; old || !ok {
					return differ("Handle of a new entry", h, ok)
				}
				handles[h], at[k] = k, b.Ptr(k)
			}
			m[k] = v
			return nil
		}
		gone := func(k K) {
			order = slices.DeleteFunc(order, func(o K) bool { return o == k })
			delete(m, k)
			delete(at, k)
		}
		move := func(k K, to int) {
			order = slices.DeleteFunc(order, func(o K) bool { return o == k })
			order = slices.Insert(order, min(to, len(order)), k)
		}
		for s.more() {
			k := key(s.n(300))
			want, has := m[k]
			count++
			var err error
			switch s.n(18) {
			case 0, 1, 2, 3:
				if !s.failed(b.TryPut(k, count)) {
					err = entered(k, count)
				}
			case 4:
				put, failed := b.TryPutIfAbsent(k, count)
				if !s.failed(failed) && put == has {
					return differ("PutIfAbsent", put, !has)
				}
				if put {
					err = entered(k, count)
				}
			case 5:
				p, found, failed := b.TryGetOrPut(k)
				if s.failed(failed) {
					break
				}
				if found != has || *p != want {
					return differ("GetOrPut", *p, want)
				}
				*p = count
				err = entered(k, count)
			case 6, 7, 8:
				if v, ok := b.Delete(k); ok != has || v != want {
					return differ("Delete", v, want)
				}
				gone(k)
			case 9, 10:
				if p := b.MoveToBack(k); (p != nil) != has || has && (*p != want || p != at[k]) {
					return differ("MoveToBack", p, at[k])
				}
				if has {
					move(k, len(order))
				}
			case 11:
				if p := b.MoveToFront(k); (p != nil) != has || has && (*p != want || p != at[k]) {
					return differ("MoveToFront", p, at[k])
				}
				if has {
					move(k, 0)
				}
			case 12:
				pop, end, i := b.PopFront, b.Front, 0
				if s.n(2) == 0 {
					pop, end, i = b.PopBack, b.Back, max(len(order)-1, 0)
				}
				ek, ev, eok := end()
				pk, pv, ok := pop()
				if ok != (len(order) > 0) || eok != ok || ek != pk || ev != pv || ok && (pk != order[i] || pv != m[pk]) {
					return differ("Pop", pk, ok)
				}
				if ok {
					gone(pk)
				}
			case 13:
				if c, failed := b.TryClone(); !s.failed(failed) {
					if !b.Equal(c) || !c.Equal(b) {
						return differ("Equal of a clone", c, b)
					}
					b.Free()
					b = c
					for k := range m {
						at[k] = b.Ptr(k)
					}
				}
			case 14:
				switch s.n(12) {
				case 0:
					b.Clear()
					order = nil
					clear(m)
				case 1:
					b.Free()
					order = nil
					clear(m)
				}
			case 15:
				if n := s.n(40); !s.failed(b.TryReserve(n)) && b.Cap() < b.Len()+n {
					return differ("Cap after Reserve", b.Cap(), b.Len()+n)
				}
			case 16:
				if n := s.n(7); n > 1 {
					b.DeleteFunc(func(k K, v int) bool { return v%n == 0 && v == m[k] })
					for _, k := range slices.Clone(order) {
						if m[k]%n == 0 {
							gone(k)
						}
					}
				}
			case 17:
				c, failed := collections.CollectLinkedMap(a, b.All())
				if s.failed(failed) {
					break
				}
				same := b.Equal(c) && slices.Equal(slices.Collect(c.Keys()), order)
				c.PopBack()
				less := c.Len() < b.Len() && b.Equal(c)
				c.Free()
				if !same || less {
					return differ("Collect", c, b)
				}
			}
			if err != nil {
				return err
			}
			if got := slices.Collect(b.Keys()); !slices.Equal(got, order) || b.Len() != len(order) || b.Cap() < b.Len() {
				return differ("Keys", got, order)
			}
			if got := stdmaps.Collect(b.All()); !stdmaps.Equal(got, m) {
				return differ("All", got, m)
			}
			i := len(order)
			for k, v := range b.Backward() {
				if i--; i < 0 || k != order[i] || v != m[k] {
					return differ("Backward", k, v)
				}
			}
			for k, p := range b.Pointers() {
				if p != at[k] {
					return differ("address of a value", p, at[k])
				}
			}
			for h, k := range handles {
				now, ok := b.Handle(k)
				if got, p := b.Entry(h); (p != nil) != (ok && now == h) || p != nil && (got != k || p != at[k]) {
					return differ("Entry", got, k)
				}
			}
			if v, ok := b.Get(k); ok != b.Has(k) || v != m[k] {
				return differ("Get", v, m[k])
			}
		}
		return nil
	}
}

func TestLinkedMap(t *testing.T) {
	t.Run("int", func(t *testing.T) { testProgram(t, linkedProgram(func(i int) int { return i })) })
	t.Run("struct", func(t *testing.T) {
		type key struct {
			a int8
			b float64
		}
		testProgram(t, linkedProgram(func(i int) key { return key{int8(i), float64(i)} }))
	})
}

func FuzzLinkedMap(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(random(seed, 300))
	}
	fuzzProgram(f, linkedProgram(func(i int) uint16 { return uint16(i) }))
}

// The loop over an iterator may do anything to the map. It yields what was there when it began and
// was neither removed nor moved.
func TestLinkedMapWhileIterating(t *testing.T) {
	for _, backward := range []bool{false, true} {
		for seed := range uint64(300) {
			s := &script{data: random(seed, 400)}
			b := collections.NewLinkedMap[int, int](nil)
			for i := range 20 {
				b.Put(i, i)
			}
			due := slices.Collect(b.Keys())
			seq := b.All()
			if backward {
				slices.Reverse(due)
				seq = b.Backward()
			}
			drop := func(k int) { due = slices.DeleteFunc(due, func(d int) bool { return d == k }) }
			for k := range seq {
				if len(due) == 0 || k != due[0] {
					t.Fatalf("seed %d: %d is yielded, due are %v", seed, k, due)
				}
				due = due[1:]
				for range s.n(4) {
					other := s.n(25)
					switch s.n(6) {
					case 0:
						b.Delete(other)
						drop(other)
					case 1:
						if last, _, _ := b.Back(); last != other && b.MoveToBack(other) != nil {
							drop(other)
						}
					case 2:
						if first, _, _ := b.Front(); first != other && b.MoveToFront(other) != nil {
							drop(other)
						}
					case 3:
						b.Put(other, 0)
					case 4:
						n := 0 // an iteration within
						for range b.Keys() {
							n++
						}
						if n != b.Len() {
							t.Fatalf("%d of %d keys", n, b.Len())
						}
					case 5:
						if s.n(30) == 0 {
							b.Clear()
							due = nil
						}
					}
				}
			}
			if len(due) != 0 {
				t.Fatalf("seed %d: %v were not yielded", seed, due)
			}
			b.Free()
		}
	}
}

// A key that equals no key is an entry like others, but for look-ups.
func TestLinkedMapOfNaN(t *testing.T) {
	var b collections.LinkedMap[float64, int]
	defer b.Free()
	for i := range 100 {
		b.Put(math.NaN(), i)
	}
	b.Put(0, 1)
	b.Put(math.Copysign(0, -1), 2)
	if b.Len() != 101 || b.Has(math.NaN()) {
		t.Errorf("%d entries", b.Len())
	}
	for i := range 100 {
		if k, v, ok := b.PopFront(); !ok || k == k || v != i {
			t.Errorf("%v, %d, %v", k, v, ok)
		}
	}
	if fmt.Sprint(&b) != "map[-0:2]" {
		t.Error(&b)
	}
}

// An LRU cache at a limit of memory evicts one entry for one: it needs no other memory.
func TestLinkedMapAtALimit(t *testing.T) {
	a := alloctest.Track(galloc.System)
	b := collections.NewLinkedMap[int, int](a)
	defer b.Free()
	for i := range 1000 {
		b.Put(i, i)
	}
	for i := 1000; b.Len() < b.Cap(); i++ {
		b.Put(i, i)
	}
	full, calls := b.Len(), a.Calls()
	for i := range 50_000 {
		b.PopFront()
		b.Put(-i-1, i)
	}
	if a.Calls() != calls || b.Len() != full {
		t.Errorf("%d allocations, %d of %d entries", a.Calls()-calls, b.Len(), full)
	}
}

// bucketless is an allocator that refuses the buckets of a LinkedMap while off is set.
type bucketless struct {
	*alloctest.Tracker
	off     bool
	refused int
}

func (a *bucketless) Allocate(l galloc.Layout) ([]byte, error) {
	if a.off && l.Align() == 4 {
		a.refused++
		return nil, galloc.ErrOutOfMemory
	}
	return a.Tracker.Allocate(l)
}

// Without memory for buckets, the map takes more entries all the same.
func TestLinkedMapWithoutBuckets(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("the buckets have the alignment of the entries")
	}
	a := &bucketless{Tracker: alloctest.Track(galloc.System)}
	b := collections.NewLinkedMap[int, [9]int](a)
	defer b.Free()
	b.Put(0, [9]int{})
	a.off = true
	for i := range 20_000 {
		b.Put(i, [9]int{i})
	}
	if n := a.refused; n == 0 || n > 400 {
		t.Errorf("%d allocations were refused", n)
	}
	a.off = false
	for i := range 60_000 {
		b.Put(i, [9]int{i})
	}
	for i := range 60_000 {
		if v, ok := b.Delete(i); !ok || v[0] != i {
			t.Fatalf("%d: %v, %v", i, v, ok)
		}
	}
}

func TestLinkedMapErrors(t *testing.T) {
	if err := collections.NewLinkedMap[string, int](nil).TryPut("", 1); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	if err := collections.NewLinkedMap[int, []int](nil).TryReserve(1); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	if _, err := collections.MakeLinkedMap[int, int](nil, math.MaxInt); err == nil {
		t.Error("MaxInt entries")
	}
	mustPanic(t, "Reserve", func() { collections.NewLinkedMap[int, int](nil).Reserve(-1) })
}
