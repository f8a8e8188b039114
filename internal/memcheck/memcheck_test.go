package memcheck_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/vm"
)

// A bench is a Checker whose reports are collected, in front of a heap that checks the Checker.
type bench struct {
	*memcheck.Checker
	t     testing.TB
	inner *counting
	mu    sync.Mutex
	found []*memcheck.Report
}

// counting knows its allocated blocks, and fails while refuses is set.
type counting struct {
	*engine.Heap
	mu      sync.Mutex
	live    map[uintptr]uintptr
	refuses bool
}

func (c *counting) Alloc(size, align uintptr) unsafe.Pointer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses {
		return nil
	}
	p := c.Heap.Alloc(size, align)
	c.live[uintptr(p)] = size
	return p
}

func (c *counting) Free(p unsafe.Pointer, size, align uintptr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live[uintptr(p)] != size {
		panic(fmt.Sprintf("%p is freed as a block of %d bytes, not %d", p, size, c.live[uintptr(p)]))
	}
	delete(c.live, uintptr(p))
	c.Heap.Free(p, size, align)
}

func (c *counting) AllocZeroed(size, align uintptr) unsafe.Pointer {
	p := c.Alloc(size, align)
	if p != nil {
		clear(unsafe.Slice((*byte)(p), size))
	}
	return p
}

func (c *counting) Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	q := c.Alloc(newSize, align)
	if q != nil {
		copy(unsafe.Slice((*byte)(q), newSize), unsafe.Slice((*byte)(p), size))
		c.Free(p, size, align)
	}
	return q
}

func setUp(t testing.TB, o memcheck.Options) *bench {
	b := &bench{t: t, inner: &counting{live: map[uintptr]uintptr{}}}
	b.inner.Heap = engine.New(engine.Config{Checked: true, OnMisuse: func(m engine.Misuse) { t.Error(m) }})
	t.Cleanup(func() { b.inner.Close() }) // WebAssembly has little address space
	if o.OnMisuse == nil {
		o.OnMisuse = func(r *memcheck.Report) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.found = append(b.found, r)
		}
	}
	b.Checker = memcheck.New(b.inner, o)
	return b
}

// take returns the only report since the last call, which must be of that kind, found at op.
func (b *bench) take(kind misuse.Kind, op memcheck.Op) *memcheck.Report {
	b.t.Helper()
	found := b.found
	b.found = nil
	if len(found) != 1 || found[0].Kind != kind || found[0].Op != op {
		b.t.Fatalf("found %v, want one %v at %v", found, kind, op)
	}
	return found[0]
}

func (b *bench) quiet() {
	b.t.Helper()
	if len(b.found) != 0 {
		b.t.Fatalf("found %v, though nothing is wrong", b.found[0])
	}
}

func at(p unsafe.Pointer, i int) *byte { return (*byte)(unsafe.Add(p, i)) }

// modes are options that check blocks in different ways. In the sampled one, every block is picked.
var modes = map[string]memcheck.Options{
	"zones":   {},
	"end":     {Guard: memcheck.GuardEnd},
	"start":   {Guard: memcheck.GuardStart},
	"sampled": {Sample: 1, GuardLimit: 1 << 20},
}

func TestInvalidFreesAndResizes(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			b := setUp(t, o)
			for _, size := range []uintptr{1, 24, 100, 5000, 100_000} {
				p := b.Alloc(size, 8)
				about := func(r *memcheck.Report, freed bool) {
					t.Helper()
					k := r.Block
					if k.Addr != uintptr(p) || k.Size != size || k.Align != 8 || k.Freed != freed {
						t.Fatalf("about %v, not %d bytes at %p, freed %v", k, size, p, freed)
					}
					alloc := k.AllocStack.String()
					const test = "memcheck_test.TestInvalidFreesAndResizes"
					if !strings.Contains(alloc, test) || freed != (len(k.FreeStack) > 0) {
						t.Fatalf("allocated at\n%vfreed at\n%v", alloc, k.FreeStack)
					}
				}
				b.Free(p, size+1, 8)
				about(b.take(misuse.WrongLayout, memcheck.OpFree), false)
				b.Free(p, size, 4)
				about(b.take(misuse.WrongLayout, memcheck.OpFree), false)
				if b.Realloc(p, size, 16, 200, 16) != nil {
					t.Fatal("a block was resized with a wrong alignment")
				}
				about(b.take(misuse.WrongLayout, memcheck.OpRealloc), false)
				b.FreeZero(p, 8)
				about(b.take(misuse.WrongLayout, memcheck.OpFree), false)
				if size > 8 {
					b.Free(unsafe.Add(p, 8), size-8, 8)
					r := b.take(misuse.InteriorFree, memcheck.OpFree)
					about(r, false)
					if r.Offset != 8 || r.Distance() != "8 bytes into" {
						t.Fatalf("it says %v", r)
					}
				}
				b.Free(unsafe.Add(p, -8), size, 8)
				about(b.take(misuse.InteriorFree, memcheck.OpFree), false)
				q := b.Realloc(p, size, 8, size, 8)
				if q == nil || q == p {
					t.Fatalf("resized to the same size, it is at %p, and was at %p", q, p)
				}
				if b.Realloc(p, size, 8, 10, 8) != nil {
					t.Fatal("a freed block was resized")
				}
				about(b.take(misuse.UseAfterFree, memcheck.OpRealloc), true)
				b.Free(p, size, 8)
				about(b.take(misuse.DoubleFree, memcheck.OpFree), true)
				done := make(chan bool)
				go func() { // another goroutine
					b.Free(q, size, 8)
					b.Free(q, size, 8)
					close(done)
				}()
				<-done
				p = q
				if r := b.take(misuse.DoubleFree, memcheck.OpFree); r.Block.Addr != uintptr(q) {
					t.Fatalf("about %v", r)
				}
				b.quiet()
			}
			if b.CheckAll() != 0 || len(b.Leaks(0)) != 0 {
				t.Fatal(b.found, b.Leaks(0))
			}
		})
	}
}

func TestForeignFrees(t *testing.T) {
	b := setUp(t, memcheck.Options{ZeroSize: func(uintptr) unsafe.Pointer { return unsafe.Pointer(&zeroSize) }})
	var local [64]byte
	foreign := b.inner.Heap.Alloc(64, 8)
	defer b.inner.Heap.Free(foreign, 64, 8)
	b.Free(b.Alloc(100, 8), 100, 8)
	for what, p := range map[string]unsafe.Pointer{
		"Go memory": unsafe.Pointer(&local), "the inner allocator": foreign, "nil": nil,
	} {
		b.Free(p, 64, 8)
		if r := b.take(misuse.ForeignFree, memcheck.OpFree); r.Addr != uintptr(p) || r.Block.Addr != 0 {
			t.Errorf("%s: %v", what, r)
		}
		if b.Realloc(p, 64, 8, 100, 8) != nil {
			t.Errorf("%s was resized", what)
		}
		b.take(misuse.ForeignFree, memcheck.OpRealloc)
	}
	b.Free(unsafe.Pointer(&zeroSize), 64, 8)
	b.take(misuse.ZeroSize, memcheck.OpFree)
	b.FreeZero(unsafe.Pointer(&zeroSize), 8)
	b.FreeZero(nil, 8)
	b.CheckAll()
	b.quiet()
	zeroSize[3] = 1
	if n := b.CheckAll(); n != 1 {
		t.Errorf("CheckAll returns %d", n)
	}
	if r := b.take(misuse.ZeroSize, memcheck.OpVerify); r.Bytes != 1 || r.Offset != 3 {
		t.Error(r)
	}
}

var zeroSize [256]byte

// A write next to a block is found when the block is freed, resized or verified, and located to the
// byte.
func TestWritesNextToBlocks(t *testing.T) {
	for _, size := range []uintptr{1, 7, 24, 4095, 70_000} {
		for _, align := range []uintptr{1, 8, 64, 8192} {
			b := setUp(t, memcheck.Options{Quarantine: 4 << 20})
			for _, off := range []int{-32, -8, -1, int(size), int(size) + 1, int(size) + 7, int(size) + 31} {
				for how, find := range map[string]func(*bench, unsafe.Pointer) memcheck.Op{
					"free": func(b *bench, p unsafe.Pointer) memcheck.Op {
						b.Free(p, size, align)
						return memcheck.OpFree
					},
					"realloc": func(b *bench, p unsafe.Pointer) memcheck.Op {
						b.Realloc(p, size, align, 9, align)
						return memcheck.OpRealloc
					},
					"verify": func(b *bench, _ unsafe.Pointer) memcheck.Op {
						b.CheckAll()
						b.CheckAll()
						return memcheck.OpVerify
					},
				} {
					p := b.Alloc(size, align)
					*at(p, off) = 7
					want := misuse.Overflow
					if off < 0 {
						want = misuse.Underflow
					}
					r := b.take(want, find(b, p))
					if r.Offset != off || r.Bytes != 1 || r.Addr != uintptr(p)+uintptr(off) ||
						r.Block.Addr != uintptr(p) {
						t.Fatalf("%s, size %d, align %d, byte %d: %v", how, size, align, off, r)
					}
				}
			}
		}
	}
}

func TestReportShowsDistanceAndStacks(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	p := b.Alloc(24, 8)
	for i := range 3 {
		*at(p, 32+i) = 1
	}
	b.Free(p, 24, 8)
	r := b.take(misuse.Overflow, memcheck.OpFree)
	text := r.String()
	const here = "\tgithub.com/galloc-go/galloc/internal/memcheck_test.TestReportShowsDistanceAndStacks\n"
	for _, want := range []string{
		"galloc: overflow: 3 bytes were written, from 8 bytes past the end of the 24-byte block (align 8) at 0x",
		"\ndetected by this free:\n" + here, "was allocated here (allocation 1):\n" + here, "/memcheck_test.go:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if r.Last != uintptr(p)+34 {
		t.Errorf("the last is %#x", r.Last)
	}
	b.Free(p, 24, 8)
	text = b.take(misuse.DoubleFree, memcheck.OpFree).String()
	if !strings.Contains(text, "double free: the 24-byte block") || !strings.Contains(text, "and freed here:\n") {
		t.Error(text)
	}
}

func TestWritesAfterFree(t *testing.T) {
	for _, size := range []uintptr{1, 24, 5000, 200_000} {
		b := setUp(t, memcheck.Options{Quarantine: 1 << 20})
		for _, off := range []int{0, int(size) / 2, int(size) - 1} {
			p := b.Alloc(size, 8)
			b.Free(p, size, 8)
			*at(p, off) = 1
			b.CheckAll()
			r := b.take(misuse.UseAfterFree, memcheck.OpVerify)
			if r.Offset != off || !r.Block.Freed || r.Block.Addr != uintptr(p) {
				t.Fatalf("size %d, byte %d: %v", size, off, r)
			}
			*at(p, off) = 2
			for len(b.found) == 0 { // until it leaves the quarantine
				b.Free(b.Alloc(10_000, 8), 10_000, 8)
			}
			if r := b.take(misuse.UseAfterFree, memcheck.OpVerify); r.Offset != off || r.Bytes != 1 {
				t.Fatalf("size %d, byte %d: %v", size, off, r)
			}
			b.Free(p, size, 8) // it is still known
			r = b.take(misuse.DoubleFree, memcheck.OpFree)
			if r.Block.Addr != uintptr(p) || len(r.Block.FreeStack) == 0 {
				t.Fatalf("late: %v", r)
			}
		}
	}
}

// An address is not reused before the quarantine is full, and the quarantine stays within its
// bound.
func TestQuarantine(t *testing.T) {
	b := setUp(t, memcheck.Options{Quarantine: 100_000, RedZone: 16})
	seen := map[uintptr]bool{}
	for i := range 90_000 / (64 + 32) {
		p := b.Alloc(64, 8)
		if seen[uintptr(p)] {
			t.Fatalf("the address is reused after %d blocks", i)
		}
		seen[uintptr(p)] = true
		b.Free(p, 64, 8)
	}
	for range 1000 {
		size := uintptr(1 + rand.IntN(20_000))
		b.Free(b.Alloc(size, 8), size, 8)
		var sum uintptr
		for _, n := range b.inner.live {
			sum += n
		}
		if sum > 100_000 {
			t.Fatalf("%d bytes are in the quarantine", sum)
		}
	}
	b.Drain()
	if len(b.inner.live) != 0 {
		t.Errorf("%d blocks are not freed", len(b.inner.live))
	}
	b.quiet()
}

func TestOutOfMemoryEmptiesTheQuarantineFirst(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	p := b.Alloc(100, 8)
	*at(p, 5) = 1
	b.Free(b.Alloc(100, 8), 100, 8)
	b.inner.refuses = true
	if b.Alloc(100, 8) != nil || b.Realloc(p, 100, 8, 200, 8) != nil {
		t.Fatal("allocated without memory")
	}
	if len(b.inner.live) != 1 {
		t.Errorf("%d blocks are held", len(b.inner.live))
	}
	b.inner.refuses = false
	for _, size := range []uintptr{^uintptr(0), ^uintptr(0) >> 1, ^uintptr(0)>>1 - 40} {
		if b.Alloc(size, 8) != nil {
			t.Errorf("%d bytes were allocated", size)
		}
	}
	if *at(p, 5) != 1 {
		t.Error("a failed resize has changed the block")
	}
	b.Free(p, 100, 8)
	b.quiet()
}

// A correct program of many goroutines causes no report in any mode, and all its memory is freed.
func TestCorrectProgram(t *testing.T) {
	all := map[string]memcheck.Options{
		"tight": {Quarantine: -1, RedZone: -1, StackDepth: -1},
		"mixed": {Guard: memcheck.GuardEither, GuardMin: 1000, GuardMax: 9000, GuardLimit: 50},
		"often": {Sample: 3, GuardLimit: 100, GuardSpace: 8 << 20},
		"small": {Sample: 1, GuardSpace: 1 << 20, GuardLimit: 20},
	}
	for name, o := range modes {
		all[name] = o
	}
	for name, o := range all {
		t.Run(name, func(t *testing.T) {
			if o.Quarantine == 0 {
				o.Quarantine = 1 << 20
			}
			b := setUp(t, o)
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(1, uint64(g)))
					type mine struct {
						p           unsafe.Pointer
						size, align uintptr
					}
					var held []mine
					for i := range 1500 {
						size, align := 1+uintptr(random.IntN(1<<random.IntN(15))), uintptr(1)<<random.IntN(14)
						switch k := random.IntN(5); {
						case k < 2 || len(held) == 0:
							p := b.Alloc(size, align)
							if uintptr(p)%align != 0 || p == nil {
								t.Errorf("%d bytes, align %d: %p", size, align, p)
								return
							}
							*at(p, 0), *at(p, int(size)-1) = 1, byte(size)
							held = append(held, mine{p, size, align})
						case k < 4:
							n := random.IntN(len(held))
							m := held[n]
							held[n] = held[len(held)-1]
							held = held[:len(held)-1]
							if *at(m.p, int(m.size)-1) != byte(m.size) {
								t.Errorf("the content of %v has changed", m)
							}
							b.Free(m.p, m.size, m.align)
						default:
							m := &held[random.IntN(len(held))]
							q := b.Realloc(m.p, m.size, m.align, size, align)
							kept := q != nil && (size < m.size || *at(q, int(m.size)-1) == byte(m.size))
							if !kept || uintptr(q)%align != 0 {
								t.Errorf("resized to %p", q)
								return
							}
							*at(q, int(size)-1) = byte(size)
							*m = mine{q, size, align}
						}
						if i%500 == 0 {
							b.CheckAll()
						}
					}
					for _, m := range held {
						b.Free(m.p, m.size, m.align)
					}
				})
			}
			wg.Wait()
			b.CheckAll()
			b.Drain()
			b.quiet()
			if l := b.Leaks(0); len(l) != 0 {
				t.Errorf("left: %v", l)
			}
			if len(b.inner.live) != 0 {
				t.Errorf("%d inner blocks are left", len(b.inner.live))
			}
		})
	}
}

func TestLeaksAreGroupedByPlace(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			b := setUp(t, o)
			before := b.Alloc(1000, 8)
			mark := b.Mark()
			for i := range 10 {
				p := b.Alloc(64, 8)
				if i%2 == 0 {
					b.Free(p, 64, 8)
				}
			}
			for range 2 {
				b.Alloc(300, 8)
			}
			l := b.Leaks(mark)
			if len(l) != 2 || l[0].Blocks != 2 || l[0].Bytes != 600 {
				t.Fatalf("%v", l)
			}
			if l[1].Blocks != 5 || l[1].Bytes != 320 || l[1].First != 3 {
				t.Fatalf("%v", l)
			}
			text := memcheck.LeakText(l)
			for _, want := range []string{
				"galloc: leaks: 920 bytes in 7 blocks not freed, allocated at 2 places\n",
				"320 bytes in 5 blocks (allocation 3 and later), allocated at ",
				" by memcheck.(*Checker).Alloc:\n\t" +
					"github.com/galloc-go/galloc/internal/memcheck_test.TestLeaksAreGroupedByPlace",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
			f := &fake{}
			b.CheckLeaks(f)
			f.cleanup()
			if f.failed != "" {
				t.Error(f.failed)
			}
			b.CheckLeaks(f)
			b.Alloc(5, 1)
			f.cleanup()
			if !strings.Contains(f.failed, "5 bytes in 1 block (allocation 14)") {
				t.Error(f.failed)
			}
			b.Free(before, 1000, 8)
			if n := len(b.Leaks(0)); n != 3 {
				t.Errorf("%d places", n)
			}
		})
	}
}

type fake struct {
	failed  string
	cleanup func()
}

func (f *fake) Helper()                           {}
func (f *fake) Errorf(format string, args ...any) { f.failed += fmt.Sprintf(format, args...) }
func (f *fake) Cleanup(c func())                  { f.cleanup = c }

func TestSampledModePicksOneInN(t *testing.T) {
	b := setUp(t, memcheck.Options{Sample: 50, GuardLimit: 1 << 20})
	picked, passed := 0, 0
	for range 20_000 {
		p := b.Alloc(32, 8)
		if b.Passes(p) {
			passed++
		} else {
			picked++
		}
		b.Free(p, 32, 8)
	}
	if picked < 250 || picked > 600 { // expected are 400, with a standard deviation of 20
		t.Errorf("%d of 20000 were picked", picked)
	}
	if passed+picked != 20_000 || len(b.inner.live) != 0 {
		t.Errorf("%d passed, %d live", passed, len(b.inner.live))
	}
	b.quiet()
}

// At most GuardLimit blocks are guarded. Further blocks get zones, or are passed on.
func TestGuardedBlocksAreBounded(t *testing.T) {
	for _, o := range []memcheck.Options{
		{Guard: memcheck.GuardEnd, GuardLimit: 10},
		{Sample: 1, GuardLimit: 10},
		{Sample: 1, GuardLimit: 1000, GuardSpace: 1},
	} {
		b := setUp(t, o)
		var ps []unsafe.Pointer
		inner := 0
		for range 600 {
			ps = append(ps, b.Alloc(100, 8))
			inner = len(b.inner.live)
		}
		if o.GuardSpace == 0 && inner != 590 || inner == 0 {
			t.Errorf("%+v: %d are from the inner allocator", o, inner)
		}
		for _, p := range ps {
			b.Free(p, 100, 8)
		}
		b.Drain()
		b.quiet()
		if len(b.inner.live) != 0 {
			t.Error("blocks are left")
		}
	}
}

func TestSystemRefusesPages(t *testing.T) {
	for _, op := range []vm.Op{vm.OpReserve, vm.OpCommit, vm.OpGuard, vm.OpUnguard} {
		b := setUp(t, memcheck.Options{Guard: memcheck.GuardEnd})
		if op == vm.OpReserve {
			restore := vm.Inject(func(o vm.Op, n uintptr) error { return refuse(o == op) })
			b = setUp(t, memcheck.Options{Guard: memcheck.GuardEnd})
			restore()
		}
		p := b.Alloc(100, 8)
		restore := vm.Inject(func(o vm.Op, n uintptr) error { return refuse(o == op && op != vm.OpCommit) })
		q := b.Alloc(200, 8)
		if p == nil || q == nil {
			t.Fatalf("%v refused: %p, %p", op, p, q)
		}
		b.Free(p, 100, 8)
		restore()
		b.Free(p, 100, 8)
		b.take(misuse.DoubleFree, memcheck.OpFree)
		b.Free(q, 200, 8)
		b.CheckAll()
		b.quiet()
	}
}

// A slot that could not be made accessible is not lost, and does not count as used.
func TestRefusalsDoNotUseUpThePool(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory are not guarded")
	}
	b := setUp(t, memcheck.Options{Guard: memcheck.GuardEnd, GuardLimit: 3, GuardSpace: 1})
	for range 500 {
		restore := vm.Inject(func(o vm.Op, n uintptr) error { return refuse(o == vm.OpUnguard) })
		p := b.Alloc(100, 8)
		restore()
		if len(b.inner.live) == 0 {
			t.Fatal("it is guarded")
		}
		b.Free(p, 100, 8)
		b.Drain()
		q := b.Alloc(100, 8)
		if len(b.inner.live) != 0 {
			t.Fatal("it is not guarded")
		}
		b.Free(q, 100, 8)
	}
	b.quiet()
}

func refuse(yes bool) error {
	if yes {
		return vm.ErrTooLarge
	}
	return nil
}

func TestReset(t *testing.T) {
	for _, o := range modes {
		b := setUp(t, o)
		p := b.Alloc(100, 8)
		b.Free(b.Alloc(100, 8), 100, 8)
		b.Reset()
		if len(b.Leaks(0)) != 0 {
			t.Error("blocks are left")
		}
		b.Drain()
		b.quiet()
		q := b.Alloc(100, 8)
		b.Free(q, 100, 8)
		_ = p
		b.quiet()
	}
}

func TestAdopted(t *testing.T) {
	b := setUp(t, memcheck.Options{})
	p := b.inner.Alloc(64, 8)
	b.Adopt(p, 64, 8)
	*at(p, 0) = 1
	b.Free(p, 32, 8)
	b.take(misuse.WrongLayout, memcheck.OpFree)
	b.Free(unsafe.Add(p, 8), 32, 8)
	b.take(misuse.InteriorFree, memcheck.OpFree)
	b.CheckAll()
	if len(b.Leaks(0)) != 0 {
		t.Error("it counts as a leak")
	}
	b.Free(p, 64, 8)
	b.quiet()
	if len(b.inner.live) != 0 {
		t.Error("it is not freed")
	}
}

// The rest of the pages of a guarded block is verified, and a slot is reused after a free.
func TestGuardedBlocksAreVerifiedAndFreed(t *testing.T) {
	b := setUp(t, memcheck.Options{Guard: memcheck.GuardStart, GuardLimit: 3})
	for range 10 {
		p := b.Alloc(100, 8)
		if len(b.inner.live) != 0 {
			t.Fatal("it is not guarded")
		}
		*at(p, 100) = 1
		if n := b.CheckAll(); n != 1 || b.CheckAll() != 0 {
			t.Fatalf("CheckAll returns %d", n)
		}
		if r := b.take(misuse.Overflow, memcheck.OpVerify); r.Offset != 100 {
			t.Fatal(r)
		}
		b.Free(p, 100, 8)
		b.quiet()
	}
}
