package galloc_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/buddy"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/freelist"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/pool"
	"github.com/galloc-go/galloc/tlsf"
	"github.com/galloc-go/galloc/wrap"
)

func TestSystemKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return galloc.System })
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return galloc.System })
}

func TestGlobalKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return galloc.Global })
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return galloc.Global })
}

func TestGoHeapKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return galloc.GoHeap })
}

// An allocator with the two methods alone gets everything else from the defaults.
func TestDefaultsKeepTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return minimal{} })
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return new(counting) })
}

func TestAdaptersKeepTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return galloc.AsAllocator(new(counting)) })
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return galloc.AsGlobal(minimal{}) })
	alloctest.Run(t, func() galloc.Allocator { return galloc.AsAllocator(galloc.AsGlobal(roomy{})) })
}

func TestRoomyBlocksKeepTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return roomy{} })
}

func FuzzSystem(f *testing.F) {
	alloctest.Fuzz(f, func() galloc.Allocator { return galloc.System })
}

func FuzzGoHeap(f *testing.F) {
	alloctest.Fuzz(f, func() galloc.Allocator { return galloc.GoHeap })
}

// minimal has the two methods of Allocator and no others.
type minimal struct{}

func (minimal) Allocate(l galloc.Layout) ([]byte, error)     { return galloc.System.Allocate(l) }
func (minimal) Deallocate(p unsafe.Pointer, l galloc.Layout) { galloc.System.Deallocate(p, l) }

// roomy returns blocks of a multiple of 64 bytes and resizes them within that length: an allocator
// whose usable size exceeds the requested size.
type roomy struct{}

func (roomy) real(l galloc.Layout) (galloc.Layout, error) {
	if l.Size() == 0 {
		return l, nil
	}
	return galloc.NewLayout((l.Size()+63)&^63, l.Align())
}

func (r roomy) Allocate(l galloc.Layout) ([]byte, error) {
	big, err := r.real(l)
	if err != nil {
		return nil, galloc.ErrUnsupported.For(l)
	}
	return galloc.System.Allocate(big)
}

func (r roomy) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	big, _ := r.real(l)
	galloc.System.Deallocate(p, big)
}

func (r roomy) UsableSize(l galloc.Layout) uintptr {
	big, _ := r.real(l)
	return big.Size()
}

func (r roomy) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	old, _ := r.real(l)
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil {
		return false
	}
	big, err := r.real(n)
	return err == nil && big == old
}

func TestOptionalMethodsAreUsed(t *testing.T) {
	l, m := layout(t, 10, 8), layout(t, 20, 8)
	if n := galloc.UsableSize(roomy{}, l); n != 64 {
		t.Errorf("UsableSize: %d", n)
	}
	if n := galloc.UsableSize(minimal{}, l); n != 10 {
		t.Errorf("UsableSize by default: %d", n)
	}
	b := galloc.Must(roomy{}.Allocate(l))
	p := unsafe.Pointer(&b[0])
	if !galloc.Resize(roomy{}, p, l, 64) || galloc.Resize(roomy{}, p, l, 65) {
		t.Error("Resize within the block failed, or beyond it did not")
	}
	g := galloc.Must(galloc.Grow(roomy{}, p, l, m)) // in place, though roomy has no Grow
	if &g[0] != &b[0] || len(g) != 20 {
		t.Errorf("Grow moved the block, or gave %d bytes", len(g))
	}
	galloc.System.Deallocate(p, layout(t, 64, 8))
}

// bumper is the smallest allocator there is: it hands out a buffer from one end to the other, and
// takes back nothing.
type bumper struct {
	buf  [1024]byte
	used uintptr
}

func (b *bumper) Allocate(l galloc.Layout) ([]byte, error) {
	base := uintptr(unsafe.Pointer(&b.buf))
	from := (base+b.used+l.Align()-1)&^(l.Align()-1) - base
	if l.Size() > uintptr(len(b.buf))-min(from, uintptr(len(b.buf))) {
		return nil, galloc.ErrOutOfMemory
	}
	b.used = from + l.Size()
	return b.buf[from:b.used:b.used], nil
}

func (b *bumper) Deallocate(unsafe.Pointer, galloc.Layout) {}

func TestBumpAllocatorLivesOnTheDefaults(t *testing.T) {
	b := new(bumper)
	last := b.used
	use := func(m []byte, err error) []byte {
		t.Helper()
		if err != nil || b.used < last {
			t.Fatalf("%v; used %d, then %d", err, last, b.used)
		}
		last = b.used
		return m
	}
	l4, l8, l16 := layout(t, 4, 4), layout(t, 8, 8), layout(t, 16, 8)
	if m := use(b.Allocate(layout(t, 4, 4))); len(m) != 4 || uintptr(unsafe.Pointer(&m[0]))%4 != 0 {
		t.Errorf("a uint32 got %d bytes at %p", len(m), &m[0])
	}
	if m := use(b.Allocate(layout(t, 8, 64))); uintptr(unsafe.Pointer(&m[0]))%64 != 0 {
		t.Errorf("%p is not aligned", &m[0])
	}
	m := use(b.Allocate(l4))
	copy(m, "abcd")
	m = use(galloc.GrowZeroed(b, unsafe.Pointer(&m[0]), l4, l16))
	if string(m) != "abcd"+strings.Repeat("\x00", 12) {
		t.Errorf("grown to %q", m)
	}
	copy(m, "abcdefghijklmnop")
	m = use(galloc.Shrink(b, unsafe.Pointer(&m[0]), l16, l8))
	if string(m) != "abcdefgh" {
		t.Errorf("shrunk to %q", m)
	}
	p, err := galloc.New[struct{}](b)
	if err != nil || p == nil || b.used != last {
		t.Errorf("size 0: %p, %v", p, err)
	}
	if _, err := b.Allocate(layout(t, 2048, 1)); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
	if m := use(b.Allocate(layout(t, 100, 1))); len(m) != 100 {
		t.Error("nothing left after a failure")
	}
}

// bounded fails after fuel bytes.
type bounded struct {
	minimal
	fuel int
}

func (b *bounded) Allocate(l galloc.Layout) ([]byte, error) {
	if int(l.Size()) > b.fuel {
		return nil, galloc.ErrOutOfMemory.For(l)
	}
	b.fuel -= int(l.Size())
	return b.minimal.Allocate(l)
}

func TestSlicesGrowThroughTheirAllocator(t *testing.T) {
	b := &bounded{fuel: 500}
	s := galloc.Must(galloc.MakeSlice[byte](b, 50))
	if b.fuel != 450 {
		t.Errorf("fuel is %d", b.fuel)
	}
	s = galloc.Must(galloc.GrowSlice(b, s, 200))
	if b.fuel != 250 {
		t.Errorf("fuel is %d", b.fuel)
	}
	if _, err := galloc.GrowSlice(b, s, 251); !errors.Is(err, galloc.ErrOutOfMemory) || b.fuel != 250 {
		t.Errorf("got %v, fuel %d", err, b.fuel)
	}
	galloc.FreeSlice(b, s)
}

func TestEquivalent(t *testing.T) {
	for _, c := range []struct {
		a, b galloc.Allocator
		want bool
	}{
		{galloc.System, galloc.System, true},
		{galloc.Global, galloc.Global, true},
		{galloc.Global, galloc.System, false}, // also if System is the global allocator
		{galloc.System, galloc.GoHeap, false},
		{uncomparable{}, uncomparable{}, false},
		{family{1}, family{2}, true},
		{family{1}, galloc.System, false},
		{galloc.System, family{3}, false},
		{nil, nil, true},
		{nil, galloc.Global, true},
		{nil, galloc.System, false},
	} {
		if got := galloc.Equivalent(c.a, c.b); got != c.want {
			t.Errorf("%T and %T: %v", c.a, c.b, got)
		}
		if got := galloc.Equivalent(c.b, c.a); got != c.want {
			t.Errorf("%T and %T: %v", c.b, c.a, got)
		}
	}
}

type uncomparable struct {
	minimal
	_ []int
}

type family struct{ member int }

func (family) Allocate(l galloc.Layout) ([]byte, error)     { return galloc.System.Allocate(l) }
func (family) Deallocate(p unsafe.Pointer, l galloc.Layout) { galloc.System.Deallocate(p, l) }
func (family) EquivalentTo(a galloc.Allocator) bool {
	_, ok := a.(family)
	return ok
}

func TestGrowAndShrinkPanicWhenConfused(t *testing.T) {
	small, large := layout(t, 20, 8), layout(t, 40, 8)
	for _, a := range []galloc.Allocator{galloc.System, galloc.Global, minimal{}, roomy{}} {
		b := galloc.Must(a.Allocate(large))
		p := unsafe.Pointer(&b[0])
		for _, c := range []struct {
			want string
			f    func()
		}{
			{"galloc: Grow to a smaller size (20 < 40): use Shrink", func() { _, _ = galloc.Grow(a, p, large, small) }},
			{"galloc: Grow to a smaller size (20 < 40): use Shrink", func() { _, _ = galloc.GrowZeroed(a, p, large, small) }},
			{"galloc: Shrink to a larger size (40 > 20): use Grow", func() { _, _ = galloc.Shrink(a, p, small, large) }},
		} {
			if got := recovered(c.f); got != c.want {
				t.Errorf("%T: panicked with %q, want %q", a, got, c.want)
			}
		}
		a.Deallocate(p, large)
	}
}

// System is used by hand as well as registered, so it takes size 0 as the free functions do.
func TestSystemTakesSizeZero(t *testing.T) {
	zero, l := layout(t, 0, 32), layout(t, 24, 32)
	for range 100 {
		p, q := galloc.System.Alloc(zero), galloc.System.AllocZeroed(zero)
		if p == nil || q == nil || uintptr(p)%32 != 0 {
			t.Fatalf("got %p, %p", p, q)
		}
		galloc.System.Dealloc(p, zero)
		galloc.System.Dealloc(nil, zero)
		r := galloc.System.Realloc(q, zero, 24)
		if r = galloc.System.Realloc(r, l, 0); r == nil || galloc.System.Realloc(r, zero, 0) == nil {
			t.Fatal("Realloc to size 0 failed")
		}
		if galloc.System.Realloc(r, zero, ^uintptr(0)) != nil {
			t.Fatal("a size that is too large for a Layout was allocated")
		}
	}
}

func TestNilStandsForGlobal(t *testing.T) {
	l, m := layout(t, 8, 8), layout(t, 16, 8)
	b := galloc.Must(galloc.AllocateZeroed(nil, l))
	b = galloc.Must(galloc.Grow(nil, unsafe.Pointer(&b[0]), l, m))
	b = galloc.Must(galloc.Shrink(nil, unsafe.Pointer(&b[0]), m, l))
	b = galloc.Must(galloc.GrowZeroed(nil, unsafe.Pointer(&b[0]), l, m))
	if galloc.UsableSize(nil, m) != 16 || galloc.Resize(nil, unsafe.Pointer(&b[0]), m, 1<<20) {
		t.Error("UsableSize or Resize")
	}
	galloc.Global.Deallocate(unsafe.Pointer(&b[0]), m)
	for want, f := range map[string]func(){
		"galloc: AsGlobal of nil: pass an allocator":    func() { galloc.AsGlobal(nil) },
		"galloc: AsAllocator of nil: pass an allocator": func() { galloc.AsAllocator(nil) },
	} {
		if got := recovered(f); got != want {
			t.Errorf("panicked with %v, want %q", got, want)
		}
	}
}

// flawed are allocators whose methods would crash at their first use, and what is said of them.
var flawed = map[string]struct {
	a    galloc.Allocator
	g    galloc.GlobalAlloc
	want string
}{
	"nil pointer":         {(*heap.Heap)(nil), (*heap.Heap)(nil), "of a nil *heap.Heap: pass an allocator"},
	"another nil pointer": {(*one)(nil), (*counting)(nil), ": pass an allocator"},
	"nil function":        {funcAllocator(nil), funcAllocator(nil), "of a nil galloc_test.funcAllocator: pass an allocator"},
	"zero heap":           {&heap.Heap{}, &heap.Heap{}, "of a zero heap.Heap: use heap.New or heap.Default"},
	"wrapped": {
		plain{plain{(*heap.Heap)(nil)}},
		plainGlobal{plain{(*heap.Heap)(nil)}},
		"of a nil *heap.Heap: pass an allocator",
	},
	"second of two": {
		pair{passing{plain{galloc.System}, nil}, &heap.Heap{}},
		pair2{pair{passing{plain{galloc.System}, nil}, &heap.Heap{}}},
		"of a zero heap.Heap: use heap.New or heap.Default",
	},
}

// funcAllocator is an allocator that is a function.
type funcAllocator func(galloc.Layout) unsafe.Pointer

func (f funcAllocator) Allocate(l galloc.Layout) ([]byte, error) {
	return unsafe.Slice((*byte)(f(l)), l.Size()), nil
}
func (f funcAllocator) Deallocate(unsafe.Pointer, galloc.Layout) {}
func (f funcAllocator) Alloc(l galloc.Layout) unsafe.Pointer     { return f(l) }
func (f funcAllocator) Dealloc(unsafe.Pointer, galloc.Layout)    {}

// plainGlobal and pair2 are a plain and a pair that can be registered.
type (
	plainGlobal struct{ plain }
	pair2       struct{ pair }
)

func (plainGlobal) Alloc(galloc.Layout) unsafe.Pointer    { return nil }
func (plainGlobal) Dealloc(unsafe.Pointer, galloc.Layout) {}
func (pair2) Alloc(galloc.Layout) unsafe.Pointer          { return nil }
func (pair2) Dealloc(unsafe.Pointer, galloc.Layout)       {}

// takers are the functions of other packages that take an allocator, by the name of the package.
var takers = map[string][]func(a galloc.Allocator){
	"bump":     {func(a galloc.Allocator) { bump.New(a) }},
	"freelist": {func(a galloc.Allocator) { _, _ = freelist.New(a, freelist.Options{Max: 64}) }},
	"buddy":    {func(a galloc.Allocator) { _, _ = buddy.New(a, 1<<16, buddy.Options{}) }},
	"tlsf":     {func(a galloc.Allocator) { _, _ = tlsf.New(a, 1<<16, tlsf.Options{}) }},
	"memcheck": {func(a galloc.Allocator) { memcheck.New(a, memcheck.Options{}) }},
	"pool": {
		func(a galloc.Allocator) { pool.New(a, galloc.LayoutOf[int]()) },
		func(a galloc.Allocator) { _, _ = pool.NewOf[int](a) },
	},
	"alloctest": {
		func(a galloc.Allocator) { alloctest.Fail(a) },
		func(a galloc.Allocator) { alloctest.NoAlloc(a, nil) },
		func(a galloc.Allocator) { alloctest.Track(a) },
	},
	"wrap": {
		func(a galloc.Allocator) { wrap.Stats(a) },
		func(a galloc.Allocator) { wrap.Tag(a, "test") },
		func(a galloc.Allocator) { wrap.Limit(a, 1<<20) },
		func(a galloc.Allocator) { wrap.Lock(a) },
		func(a galloc.Allocator) { wrap.Trace(a, io.Discard) },
		func(a galloc.Allocator) { wrap.Fallback(a, galloc.System) },
		func(a galloc.Allocator) { wrap.Fallback(bump.New(nil), a) },
		func(a galloc.Allocator) { wrap.Segregate(100, a, galloc.System) },
		func(a galloc.Allocator) { wrap.Segregate(100, galloc.System, a) },
		func(a galloc.Allocator) { wrap.StackFallback(make([]byte, 100), a) },
	},
	"collections": {
		func(a galloc.Allocator) { collections.NewVec[int](a) },
		func(a galloc.Allocator) { _, _ = collections.MakeVec[int](a, 0) },
		func(a galloc.Allocator) { collections.NewBytes(a) },
		func(a galloc.Allocator) { collections.NewDeque[int](a) },
		func(a galloc.Allocator) { collections.NewSlab[int](a) },
		func(a galloc.Allocator) { collections.NewSet[int](a) },
		func(a galloc.Allocator) { collections.NewMap[int, int](a) },
		func(a galloc.Allocator) { collections.NewStringMap[int](a) },
		func(a galloc.Allocator) { collections.NewTextMap(a) },
		func(a galloc.Allocator) { collections.NewLinkedMap[int, int](a) },
		func(a galloc.Allocator) { collections.NewBTree[int, int](a) },
		func(a galloc.Allocator) { collections.NewBTreeFunc[int, int](a, cmp.Compare[int]) },
		func(a galloc.Allocator) { collections.NewInterner(a) },
	},
}

func TestFlawedAllocatorsAreRefused(t *testing.T) {
	for pkg, all := range takers {
		for i, take := range all {
			if m := fmt.Sprint(recovered(func() { take(nil) })); strings.Contains(m, "the allocator is") {
				t.Errorf("%s, function %d: nil means Global: %s", pkg, i, m)
			}
			for name, f := range flawed {
				if name == "wrapped" || name == "second of two" {
					continue // the wrappers of the repository check what is inside
				}
				m := fmt.Sprint(recovered(func() { take(f.a) }))
				if !strings.HasPrefix(m, "galloc/"+pkg+": the allocator is a ") ||
					!strings.HasSuffix(m, strings.TrimPrefix(f.want, "of")) {
					t.Errorf("%s: %s, function %d: %s", name, pkg, i, m)
				}
			}
		}
	}
	for name, f := range flawed {
		for what, do := range map[string]func(){
			"AsGlobal":    func() { galloc.AsGlobal(f.a) },
			"AsAllocator": func() { galloc.AsAllocator(f.g) },
		} {
			if m := fmt.Sprint(recovered(do)); !strings.HasPrefix(m, "galloc: "+what+" of a") || !strings.Contains(m, f.want) {
				t.Errorf("%s: %s: %s", name, what, m)
			}
		}
	}
}

func TestAdaptersUnwrap(t *testing.T) {
	if galloc.AsAllocator(galloc.System) != galloc.Allocator(galloc.System) || galloc.AsGlobal(galloc.System) != galloc.GlobalAlloc(galloc.System) {
		t.Error("System is both already")
	}
	c := new(counting)
	if galloc.AsGlobal(galloc.AsAllocator(c)) != galloc.GlobalAlloc(c) {
		t.Error("AsGlobal does not undo AsAllocator")
	}
	if galloc.AsAllocator(galloc.AsGlobal(minimal{})) != galloc.Allocator(minimal{}) {
		t.Error("AsAllocator does not undo AsGlobal")
	}
}
