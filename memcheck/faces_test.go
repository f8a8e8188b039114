package memcheck_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	rtdebug "runtime/debug"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/heap"
	checker "github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

// collect returns a Checker in front of a, and a function that returns the reports since its last
// call.
func collect(a galloc.Allocator, o memcheck.Options) (d *memcheck.Checker, found func() []*memcheck.Report) {
	var mu sync.Mutex
	var all []*memcheck.Report
	o.OnMisuse = func(r *memcheck.Report) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
	}
	d = memcheck.New(a, o)
	return d, func() []*memcheck.Report {
		mu.Lock()
		defer mu.Unlock()
		found := all
		all = nil
		return found
	}
}

// Of memory with Go pointers, the address, the size and whether it was freed are checked.
func TestMemoryWithGoPointers(t *testing.T) {
	d, found := collect(galloc.GoHeap, memcheck.Options{})
	s := galloc.Must(galloc.MakeSlice[*int](d, 10))
	for i := range s {
		s[i] = new(int)
	}
	for _, c := range []struct {
		what string
		do   func()
		kind memcheck.Kind
	}{
		{"less capacity", func() { galloc.FreeSlice(d, s[:5:5]) }, memcheck.WrongLayout},
		{"from the second on", func() { galloc.FreeSlice(d, s[1:]) }, memcheck.InteriorFree},
		{"right", func() { galloc.FreeSlice(d, s) }, 0},
		{"twice", func() { galloc.FreeSlice(d, s) }, memcheck.DoubleFree},
		{"never allocated", func() { galloc.Free(d, new(*int)) }, memcheck.ForeignFree},
	} {
		c.do()
		f := found()
		switch {
		case c.kind == 0 && len(f) != 0, c.kind != 0 && (len(f) != 1 || f[0].Kind != c.kind):
			t.Errorf("%s: found %v", c.what, f)
		case c.kind != 0 && c.kind != memcheck.ForeignFree && len(f[0].Block.AllocStack) == 0:
			t.Errorf("%s: no stack", c.what)
		}
	}
	runtime.KeepAlive(s)
	galloc.FreeSlice(d, galloc.Must(galloc.MakeSlice[*int](d, 0)))
	if f := found(); len(f) != 0 {
		t.Errorf("size 0: found %v", f)
	}
}

// After galloc.Reset of a Checker in front of an arena, the blocks count as freed. A Reset of the
// arena itself is an Overlap.
func TestArena(t *testing.T) {
	arena := bump.New(heap.Default())
	d, found := collect(arena, memcheck.Options{})
	p := d.Alloc(layout(100, 8))
	*offset(p, 100) = 1
	_ = galloc.Reset(d)
	if f := found(); len(f) != 1 || f[0].Kind != memcheck.Overflow || f[0].Op != memcheck.OpVerify {
		t.Errorf("found %v", f)
	}
	d.Dealloc(p, layout(100, 8))
	f := found()
	if len(f) != 1 || f[0].Kind != memcheck.DoubleFree {
		t.Fatalf("found %v", f)
	}
	if !strings.Contains(f[0].Block.FreeStack.String(), "TestArena") {
		t.Errorf("found %v", f)
	}
	d.Dealloc(d.Alloc(layout(100, 8)), layout(100, 8))
	d.CheckAll()
	if f := found(); len(f) != 0 {
		t.Errorf("found %v", f)
	}
	arena.Reset() // unknown to d
	for range 3 {
		d.Alloc(layout(100, 8))
	}
	f = found()
	if len(f) == 0 || f[0].Kind != memcheck.Overlap || !strings.Contains(f[0].Error(), "was that allocator reset") {
		t.Errorf("found %v", f)
	}
	arena.Close()
}

// Misuse by many goroutines at once is reported on each of them, with its stack.
func TestManyGoroutines(t *testing.T) {
	var mu sync.Mutex
	kinds := map[memcheck.Kind]int{}
	a := memcheck.New(heap.Default(), memcheck.Options{OnMisuse: func(r *memcheck.Report) {
		mu.Lock()
		defer mu.Unlock()
		kinds[r.Kind]++
		if !strings.Contains(r.String(), "TestManyGoroutines") {
			t.Errorf("no stack in\n%v", r)
		}
	}})
	const rounds = 20
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range rounds {
				p, q := a.Alloc(layout(40, 8)), a.Alloc(layout(1000, 8))
				a.Dealloc(p, layout(41, 8))
				*offset(p, 40) = 1
				a.Dealloc(p, layout(40, 8))
				a.Dealloc(p, layout(40, 8))
				a.Dealloc(unsafe.Add(q, 8), layout(40, 8))
				*offset(q, -1) = 1
				a.Dealloc(q, layout(1000, 8))
			}
		})
	}
	wg.Wait()
	a.CheckAll()
	for _, kind := range []memcheck.Kind{
		memcheck.WrongLayout, memcheck.Overflow, memcheck.DoubleFree, memcheck.InteriorFree, memcheck.Underflow,
	} {
		if kinds[kind] != 64*rounds {
			t.Errorf("%v: %d", kind, kinds[kind])
		}
	}
	if a.Misuses() != 5*64*rounds {
		t.Errorf("%d misuses: %v", a.Misuses(), kinds)
	}
}

// ReportLeaks, which main defers, finds writes since the last free.
func TestReportLeaksVerifies(t *testing.T) {
	d, found := collect(heap.Default(), memcheck.Options{})
	p := d.Alloc(layout(24, 8))
	d.Dealloc(p, layout(24, 8))
	*offset(p, 3) = 1
	var text strings.Builder
	if n := d.ReportLeaks(&text); n != 0 || text.Len() != 0 {
		t.Errorf("%d leaks: %s", n, &text)
	}
	if f := found(); len(f) != 1 || f[0].Kind != memcheck.UseAfterFree || f[0].Offset != 3 {
		t.Errorf("found %v", f)
	}
	for range 3 {
		d.Alloc(layout(24, 8))
	}
	const want = "galloc: leaks: 72 bytes in 3 blocks not freed, allocated at 1 place\n"
	if n := d.ReportLeaks(&text); n != 3 || !strings.HasPrefix(text.String(), want) {
		t.Errorf("%d leaks: %s", n, &text)
	}
}

// CatchPageFaults is for one goroutine: an access is reported there, once, with the stack of the
// access.
func TestPageFaultIsReportedWhereItIs(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory do not crash")
	}
	d, found := collect(heap.Default(), memcheck.Options{Guard: memcheck.GuardEnd})
	p := d.Alloc(layout(64, 8))
	d.Dealloc(p, layout(64, 8))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			defer func() {
				r, ok := recover().(*memcheck.Report)
				if !ok || r.Kind != memcheck.UseAfterFree || r.Op != memcheck.OpAccess || r.Offset != 8*i {
					t.Errorf("recovered %v", r)
					return
				}
				var e error = r
				const top = "\tgithub.com/galloc-go/galloc/memcheck_test.touch\n"
				if !errors.As(e, &r) || !strings.HasPrefix(r.Stack.String(), top) {
					t.Errorf("the stack is\n%v", r.Stack)
				}
			}()
			defer d.CatchPageFaults()()
			touch(offset(p, 8*i))
		})
	}
	wg.Wait()
	if f := found(); len(f) != 8 {
		t.Errorf("%d reports", len(f))
	}
}

//go:noinline
func touch(p *byte) { *p = 1 }

// TestGlobalChild is the child process of TestGlobal.
func TestGlobalChild(t *testing.T) {
	what := os.Getenv(misuseVar + "_GLOBAL")
	if what == "" {
		t.Skip("for child processes")
	}
	if what == "registered" {
		galloc.RegisterGlobal(wrap.Stats(memcheck.New(galloc.System, memcheck.Options{})))
	}
	c := memcheck.Global()
	defer c.ReportLeaks(os.Stderr)
	defer c.CatchPageFaults()()
	l := layout(48, 8)
	p := galloc.Alloc(l)
	if r := c.Explain(uintptr(p) + 50); r == nil || r.Kind != memcheck.Overflow {
		fmt.Fprintf(os.Stderr, "Explain returns %v\n", r)
	}
	if c.Mark() != 1 || c.Misuses() != 0 || c.CheckAll() != 0 || len(c.Leaks(0)) != 1 {
		fmt.Fprintf(os.Stderr, "mark %d, %d misuses, %v\n", c.Mark(), c.Misuses(), c.Leaks(0))
	}
	switch what {
	case "write at the end", "registered":
		galloc.Dealloc(p, l)
		*offset(p, 7) = 1
	case "access":
		galloc.Dealloc(p, l)
		sink = *offset(p, 7)
	}
}

// Global answers for the checker of the global allocator, and finds nothing if there is none.
func TestGlobal(t *testing.T) {
	c := memcheck.Global()
	var text strings.Builder
	defer c.CatchPageFaults()()
	p := galloc.Alloc(layout(24, 8))
	if strings.Contains(galloc.DescribeGlobal(), "memcheck(") {
		t.Skip("the tests themselves run with a memory checker")
	}
	if c.CheckAll() != 0 || c.Misuses() != 0 || c.Mark() != 0 || c.Leaks(0) != nil ||
		c.ReportLeaks(&text) != 0 || text.Len() != 0 || c.Explain(uintptr(p)) != nil {
		t.Error("something is known, though the global allocator is not checked")
	}
	c.Drain()
	c.CheckLeaks(t)
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	for _, child := range []struct{ what, env, say string }{
		{"write at the end", "debug", "use after free: 1 byte was written, 7 bytes into the freed 48-byte block"},
		{"access", "debug,guard=end", "galloc: use after free: access to 0x…, 7 bytes into the freed 48-byte block"},
		{
			"leak", "debug", "galloc: leaks: 48 bytes in 1 block not freed, allocated at 1 place\n" +
				"48 bytes in 1 block (allocation 1), allocated at …faces_test.go:… by galloc.Alloc:\n" +
				"\tgithub.com/galloc-go/galloc/memcheck_test.TestGlobalChild\n",
		},
		{"registered", "", "galloc: use after free: 1 byte was written, 7 bytes into the freed 48-byte block"},
	} {
		if vm.GoMemory && child.what == "access" {
			continue // it does not crash
		}
		cmd := exec.Command(galloc.Must(os.Executable()), "-test.run=^TestGlobalChild$")
		cmd.Env = append(os.Environ(), misuseVar+"_GLOBAL="+child.what, "GALLOC="+child.env)
		var out bytes.Buffer
		cmd.Stderr = &out
		err := cmd.Run()
		said := strings.HasPrefix(out.String(), "galloc: ") && says(out.String(), child.say)
		if !said || (err == nil) != (child.what == "leak") {
			t.Errorf("%s: it ends with %v:\n%s", child.what, err, &out)
		}
	}
	galloc.Dealloc(p, layout(24, 8))
}

// CatchPageFaults restores the goroutine's setting.
func TestCatchPageFaultsRestores(t *testing.T) {
	d := memcheck.New(heap.Default(), failing(t, memcheck.Options{}))
	for _, want := range []bool{true, false} {
		was := rtdebug.SetPanicOnFault(want)
		d.CatchPageFaults()()
		if got := rtdebug.SetPanicOnFault(was); got != want {
			t.Errorf("it was %v, and is %v", want, got)
		}
	}
}

// A crash elsewhere passes CatchPageFaults, and may be reported by another Checker.
func TestOtherPageFaultsPass(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory do not crash")
	}
	elsewhere := galloc.Must(vm.Reserve(vm.PageSize(), 0))
	outer, foundOuter := collect(heap.Default(), memcheck.Options{Guard: memcheck.GuardEnd})
	inner, foundInner := collect(heap.Default(), memcheck.Options{Guard: memcheck.GuardEnd})
	p := outer.Alloc(layout(8, 8))
	for _, at := range []unsafe.Pointer{elsewhere, unsafe.Add(p, 8)} {
		func() {
			defer func() {
				switch v := recover().(type) {
				case *memcheck.Report:
					if at == elsewhere || v.Addr != uintptr(at) {
						t.Errorf("reported: %v", v)
					}
				case interface{ Addr() uintptr }:
					if at != elsewhere || v.Addr() != uintptr(at) {
						t.Errorf("recovered %v", v)
					}
				default:
					t.Errorf("recovered %v", v)
				}
			}()
			defer outer.CatchPageFaults()()
			defer inner.CatchPageFaults()()
			touch((*byte)(at))
		}()
	}
	if len(foundInner()) != 0 || len(foundOuter()) != 1 {
		t.Error("not one report, of the outer one")
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	for want, o := range map[string]memcheck.Options{
		"galloc/memcheck: Options.StackDepth is 65: it must be at most 64":                                            {StackDepth: 65},
		"galloc/memcheck: Options.RedZone is 1048577: it must be at most 1048576":                                     {RedZone: 1<<20 + 1},
		"galloc/memcheck: Options.Sample is -1: it must not be negative":                                              {Sample: -1},
		"galloc/memcheck: Options.GuardLimit is -1: it must not be negative":                                          {GuardLimit: -1},
		"galloc/memcheck: Options.Guard is 4: it must be at most 3":                                                   {Guard: 4},
		"galloc/memcheck: Options: there are options of guarded blocks, but no block is guarded: add Guard or Sample": {GuardGap: 1},
		"galloc/memcheck: Options: GuardMin is more than GuardMax (2 > 1), so that no block is guarded: make it less": {Sample: 1, GuardMin: 2, GuardMax: 1},
	} {
		func() {
			defer func() {
				if v := recover(); v != want {
					t.Errorf("%v, not %s", v, want)
				}
			}()
			memcheck.New(nil, o)
		}()
	}
	o := memcheck.Options{StackDepth: 64, RedZone: 1 << 20, Quarantine: math.MaxInt, Sample: math.MaxInt32}
	memcheck.New(nil, failing(t, o))
}

// The constants have the values and the strings of the internal packages.
func TestConstants(t *testing.T) {
	for k, want := range map[memcheck.Kind]misuse.Kind{
		0:                     0,
		memcheck.DoubleFree:   misuse.DoubleFree,
		memcheck.ForeignFree:  misuse.ForeignFree,
		memcheck.InteriorFree: misuse.InteriorFree,
		memcheck.WrongLayout:  misuse.WrongLayout,
		memcheck.ZeroSize:     misuse.ZeroSize,
		memcheck.Overflow:     misuse.Overflow,
		memcheck.Underflow:    misuse.Underflow,
		memcheck.UseAfterFree: misuse.UseAfterFree,
		memcheck.WildAccess:   misuse.WildAccess,
		memcheck.Overlap:      misuse.Overlap,
	} {
		if uint8(k) != uint8(want) || k.String() != want.String() {
			t.Errorf("%d is %v, not %v", k, k, want)
		}
	}
	for o, want := range map[memcheck.Op]checker.Op{
		memcheck.OpFree: checker.OpFree, memcheck.OpRealloc: checker.OpRealloc, memcheck.OpVerify: checker.OpVerify,
		memcheck.OpAccess: checker.OpAccess, memcheck.OpAlloc: checker.OpAlloc,
	} {
		if uint8(o) != uint8(want) || o.String() != want.String() {
			t.Errorf("%d is %v, not %v", o, o, want)
		}
	}
	for g, want := range map[memcheck.Guard]checker.Guard{
		memcheck.NoGuard: checker.NoGuard, memcheck.GuardEnd: checker.GuardEnd, memcheck.GuardStart: checker.GuardStart,
		memcheck.GuardEither: checker.GuardEither,
	} {
		if uint8(g) != uint8(want) {
			t.Errorf("%d is not %d", g, want)
		}
	}
}
