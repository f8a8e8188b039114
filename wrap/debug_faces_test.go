package wrap_test

import (
	"bytes"
	"errors"
	"fmt"
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
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/galloc-go/galloc/wrap"
)

// collect returns a Debug in front of a, and what it has found since the last look.
func collect(a galloc.Allocator, options ...wrap.DebugOption) (d wrap.Debugging, found func() []*wrap.Report) {
	var mu sync.Mutex
	var all []*wrap.Report
	d = wrap.Debug(a, append(options, wrap.OnMistake(func(r *wrap.Report) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
	}))...)
	return d, func() []*wrap.Report {
		mu.Lock()
		defer mu.Unlock()
		found := all
		all = nil
		return found
	}
}

// Memory with Go pointers in it is known by where it is, how large it is, and whether it was freed.
func TestDebugOfMemoryWithGoPointers(t *testing.T) {
	d, found := collect(galloc.GoHeap)
	s := galloc.Must(galloc.MakeSlice[*int](d, 10))
	for i := range s {
		s[i] = new(int)
	}
	for _, c := range []struct {
		what string
		do   func()
		kind wrap.MistakeKind
	}{
		{"less capacity", func() { galloc.FreeSlice(d, s[:5:5]) }, wrap.WrongLayout},
		{"from the second on", func() { galloc.FreeSlice(d, s[1:]) }, wrap.InteriorFree},
		{"right", func() { galloc.FreeSlice(d, s) }, 0},
		{"twice", func() { galloc.FreeSlice(d, s) }, wrap.DoubleFree},
		{"never allocated", func() { galloc.Free(d, new(*int)) }, wrap.ForeignFree},
	} {
		c.do()
		f := found()
		switch {
		case c.kind == 0 && len(f) != 0, c.kind != 0 && (len(f) != 1 || f[0].Kind != c.kind):
			t.Errorf("%s: found %v", c.what, f)
		case c.kind != 0 && c.kind != wrap.ForeignFree && len(f[0].Block.AllocStack) == 0:
			t.Errorf("%s: no stack", c.what)
		}
	}
	runtime.KeepAlive(s)
	galloc.FreeSlice(d, galloc.Must(galloc.MakeSlice[*int](d, 0)))
	if f := found(); len(f) != 0 {
		t.Errorf("size 0: found %v", f)
	}
}

// An arena is reset through the Debug in front of it: then its blocks are freed ones.
func TestDebugOfAnArena(t *testing.T) {
	arena := bump.New(heap.Default())
	d, found := collect(arena)
	p := d.Alloc(layout(100, 8))
	*offset(p, 100) = 1
	d.(galloc.Resetter).Reset()
	if f := found(); len(f) != 1 || f[0].Kind != wrap.Overflow || f[0].Op != wrap.AtVerify {
		t.Errorf("found %v", f)
	}
	d.Dealloc(p, layout(100, 8))
	if f := found(); len(f) != 1 || f[0].Kind != wrap.DoubleFree || !strings.Contains(f[0].Block.FreeStack.String(), "TestDebugOfAnArena") {
		t.Errorf("found %v", f)
	}
	d.Dealloc(d.Alloc(layout(100, 8)), layout(100, 8))
	d.CheckAll()
	if f := found(); len(f) != 0 {
		t.Errorf("found %v", f)
	}
	arena.Reset() // behind its back
	for range 3 {
		d.Alloc(layout(100, 8))
	}
	f := found()
	if len(f) == 0 || f[0].Kind != wrap.Overlap || !strings.Contains(f[0].Error(), "was it reset") {
		t.Errorf("found %v", f)
	}
	arena.Close()
}

// Each goroutine's mistakes are reported on it, with its own stacks, whatever the others do.
func TestDebugByManyGoroutines(t *testing.T) {
	var mu sync.Mutex
	kinds := map[wrap.MistakeKind]int{}
	a := wrap.Debug(heap.Default(), wrap.OnMistake(func(r *wrap.Report) {
		mu.Lock()
		defer mu.Unlock()
		kinds[r.Kind]++
		if !strings.Contains(r.String(), "TestDebugByManyGoroutines") {
			t.Errorf("no stack in\n%v", r)
		}
	}))
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
	for _, kind := range []wrap.MistakeKind{wrap.WrongLayout, wrap.Overflow, wrap.DoubleFree, wrap.InteriorFree, wrap.Underflow} {
		if kinds[kind] != 64*rounds {
			t.Errorf("%v: %d", kind, kinds[kind])
		}
	}
	if a.Mistakes() != 5*64*rounds {
		t.Errorf("%d mistakes: %v", a.Mistakes(), kinds)
	}
}

// ReportLeaks is what main defers: so it finds what was written since the last free.
func TestReportLeaksVerifies(t *testing.T) {
	d, found := collect(heap.Default())
	p := d.Alloc(layout(24, 8))
	d.Dealloc(p, layout(24, 8))
	*offset(p, 3) = 1
	var text strings.Builder
	if n := d.ReportLeaks(&text); n != 0 || text.Len() != 0 {
		t.Errorf("%d leaks: %s", n, &text)
	}
	if f := found(); len(f) != 1 || f[0].Kind != wrap.UseAfterFree || f[0].Offset != 3 {
		t.Errorf("found %v", f)
	}
	for range 3 {
		d.Alloc(layout(24, 8))
	}
	if n := d.ReportLeaks(&text); n != 3 || !strings.HasPrefix(text.String(), "galloc: 72 bytes in 3 blocks allocated at 1 place are not freed\n") {
		t.Errorf("%d leaks: %s", n, &text)
	}
}

// Faults is for one goroutine: an access is reported there, once, with the stack of the access.
func TestFaultsSayWhereTheAccessWas(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory do not crash")
	}
	d, found := collect(heap.Default(), wrap.Guard(wrap.AtEnd, 0, 0))
	p := d.Alloc(layout(64, 8))
	d.Dealloc(p, layout(64, 8))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			defer func() {
				r, ok := recover().(*wrap.Report)
				if !ok || r.Kind != wrap.UseAfterFree || r.Op != wrap.AtAccess || r.Offset != 8*i {
					t.Errorf("recovered %v", r)
					return
				}
				var e error = r
				if !errors.As(e, &r) || !strings.HasPrefix(r.Stack.String(), "\tgithub.com/galloc-go/galloc/wrap_test.touch\n") {
					t.Errorf("the stack is\n%v", r.Stack)
				}
			}()
			defer d.Faults()()
			touch(offset(p, 8*i))
		})
	}
	wg.Wait()
	if f := found(); len(f) != 8 {
		t.Errorf("%d mistakes", len(f))
	}
}

//go:noinline
func touch(p *byte) { *p = 1 }

// TestGlobalChecksChild is the child process of the next.
func TestGlobalChecksChild(t *testing.T) {
	what := os.Getenv(mistakeVar + "_GLOBAL")
	if what == "" {
		t.Skip("for child processes")
	}
	if what == "registered" {
		galloc.RegisterGlobal(wrap.Stats(wrap.Debug(galloc.System)))
	}
	c := wrap.GlobalChecks()
	defer c.ReportLeaks(os.Stderr)
	defer c.Faults()()
	l := layout(48, 8)
	p := galloc.Alloc(l)
	if r := c.Explain(uintptr(p) + 50); r == nil || r.Kind != wrap.Overflow || c.Mark() != 1 || c.Mistakes() != 0 || c.CheckAll() != 0 || len(c.Leaks(0)) != 1 {
		fmt.Fprintf(os.Stderr, "%v, mark %d\n", r, c.Mark())
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

// What finds mistakes for the global allocator, without the program being changed for it, can be asked.
func TestGlobalChecks(t *testing.T) {
	c := wrap.GlobalChecks()
	var text strings.Builder
	defer c.Faults()()
	p := galloc.Alloc(layout(24, 8))
	if strings.Contains(galloc.GlobalName(), "debug(") {
		t.Skip("the tests themselves run with a debug allocator")
	}
	if c.CheckAll() != 0 || c.Mistakes() != 0 || c.Mark() != 0 || c.Leaks(0) != nil || c.ReportLeaks(&text) != 0 || text.Len() != 0 || c.Explain(uintptr(p)) != nil {
		t.Error("something is known, where nothing looks after the global allocator")
	}
	c.Drain()
	c.CheckLeaks(t)
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	for _, child := range []struct{ what, env, say string }{
		{"write at the end", "debug", "galloc: use after free: 1 byte was written, 7 bytes into the freed 48-byte block"},
		{"access", "debug,guard=end", "galloc: use after free: access to 0x…, 7 bytes into the freed 48-byte block"},
		{"leak", "debug", "galloc: 48 bytes in 1 block allocated at 1 place are not freed\n48 bytes in 1 block, from allocation 1 on, allocated at …debug_faces_test.go:… by galloc.Alloc:\n\tgithub.com/galloc-go/galloc/wrap_test.TestGlobalChecksChild\n"},
		{"registered", "", "galloc: use after free: 1 byte was written, 7 bytes into the freed 48-byte block"},
	} {
		if vm.GoMemory && child.what == "access" {
			continue // it does not crash
		}
		cmd := exec.Command(galloc.Must(os.Executable()), "-test.run=^TestGlobalChecksChild$")
		cmd.Env = append(os.Environ(), mistakeVar+"_GLOBAL="+child.what, "GALLOC="+child.env)
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); !says(out.String(), child.say) || !strings.HasPrefix(out.String(), "galloc: ") || (err == nil) != (child.what == "leak") {
			t.Errorf("%s: it ends with %v:\n%s", child.what, err, &out)
		}
	}
	galloc.Dealloc(p, layout(24, 8))
}

// What a goroutine does with faults outside of Faults is as it was.
func TestFaultsRestores(t *testing.T) {
	d := wrap.Debug(heap.Default(), failOnMistake(t))
	for _, want := range []bool{true, false} {
		was := rtdebug.SetPanicOnFault(want)
		d.Faults()()
		if got := rtdebug.SetPanicOnFault(was); got != want {
			t.Errorf("it was %v, and is %v", want, got)
		}
	}
}

// A crash elsewhere is none of a Debug's, and goes on as it came: also to the Faults of another, to whom it may belong.
func TestFaultsElsewherePass(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory do not crash")
	}
	elsewhere := galloc.Must(vm.Reserve(vm.PageSize(), 0))
	outer, foundOuter := collect(heap.Default(), wrap.Guard(wrap.AtEnd, 0, 0))
	inner, foundInner := collect(heap.Default(), wrap.Guard(wrap.AtEnd, 0, 0))
	p := outer.Alloc(layout(8, 8))
	for _, at := range []unsafe.Pointer{elsewhere, unsafe.Add(p, 8)} {
		func() {
			defer func() {
				switch v := recover().(type) {
				case *wrap.Report:
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
			defer outer.Faults()()
			defer inner.Faults()()
			touch((*byte)(at))
		}()
	}
	if len(foundInner()) != 0 || len(foundOuter()) != 1 {
		t.Error("not one mistake, of the outer one")
	}
}

func TestOptionsOfDebugOutOfRange(t *testing.T) {
	for want, option := range map[string]func(){
		"galloc/wrap: Stacks of more than 64 calls": func() { wrap.Stacks(65) },
		"galloc/wrap: RedZone of more than 1 MiB":   func() { wrap.RedZone(1<<20 + 1) },
		"galloc/wrap: Quarantine is too large":      func() { wrap.Quarantine(^uintptr(0)) },
		"galloc/wrap: Sample(0): 1 of how many?":    func() { wrap.Sample(0) },
	} {
		func() {
			defer func() {
				if v := recover(); v != want {
					t.Errorf("%v, not %s", v, want)
				}
			}()
			option()
		}()
	}
	wrap.Debug(nil, wrap.Stacks(64), wrap.RedZone(1<<20), wrap.Quarantine(^uintptr(0)>>1), wrap.Sample(^uint32(0)), failOnMistake(t))
}
