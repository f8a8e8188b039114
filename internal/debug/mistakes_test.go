package debug_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/vm"
)

// Of 64 goroutines that free one block, 63 make a mistake, whoever comes first.
func TestEachSecondFreeIsFound(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			b := setUp(t, o)
			for range 30 {
				p := b.Alloc(24, 8)
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() { b.Free(p, 24, 8) })
				}
				wg.Wait()
				for _, r := range b.found {
					if r.Kind != debug.DoubleFree || r.Block.Addr != uintptr(p) || len(r.Block.FreeStack) == 0 {
						t.Fatalf("found\n%v", r)
					}
				}
				if len(b.found) != 63 {
					t.Fatalf("%d mistakes", len(b.found))
				}
				b.found = nil
			}
		})
	}
}

// A handler may panic, or end the goroutine as t.Fatal does: all that belongs to the call is done nevertheless, and no lock is held.
func TestHandlerThatDoesNotReturn(t *testing.T) {
	for what, leave := range map[string]func(){"panics": func() { panic("mistake") }, "exits": runtime.Goexit} {
		for name, o := range map[string]debug.Options{"zones": {}, "no quarantine": {Quarantine: -1}, "small quarantine": {Quarantine: 100}, "start": {Guard: debug.AtStart}} {
			t.Run(what+" "+name, func(t *testing.T) {
				told := 0
				o.Handler = func(*debug.Report) { told++; leave() }
				b := setUp(t, o)
				do := func(f func()) {
					t.Helper()
					before, done := told, make(chan bool)
					go func() {
						defer close(done)
						defer func() { _ = recover() }()
						f()
					}()
					<-done
					if told != before+1 {
						t.Errorf("%d mistakes", told-before)
					}
				}
				p := b.Alloc(100, 8)
				*at(p, 100) = 1
				do(func() { b.Free(p, 100, 8) })
				do(func() { b.Free(p, 100, 8) })
				q := b.Alloc(100, 8)
				do(func() { b.Free(q, 99, 8) })
				do(func() { b.Free(unsafe.Add(q, 16), 84, 4) })
				*at(q, 100) = 1
				do(func() { b.CheckAll() })
				*at(q, 100) = 1
				do(func() { b.Change(q, 100, 8, 50, 8) })
				if name == "zones" {
					*at(q, 5) = 1 // it is in quarantine
					do(b.Drain)
				}
				for _, l := range b.Leaks(0) { // what Change has made, and could not return
					if l.Blocks != 1 || l.Bytes != 50 {
						t.Errorf("left: %v", l)
					}
				}
				b.Drain()
				if n := len(b.inner.live); n > 1 {
					t.Errorf("%d inner blocks are left", n)
				}
			})
		}
	}
}

// What a handler does may be a mistake again, and is told before the first call returns.
func TestHandlerThatMakesAMistake(t *testing.T) {
	var b *bench
	var kinds []debug.Kind
	b = setUp(t, debug.Options{Handler: func(r *debug.Report) {
		kinds = append(kinds, r.Kind)
		if len(kinds) == 1 {
			p := b.Alloc(50, 8)
			*at(p, 50) = 1
			b.Free(p, 50, 8)
			b.CheckAll()
			b.Drain()
			b.Leaks(0)
			b.Explain(r.Addr)
		}
	}})
	p := b.Alloc(24, 8)
	b.Free(p, 24, 8)
	b.Free(p, 24, 8)
	if !slices.Equal(kinds, []debug.Kind{debug.DoubleFree, debug.Overflow}) || b.Mistakes() != 2 {
		t.Error(kinds)
	}
}

func TestResetBlocksStayKnown(t *testing.T) {
	for name, o := range modes {
		b := setUp(t, o)
		live, freed := b.Alloc(100, 8), b.Alloc(200, 8)
		b.Free(freed, 200, 8)
		b.Reset()
		b.Free(live, 100, 8)
		if r := b.take(debug.DoubleFree, debug.OpFree); r.Block.Addr != uintptr(live) || !strings.Contains(r.Block.FreeStack.String(), "TestResetBlocksStayKnown") {
			t.Errorf("%s: %v", name, r)
		}
		b.Change(live, 100, 8, 150, 8)
		b.take(debug.UseAfterFree, debug.OpRealloc)
		b.Free(freed, 200, 8)
		if r := b.take(debug.DoubleFree, debug.OpFree); r.Block.Addr != uintptr(freed) {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// forgetful is an inner allocator that hands out one piece of memory again and again.
type forgetful struct {
	memory [512]uint64
	frees  int
}

func (f *forgetful) Alloc(size, align uintptr) unsafe.Pointer { return unsafe.Pointer(&f.memory) }
func (f *forgetful) Free(p unsafe.Pointer, size, align uintptr) {
	f.frees++
}

// An inner allocator that was reset hands out its memory again: that is said, and neither the old block nor the new one is taken for the other.
func TestOverlap(t *testing.T) {
	var found []*debug.Report
	inner := &forgetful{}
	d := debug.New(inner, debug.Options{Handler: func(r *debug.Report) { found = append(found, r) }})
	p := d.Alloc(100, 8)
	d.Free(p, 100, 8)
	if q := d.Alloc(200, 8); q != p || len(found) != 1 || found[0].Kind != debug.Overlap || found[0].Op != debug.OpAlloc || found[0].Block.Size != 100 || !found[0].Block.Freed {
		t.Fatalf("at %p and %p; found %v", p, q, found)
	}
	if text := found[0].String(); !strings.HasPrefix(text, "galloc: overlap: the inner allocator has handed out the memory of the freed 100-byte block (align 8) at 0x") {
		t.Error(text)
	}
	d.Drain()
	if inner.frees != 0 {
		t.Error("the new block is given back for the old one")
	}
	d.Free(p, 200, 8)
	d.Drain()
	if len(found) != 1 || inner.frees != 1 {
		t.Errorf("%d frees, found %v", inner.frees, found)
	}
	d.Adopt(p, 64, 8) // the garbage collector may take that back, and say nothing
	if q := d.Alloc(100, 8); q != p || len(found) != 1 {
		t.Errorf("found %v", found[1:])
	}
}

// A block that is too large for the quarantine does not push all others out of it.
func TestLargeBlocksPassTheQuarantine(t *testing.T) {
	b := setUp(t, debug.Options{Quarantine: 10_000})
	small, large := b.Alloc(24, 8), b.Alloc(100_000, 8)
	b.Free(small, 24, 8)
	*at(large, 100_000) = 1
	b.Free(large, 100_000, 8)
	b.take(debug.Overflow, debug.OpFree)
	if len(b.inner.live) != 1 {
		t.Errorf("%d are held", len(b.inner.live))
	}
	b.Free(large, 100_000, 8)
	if r := b.take(debug.DoubleFree, debug.OpFree); r.Block.Addr != uintptr(large) || len(r.Block.FreeStack) == 0 {
		t.Error(r)
	}
}

func TestSecondFreeOfAdopted(t *testing.T) {
	b := setUp(t, debug.Options{})
	p := b.inner.Alloc(64, 8)
	b.Adopt(p, 64, 8)
	b.Free(p, 64, 8)
	b.Free(p, 64, 8)
	if r := b.take(debug.DoubleFree, debug.OpFree); r.Block.Size != 64 || len(r.Block.AllocStack) == 0 || len(r.Block.FreeStack) == 0 {
		t.Error(r)
	}
}

func TestFreedBlockFreedAsOneOfSize0(t *testing.T) {
	for name, o := range modes {
		b := setUp(t, o)
		p := b.Alloc(64, 8)
		b.Free(p, 64, 8)
		b.FreeZero(p, 8)
		if r := b.take(debug.DoubleFree, debug.OpFree); r.Block.Addr != uintptr(p) {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// A write to a block of size 0 is found by whatever comes next.
func TestWriteToBlockOfSize0(t *testing.T) {
	defer clear(zeroSize[:])
	b := setUp(t, debug.Options{ZeroSize: func(uintptr) unsafe.Pointer { return unsafe.Pointer(&zeroSize) }})
	p := b.Alloc(24, 8)
	for what, next := range map[string]func(){
		"free":      func() { b.Free(b.Alloc(24, 8), 24, 8) },
		"realloc":   func() { p = b.Change(p, 24, 8, 24, 8) },
		"free zero": func() { b.FreeZero(unsafe.Pointer(&zeroSize), 1) },
		"drain":     b.Drain,
		"in place":  func() { b.Check(debug.OpRealloc, p, 24, 8) },
		"check":     func() { b.CheckAll() },
	} {
		zeroSize[2], zeroSize[5] = 'a', 'z'
		next()
		r := b.take(debug.ZeroSize, debug.OpVerify)
		if r.Bytes != 2 || r.Addr != uintptr(unsafe.Pointer(&zeroSize[2])) || r.Last != r.Addr+3 || string(r.Written) != "a\x00\x00z" || r.Block.Addr != 0 {
			t.Errorf("%s: %v", what, r)
		}
		next()
		b.quiet()
	}
}

// Beside large blocks more is watched.
func TestZonesGrow(t *testing.T) {
	for _, c := range []struct {
		size uintptr
		zone int
	}{{256, 32}, {800, 100}, {8000, 1000}, {1 << 20, 2048}} {
		b := setUp(t, debug.Options{})
		for _, off := range []int{-c.zone, int(c.size) + c.zone - 1} {
			p := b.Alloc(c.size, 1)
			*at(p, off) = 1
			b.Free(p, c.size, 1)
			if len(b.found) != 1 || b.found[0].Offset != off {
				t.Fatalf("size %d, byte %d: %v", c.size, off, b.found)
			}
			b.found = nil
		}
	}
	b := setUp(t, debug.Options{RedZone: -1})
	b.Alloc(8000, 8)
	for _, n := range b.inner.live {
		if n != 8000 {
			t.Errorf("without zones, it takes %d bytes", n)
		}
	}
}

func TestReportShowsWhatWasWritten(t *testing.T) {
	b := setUp(t, debug.Options{})
	p := b.Alloc(24, 8)
	copy(unsafe.Slice(at(p, 25), 30), "hello, world!\x00\xff, and more")
	*at(p, 24+31) = '!'
	b.Free(p, 24, 8)
	r := b.take(debug.Overflow, debug.OpFree)
	want := fmt.Sprintf("what was written (.. is as it was before):\n"+
		"\t%#x: 68 65 6c 6c 6f 2c 20 77 6f 72 6c 64 21 00 ff 2c  hello, world!..,\n"+
		"\t%#x: 20 61 6e 64 20 6d 6f 72 65 .. .. .. .. .. 21      and more.....!\n", uintptr(p)+25, uintptr(p)+41)
	if !strings.HasSuffix(r.String(), want) {
		t.Errorf("%q is not at the end of\n%v", want, r)
	}
	q := b.Alloc(300, 8)
	b.Free(q, 300, 8)
	clear(unsafe.Slice(at(q, 100), 200))
	b.CheckAll()
	if r := b.take(debug.UseAfterFree, debug.OpVerify); len(r.Written) != 64 || strings.Count(r.String(), ": 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ....") != 4 {
		t.Errorf("%v", r)
	}
	*at(q, 7) = 9
	b.CheckAll()
	if r := b.take(debug.UseAfterFree, debug.OpVerify); len(r.Written) != 1 || r.Written[0] != 9 {
		t.Errorf("%v", r)
	}
}

// The pool's gaps belong to the nearer block, and what is beyond them all to none.
func TestFreesBetweenGuardedBlocks(t *testing.T) {
	page := vm.PageSize()
	b := setUp(t, debug.Options{Guard: debug.AtEnd})
	p, q := b.Alloc(24, 8), b.Alloc(2000, 8)
	if uintptr(q) < uintptr(p) {
		t.Fatal("the first slots are in order")
	}
	for off, want := range map[uintptr]unsafe.Pointer{page / 2: p, page * 3 / 4: p, uintptr(q) - uintptr(p) - 24 - 8: q, uintptr(q) - uintptr(p) + 2000: q} {
		b.Free(unsafe.Add(p, 24+off), 24, 8)
		if r := b.take(debug.InteriorFree, debug.OpFree); r.Block.Addr != uintptr(want) || r.Addr != uintptr(p)+24+off {
			t.Errorf("%d behind %p: %v", off, p, r)
		}
	}
	far := unsafe.Add(q, 2000+page)
	b.Free(far, 24, 8)
	if r := b.take(debug.ForeignFree, debug.OpFree); r.Block.Addr != 0 {
		t.Error(r)
	}
	if r := b.Explain(uintptr(far)); r.Kind != debug.WildAccess {
		t.Error(r)
	}
	if r := b.Explain(uintptr(far) - 1); r.Kind != debug.Overflow || r.Block.Addr != uintptr(q) {
		t.Error(r)
	}
	b.Free(p, 24, 8)
	b.Free(q, 2000, 8)
	b.quiet()
}

func TestExplainOfNothingWrong(t *testing.T) {
	b := setUp(t, debug.Options{})
	p := b.Alloc(24, 8)
	r := b.Explain(uintptr(p) + 5)
	if text := r.Error(); r.Kind != 0 || !strings.HasPrefix(text, "no mistake: 0x") || !strings.Contains(text, " is 5 bytes into the 24-byte block (align 8) at 0x") {
		t.Error(text)
	}
}

// call allocates by one of two calls for each of depth bits: 2^depth different stacks.
func call(b *bench, bits, depth int) unsafe.Pointer {
	switch {
	case depth == 0:
		return b.Alloc(8, 8)
	case bits&1 == 0:
		return call(b, bits>>1, depth-1)
	}
	return call(b, bits>>1, depth-1)
}

// However many ways lead to an allocation, the table of stacks has a bound, and a stack that is new is cut to what is near.
func TestStacksAreBounded(t *testing.T) {
	b := setUp(t, debug.Options{})
	b.LimitStacks(10)
	for i := range 1 << 10 {
		call(b, i, 10)
	}
	if n := b.KnownStacks(); n < 100 || n > 320 {
		t.Errorf("%d stacks", n)
	}
	short, blocks := 0, 0
	for _, l := range b.Leaks(0) {
		blocks += l.Blocks
		if n := len(l.Stack); n > 0 && n <= 8 {
			short += l.Blocks
			if !strings.Contains(l.Stack.String(), "debug_test.call\n") {
				t.Fatal(l)
			}
		}
	}
	if blocks != 1<<10 || short < 800 {
		t.Errorf("%d blocks, %d with stacks that are cut", blocks, short)
	}
}

// Of all blocks that were at an address, the latest is meant.
func TestLateFreesAreAboutTheLatestBlock(t *testing.T) {
	var found []*debug.Report
	d := debug.New(&forgetful{}, debug.Options{Quarantine: -1, Handler: func(r *debug.Report) { found = append(found, r) }})
	var p unsafe.Pointer
	for size := uintptr(100); size > 90; size-- {
		p = d.Alloc(size, 8)
		d.Free(p, size, 8)
	}
	d.Free(p, 91, 8)
	d.Free(unsafe.Add(p, 8), 91, 8)
	if len(found) != 2 || found[0].Kind != debug.DoubleFree || found[0].Block.Size != 91 || found[1].Kind != debug.InteriorFree || found[1].Block.Size != 91 {
		t.Errorf("found %v", found)
	}
}

// New memory and freed memory look like nothing that a program would take for its own.
func TestWhatBlocksAreFilledWith(t *testing.T) {
	for name, o := range modes {
		b := setUp(t, o)
		for _, size := range []uintptr{1, 100, 10_000} {
			p := b.Alloc(size, 8)
			for i := range int(size) {
				if *at(p, i) != 0xa5 {
					t.Fatalf("%s: byte %d of %d is %#x", name, i, size, *at(p, i))
				}
			}
			b.Free(p, size, 8)
			if _, crash := b.Guards(); crash {
				continue
			}
			for i := range int(size) {
				if *at(p, i) != 0x5a {
					t.Fatalf("%s: byte %d of %d, freed, is %#x", name, i, size, *at(p, i))
				}
			}
		}
	}
}

type fault uintptr

func (fault) Error() string   { return "fault" }
func (fault) RuntimeError()   {}
func (f fault) Addr() uintptr { return uintptr(f) }

// When a crash is looked into, its address may be that of another block already, which is not to be blamed.
func TestFaultWhereThereIsABlockAgain(t *testing.T) {
	b := setUp(t, debug.Options{Guard: debug.AtEnd})
	p := b.Alloc(24, 8)
	if r := b.Fault(fault(uintptr(p) + 3)); r == nil || r.Kind != debug.WildAccess || r.Block.Addr != 0 {
		t.Error(r)
	}
	b.Free(p, 24, 8)
	if r := b.Fault(fault(uintptr(p) + 3)); r == nil || r.Kind != debug.UseAfterFree || r.Offset != 3 {
		t.Error(r)
	}
	if r := b.Fault(fault(uintptr(unsafe.Pointer(&zeroSize)))); r != nil {
		t.Error(r)
	}
}

// A test that ends has its blocks verified.
func TestCheckLeaksVerifies(t *testing.T) {
	b := setUp(t, debug.Options{})
	f := &fake{}
	b.CheckLeaks(f)
	p := b.Alloc(24, 8)
	b.Free(p, 24, 8)
	*at(p, 9) = 1
	f.cleanup()
	if r := b.take(debug.UseAfterFree, debug.OpVerify); r.Offset != 9 || f.failed != "" {
		t.Error(r, f.failed)
	}
}

// A write to a freed block is found after as many frees as there are freed blocks.
func TestFreedBlocksAreVerifiedInTurn(t *testing.T) {
	for _, which := range []int{0, 1, 50, 98, 99} {
		b := setUp(t, debug.Options{})
		var ps []unsafe.Pointer
		for range 100 {
			ps = append(ps, b.Alloc(24, 8))
		}
		for _, p := range ps {
			b.Free(p, 24, 8)
		}
		*at(ps[which], 3) = 1
		for range 101 {
			b.Free(b.Alloc(24, 8), 24, 8)
		}
		if r := b.take(debug.UseAfterFree, debug.OpVerify); r.Block.Addr != uintptr(ps[which]) || r.Offset != 3 {
			t.Error(r)
		}
	}
	b := setUp(t, debug.Options{Quarantine: 100 * (24 + 64)}) // as many come as go
	for range 300 {
		b.Free(b.Alloc(24, 8), 24, 8)
	}
	for range 20 {
		p := b.Alloc(24, 8)
		b.Free(p, 24, 8)
		*at(p, 3) = 1
		for i := 0; len(b.found) == 0; i++ {
			if b.Free(b.Alloc(24, 8), 24, 8); i > 101 {
				t.Fatal("not found")
			}
		}
		b.take(debug.UseAfterFree, debug.OpVerify)
	}
}
