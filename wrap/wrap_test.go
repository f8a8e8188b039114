package wrap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/freelist"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/pool"
	"github.com/galloc-go/galloc/wrap"
)

func layout(size, align uintptr) galloc.Layout { return galloc.Must(galloc.NewLayout(size, align)) }

// needMemory skips a test that makes more heaps than fit into the address space.
func needMemory(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("there is not enough address space for as many heaps")
	}
}

// newHeap returns a heap that is closed when the test ends, or never if t is nil.
func newHeap(t testing.TB) *heap.Heap {
	h, err := heap.New(heap.Options{})
	switch {
	case err != nil:
		panic(err)
	case t != nil:
		t.Cleanup(func() { h.Close() })
	}
	return h
}

// able has all abilities: it takes its memory from a heap, or from the Go heap for typed memory,
// and can be reset. Its blocks are longer than UsableSize reports, and UsableSize rounds up its own
// result.
type able struct {
	h      *heap.Heap
	mu     *sync.Mutex
	blocks map[unsafe.Pointer]galloc.Layout // with their real sizes
}

func newAble(t testing.TB) able {
	return able{newHeap(t), new(sync.Mutex), map[unsafe.Pointer]galloc.Layout{}}
}

func (a able) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return a.h.Allocate(l)
	}
	n, err := galloc.NewLayout(l.Size()+24, l.Align())
	if err != nil {
		return nil, galloc.ErrUnsupported
	}
	b, err := a.h.Allocate(n)
	if err != nil {
		return nil, err
	}
	b[0] = 0xab // bytes that the caller never had are not zero
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n]) // a loop over the bytes takes long with the race detector
	}
	b = b[: n.Size()-8 : n.Size()-8]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocks[unsafe.Pointer(&b[0])] = n
	return b, nil
}

// Grow keeps the whole block, and GrowZeroed clears only the bytes past it. Both include bytes that
// a wrapper has cut off.
func (a able) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if old.Size() == 0 {
		return a.Allocate(new)
	}
	b, err := a.Allocate(new)
	if err == nil {
		copy(b, unsafe.Slice((*byte)(p), a.length(p)))
		a.Deallocate(p, old)
	}
	return b, err
}

func (a able) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	if old.Size() == 0 {
		return galloc.AllocateZeroed(plain{a}, new)
	}
	n := a.length(p)
	b, err := a.Grow(p, old, new)
	if err == nil && n < uintptr(len(b)) {
		clear(b[n:])
	}
	return b, err
}

func (a able) length(p unsafe.Pointer) uintptr {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.blocks[p].Size() - 8
}

func (a able) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	a.mu.Lock()
	n := a.blocks[p]
	delete(a.blocks, p)
	a.mu.Unlock()
	a.h.Deallocate(p, n)
}

func (a able) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	return l.Size() + 5
}

func (a able) Owns(p unsafe.Pointer) bool { return a.h.Owns(p) }

func (a able) Reset() {
	for p, l := range a.blocks {
		a.h.Deallocate(p, l)
	}
	clear(a.blocks)
}

func (a able) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	return galloc.GoHeap.AllocateTyped(t, n)
}

// These have some of the abilities of able.
type (
	no          struct{}
	ownsOnly    struct{ able }
	plain       struct{ galloc.Allocator }
	resetsTyped struct{ able }
)

func (ownsOnly) Reset(no)          {}
func (ownsOnly) AllocateTyped(no)  {}
func (resetsTyped) Owns(no) string { return "" }

var _ = []galloc.Allocator{able{}, ownsOnly{}, resetsTyped{}}

// A wrapper is what every wrapper can do.
type wrapper interface {
	galloc.Wrapper
	galloc.GlobalAllocZeroed
	galloc.GlobalRealloc
	galloc.ZeroedAllocator
	galloc.Grower
	galloc.Shrinker
	galloc.Resizer
	galloc.UsableSizer
	galloc.TypedAllocator
	fmt.Stringer
}

var (
	_ wrapper = (*wrap.Counter)(nil)
	_ wrapper = (*wrap.Limiter)(nil)
	_ wrapper = (*wrap.Pair)(nil)
	_ wrapper = (*wrap.Locker)(nil)
	_ wrapper = (*wrap.Tracer)(nil)
)

// wrappers makes each kind of wrapper around a.
var wrappers = map[string]func(a galloc.Allocator) wrapper{
	"Stats":         func(a galloc.Allocator) wrapper { return wrap.Stats(a) },
	"Limit":         func(a galloc.Allocator) wrapper { return wrap.Limit(a, 256<<20) },
	"Tag":           func(a galloc.Allocator) wrapper { return wrap.Tag(a, "test") },
	"Fail":          func(a galloc.Allocator) wrapper { return alloctest.Fail(a) },
	"NoAlloc":       func(a galloc.Allocator) wrapper { return alloctest.NoAlloc(a, nil) },
	"Lock":          func(a galloc.Allocator) wrapper { return wrap.Lock(a) },
	"Trace":         func(a galloc.Allocator) wrapper { return wrap.Trace(a, io.Discard) },
	"Segregate":     func(a galloc.Allocator) wrapper { return wrap.Segregate(100, a, a) },
	"StackFallback": func(a galloc.Allocator) wrapper { return wrap.StackFallback(make([]byte, 4000), a) },
}

func TestWrappersKeepTheContract(t *testing.T) {
	needMemory(t)
	for name, w := range wrappers {
		var options []alloctest.Option
		if name == "Trace" {
			options = append(options, alloctest.GoGarbage, alloctest.Slow)
		}
		h := newHeap(t)
		if percpu.Race && testing.Short() { // one way will do: most rules use one goroutine
			t.Run(name, func(t *testing.T) {
				alloctest.Run(t, func() galloc.Allocator { return w(h) }, options...)
			})
			continue
		}
		t.Run(name+"/heap", func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return w(h) }, options...)
		})
		t.Run(name+"/global face", func(t *testing.T) {
			alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return w(h) }, options...)
		})
		t.Run(name+"/all abilities", func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return w(newAble(t)) }, options...)
		})
		if name != "Stats" && name != "Limit" && name != "Segregate" {
			continue // the others treat sizes of blocks as these do
		}
		t.Run(name+"/System", func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return w(galloc.System) }, options...)
		})
		t.Run(name+"/none", func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return w(plain{h}) }, options...)
		})
	}
}

func TestFallbackKeepsTheContract(t *testing.T) {
	needMemory(t)
	h := newHeap(t)
	alloctest.Run(t, func() galloc.Allocator { return wrap.Fallback(wrap.Limit(newHeap(t), 1<<20), h) })
	if percpu.Race && testing.Short() {
		return
	}
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return wrap.Fallback(wrap.Limit(newHeap(t), 1<<20), h) })
	alloctest.Run(t, func() galloc.Allocator {
		return wrap.Fallback(alloctest.Fail(newHeap(t), alloctest.Randomly(0.5, 7)), h)
	})
	alloctest.Run(t, func() galloc.Allocator { return wrap.Segregate(1000, newAble(t), galloc.System) })
}

func TestNestedWrappersKeepTheContract(t *testing.T) {
	needMemory(t)
	h := newHeap(t)
	for i, nested := range []func() wrapper{
		func() wrapper { return wrap.Stats(wrap.Limit(wrap.Lock(h), 256<<20)) },
		func() wrapper { return wrap.Limit(wrap.Stats(wrap.Tag(newAble(t), "nested")), 256<<20) },
		func() wrapper {
			return wrap.Stats(wrap.Segregate(512, wrap.StackFallback(make([]byte, 9000), h),
				wrap.Limit(galloc.System, 256<<20)))
		},
		func() wrapper { return wrap.Lock(alloctest.Fail(alloctest.NoAlloc(wrap.Stats(h), nil))) },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return nested() })
			if percpu.Race && testing.Short() {
				return
			}
			alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return nested() })
		})
	}
}

// galloc.Owns, Reset, HoldsPointers and AllocateTyped reach every kind of allocator through every
// wrapper, and through any four of them.
func TestAbilities(t *testing.T) {
	all := newAble(t)
	for _, in := range []galloc.Allocator{
		all,
		ownsOnly{all},
		resetsTyped{all},
		plain{all},
		galloc.GoHeap, all.h,
		onlyReset{all},
		ownsReset{all},
		ownsTyped{all},
	} {
		for name, w := range wrappers {
			typed := !strings.Contains(name, "StackFallback") // the buffer holds no pointers
			testAbilities(t, name, w(in), in, typed)
			for outer, o := range wrappers {
				a := o(wrap.Lock(wrap.Segregate(64, w(in), wrap.Stats(w(in)))))
				testAbilities(t, outer+" of "+name, a, in, typed && !strings.Contains(outer, "StackFallback"))
			}
			if a := w(in); !galloc.Equivalent(a, a) || galloc.Equivalent(a, in) || galloc.Equivalent(a, w(in)) {
				t.Errorf("%s of %T: a wrapper is equivalent to itself only", name, in)
			}
		}
	}
}

// testAbilities tests a, which wraps in.
func testAbilities(t *testing.T, name string, a wrapper, in galloc.Allocator, typed bool) {
	t.Helper()
	if a.String() == "" || a.Unwrap() == nil {
		t.Errorf("%s: String %q, Unwrap %v", name, a.String(), a.Unwrap())
	}
	b, err := a.Allocate(layout(5000, 8))
	if err != nil {
		t.Fatal(err)
	}
	p := unsafe.Pointer(&b[0])
	_, knows := in.(galloc.Owner)
	for _, c := range []struct {
		p    unsafe.Pointer
		want bool
	}{{p, knows}, {unsafe.Pointer(&b), false}} {
		owns, err := galloc.Owns(a, c.p)
		if owns != c.want || (err == nil) != knows || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s of %T: Owns: %v, %v", name, in, owns, err)
		}
	}
	_, holds := in.(galloc.TypedAllocator)
	holds = holds && typed
	if got := galloc.HoldsPointers(a); got != holds {
		t.Errorf("%s of %T: HoldsPointers: %v", name, in, got)
	}
	s, err := galloc.MakeSlice[string](a, 3)
	switch {
	case !holds:
		if !errors.Is(err, galloc.ErrPointers) {
			t.Errorf("%s of %T: MakeSlice: %v", name, in, err)
		}
	case err != nil || len(s) != 3:
		t.Errorf("%s of %T: MakeSlice: %v", name, in, err)
	default:
		galloc.FreeSlice(a, s)
	}
	_, resets := in.(galloc.Resetter)
	err = galloc.Reset(a)
	if (err == nil) != resets || err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%s of %T: Reset: %v", name, in, err)
	}
	if !resets {
		a.Deallocate(p, layout(5000, 8))
	} else if blocks := blocksOf(in); blocks != 0 {
		t.Errorf("%s of %T: Reset leaves %d blocks", name, in, blocks)
	}
}

// blocksOf returns the number of blocks of an able that are live.
func blocksOf(a galloc.Allocator) int {
	switch a := a.(type) {
	case able:
		return len(a.blocks)
	case resetsTyped:
		return len(a.blocks)
	case onlyReset:
		return len(a.blocks)
	case ownsReset:
		return len(a.blocks)
	}
	return 0
}

type (
	onlyReset struct{ able }
	ownsReset struct{ able }
	ownsTyped struct{ able }
)

func (onlyReset) Owns(no)          {}
func (onlyReset) AllocateTyped(no) {}
func (ownsReset) AllocateTyped(no) {}
func (ownsTyped) Reset(no)         {}

// galloc.GarbageCollected sees GoHeap through every wrapper, adapter and source that does not hold
// its blocks, and nowhere else; and collections does not keep addresses there.
func TestGarbageCollected(t *testing.T) {
	h, first := newHeap(t), newHeap(t)
	around := map[string]func(a galloc.Allocator) galloc.Allocator{
		"alone":       func(a galloc.Allocator) galloc.Allocator { return a },
		"AsGlobal":    func(a galloc.Allocator) galloc.Allocator { return galloc.AsAllocator(galloc.AsGlobal(a)) },
		"AsAllocator": func(a galloc.Allocator) galloc.Allocator { return galloc.AsAllocator(global{galloc.AsGlobal(a)}) },
		"freelist": func(a galloc.Allocator) galloc.Allocator {
			return galloc.Must(freelist.New(a, freelist.Options{Max: 64}))
		},
		"Fallback": func(a galloc.Allocator) galloc.Allocator { return wrap.Fallback(first, a) },
		"small":    func(a galloc.Allocator) galloc.Allocator { return wrap.Segregate(64, a, h) },
		"large":    func(a galloc.Allocator) galloc.Allocator { return wrap.Segregate(64, h, a) },
		"memcheck": func(a galloc.Allocator) galloc.Allocator { return memcheck.New(a, memcheck.Options{}) },
		"sampled":  func(a galloc.Allocator) galloc.Allocator { return memcheck.New(a, memcheck.Options{Sample: 9}) },
		"Track":    func(a galloc.Allocator) galloc.Allocator { return alloctest.Track(a) },
	}
	for name, w := range wrappers {
		around[name] = func(a galloc.Allocator) galloc.Allocator { return w(a) }
	}
	test := func(name string, a galloc.Allocator, want bool) {
		if got := galloc.GarbageCollected(a); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		s, err := collections.NewString(a, "text")
		r, err2 := collections.NewRc(a, 7)
		if errors.Is(err, galloc.ErrUnsupported) != want || errors.Is(err2, galloc.ErrUnsupported) != want {
			t.Errorf("%s: NewString: %v, NewRc: %v", name, err, err2)
		}
		s.Free(a)
		r.Free(a)
	}
	for outer, o := range around {
		for inner, w := range around {
			name := outer + " of " + inner
			test(name, o(w(galloc.GoHeap)), true)
			test(name, o(w(h)), false)
		}
	}
	// These hold their memory by Go pointers.
	test("bump", bump.New(galloc.GoHeap), false)
	test("pool", pool.New(galloc.GoHeap, layout(64, 8)), false)
}

// global is a GlobalAlloc and no more.
type global struct{ galloc.GlobalAlloc }

func (g global) GarbageCollected() bool {
	return galloc.GarbageCollected(galloc.AsAllocator(g.GlobalAlloc))
}

func TestFind(t *testing.T) {
	h := newHeap(t)
	limit := wrap.Limit(h, 1000)
	a := wrap.Stats(wrap.Fallback(limit, wrap.Lock(alloctest.Fail(galloc.System))))
	if l, ok := wrap.Find[*wrap.Limiter](a); !ok || l != limit {
		t.Error("the first allocator of two is not searched")
	}
	if _, ok := wrap.Find[*alloctest.Failer](a); !ok {
		t.Error("the second allocator of two is not searched")
	}
	if c, ok := wrap.Find[*wrap.Counter](a); !ok || c != a {
		t.Error("it does not begin with the outermost")
	}
	if f, ok := wrap.Find[*heap.Heap](a); !ok || f != h {
		t.Error("it does not find what is wrapped")
	}
	if _, ok := wrap.Find[*alloctest.Guard](a); ok {
		t.Error("it finds what is not there")
	}
	if _, ok := wrap.Find[*alloctest.Guard](nil); ok {
		t.Error("it finds what is not there")
	}
}

// A misuse of sizes panics before anything is counted or locked.
func TestMisusesChangeNothing(t *testing.T) {
	h := newHeap(t) // one, since WebAssembly has not the memory for one each
	for name, w := range wrappers {
		a := w(h)
		for _, f := range []func(){
			func() { galloc.Grow(a, nil, layout(10, 1), layout(5, 1)) },
			func() { galloc.GrowZeroed(a, nil, layout(10, 1), layout(5, 1)) },
			func() { galloc.Shrink(a, nil, layout(5, 1), layout(10, 1)) },
		} {
			func() {
				defer func() {
					if m := fmt.Sprint(recover()); !strings.Contains(m, "): use ") {
						t.Errorf("%s: panic %q", name, m)
					}
				}()
				f()
			}()
		}
		if _, err := a.Allocate(layout(10, 1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The registered allocator of each child process is a wrapper.

const childVar = "GALLOC_TEST_CHILD"

var children = map[string]func() galloc.GlobalAlloc{
	"stats": func() galloc.GlobalAlloc { return wrap.Stats(galloc.System) },
	"four deep": func() galloc.GlobalAlloc {
		h, _ := heap.New(heap.Options{})
		return wrap.Stats(wrap.Limit(wrap.Lock(wrap.Tag(alloctest.Fail(h), "child")), 64<<20))
	},
	"two": func() galloc.GlobalAlloc {
		h, _ := heap.New(heap.Options{})
		return wrap.Stats(wrap.Segregate(256, wrap.StackFallback(make([]byte, 1<<12), h), galloc.System))
	},
	"forty deep": func() galloc.GlobalAlloc {
		var a galloc.Allocator = newHeap(nil)
		for range 5 {
			a = wrap.Limit(wrap.Lock(wrap.Tag(alloctest.Fail(a), "deep")), 64<<20)
			a = alloctest.NoAlloc(wrap.Segregate(300, a, wrap.StackFallback(make([]byte, 1<<10), a)), nil)
			a = memcheck.New(wrap.Stats(a), memcheck.Options{Sample: 1 << 30})
		}
		return wrap.Stats(a)
	},
	"debug": func() galloc.GlobalAlloc {
		return wrap.Stats(memcheck.New(galloc.System, memcheck.Options{StackDepth: -1}))
	},
	"itself":             func() galloc.GlobalAlloc { return wrap.Stats(wrap.Lock(nil)) },
	"itself debug":       func() galloc.GlobalAlloc { return memcheck.New(nil, memcheck.Options{}) },
	"itself as a source": func() galloc.GlobalAlloc { return wrap.Stats(wrap.Lock(bump.New(nil))) },
	"itself as a source of a source": func() galloc.GlobalAlloc {
		p := pool.New(nil, layout(64, 8))
		f, _ := freelist.New(wrap.Lock(p), freelist.Options{Max: 64})
		return galloc.AsGlobal(f)
	},
	"itself below": func() galloc.GlobalAlloc { return wrap.Stats(wrap.Segregate(10, galloc.System, nil)) },
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVar); name != "" {
		a := children[name]()
		galloc.RegisterGlobal(a)
		c, _ := wrap.Find[*wrap.Counter](a.(galloc.Allocator))
		before := c.Snapshot()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 5000 {
					s, err := galloc.MakeSlice[int](nil, 1+i%100)
					if err != nil {
						panic(err)
					}
					s = galloc.Must(galloc.GrowSlice(nil, s, 2*len(s)))
					galloc.FreeSlice(nil, s)
				}
			})
		}
		wg.Wait()
		d := c.Snapshot().Sub(before)
		fmt.Println(galloc.DescribeGlobal())
		fmt.Println(d.Allocs, d.Frees, d.Reallocs, d.LiveBytes())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestRegisteredAsTheGlobalAllocator(t *testing.T) {
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range children {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childVar+"="+name)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if strings.HasPrefix(name, "itself") {
			if err == nil || !strings.Contains(stderr.String(), "would call itself") {
				t.Errorf("%s: %v, %s", name, err, stderr.String())
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, stderr.String())
		}
		if want := "40000 40000 40000 0\n"; !strings.HasSuffix(string(out), want) ||
			!strings.HasPrefix(string(out), "stats(") {
			t.Errorf("%s: %s, want %s", name, out, want)
		}
	}
}

func TestNilIsTheGlobalAllocator(t *testing.T) {
	for name, w := range wrappers {
		a := w(nil)
		b, err := a.Allocate(layout(10_000, 8))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		galloc.Dealloc(unsafe.Pointer(&b[0]), layout(10_000, 8))
	}
}

// reset resets a, and fails the test if that is impossible.
func reset(t *testing.T, a galloc.Allocator) {
	t.Helper()
	if err := galloc.Reset(a); err != nil {
		t.Error(err)
	}
}

func isOutOfMemory(err error) bool { return errors.Is(err, galloc.ErrOutOfMemory) }
