//go:build cgo && galloc_jemalloc

package jemalloc_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/jemalloc"
)

func TestAllocator(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return jemalloc.Allocator })
}

func TestGlobalAlloc(t *testing.T) {
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return jemalloc.Allocator })
}

func FuzzAllocator(f *testing.F) {
	alloctest.Fuzz(f, func() galloc.Allocator { return jemalloc.Allocator })
}

// When a block is freed, jemalloc derives its class from the size and the alignment. If it were
// another class, a later allocation of that class would return the block, too small or misaligned.
func TestEveryLayoutThatFitsHasTheClassOfTheBlock(t *testing.T) {
	a := jemalloc.Allocator
	for align := uintptr(1); align <= 1<<16; align *= 2 {
		for size := uintptr(1); size < 3*4096; size++ {
			n := a.UsableSize(layout(size, align))
			if n < size || n%min(align, 4096) != 0 {
				t.Fatalf("size %d, align %d: usable size %d", size, align, n)
			}
			step := uintptr(1)
			if n-size > 300 {
				step = (n - size) / 7
			}
			for fits := size; fits <= n; fits += step {
				if got := a.UsableSize(layout(fits, align)); got != n {
					t.Fatalf("align %d: size %d has class %d, but %d, which fits, has class %d", align, size, n, fits, got)
				}
			}
		}
	}
}

func TestABlockIsAsLongAsItsClass(t *testing.T) {
	a := jemalloc.Allocator
	for _, size := range []uintptr{1, 100, 5000, 20_000, 1 << 20, 5<<20 + 1} {
		l := layout(size, 8)
		b, err := a.Allocate(l)
		if err != nil || uintptr(len(b)) != a.UsableSize(l) || cap(b) != len(b) {
			t.Errorf("size %d: block of %d bytes, error %v; UsableSize says %d", size, len(b), err, a.UsableSize(l))
		}
		a.Deallocate(unsafe.Pointer(&b[0]), layout(uintptr(len(b)), 8)) // any size that fits
	}
}

func TestResizeWithinTheClassAndOfLargeBlocks(t *testing.T) {
	a := jemalloc.Allocator
	for _, c := range []struct {
		size, to uintptr
		want     bool
	}{
		{100, 112, true}, {100, 97, true}, {112, 100, true}, // class 112
		{100, 113, false}, {100, 96, false}, // other classes
		{1 << 20, 1, false}, {1 << 20, 8 << 10, false}, // a large block does not become a small one
		{4 << 20, 1 << 20, true}, // and shrinks where it is
		{100, math.MaxUint, false}, {100, 0, false},
	} {
		l := layout(c.size, 8)
		p := a.Alloc(l)
		if got := a.Resize(p, l, c.to); got != c.want {
			t.Errorf("Resize from %d to %d = %v", c.size, c.to, got)
		} else if got {
			l = layout(c.to, 8)
		}
		a.Dealloc(p, l)
	}
}

func TestGrowZeroedClearsWhatWasWrittenBeyondTheSize(t *testing.T) {
	a := jemalloc.Allocator
	for _, c := range []struct{ size, grown uintptr }{{100, 104}, {100, 1000}, {5000, 5100}, {5000, 50_000}, {1 << 20, 1<<20 + 1}, {1<<20 + 1, 4 << 20}} {
		l := layout(c.size, 8)
		b := galloc.Must(a.Allocate(l))
		for i := range b {
			b[i] = 0xaa
		}
		b, err := a.GrowZeroed(unsafe.Pointer(&b[0]), l, layout(c.grown, 8))
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			if kept := uintptr(i) < c.size; kept != (b[i] == 0xaa) || !kept && b[i] != 0 {
				t.Fatalf("from %d to %d bytes: byte %d is %#x", c.size, c.grown, i, b[i])
			}
		}
		a.Deallocate(unsafe.Pointer(&b[0]), layout(c.grown, 8))
	}
}

func TestSizesTooLargeAreRefused(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("on this platform every size may be available")
	}
	const lg56 = math.MaxInt>>7 + 1 // 1<<56, but where an int has 32 bits this must compile
	a := jemalloc.Allocator
	for _, c := range []struct {
		l    galloc.Layout
		want error
	}{
		{layout(lg56>>9, 8), galloc.ErrOutOfMemory}, // asked of the library
		{layout(lg56, 64), galloc.ErrOutOfMemory},
		{layout(1, lg56), galloc.ErrOutOfMemory},
		{layout(7*lg56, 1), galloc.ErrOutOfMemory},
		{layout(7*lg56+1, 1), galloc.ErrUnsupported},
		{layout(1, lg56<<6), galloc.ErrUnsupported},
		{layout(math.MaxInt, 1), galloc.ErrUnsupported},
	} {
		if b, err := a.Allocate(c.l); b != nil || err != c.want {
			t.Errorf("Allocate(%v): %d bytes, error %v, want %v", c.l, len(b), err, c.want)
		}
		if b, err := a.AllocateZeroed(c.l); b != nil || err != c.want {
			t.Errorf("AllocateZeroed(%v): %d bytes, error %v, want %v", c.l, len(b), err, c.want)
		}
		if a.Alloc(c.l) != nil || a.AllocZeroed(c.l) != nil {
			t.Errorf("Alloc(%v) or AllocZeroed returns a block", c.l)
		}
		if n := a.UsableSize(c.l); n < c.l.Size() {
			t.Errorf("UsableSize(%v) = %d", c.l, n)
		}
		if c.l.Align() <= 64 {
			l := layout(10, c.l.Align())
			p := a.Alloc(l)
			*(*byte)(p) = 42
			if a.Realloc(p, l, c.l.Size()) != nil || a.Resize(p, l, c.l.Size()) || *(*byte)(p) != 42 {
				t.Errorf("Realloc or Resize to %v succeeds, or touches the block", c.l)
			}
			for _, grow := range []func(unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error){a.Grow, a.GrowZeroed} {
				if b, err := grow(p, l, c.l); b != nil || err != c.want || *(*byte)(p) != 42 {
					t.Errorf("growing to %v: %d bytes, error %v, want %v", c.l, len(b), err, c.want)
				}
			}
			a.Dealloc(p, l)
		}
	}
	if a.Realloc(nil, galloc.Layout{}, math.MaxUint) != nil {
		t.Error("Realloc takes a size that no layout has")
	}
}

func TestTheWrongDirectionPanics(t *testing.T) {
	a, small, large := jemalloc.Allocator, layout(10, 8), layout(100, 8)
	for _, test := range []struct {
		want string
		f    func()
	}{
		{"galloc/jemalloc: Grow to a smaller size (10 < 100): use Shrink", func() { a.Grow(nil, large, small) }},
		{"galloc/jemalloc: Grow to a smaller size (10 < 100): use Shrink", func() { a.GrowZeroed(nil, large, small) }},
		{"galloc/jemalloc: Shrink to a larger size (100 > 10): use Grow", func() { a.Shrink(nil, small, large) }},
	} {
		func() {
			defer func() {
				if r := recover(); r != test.want {
					t.Errorf("panics with %v, want %q", r, test.want)
				}
			}()
			test.f()
		}()
	}
}

func TestNoGarbage(t *testing.T) {
	a, l := jemalloc.Allocator, layout(100, 64)
	n := testing.AllocsPerRun(100, func() {
		p := a.Realloc(a.AllocZeroed(l), l, 10_000)
		a.Dealloc(p, layout(10_000, 64))
		a.UsableSize(l)
		_, _ = jemalloc.ReadStats()
	})
	if n != 0 {
		t.Errorf("%v Go allocations per round", n)
	}
}

func TestItIsEquivalentToItselfAlone(t *testing.T) {
	a := galloc.Allocator(jemalloc.Allocator)
	if !galloc.Equivalent(a, jemalloc.Allocator) || galloc.Equivalent(a, galloc.System) || galloc.Equivalent(a, heap.Default()) {
		t.Error("jemalloc is not equivalent to jemalloc, or is to System or the heap")
	}
}

// build builds a program in testdata and returns where it is.
func build(t *testing.T, program string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here: ", err)
	}
	exe := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-tags", "galloc_jemalloc", "-o", exe, "./testdata/"+program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// If the allocator is chosen at link time, another package may allocate before this package is
// initialized.
func TestItWorksBeforeItsInit(t *testing.T) {
	cmd := exec.Command(build(t, "early"))
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	out, err := cmd.Output()
	if want := "early: true 0\nerrno: true true <nil>\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	first, root := strings.Index(trace.String(), "early/first @"), strings.Index(trace.String(), "init github.com/galloc-go/galloc @")
	if first < 0 || root < first {
		t.Errorf("the package that allocates was not initialized before the root:\n%s", &trace)
	}
	if strings.Contains(trace.String(), "galloc/jemalloc @") {
		t.Errorf("package jemalloc has something to initialise:\n%s", &trace)
	}
}

func TestAsTheGlobalAllocator(t *testing.T) {
	if os.Getenv("GALLOC_TEST_CHILD") == "global" {
		galloc.RegisterGlobal(jemalloc.Allocator)
		before, _ := jemalloc.ReadStats()
		s := galloc.Must(galloc.MakeSlice[uint64](nil, 1_000_000))
		after, _ := jemalloc.ReadStats()
		galloc.FreeSlice(nil, s)
		fmt.Printf("\n%v %s\n", after.Allocated-before.Allocated >= 8_000_000, galloc.DescribeGlobal())
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run", "^TestAsTheGlobalAllocator$")
	cmd.Env = append(os.Environ(), "GALLOC_TEST_CHILD=global")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\ntrue jemalloc "+jemalloc.Version()+", registered at ") {
		t.Errorf("%v\n%s", err, out)
	}
}

func layout(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic(err)
	}
	return l
}
