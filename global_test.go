package galloc_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// counting is a custom global allocator that forwards to System, without the optional methods.
type counting struct{ allocs, deallocs, bytes atomic.Int64 }

func (c *counting) Alloc(l galloc.Layout) unsafe.Pointer {
	c.allocs.Add(1)
	c.bytes.Add(int64(l.Size()))
	return galloc.System.Alloc(l)
}

func (c *counting) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	c.deallocs.Add(1)
	c.bytes.Add(-int64(l.Size()))
	galloc.System.Dealloc(p, l)
}

func (c *counting) want(what string, allocs, deallocs int64) {
	if c.allocs.Load() != allocs || c.deallocs.Load() != deallocs {
		fail("%s: %d allocations and %d deallocations, want %d and %d", what, c.allocs.Load(), c.deallocs.Load(), allocs, deallocs)
	}
}

// full has the optional methods too.
type full struct {
	counting
	zeroed, reallocs atomic.Int64
}

func (f *full) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	f.zeroed.Add(1)
	return galloc.System.AllocZeroed(l)
}

func (f *full) Realloc(p unsafe.Pointer, l galloc.Layout, n uintptr) unsafe.Pointer {
	f.reallocs.Add(1)
	return galloc.System.Realloc(p, l, n)
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func mustPanic(f func()) (message string) {
	defer func() {
		v := recover()
		if v == nil {
			fail("no panic")
		}
		message = fmt.Sprint(v)
	}()
	f()
	return ""
}

func testLayout(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		fail("%v", err)
	}
	return l
}

func init() {
	children["custom"] = func() {
		var hits, other counting
		galloc.RegisterGlobal(&hits)
		l := testLayout(123, 8)
		p := galloc.Alloc(l)
		hits.want("Alloc", 1, 0)
		galloc.Dealloc(p, l)
		hits.want("Dealloc", 1, 1)
		b, err := galloc.Global.Allocate(l)
		if err != nil {
			fail("%v", err)
		}
		hits.want("Global.Allocate", 2, 1)
		galloc.Dealloc(unsafe.Pointer(&b[0]), l) // blocks may go both ways
		hits.want("Global to Dealloc", 2, 2)
		s := galloc.Must(galloc.MakeSlice[byte](nil, 10))
		hits.want("MakeSlice", 3, 2)
		galloc.FreeSlice(nil, s)
		hits.want("FreeSlice", 3, 3)

		// System is not the global allocator, even where that one forwards to it; nor is a second
		// allocator of the same type.
		galloc.System.Dealloc(galloc.System.Alloc(l), l)
		other.Dealloc(other.Alloc(l), l)
		hits.want("System", 3, 3)
		other.want("the other one", 1, 1)

		// No AllocZeroed and no Realloc: the defaults.
		q := galloc.AllocZeroed(l)
		hits.want("AllocZeroed", 4, 3)
		for i, b := range unsafe.Slice((*byte)(q), 123) {
			if b != 0 {
				fail("byte %d is %d", i, b)
			}
		}
		copy(unsafe.Slice((*byte)(q), 123), strings.Repeat("x", 123))
		q = galloc.Realloc(q, l, 456)
		hits.want("Realloc", 5, 4)
		if s := unsafe.String((*byte)(q), 123); s != strings.Repeat("x", 123) {
			fail("after Realloc: %q", s)
		}
		galloc.Dealloc(q, testLayout(456, 8))
		if hits.bytes.Load() != 0 {
			fail("%d bytes left", hits.bytes.Load())
		}
	}

	children["optional methods"] = func() {
		var f full
		galloc.RegisterGlobal(&f)
		l := testLayout(64, 8)
		p := galloc.AllocZeroed(l)
		p = galloc.Realloc(p, l, 128)
		galloc.Dealloc(p, testLayout(128, 8))
		f.want("own methods", 0, 1)
		if f.zeroed.Load() != 1 || f.reallocs.Load() != 1 {
			fail("%d AllocZeroed, %d Realloc", f.zeroed.Load(), f.reallocs.Load())
		}
		s := galloc.Must(galloc.MakeSlice[int](nil, 8)) // zeroed by the allocator, not by us
		s = galloc.Must(galloc.GrowSlice(nil, s, 9))
		galloc.FreeSlice(nil, s)
		if f.zeroed.Load() != 2 || f.reallocs.Load() != 2 {
			fail("typed: %d AllocZeroed, %d Realloc", f.zeroed.Load(), f.reallocs.Load())
		}
	}

	children["size 0"] = func() {
		var hits counting
		galloc.RegisterGlobal(&hits)
		l := testLayout(0, 64)
		p, q := galloc.Alloc(l), galloc.AllocZeroed(l)
		if p == nil || q == nil || uintptr(p)%64 != 0 {
			fail("got %p, %p", p, q)
		}
		galloc.Dealloc(p, l)
		galloc.Dealloc(nil, l)
		if galloc.Realloc(q, l, 0) == nil {
			fail("Realloc from 0 to 0 failed")
		}
		hits.want("size 0", 0, 0)
		p = galloc.Realloc(q, l, 32)
		hits.want("grown from 0", 1, 0)
		if galloc.Realloc(p, testLayout(32, 64), 0) == nil {
			fail("shrinking to 0 failed")
		}
		hits.want("shrunk to 0", 1, 1)
		if galloc.Realloc(p, l, ^uintptr(0)) != nil || galloc.Realloc(p, testLayout(32, 64), ^uintptr(0)>>1) != nil {
			fail("a size that is too large for a Layout was allocated")
		}
		hits.want("overflow", 1, 1)
	}

	children["register twice"] = func() {
		galloc.RegisterGlobal(new(counting))
		fmt.Print(mustPanic(func() { galloc.RegisterGlobal(new(counting)) }))
	}
	children["register late"] = func() {
		galloc.Dealloc(galloc.Alloc(testLayout(8, 8)), testLayout(8, 8))
		fmt.Print(mustPanic(func() { galloc.RegisterGlobal(new(counting)) }))
	}
	children["register nil"] = func() {
		fmt.Print(mustPanic(func() { galloc.RegisterGlobal(nil) }))
	}
	children["register flawed"] = func() {
		for name, f := range flawed {
			if m := mustPanic(func() { galloc.RegisterGlobal(f.g) }); !strings.Contains(m, f.want) || !strings.Contains(m, "global_test.go:") {
				fail("%s: %s", name, m)
			}
		}
		galloc.RegisterGlobal(new(counting)) // nothing has been registered
	}
	children["register nil twice"] = func() {
		galloc.RegisterGlobal(new(counting))
		fmt.Print(mustPanic(func() { galloc.RegisterGlobal(nil) }))
	}
	children["register itself"] = func() {
		for _, a := range []galloc.GlobalAlloc{
			galloc.Global, galloc.AsGlobal(galloc.Global), galloc.AsGlobal(galloc.AsAllocator(galloc.Global)),
			&galloc.Global, galloc.AsGlobal(&galloc.Global),
		} {
			fmt.Println(mustPanic(func() { galloc.RegisterGlobal(a) }))
		}
	}
	children["register at once"] = func() {
		// Many at the same time: one wins, the others panic, and no use sees two.
		var won atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 16 {
			wg.Go(func() {
				defer func() { _ = recover() }()
				<-start
				galloc.RegisterGlobal(new(counting))
				won.Add(1)
			})
		}
		close(start)
		wg.Wait()
		if won.Load() != 1 {
			fail("%d registrations succeeded", won.Load())
		}
	}
	children["name"] = func() {
		fmt.Println(galloc.DescribeGlobal())
		galloc.RegisterGlobal(new(counting)) // asking for the name has not settled it
		fmt.Println(galloc.DescribeGlobal())
	}
	children["goheap"] = func() {
		galloc.RegisterGlobal(galloc.AsGlobal(galloc.GoHeap))
		fmt.Println(galloc.DescribeGlobal())
		if _, err := collections.NewString(nil, "text"); !errors.Is(err, galloc.ErrUnsupported) || !galloc.GarbageCollected(nil) ||
			!galloc.GarbageCollected(plain{galloc.Global}) {
			fail("a String on a global allocator that is garbage collected: %v", err)
		}
		l := testLayout(100, 64)
		p := galloc.AllocZeroed(l)
		galloc.Dealloc(galloc.Realloc(p, l, 1000), testLayout(1000, 64))
	}
}

func TestGlobal(t *testing.T) {
	const place = "global_test.go:"
	for _, c := range []struct {
		child string
		says  []string // in this order
	}{
		{"custom", nil},
		{"optional methods", nil},
		{"size 0", nil},
		{"register at once", nil},
		{"register twice", []string{"galloc: RegisterGlobal at ", place, "already registered at ", place}},
		{"register late", []string{"galloc: RegisterGlobal at ", place, "already in use since ", place}},
		{"register nil", []string{"galloc: RegisterGlobal at ", place, " of nil: pass an allocator; no other allocator is registered"}},
		{"register nil twice", []string{"galloc: RegisterGlobal at ", place, " of nil: pass an allocator; ", "already registered at ", place}},
		{"register itself", []string{"would call itself", "would call itself", "would call itself", "would call itself", "would call itself"}},
		{"name", []string{
			"galloc heap, the default for -buildmode=exe\n",
			"*galloc_test.counting, registered at ", place,
		}},
		{"goheap", []string{"galloc.GoHeap, registered at ", place}},
	} {
		t.Run(c.child, func(t *testing.T) {
			o := runChild(t, c.child)
			if o.err != nil {
				t.Fatalf("%v\n%s%s", o.err, o.stdout, o.stderr)
			}
			wantInOrder(t, o.stdout, c.says...)
		})
	}
	for _, setting := range []string{"GALLOC=", "GALLOC=debug", "GALLOC=debug,sample=5000"} {
		for _, child := range []string{"register flawed", "goheap"} {
			if o := runChild(t, child, setting); o.err != nil {
				t.Errorf("%s: %s: %v\n%s", setting, child, o.err, o.stderr)
			}
		}
	}
}
