package collections_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// arrayProgram tests an Array of T against a slice. It moves the Array, a value, all the time.
func arrayProgram[T comparable](value func(int) T) program {
	return func(a galloc.Allocator, s *script) error {
		var r collections.Array[T]
		if galloc.GarbageCollected(a) {
			if err := r.TryPush(a, value(1)); !errors.Is(err, galloc.ErrUnsupported) || r.Cap() != 0 {
				return differ("Push on GoHeap", err, galloc.ErrUnsupported)
			}
			return nil
		}
		defer func() { r.Free(a) }()
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
			moved := r
			r = collections.Array[T]{}
			r, moved = moved, r
			switch s.n(18) {
			case 0, 1, 2:
				x := next()
				if !s.failed(r.TryPush(a, x)) {
					m = append(m, x)
				}
			case 3:
				if xs := some(s.n(20)); !s.failed(r.TryAppend(a, xs...)) {
					m = append(m, xs...)
				}
			case 4: // a view of r
				i := s.n(len(m) + 1)
				j := i + s.n(min(len(m)-i, 50)+1)
				if !s.failed(r.TryAppend(a, r.Slice()[i:j]...)) {
					m = append(m, m[i:j]...)
				}
			case 5:
				i, xs := s.n(len(m)+1), some(s.n(9))
				if !s.failed(r.TryInsert(a, i, xs...)) {
					m = slices.Insert(m, i, xs...)
				}
			case 6: // a view of r
				at := s.n(len(m) + 1)
				i := s.n(len(m) + 1)
				j := i + s.n(min(len(m)-i, 9)+1)
				if !s.failed(r.TryInsert(a, at, r.Slice()[i:j]...)) {
					m = slices.Insert(m, at, slices.Clone(m[i:j])...)
				}
			case 7:
				x, ok := r.Pop()
				if ok != (len(m) > 0) || ok && x != m[len(m)-1] {
					return differ("Pop", x, ok)
				}
				m = m[:max(len(m)-1, 0)]
			case 8:
				if len(m) > 0 {
					i := s.n(len(m))
					if x := r.Remove(i); x != m[i] {
						return differ("Remove", x, m[i])
					}
					m = slices.Delete(m, i, i+1)
				}
			case 9:
				if len(m) > 0 {
					i := s.n(len(m))
					if x := r.SwapRemove(i); x != m[i] {
						return differ("SwapRemove", x, m[i])
					}
					m[i] = m[len(m)-1]
					m = m[:len(m)-1]
				}
			case 10:
				n := s.n(300)
				r.Truncate(n)
				m = m[:min(n, len(m))]
			case 11:
				n, reserve := s.n(100), r.TryReserve
				if s.n(2) == 0 {
					reserve = r.TryReserveExact
				}
				if !s.failed(reserve(a, n)) && r.Cap() < len(m)+n {
					return differ("Cap after Reserve", r.Cap(), len(m)+n)
				}
			case 12:
				s.failed(r.TryShrinkToFit(a))
			case 13:
				if xs := some(s.n(30)); !s.failed(r.TryAppendSeq(a, slices.Values(xs))) {
					m = append(m, xs...)
				}
			case 14:
				if c, err := r.TryClone(a); !s.failed(err) {
					r.Free(a)
					r = c
				}
			case 15:
				n := s.n(100)
				if !s.failed(r.TryResize(a, n)) {
					m = append(m[:min(n, len(m))], make([]T, max(n-len(m), 0))...)
				}
			case 16:
				switch s.n(8) {
				case 0:
					r.Clear()
					m = m[:0]
				case 1:
					r.Free(a)
					m = m[:0]
					if r.Cap() != 0 {
						return differ("Cap after Free", r.Cap(), 0)
					}
				default:
					if len(m) > 0 {
						i, x := s.n(len(m)), next()
						r.Set(i, x)
						m[i] = x
						i, x = s.n(len(m)), next()
						*r.Ptr(i) = x
						m[i] = x
					}
				}
			case 17:
				del := every[T](2 + s.n(3))
				r.DeleteFunc(del())
				m = slices.DeleteFunc(m, del())
			}
			if !slices.Equal(r.Slice(), m) || r.Len() != len(m) || r.Cap() < len(m) || moved.Len() != 0 {
				return differ("elements", r.Slice(), m)
			}
		}
		c, err := collections.CollectArray(a, slices.Values(m))
		if s.failed(err) {
			return nil
		}
		defer func() { c.Free(a) }()
		if !r.Equal(c) || !slices.Equal(slices.Collect(r.Values()), m) {
			return differ("Equal", c, r)
		}
		if !s.failed(c.TryPush(a, next())) && r.Equal(c) {
			return differ("Equal to a longer Array", c, r)
		}
		for i, x := range r.All() {
			if x != m[i] || r.At(i) != x {
				return differ("All", x, m[i])
			}
		}
		at := len(m)
		for i, x := range r.Backward() {
			if at--; i != at || x != m[i] {
				return differ("Backward", x, m[at])
			}
		}
		if at != 0 {
			return differ("Backward ends at", at, 0)
		}
		return nil
	}
}

func TestArray(t *testing.T) {
	t.Run("int16", func(t *testing.T) { testProgram(t, arrayProgram(func(i int) int16 { return int16(i) })) })
	t.Run("24 bytes", func(t *testing.T) {
		testProgram(t, arrayProgram(func(i int) [3]int { return [3]int{i, i + 1, i + 2} }))
	})
	t.Run("no bytes", func(t *testing.T) { testProgram(t, arrayProgram(func(int) struct{} { return struct{}{} })) })
}

func FuzzArray(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(random(seed, 300))
	}
	fuzzProgram(f, arrayProgram(func(i int) int32 { return int32(i) }))
}

func TestOwnedValuesAreSmall(t *testing.T) {
	type list struct {
		next     collections.Ptr[list]
		elements collections.Slice[list]
		grown    collections.Array[list]
	}
	const word = unsafe.Sizeof(uintptr(0))
	var l list
	if unsafe.Sizeof(l.next) != word || unsafe.Sizeof(l.elements) != 2*word || unsafe.Sizeof(l.grown) != 3*word {
		t.Errorf("%d bytes", unsafe.Sizeof(l))
	}
	if _, err := galloc.MakeSlice[list](galloc.Null, 0); err != nil {
		t.Error(err)
	}
}

// The error of a type with Go pointers names the field, and what can take its place.
func TestErrorsNameWhatToUse(t *testing.T) {
	type group struct{ v collections.Vec[int] }
	for want, err := range map[string]error{
		"(collections_test.group.v is a collections.Vec[int]): use a collections.Array instead": collections.NewMap[int, group](nil).TryPut(1, group{}),
		"use a collections.String instead":           collections.NewMap[int, string](nil).TryPut(1, ""),
		"[1]collections.Bytes[] is a":                collections.NewVec[[1]collections.Bytes](nil).TryReserve(1),
		"use a collections.Array or Slice instead":   collections.NewVec[[]int](nil).TryReserve(1),
		"use an index, a collections.Ptr or Handle":  collections.NewSlab[*int](nil).TryReserve(1),
		"use one collection whose keys have both":    collections.NewVec[collections.Map[int, int]](nil).TryReserve(1),
		"use one collection whose keys have both p":  collections.NewVec[collections.BTree[int, int]](nil).TryReserve(1),
		"use one collection whose keys have both pa": collections.NewVec[map[int]int](nil).TryReserve(1),
	} {
		if !errors.Is(err, galloc.ErrPointers) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A collection of collections that own memory: each is freed once, whatever fails.
func TestArraysInCollections(t *testing.T) {
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
		groups := collections.NewMap[int, collections.Array[collections.String]](a)
		defer groups.FreeFunc(func(_ *int, list *collections.Array[collections.String]) {
			list.FreeFunc(a, func(s *collections.String) { s.Free(a) })
		})
		var first error
		for i := range 60 {
			s, err := collections.NewString(a, fmt.Sprint("text ", i))
			if err != nil {
				first = err
				continue
			}
			list, _, err := groups.TryGetOrPut(i % 7)
			if err == nil {
				err = list.TryPush(a, s)
			}
			if err != nil {
				first = err
				s.Free(a)
			}
		}
		if first != nil {
			return first
		}
		n := 0
		for k, list := range groups.All() {
			for i, s := range list.All() {
				if s.View() != fmt.Sprint("text ", i*7+k) {
					t.Errorf("%d: text %d is %q", k, i, s.View())
				}
				n++
			}
		}
		if n != 60 {
			t.Errorf("%d texts", n)
		}
		return nil
	})
}

func TestPtrAndSlice(t *testing.T) {
	alloctest.FailureCheck{}.Run(t, func(a galloc.Allocator) error {
		p, err := collections.NewPtr(a, 7)
		if err != nil {
			return err
		}
		defer p.Free(a)
		q := p
		*q.Get()++
		if *p.Get() != 8 || p != q || p != collections.PtrTo(p.Get()) {
			t.Errorf("%d", *p.Get())
		}
		s, err := collections.NewSlice(a, []int16{1, 2, 3})
		if err != nil {
			return err
		}
		defer s.Free(a)
		s.Slice()[1] = 20
		if s.Len() != 3 || fmt.Sprint(s) != "[1 20 3]" || fmt.Sprintf("%02x", s) != "[01 14 03]" {
			t.Errorf("%v", s)
		}
		if u := collections.SliceTo(s.Slice()[1:]); u.Len() != 2 || u.Slice()[0] != 20 || &u.Slice()[0] != &s.Slice()[1] {
			t.Errorf("%v", u)
		}
		return nil
	})
	var p collections.Ptr[int]
	var s collections.Slice[int]
	if p.Get() != nil || p != collections.PtrTo[int](nil) || len(s.Slice()) != 0 || collections.SliceTo[int](nil).Len() != 0 {
		t.Error("zero values")
	}
	p.Free(nil)
	s.Free(nil)
	if _, err := collections.NewPtr(nil, "a"); !errors.Is(err, galloc.ErrPointers) {
		t.Errorf("a Ptr to a string: %v", err)
	}
	if _, err := collections.NewSlice(nil, []string{"a"}); !errors.Is(err, galloc.ErrPointers) {
		t.Errorf("a Slice of strings: %v", err)
	}
	if _, err := collections.NewPtr(galloc.GoHeap, 1); !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("a Ptr on GoHeap: %v", err)
	}
	if _, err := collections.NewSlice(galloc.GoHeap, []int{1}); !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("a Slice on GoHeap: %v", err)
	}
	for what, f := range map[string]func(){
		"PtrTo":   func() { collections.PtrTo(new(string)) },
		"SliceTo": func() { collections.SliceTo([]*int{nil}) },
	} {
		panics(t, what, f)
	}
}

// panics checks that f panics with a message of the package.
func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if r := recover(); !strings.HasPrefix(fmt.Sprint(r), "galloc") {
			t.Errorf("%s: panic %v", what, r)
		}
	}()
	f()
}

// Lengths and places that are negative or too large make a panic that says what is wrong. (Reading
// an element of a Vec or Array that does not exist panics as it does for a slice.)
func TestWrongLengthsAndPlaces(t *testing.T) {
	for what, f := range map[string]func(){
		"Array.Truncate":     func() { new(collections.Array[int]).Truncate(-1) },
		"Array.Resize":       func() { new(collections.Array[int]).Resize(nil, -1) },
		"Array.Insert":       func() { new(collections.Array[int]).Insert(nil, 1, 1) },
		"Array.Reserve":      func() { new(collections.Array[int]).Reserve(nil, -1) },
		"Array.ReserveExact": func() { new(collections.Array[int]).ReserveExact(nil, -1) },
		"Vec.Truncate":       func() { new(collections.Vec[int]).Truncate(-1) },
		"Vec.Resize":         func() { new(collections.Vec[int]).Resize(-1) },
		"Vec.Insert":         func() { new(collections.Vec[int]).Insert(1, 1) },
		"Vec.Insert before":  func() { new(collections.Vec[int]).Insert(-1, 1) },
		"Vec.Reserve":        func() { new(collections.Vec[int]).Reserve(-1) },
		"Vec.ReserveExact":   func() { new(collections.Vec[int]).ReserveExact(-1) },
		"Bytes.Truncate":     func() { new(collections.Bytes).Truncate(-1) },
		"Deque.At":           func() { new(collections.Deque[int]).At(0) },
		"Deque.Remove":       func() { new(collections.Deque[int]).Remove(-1) },
		"Deque.Insert":       func() { new(collections.Deque[int]).Insert(1, 1) },
		"Deque.Reserve":      func() { new(collections.Deque[int]).Reserve(-1) },
		"Deque.ReserveExact": func() { new(collections.Deque[int]).ReserveExact(-1) },
		"Slab.Reserve":       func() { new(collections.Slab[int]).Reserve(-1) },
		"Map.Reserve":        func() { new(collections.Map[int, int]).Reserve(-1) },
		"Set.Reserve":        func() { new(collections.Set[int]).Reserve(-1) },
		"StringMap.Reserve":  func() { new(collections.StringMap[int]).Reserve(-1) },
		"TextMap.Reserve":    func() { new(collections.TextMap).Reserve(-1) },
		"LinkedMap.Reserve":  func() { new(collections.LinkedMap[int, int]).Reserve(-1) },
		"BTree.Reserve":      func() { new(collections.BTree[int, int]).Reserve(-1) },
		"Interner.Reserve":   func() { new(collections.Interner).Reserve(-1) },
		"Interner.View":      func() { new(collections.Interner).View(0) },
	} {
		panics(t, what, f)
	}
}
