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
	"github.com/galloc-go/galloc/freelist"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/pool"
	"github.com/galloc-go/galloc/wrap"
)

func layout(size, align uintptr) galloc.Layout { return galloc.Must(galloc.NewLayout(size, align)) }

// needMemory skips a test that makes more heaps than there is address space for.
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

// able has all abilities: it takes its memory from a heap, or from the Go heap for typed
// memory, and can be reset. Its blocks are longer than UsableSize tells, and that is not kept
// when it is rounded up again.
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
	b[0] = 0xab // what was never the user's is not zero
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n]) // in the race detector, a loop over bytes takes long
	}
	b = b[: n.Size()-8 : n.Size()-8]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocks[unsafe.Pointer(&b[0])] = n
	return b, nil
}

// Grow keeps the whole block, and GrowZeroed clears only what is behind it: also what a
// wrapper has not shown to its user.
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

// Structs with some of its abilities.
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

// wrappers makes each kind of wrapper around a.
var wrappers = map[string]func(a galloc.Allocator) wrap.Allocator{
	"Stats":         func(a galloc.Allocator) wrap.Allocator { return wrap.Stats(a) },
	"Limit":         func(a galloc.Allocator) wrap.Allocator { return wrap.Limit(a, 256<<20) },
	"Tag":           func(a galloc.Allocator) wrap.Allocator { return wrap.Tag(a, "test") },
	"Fail":          func(a galloc.Allocator) wrap.Allocator { return wrap.Fail(a) },
	"NoAlloc":       func(a galloc.Allocator) wrap.Allocator { return wrap.NoAlloc(a, nil) },
	"Lock":          func(a galloc.Allocator) wrap.Allocator { return wrap.Lock(a) },
	"Trace":         func(a galloc.Allocator) wrap.Allocator { return wrap.Trace(a, io.Discard) },
	"Segregate":     func(a galloc.Allocator) wrap.Allocator { return wrap.Segregate(100, a, a) },
	"StackFallback": func(a galloc.Allocator) wrap.Allocator { return wrap.StackFallback(make([]byte, 4000), a) },
}

func TestWrappersKeepTheContract(t *testing.T) {
	needMemory(t)
	for name, w := range wrappers {
		var options []alloctest.Option
		if name == "Trace" {
			options = append(options, alloctest.GoGarbage, alloctest.Slow)
		}
		h := newHeap(t)
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
			continue // the others have no more to do with the sizes of blocks than these
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
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return wrap.Fallback(wrap.Limit(newHeap(t), 1<<20), h) })
	alloctest.Run(t, func() galloc.Allocator {
		return wrap.Fallback(wrap.Fail(newHeap(t), wrap.Randomly(0.5, 7)), h)
	})
	alloctest.Run(t, func() galloc.Allocator { return wrap.Segregate(1000, newAble(t), galloc.System) })
}

func TestNestedWrappersKeepTheContract(t *testing.T) {
	needMemory(t)
	h := newHeap(t)
	for i, nested := range []func() wrap.Allocator{
		func() wrap.Allocator { return wrap.Stats(wrap.Limit(wrap.Lock(h), 256<<20)) },
		func() wrap.Allocator { return wrap.Limit(wrap.Stats(wrap.Tag(newAble(t), "nested")), 256<<20) },
		func() wrap.Allocator {
			return wrap.Stats(wrap.Segregate(512, wrap.StackFallback(make([]byte, 9000), h), wrap.Limit(galloc.System, 256<<20)))
		},
		func() wrap.Allocator { return wrap.Lock(wrap.Fail(wrap.NoAlloc(wrap.Stats(h), nil))) },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			alloctest.Run(t, func() galloc.Allocator { return nested() })
			alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return nested() })
		})
	}
}

// Over every kind of allocator, a wrapper has exactly the abilities of what is in it, and they
// work.
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
			a := w(in)
			want := abilitiesOf(in)
			if name == "StackFallback" {
				want[2] = false // the stack is not typed
			}
			if got := abilitiesOf(a); got != want {
				t.Errorf("%s of %T: Owner, Resetter, TypedAllocator are %v, want %v", name, in, got, want)
			}
			if a.String() == "" || a.Unwrap() == nil {
				t.Errorf("%s: String %q, Unwrap %v", name, a.String(), a.Unwrap())
			}
			b, err := a.Allocate(layout(5000, 8))
			if err != nil {
				t.Fatal(err)
			}
			p := unsafe.Pointer(&b[0])
			if o, ok := a.(galloc.Owner); ok && (!o.Owns(p) || o.Owns(unsafe.Pointer(&all))) {
				t.Errorf("%s of %T: Owns does not tell", name, in)
			}
			if ta, ok := a.(galloc.TypedAllocator); ok {
				s, err := galloc.MakeSlice[string](ta, 3)
				if err != nil || len(s) != 3 {
					t.Errorf("%s of %T: MakeSlice: %v", name, in, err)
				}
				galloc.FreeSlice(ta, s)
			}
			if r, ok := a.(galloc.Resetter); ok {
				r.Reset()
				if len(all.blocks) != 0 {
					t.Errorf("%s of %T: Reset leaves %d blocks", name, in, len(all.blocks))
				}
			} else {
				a.Deallocate(p, layout(5000, 8))
			}
			if !galloc.Equivalent(a, a) || galloc.Equivalent(a, in) || galloc.Equivalent(a, w(in)) {
				t.Errorf("%s of %T: a wrapper is equivalent to itself only", name, in)
			}
		}
	}
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

func abilitiesOf(a galloc.Allocator) [3]bool {
	_, o := a.(galloc.Owner)
	_, r := a.(galloc.Resetter)
	_, t := a.(galloc.TypedAllocator)
	return [3]bool{o, r, t}
}

func TestFind(t *testing.T) {
	h := newHeap(t)
	limit := wrap.Limit(h, 1000)
	a := wrap.Stats(wrap.Fallback(limit, wrap.Lock(wrap.Fail(galloc.System))))
	if l, ok := wrap.Find[wrap.Limited](a); !ok || l != limit {
		t.Error("the first allocator of two is not searched")
	}
	if _, ok := wrap.Find[wrap.Faulty](a); !ok {
		t.Error("the second allocator of two is not searched")
	}
	if c, ok := wrap.Find[wrap.Counting](a); !ok || c != a {
		t.Error("it does not begin with the outermost")
	}
	if f, ok := wrap.Find[*heap.Heap](a); !ok || f != h {
		t.Error("it does not find what is wrapped")
	}
	if _, ok := wrap.Find[wrap.Guarded](a); ok {
		t.Error("it finds what is not there")
	}
	if _, ok := wrap.Find[wrap.Guarded](nil); ok {
		t.Error("it finds what is not there")
	}
}

// A mistake in the sizes is reported before anything is counted or locked.
func TestMistakesLeaveNothingBehind(t *testing.T) {
	for name, w := range wrappers {
		a := w(newHeap(t))
		for _, f := range []func(){
			func() { galloc.Grow(a, nil, layout(10, 1), layout(5, 1)) },
			func() { galloc.GrowZeroed(a, nil, layout(10, 1), layout(5, 1)) },
			func() { galloc.Shrink(a, nil, layout(5, 1), layout(10, 1)) },
		} {
			func() {
				defer func() {
					if m := fmt.Sprint(recover()); !strings.Contains(m, "that is for") {
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
		return wrap.Stats(wrap.Limit(wrap.Lock(wrap.Tag(wrap.Fail(h), "child")), 64<<20))
	},
	"two": func() galloc.GlobalAlloc {
		h, _ := heap.New(heap.Options{})
		return wrap.Stats(wrap.Segregate(256, wrap.StackFallback(make([]byte, 1<<12), h), galloc.System))
	},
	"forty deep": func() galloc.GlobalAlloc {
		var a galloc.Allocator = newHeap(nil)
		for range 5 {
			a = wrap.Limit(wrap.Lock(wrap.Tag(wrap.Fail(a), "deep")), 64<<20)
			a = wrap.NoAlloc(wrap.Segregate(300, a, wrap.StackFallback(make([]byte, 1<<10), a)), nil)
			a = wrap.Debug(wrap.Stats(a), wrap.Sample(1<<30))
		}
		return wrap.Stats(a)
	},
	"debug":              func() galloc.GlobalAlloc { return wrap.Stats(wrap.Debug(galloc.System, wrap.Stacks(0))) },
	"itself":             func() galloc.GlobalAlloc { return wrap.Stats(wrap.Lock(nil)) },
	"itself debug":       func() galloc.GlobalAlloc { return wrap.Debug(nil) },
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
		c, _ := wrap.Find[wrap.Counting](a.(galloc.Allocator))
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
		fmt.Println(galloc.GlobalName())
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
		if want := "40000 40000 40000 0\n"; !strings.HasSuffix(string(out), want) || !strings.HasPrefix(string(out), "stats(") {
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

func isOutOfMemory(err error) bool { return errors.Is(err, galloc.ErrOutOfMemory) }
