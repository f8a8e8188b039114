package galloc_test

import (
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

type point struct{ x, y, z float64 }

// tracked counts what is out, over System; it has no optional methods.
type tracked struct{ blocks, bytes int }

func (a *tracked) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() > 0 {
		a.blocks++
		a.bytes += int(l.Size())
	}
	return galloc.System.Allocate(l)
}

func (a *tracked) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() > 0 {
		a.blocks--
		a.bytes -= int(l.Size())
	}
	galloc.System.Deallocate(p, l)
}

func TestNewIsZeroedAndFreed(t *testing.T) {
	a := new(tracked)
	for range 100 { // later rounds get memory that was written to
		p, err := galloc.New[point](a)
		if err != nil || *p != (point{}) {
			t.Fatalf("got %v, %v", p, err)
		}
		*p = point{1, 2, 3}
		if a.blocks != 1 || a.bytes != 24 {
			t.Fatalf("%+v", *a)
		}
		galloc.Free(a, p)
	}
	galloc.Free[point](a, nil)
	if *a != (tracked{}) {
		t.Errorf("left: %+v", *a)
	}
}

func TestNilAllocatorIsGlobal(t *testing.T) {
	p := galloc.Must(galloc.New[point](nil))
	galloc.Free(galloc.Global, p)
	p = galloc.Must(galloc.New[point](galloc.Global))
	galloc.Free(nil, p)
}

func TestZeroSizeTypes(t *testing.T) {
	a := new(tracked)
	p, err := galloc.New[struct{}](a)
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	galloc.Free(a, p)
	s, err := galloc.MakeSlice[[0]uint64](a, math.MaxInt)
	if err != nil || len(s) != math.MaxInt || uintptr(unsafe.Pointer(unsafe.SliceData(s)))%8 != 0 {
		t.Fatal(len(s), err)
	}
	galloc.FreeSlice(a, s)
	if *a != (tracked{}) {
		t.Errorf("size 0 reached the allocator: %+v", *a)
	}
}

func TestSlices(t *testing.T) {
	for name, a := range map[string]galloc.Allocator{
		"tracked": new(tracked), "System": galloc.System, "Global": nil, "GoHeap": galloc.GoHeap,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := galloc.MakeSlice[uint32](a, 3)
			if err != nil {
				t.Fatal(err)
			}
			for n := 3; n < 3000; n = n*3/2 + 1 {
				s, err = galloc.GrowSlice(a, s, n)
				if err != nil || len(s) != n || cap(s) != n {
					t.Fatal(len(s), cap(s), err)
				}
				for i := range s {
					if s[i] != 0 && s[i] != uint32(i)+1 {
						t.Fatalf("s[%d] is %d after growing to %d", i, s[i], n)
					}
					s[i] = uint32(i) + 1
				}
			}
			s, err = galloc.GrowSlice(a, s[:1], 10) // what is kept depends on the capacity
			if err != nil || len(s) != 10 || s[9] != 10 {
				t.Fatal(s, err)
			}
			s, err = galloc.GrowSlice(a, s, 0)
			if err != nil || len(s) != 0 {
				t.Fatal(s, err)
			}
			s, err = galloc.GrowSlice(a, s, 4)
			if err != nil || len(s) != 4 || s[0]|s[1]|s[2]|s[3] != 0 {
				t.Fatal(s, err)
			}
			galloc.FreeSlice(a, s[:0])
			galloc.FreeSlice[uint32](a, nil)
			if a, ok := a.(*tracked); ok && *a != (tracked{}) {
				t.Errorf("left: %+v", *a)
			}
		})
	}
}

func TestFailedGrowLeavesTheSlice(t *testing.T) {
	for name, n := range map[string]int{"too large for memory": math.MaxInt / 16, "too large for a Layout": math.MaxInt, "negative": -1} {
		if n == math.MaxInt/16 && math.MaxInt == math.MaxInt32 {
			continue // 1 GiB may be there
		}
		for _, a := range []galloc.Allocator{galloc.System, galloc.GoHeap, nil} {
			s := galloc.Must(galloc.MakeSlice[uint64](a, 4))
			copy(s, []uint64{1, 2, 3, 4})
			g, err := galloc.GrowSlice(a, s, n)
			if err == nil || g != nil {
				t.Fatalf("%s: got %d elements", name, len(g))
			}
			if s[0] != 1 || s[3] != 4 {
				t.Errorf("%s: the slice is %v after %v", name, s, err)
			}
			galloc.FreeSlice(a, s)
		}
	}
}

func TestTypesWithPointersAreRefused(t *testing.T) {
	type deep struct {
		ok   [4]int
		rows [2]struct {
			id   int
			name string
		}
	}
	type fine struct {
		a [3]struct{ b complex128 }
		c uintptr
		d [0]*int
		e bool
	}
	check := func(err error, want ...string) {
		t.Helper()
		var ae *galloc.AllocError
		if !errors.Is(err, galloc.ErrPointers) || !errors.As(err, &ae) {
			t.Errorf("got %v, want ErrPointers", err)
			return
		}
		for _, w := range append(want, "galloc: ") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("no %q in %q", w, err)
			}
		}
	}
	for range 2 { // the second time from what is remembered
		check(second(galloc.New[deep](galloc.System)), "galloc_test.deep.rows[].name is a string")
		check(second(galloc.New[*int](nil)), "galloc: *int contains Go pointers")
		check(second(galloc.New[[]byte](nil)), "[]uint8")
		check(second(galloc.New[map[int]int](nil)), "map[int]int")
		check(second(galloc.New[chan int](nil)), "chan int")
		check(second(galloc.New[func()](nil)), "func()")
		check(second(galloc.New[any](nil)), "interface")
		check(second(galloc.New[unsafe.Pointer](nil)), "unsafe.Pointer")
		check(second(galloc.MakeSlice[string](nil, 0)), "string")
		check(second(galloc.GrowSlice[string](nil, nil, 3)), "string")
		check(second(galloc.NewBox(nil, "text")), "string")
		p, err := galloc.New[fine](nil)
		if err != nil {
			t.Errorf("a type without pointers is refused: %v", err)
		}
		galloc.Free(nil, p)
	}
}

// Types that share a slot of the table in front of the check must not answer for one another.
func TestPointerCheckTellsTypesApart(t *testing.T) {
	checkPair[[1]int, [1]*int](t)
	checkPair[[2]int, [2]*int](t)
	checkPair[[3]int32, [3]string](t)
	checkPair[[4]float64, [4]any](t)
	checkPair[struct{ a, b int }, struct{ a, b *int }](t)
}

func checkPair[Free, Pointers any](t *testing.T) {
	for range 3 {
		p, err := galloc.New[Free](nil)
		if err != nil {
			t.Error(err)
		}
		galloc.Free(nil, p)
		if _, err := galloc.New[Pointers](nil); !errors.Is(err, galloc.ErrPointers) {
			t.Errorf("got %v", err)
		}
	}
}

func TestGoHeapTakesPointers(t *testing.T) {
	type node struct {
		name string
		next *node
	}
	var head *node
	for i := range 1000 {
		n, err := galloc.New[node](galloc.GoHeap)
		if err != nil {
			t.Fatal(err)
		}
		*n = node{strings.Repeat("x", i%7), head}
		head = n
		if i%100 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	for n, i := head, 999; n != nil; n, i = n.next, i-1 {
		if n.name != strings.Repeat("x", i%7) {
			t.Fatalf("node %d is %q", i, n.name)
		}
	}
	s := galloc.Must(galloc.MakeSlice[string](galloc.GoHeap, 2))
	s[1] = strings.Clone("kept")
	s = galloc.Must(galloc.GrowSlice(galloc.GoHeap, s, 100))
	runtime.GC()
	if s[1] != "kept" || s[99] != "" {
		t.Errorf("got %q", s)
	}
	size := int(galloc.LayoutOf[string]().Size())
	if _, err := galloc.MakeSlice[string](galloc.GoHeap, math.MaxInt/size); !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("too large: got %v", err)
	}
	for _, n := range []int{math.MaxInt/size + 1, math.MaxInt, -1} {
		var le *galloc.LayoutError
		if _, err := galloc.MakeSlice[string](galloc.GoHeap, n); !errors.As(err, &le) {
			t.Errorf("%d strings: got %v", n, err)
		}
		if _, err := galloc.GoHeap.AllocateTyped(reflect.TypeFor[string](), n); !errors.As(err, &le) {
			t.Errorf("%d strings: got %v", n, err)
		}
	}
}

func TestBox(t *testing.T) {
	a := new(tracked)
	b, err := galloc.NewBox(a, point{1, 2, 3})
	if err != nil || *b.Get() != (point{1, 2, 3}) || a.blocks != 1 {
		t.Fatal(err, a)
	}
	p := b.Get()
	if err := b.Set(point{4, 5, 6}); err != nil || b.Get() != p || *p != (point{4, 5, 6}) {
		t.Errorf("Set on a full box: %v at %p, was %p, %v", *b.Get(), b.Get(), p, err)
	}
	if v, ok := b.Take(); !ok || v != (point{4, 5, 6}) || b.Get() != nil || a.blocks != 0 {
		t.Errorf("Take: %v, %v, %+v", v, ok, *a)
	}
	if v, ok := b.Take(); ok || v != (point{}) {
		t.Errorf("Take from an empty box: %v, %v", v, ok)
	}
	b.Free() // again: nothing to do

	// From the allocator's blocks into a box, and from a box to the allocator.
	raw := galloc.Must(a.Allocate(galloc.LayoutOf[point]()))
	b.Adopt((*point)(unsafe.Pointer(&raw[0])))
	a.Deallocate(unsafe.Pointer(b.Leak()), galloc.LayoutOf[point]())

	// From New into a box and back.
	p = galloc.Must(galloc.New[point](a))
	b.Adopt(p)
	if b.Leak() != p || b.Get() != nil || a.blocks != 1 {
		t.Error("Leak did not give the value away")
	}
	b.Adopt(p)
	b.Adopt(galloc.Must(galloc.New[point](a))) // frees the first
	b.Free()
	if *a != (tracked{}) {
		t.Errorf("left: %+v", *a)
	}
}

func TestZeroBoxUsesGlobal(t *testing.T) {
	var b galloc.Box[int]
	if b.Get() != nil {
		t.Error("not empty")
	}
	if err := b.Set(7); err != nil || *b.Get() != 7 {
		t.Error(err)
	}
	galloc.Free(galloc.Global, b.Leak())
	if _, err := galloc.NewBox(refusing{galloc.ErrOutOfMemory}, 1); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
}

// A panic between New and the end loses nothing if Free is deferred.
func TestDeferredFreeRunsOnPanic(t *testing.T) {
	a := new(tracked)
	_ = recovered(func() {
		b := galloc.Must(galloc.NewBox(a, 1))
		defer b.Free()
		panic("in between")
	})
	if *a != (tracked{}) {
		t.Errorf("left: %+v", *a)
	}
}

func TestTypedFaceDoesNotAllocateOnTheGoHeap(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		p, _ := galloc.New[point](nil)
		galloc.Free(nil, p)
		s, _ := galloc.MakeSlice[int](galloc.System, 10)
		s, _ = galloc.GrowSlice(galloc.System, s, 20)
		galloc.FreeSlice(galloc.System, s)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// NewUninit refuses types with Go pointers on GoHeap too.
func TestNewUninit(t *testing.T) {
	a := new(tracked)
	p, err := galloc.NewUninit[point](a)
	if err != nil || a.blocks != 1 || a.bytes != 24 {
		t.Fatal(err, *a)
	}
	*p = point{1, 2, 3}
	galloc.Free(a, p)
	if *a != (tracked{}) {
		t.Errorf("left: %+v", *a)
	}
	for _, a := range []galloc.Allocator{nil, galloc.GoHeap} {
		if _, err := galloc.NewUninit[string](a); !errors.Is(err, galloc.ErrPointers) {
			t.Errorf("%v: a type with pointers: %v", a, err)
		}
	}
	var e *galloc.AllocError
	if _, err := galloc.NewUninit[point](galloc.Null); !errors.As(err, &e) || e.Layout() != galloc.LayoutOf[point]() {
		t.Error(err)
	}
}

func TestMakeSliceCap(t *testing.T) {
	a := new(tracked)
	s, err := galloc.MakeSliceCap[uint16](a, 3, 10)
	if err != nil || len(s) != 3 || cap(s) != 10 || a.bytes != 20 {
		t.Fatal(len(s), cap(s), err, *a)
	}
	for i, v := range s[:10] {
		if v != 0 {
			t.Errorf("s[%d] is %d", i, v)
		}
	}
	galloc.FreeSlice(a, s)
	if *a != (tracked{}) {
		t.Errorf("left: %+v", *a)
	}
	for _, n := range []int{-1, 11} {
		if recovered(func() { _, _ = galloc.MakeSliceCap[uint16](a, n, 10) }) == nil {
			t.Errorf("length %d of capacity 10: no panic", n)
		}
	}
	if *a != (tracked{}) {
		t.Errorf("a panic leaks: %+v", *a)
	}
	if _, err := galloc.MakeSliceCap[uint16](galloc.Null, 0, 10); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Error(err)
	}
}

// Long appends are divided. The result is as with append, also where values overlap the place.
func TestAppendSliceOfManyValues(t *testing.T) {
	const n, spare = 100_000, 300_000 // of 8 bytes
	number := func() []int {
		s := make([]int, n+spare)
		for i := range s {
			s[i] = i
		}
		return s
	}
	for _, r := range [][2]int{{0, n}, {1, n + 1}, {n - 1, n + spare - 1}, {n, n + spare}, {50_000, 350_000}, {n + 5, n + spare}} {
		s, want := number(), number()
		got, err := galloc.AppendSlice(galloc.Null, s[:n], s[r[0]:r[1]]...)
		want = append(want[:n], want[r[0]:r[1]]...)
		if err != nil || !slices.Equal(got, want) || !slices.Equal(got[:cap(got)], want[:cap(want)]) {
			t.Errorf("values [%d, %d): differs from append, or error %v", r[0], r[1], err)
		}
		got, _ = galloc.AppendSlice(galloc.Null, s[10:n], s[:n]...) // from before s
		if !slices.Equal(got[n-10:], want[:n]) {
			t.Error("values that begin before s: differs from append")
		}
	}
	texts := make([]string, 50_000)
	for i := range texts {
		texts[i] = strconv.Itoa(i)
	}
	more, err := galloc.AppendSlice(galloc.GoHeap, []string{"a"}, texts...)
	if err != nil || !slices.Equal(more[1:], texts) {
		t.Error(len(more), err)
	}
}

func TestAppendSlice(t *testing.T) {
	a := new(tracked)
	var s, want []uint32
	for i := range uint32(1000) {
		more := []uint32{i, i * i, ^i}[:i%4]
		if i%100 == 99 {
			more = s[len(s)/3:] // a part of itself
			want = append(want, want[len(want)/3:]...)
		} else {
			want = append(want, more...)
		}
		var err error
		if s, err = galloc.AppendSlice(a, s, more...); err != nil {
			t.Fatal(err)
		}
		if len(want) > 100_000 {
			break
		}
	}
	if !slices.Equal(s, want) {
		t.Errorf("%d elements, want %d", len(s), len(want))
	}
	if a.blocks != 1 {
		t.Errorf("%+v", *a)
	}
	// Without memory, the slice is unchanged.
	full, err := galloc.AppendSlice(galloc.Null, s[:len(s):len(s)], 1)
	if !errors.Is(err, galloc.ErrOutOfMemory) || !slices.Equal(full, want) {
		t.Errorf("%v: %d elements", err, len(full))
	}
	galloc.FreeSlice(a, s)
	if *a != (tracked{}) {
		t.Errorf("left: %+v", *a)
	}
	words, err := galloc.AppendSlice(galloc.GoHeap, []string{"a"}, "b", "c")
	if err != nil || !slices.Equal(words, []string{"a", "b", "c"}) {
		t.Error(words, err)
	}
	var bad *galloc.LayoutError
	huge := make([]struct{}, math.MaxInt)
	if _, err := galloc.AppendSlice(a, huge, struct{}{}); !errors.As(err, &bad) {
		t.Error(err)
	}
}
