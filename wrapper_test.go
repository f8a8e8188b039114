package galloc_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// plain wraps an allocator and adds nothing.
type plain struct{ galloc.Allocator }

func (w plain) Unwrap() galloc.Allocator { return w.Allocator }

// passing is a plain that passes on AllocateTyped, and has state.
type passing struct {
	plain
	resets *int
}

func (w passing) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	return galloc.AllocateTyped(w.Allocator, t, n)
}

func (w passing) AfterReset() { *w.resets++ }

// pair wraps two allocators.
type pair struct {
	passing
	second galloc.Allocator
}

func (w pair) Second() galloc.Allocator { return w.second }

// one is an allocator of a single block, which it knows.
type one struct {
	galloc.Allocator
	block  [16]byte
	resets int
}

func (o *one) Owns(p unsafe.Pointer) bool { return p == unsafe.Pointer(&o.block) }
func (o *one) Reset()                     { o.resets++ }

func TestOwnsWalksWrappers(t *testing.T) {
	a, b := &one{Allocator: galloc.System}, &one{Allocator: galloc.System}
	pa, pb := unsafe.Pointer(&a.block), unsafe.Pointer(&b.block)
	n := 0
	two := func(x, y galloc.Allocator) galloc.Allocator { return pair{passing{plain{x}, &n}, y} }
	for _, test := range []struct {
		name string
		a    galloc.Allocator
		p    unsafe.Pointer
		want bool
		ok   bool
	}{
		{"an owner", a, pa, true, true},
		{"not its block", a, pb, false, true},
		{"two wrappers", plain{plain{a}}, pa, true, true},
		{"the first of two", plain{two(a, b)}, pa, true, true},
		{"the second of two", plain{two(a, plain{b})}, pb, true, true},
		{"none of two", two(a, b), unsafe.Pointer(&n), false, true},
		{"only the first knows, and owns", two(a, galloc.System), pa, true, true},
		{"only the first knows", two(a, galloc.System), pb, false, false},
		{"only the second knows, and owns", two(galloc.System, b), pb, true, true},
		{"only the second knows", two(galloc.System, b), pa, false, false},
		{"no owner", plain{galloc.System}, pa, false, false},
		{"nil", nil, pa, false, false},
		{"Null", galloc.Null, pa, false, true},
	} {
		got, err := galloc.Owns(test.a, test.p)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
		if err != nil && (!errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "galloc.")) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestResetWalksWrappers(t *testing.T) {
	a, b := &one{Allocator: galloc.System}, &one{Allocator: galloc.System}
	n := 0
	w := passing{plain{pair{passing{plain{a}, &n}, plain{b}}}, &n}
	if err := galloc.Reset(w); err != nil || a.resets != 1 || b.resets != 1 || n != 2 {
		t.Errorf("%v: %d, %d, %d", err, a.resets, b.resets, n)
	}
	for _, w := range []galloc.Allocator{
		nil, plain{galloc.System}, pair{passing{plain{a}, &n}, galloc.System}, pair{passing{plain{galloc.System}, &n}, a},
	} {
		err := galloc.Reset(w)
		if !errors.Is(err, errors.ErrUnsupported) || a.resets != 1 || n != 2 {
			t.Errorf("%T: %v: %d, %d", w, err, a.resets, n)
		}
	}
}

func TestHoldsPointers(t *testing.T) {
	n := 0
	typed := func(a galloc.Allocator) galloc.Allocator { return passing{plain{a}, &n} }
	for _, test := range []struct {
		name string
		a    galloc.Allocator
		want bool
	}{
		{"GoHeap", galloc.GoHeap, true},
		{"System", galloc.System, false},
		{"nil", nil, false},
		{"wrappers that pass on", typed(typed(galloc.GoHeap)), true},
		{"a wrapper that does not", typed(plain{galloc.GoHeap}), false},
		{"a source that does not", typed(typed(galloc.System)), false},
		{"two that do", pair{passing{plain{galloc.GoHeap}, &n}, typed(galloc.GoHeap)}, true},
		{"the first does", pair{passing{plain{galloc.GoHeap}, &n}, galloc.System}, false},
		{"the second does", pair{passing{plain{galloc.System}, &n}, galloc.GoHeap}, false},
	} {
		if got := galloc.HoldsPointers(test.a); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		p, err := galloc.New[[]string](test.a)
		if (err == nil) != test.want || err == nil && *p != nil || err != nil && !errors.Is(err, galloc.ErrPointers) {
			t.Errorf("%s: New: %v", test.name, err)
		}
		_, err = galloc.AllocateTyped(test.a, reflect.TypeFor[[]string](), 3)
		if (err == nil) != test.want || err != nil && (!errors.Is(err, galloc.ErrPointers) || !errors.Is(err, errors.ErrUnsupported)) {
			t.Errorf("%s: AllocateTyped: %v", test.name, err)
		}
		q, err := galloc.AllocateTyped(test.a, reflect.TypeFor[uint32](), 3)
		if err != nil || *(*[3]uint32)(q) != [3]uint32{} {
			t.Fatalf("%s: AllocateTyped: %v", test.name, err)
		}
		if test.a == nil || !test.want {
			galloc.FreeSlice(test.a, unsafe.Slice((*uint32)(q), 3))
		}
	}
	var bad *galloc.LayoutError
	if _, err := galloc.AllocateTyped(nil, reflect.TypeFor[uint32](), -1); !errors.As(err, &bad) {
		t.Error(err)
	}
}

func TestUnsupportedIsOfPackageErrors(t *testing.T) {
	l := galloc.LayoutOf[point]()
	for err, want := range map[error]bool{
		galloc.ErrUnsupported: true, galloc.ErrPointers: true, galloc.ErrOutOfMemory: false,
		galloc.ErrUnsupported.For(l): true, galloc.ErrOutOfMemory.For(l): false,
	} {
		if got := errors.Is(err, errors.ErrUnsupported); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
