package memcheck_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/vm"
)

// If 64 goroutines free one block, 63 double frees are reported.
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
					if r.Kind != misuse.DoubleFree || r.Block.Addr != uintptr(p) || len(r.Block.FreeStack) == 0 {
						t.Fatalf("found\n%v", r)
					}
				}
				if len(b.found) != 63 {
					t.Fatalf("%d reports", len(b.found))
				}
				b.found = nil
			}
		})
	}
}

// OnMisuse may panic, or end the goroutine as t.Fatal does. The call is completed before, and no
// lock is held.
func TestOnMisuseThatDoesNotReturn(t *testing.T) {
	for what, leave := range map[string]func(){"panics": func() { panic("misuse") }, "exits": runtime.Goexit} {
		for name, o := range map[string]memcheck.Options{
			"zones":            {},
			"no quarantine":    {Quarantine: -1},
			"small quarantine": {Quarantine: 100},
			"start":            {Guard: memcheck.GuardStart},
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				reports := 0
				o.OnMisuse = func(*memcheck.Report) { reports++; leave() }
				b := setUp(t, o)
				do := func(f func()) {
					t.Helper()
					before, done := reports, make(chan bool)
					go func() {
						defer close(done)
						defer func() { _ = recover() }()
						f()
					}()
					<-done
					if reports != before+1 {
						t.Errorf("%d reports", reports-before)
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
				do(func() { b.Realloc(q, 100, 8, 50, 8) })
				if name == "zones" {
					*at(q, 5) = 1 // it is in quarantine
					do(b.Drain)
				}
				for _, l := range b.Leaks(0) { // Realloc could not return its block
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

// Misuse by OnMisuse itself is reported before the first call of it returns.
func TestOnMisuseThatMisuses(t *testing.T) {
	var b *bench
	var kinds []misuse.Kind
	b = setUp(t, memcheck.Options{OnMisuse: func(r *memcheck.Report) {
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
	if !slices.Equal(kinds, []misuse.Kind{misuse.DoubleFree, misuse.Overflow}) || b.Misuses() != 2 {
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
		r := b.take(misuse.DoubleFree, memcheck.OpFree)
		if r.Block.Addr != uintptr(live) || !strings.Contains(r.Block.FreeStack.String(), "TestResetBlocksStayKnown") {
			t.Errorf("%s: %v", name, r)
		}
		b.Realloc(live, 100, 8, 150, 8)
		b.take(misuse.UseAfterFree, memcheck.OpRealloc)
		b.Free(freed, 200, 8)
		if r := b.take(misuse.DoubleFree, memcheck.OpFree); r.Block.Addr != uintptr(freed) {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// forgetful is an inner allocator that always returns the same memory.
type forgetful struct {
	memory [512]uint64
	frees  int
}

func (f *forgetful) Alloc(size, align uintptr) unsafe.Pointer { return unsafe.Pointer(&f.memory) }
func (f *forgetful) Free(p unsafe.Pointer, size, align uintptr) {
	f.frees++
}

func (f *forgetful) AllocZeroed(size, align uintptr) unsafe.Pointer { panic("not used") }

func (f *forgetful) Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	panic("not used")
}

// An inner allocator that was reset returns its memory again. That is reported, and the old and the
// new block are distinguished.
func TestOverlap(t *testing.T) {
	var found []*memcheck.Report
	inner := &forgetful{}
	d := memcheck.New(inner, memcheck.Options{OnMisuse: func(r *memcheck.Report) { found = append(found, r) }})
	p := d.Alloc(100, 8)
	d.Free(p, 100, 8)
	if q := d.Alloc(200, 8); q != p || len(found) != 1 {
		t.Fatalf("at %p and %p; found %v", p, q, found)
	}
	if r := found[0]; r.Kind != misuse.Overlap || r.Op != memcheck.OpAlloc || r.Block.Size != 100 || !r.Block.Freed {
		t.Fatalf("found %v", r)
	}
	const want = "galloc: overlap: the allocator inside has returned the memory of " +
		"the freed 100-byte block (align 8) at 0x"
	if text := found[0].String(); !strings.HasPrefix(text, want) {
		t.Error(text)
	}
	d.Drain()
	if inner.frees != 0 {
		t.Error("the new block is freed in place of the old one")
	}
	d.Free(p, 200, 8)
	d.Drain()
	if len(found) != 1 || inner.frees != 1 {
		t.Errorf("%d frees, found %v", inner.frees, found)
	}
	d.Adopt(p, 64, 8) // the garbage collector may free that unnoticed
	if q := d.Alloc(100, 8); q != p || len(found) != 1 {
		t.Errorf("found %v", found[1:])
	}
}

// A block that is too large for the quarantine does not evict all others. It is kept until another
// such block is freed, and a write to it is found.
func TestLargeBlocksPassTheQuarantine(t *testing.T) {
	b := setUp(t, memcheck.Options{Quarantine: 10_000})
	small, large := b.Alloc(24, 8), b.Alloc(100_000, 8)
	b.Free(small, 24, 8)
	*at(large, 100_000) = 1
	b.Free(large, 100_000, 8)
	b.take(misuse.Overflow, memcheck.OpFree)
	if len(b.inner.live) != 2 {
		t.Errorf("%d blocks are held", len(b.inner.live))
	}
	for _, i := range []int{0, 50_000, 99_999} {
		*at(large, i) = 1
		for frees := 0; len(b.found) == 0; frees++ { // each verifies a piece
			if frees > 100_000/(16<<10)+1 {
				t.Fatalf("a write to byte %d is not found by %d frees", i, frees)
			}
			b.Free(b.Alloc(24, 8), 24, 8)
		}
		if r := b.take(misuse.UseAfterFree, memcheck.OpVerify); r.Block.Addr != uintptr(large) {
			t.Errorf("byte %d: %v", i, r)
		}
	}
	b.Free(large, 100_000, 8)
	if r := b.take(misuse.DoubleFree, memcheck.OpFree); r.Block.Addr != uintptr(large) || len(r.Block.FreeStack) == 0 {
		t.Error(r)
	}
	for what, leave := range map[string]func(){
		"another large block": func() { b.Free(b.Alloc(200_000, 8), 200_000, 8) },
		"CheckAll":            func() { b.CheckAll() },
		"Drain":               b.Drain,
	} {
		large = b.Alloc(100_000, 8)
		b.Free(large, 100_000, 8)
		*at(large, 90_000) = 1
		leave()
		if r := b.take(misuse.UseAfterFree, memcheck.OpVerify); r.Block.Addr != uintptr(large) {
			t.Errorf("%s: %v", what, r)
		}
	}
	b.Drain()
	if len(b.inner.live) != 0 {
		t.Errorf("%d blocks are held after Drain", len(b.inner.live))
	}
}

func TestSecondFreeOfAdopted(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	p := b.inner.Alloc(64, 8)
	b.Adopt(p, 64, 8)
	b.Free(p, 64, 8)
	b.Free(p, 64, 8)
	r := b.take(misuse.DoubleFree, memcheck.OpFree)
	if r.Block.Size != 64 || len(r.Block.AllocStack) == 0 || len(r.Block.FreeStack) == 0 {
		t.Error(r)
	}
}

func TestFreedBlockFreedAsOneOfSize0(t *testing.T) {
	for name, o := range modes {
		b := setUp(t, o)
		p := b.Alloc(64, 8)
		b.Free(p, 64, 8)
		b.FreeZero(p, 8)
		if r := b.take(misuse.DoubleFree, memcheck.OpFree); r.Block.Addr != uintptr(p) {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// A write to a block of size 0 is found by the next operation.
func TestWriteToBlockOfSize0(t *testing.T) {
	defer clear(zeroSize[:])
	b := setUp(t, memcheck.Options{ZeroSize: func(uintptr) unsafe.Pointer { return unsafe.Pointer(&zeroSize) }})
	p := b.Alloc(24, 8)
	for what, next := range map[string]func(){
		"free":      func() { b.Free(b.Alloc(24, 8), 24, 8) },
		"realloc":   func() { p = b.Realloc(p, 24, 8, 24, 8) },
		"free zero": func() { b.FreeZero(unsafe.Pointer(&zeroSize), 1) },
		"drain":     b.Drain,
		"in place":  func() { b.Check(memcheck.OpRealloc, p, 24, 8) },
		"check":     func() { b.CheckAll() },
	} {
		zeroSize[2], zeroSize[5] = 'a', 'z'
		next()
		r := b.take(misuse.ZeroSize, memcheck.OpVerify)
		if r.Bytes != 2 || r.Addr != uintptr(unsafe.Pointer(&zeroSize[2])) || r.Last != r.Addr+3 || r.Block.Addr != 0 {
			t.Errorf("%s: %v", what, r)
		}
		if string(r.Written) != "a\x00\x00z" {
			t.Errorf("%s: %v", what, r)
		}
		next()
		b.quiet()
	}
}

// Large blocks have larger zones.
func TestZonesGrow(t *testing.T) {
	for _, c := range []struct {
		size uintptr
		zone int
	}{{256, 32}, {800, 100}, {8000, 1000}, {1 << 20, 2048}} {
		b := setUp(t, memcheck.Options{})
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
	b := setUp(t, memcheck.Options{RedZone: -1})
	b.Alloc(8000, 8)
	for _, n := range b.inner.live {
		if n != 8000 {
			t.Errorf("without zones, it takes %d bytes", n)
		}
	}
}

func TestReportShowsWhatWasWritten(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	p := b.Alloc(24, 8)
	copy(unsafe.Slice(at(p, 25), 30), "hello, world!\x00\xff, and more")
	*at(p, 24+31) = '!'
	b.Free(p, 24, 8)
	r := b.take(misuse.Overflow, memcheck.OpFree)
	want := fmt.Sprintf("bytes written (.. is unchanged):\n"+
		"\t%#x: 68 65 6c 6c 6f 2c 20 77 6f 72 6c 64 21 00 ff 2c  hello, world!..,\n"+
		"\t%#x: 20 61 6e 64 20 6d 6f 72 65 .. .. .. .. .. 21      and more.....!\n", uintptr(p)+25, uintptr(p)+41)
	if !vm.GoMemory {
		want += "hint: with GALLOC=debug,guard=end, or Options.Guard, the program stops at the write\n"
	}
	if text := r.String(); !strings.HasSuffix(text, want) {
		t.Errorf("%q is not at the end of\n%s", want, text)
	}
	q := b.Alloc(300, 8)
	b.Free(q, 300, 8)
	clear(unsafe.Slice(at(q, 100), 200))
	b.CheckAll()
	zeros := ":" + strings.Repeat(" 00", 16) + "  ...."
	r = b.take(misuse.UseAfterFree, memcheck.OpVerify)
	if len(r.Written) != 64 || strings.Count(r.String(), zeros) != 4 {
		t.Errorf("%v", r)
	}
	*at(q, 7) = 9
	b.CheckAll()
	if r := b.take(misuse.UseAfterFree, memcheck.OpVerify); len(r.Written) != 1 || r.Written[0] != 9 {
		t.Errorf("%v", r)
	}
}

// An address in a gap belongs to the nearer block, and an address past the last gap to none.
func TestFreesBetweenGuardedBlocks(t *testing.T) {
	page := vm.PageSize()
	b := setUp(t, memcheck.Options{Guard: memcheck.GuardEnd})
	p, q := b.Alloc(24, 8), b.Alloc(2000, 8)
	if uintptr(q) < uintptr(p) {
		t.Fatal("the first slots are not in order")
	}
	between := uintptr(q) - uintptr(p)
	for off, want := range map[uintptr]unsafe.Pointer{
		page / 2: p, page * 3 / 4: p, between - 24 - 8: q, between + 2000: q,
	} {
		b.Free(unsafe.Add(p, 24+off), 24, 8)
		r := b.take(misuse.InteriorFree, memcheck.OpFree)
		if r.Block.Addr != uintptr(want) || r.Addr != uintptr(p)+24+off {
			t.Errorf("%d bytes past %p: %v", off, p, r)
		}
	}
	far := unsafe.Add(q, 2000+page)
	b.Free(far, 24, 8)
	if r := b.take(misuse.ForeignFree, memcheck.OpFree); r.Block.Addr != 0 {
		t.Error(r)
	}
	if r := b.Explain(uintptr(far)); r.Kind != misuse.WildAccess {
		t.Error(r)
	}
	if r := b.Explain(uintptr(far) - 1); r.Kind != misuse.Overflow || r.Block.Addr != uintptr(q) {
		t.Error(r)
	}
	b.Free(p, 24, 8)
	b.Free(q, 2000, 8)
	b.quiet()
}

func TestExplainOfNothingWrong(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	p := b.Alloc(24, 8)
	r := b.Explain(uintptr(p) + 5)
	text := r.Error()
	if r.Kind != 0 || !strings.HasPrefix(text, "no misuse: 0x") ||
		!strings.Contains(text, " is 5 bytes into the 24-byte block (align 8) at 0x") {
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

// The table of stacks is bounded, however many stacks lead to an allocation. When it is full, new
// stacks are cut to their latest calls.
func TestStacksAreBounded(t *testing.T) {
	b := setUp(t, memcheck.Options{})
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
			if !strings.Contains(l.Stack.String(), "memcheck_test.call\n") {
				t.Fatal(l)
			}
		}
	}
	if blocks != 1<<10 || short < 800 {
		t.Errorf("%d blocks, %d with stacks that are cut", blocks, short)
	}
}

// A late free is about the latest block at the address.
func TestLateFreesAreAboutTheLatestBlock(t *testing.T) {
	var found []*memcheck.Report
	note := func(r *memcheck.Report) { found = append(found, r) }
	d := memcheck.New(&forgetful{}, memcheck.Options{Quarantine: -1, OnMisuse: note})
	var p unsafe.Pointer
	for size := uintptr(100); size > 90; size-- {
		p = d.Alloc(size, 8)
		d.Free(p, size, 8)
	}
	d.Free(p, 91, 8)
	d.Free(unsafe.Add(p, 8), 91, 8)
	if len(found) != 2 || found[0].Kind != misuse.DoubleFree || found[1].Kind != misuse.InteriorFree {
		t.Fatalf("found %v", found)
	}
	if found[0].Block.Size != 91 || found[1].Block.Size != 91 {
		t.Errorf("found %v", found)
	}
}

// New and freed blocks are filled with patterns.
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

// If the address of a crash has been allocated again since, the new block is not blamed.
func TestPageFaultInAReusedSlot(t *testing.T) {
	b := setUp(t, memcheck.Options{Guard: memcheck.GuardEnd})
	p := b.Alloc(24, 8)
	if r := b.PageFault(fault(uintptr(p) + 3)); r == nil || r.Kind != misuse.WildAccess || r.Block.Addr != 0 {
		t.Error(r)
	}
	b.Free(p, 24, 8)
	if r := b.PageFault(fault(uintptr(p) + 3)); r == nil || r.Kind != misuse.UseAfterFree || r.Offset != 3 {
		t.Error(r)
	}
	if r := b.PageFault(fault(uintptr(unsafe.Pointer(&zeroSize)))); r != nil {
		t.Error(r)
	}
}

// CheckLeaks verifies all blocks when the test ends.
func TestCheckLeaksVerifies(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	f := &fake{}
	b.CheckLeaks(f)
	p := b.Alloc(24, 8)
	b.Free(p, 24, 8)
	*at(p, 9) = 1
	f.cleanup()
	if r := b.take(misuse.UseAfterFree, memcheck.OpVerify); r.Offset != 9 || f.failed != "" {
		t.Error(r, f.failed)
	}
}

// A write to a freed block is found within as many frees as there are freed blocks.
func TestFreedBlocksAreVerifiedInTurn(t *testing.T) {
	for _, which := range []int{0, 1, 50, 98, 99} {
		b := setUp(t, memcheck.Options{})
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
		if r := b.take(misuse.UseAfterFree, memcheck.OpVerify); r.Block.Addr != uintptr(ps[which]) || r.Offset != 3 {
			t.Error(r)
		}
	}
	b := setUp(t, memcheck.Options{Quarantine: 100 * (24 + 64)}) // each free evicts one block
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
		b.take(misuse.UseAfterFree, memcheck.OpVerify)
	}
}
