package heap_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/vm"
)

const mib = 1 << 20

func TestContradictoryOptionsAreRefused(t *testing.T) {
	minusOne := -1
	nothing := func(uintptr) {}
	for _, c := range []struct {
		o    heap.Options
		says string
	}{
		{heap.Options{SoftLimit: uintptr(minusOne)}, "negative"},
		{heap.Options{HardLimit: uintptr(minusOne)}, "negative"},
		{heap.Options{SoftLimit: 2 * mib, HardLimit: mib}, "SoftLimit 2097152 exceeds HardLimit 1048576"},
		{heap.Options{OnSoftLimit: nothing}, "set SoftLimit too"},
		{heap.Options{Decay: time.Nanosecond}, "make it 1ms or more"},
		{heap.Options{HardLimit: 1}, "HardLimit 1 is less than a heap without blocks takes: make it 1048576 or more"},
		{heap.Options{HardLimit: 100 << 10}, "make it 1048576 or more"},
		{heap.Options{SoftLimit: mib - 1, HardLimit: mib}, "SoftLimit 1048575 is less than a heap without blocks takes"},
		{heap.Options{Purge: 7}, "PurgeMode(7): make it PurgeNow or PurgeLazy"},
	} {
		h, err := heap.New(c.o)
		if err == nil {
			h.Close()
			t.Errorf("%+v: no error", c.o)
		} else if !strings.HasPrefix(err.Error(), "galloc/heap: ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error %q does not say %q", c.o, err, c.says)
		}
	}
	for _, o := range []heap.Options{
		{SoftLimit: mib, HardLimit: mib},
		{HardLimit: mib},
		{SoftLimit: mib, OnSoftLimit: nothing},
		{SoftLimit: math.MaxInt, HardLimit: math.MaxInt},
		{Decay: -time.Hour},
		{Decay: time.Millisecond},
		{Decay: math.MaxInt64},
	} {
		h, err := heap.New(o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		if p := h.Alloc(layout(8, 8)); p == nil {
			t.Errorf("%+v: no memory", o)
		}
		h.Close()
	}
	h := open(t, heap.Options{})
	if v, ok := mustPanic(t, func() { h.SetLimit(2*mib, mib, nil) }).(string); !ok ||
		!strings.HasPrefix(v, "galloc/heap: SoftLimit 2097152 exceeds") {
		t.Errorf("SetLimit panics with %v", v)
	}
}

func TestHardLimitIsNeverExceeded(t *testing.T) {
	for _, hard := range []uintptr{mib, 3*mib + 12345, 6 * mib} {
		h := open(t, heap.Options{HardLimit: hard})
		if s, l := h.Limits(); s != 0 || l != hard {
			t.Errorf("the limits are %d, %d", s, l)
		}
		stop, watched := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(watched)
			for {
				if s := h.Stats(); s.Footprint > hard {
					t.Errorf("the footprint exceeds %d:\n%v", hard, s)
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Microsecond):
				}
			}
		}()
		var failed atomic.Int64
		var wg sync.WaitGroup
		for g := range uint64(4) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(g, 1))
				type block struct {
					p unsafe.Pointer
					l galloc.Layout
				}
				var live []block
				for range 4000 {
					if len(live) > 0 && r.IntN(5) < 2 {
						i := r.IntN(len(live))
						h.Dealloc(live[i].p, live[i].l)
						live[i] = live[len(live)-1]
						live = live[:len(live)-1]
						continue
					}
					l := layout(1+uintptr(r.IntN(1<<r.IntN(18))), 1<<r.IntN(7))
					p := h.Alloc(l)
					if p == nil {
						failed.Add(1)
						continue
					}
					*(*byte)(p) = 1
					live = append(live, block{p, l})
				}
				for _, b := range live {
					h.Dealloc(b.p, b.l)
				}
			})
		}
		wg.Wait()
		close(stop)
		<-watched
		if s := h.Stats(); failed.Load() == 0 || s.LimitRefusals == 0 {
			t.Errorf("limit %d: %d allocations failed:\n%v", hard, failed.Load(), s)
		}
	}
}

// A full heap works again after a block of any size was freed.
func TestAFullHeapWorksAfterAFree(t *testing.T) {
	for _, checked := range []bool{false, true} {
		h := open(t, heap.Options{HardLimit: 8 * mib, Checked: checked})
		for _, sizes := range [][2]uintptr{
			{64, 100_000},
			{100_000, 64},
			{1000, 5000},
			{32 << 10, 32<<10 + 1},
			{3 * mib, 8},
		} {
			l, other := layout(sizes[0], 8), layout(sizes[1], 8)
			var ps []unsafe.Pointer
			for {
				p := h.Alloc(l)
				if p == nil {
					break
				}
				ps = append(ps, p)
			}
			s := h.Stats()
			if s.Live < 4*mib {
				t.Errorf("blocks of %d: only %d bytes were available:\n%v", sizes[0], s.Live, s)
			}
			if _, err := h.Allocate(l); !errors.Is(err, galloc.ErrOutOfMemory) {
				t.Errorf("the error is %v", err)
			}
			for _, p := range ps {
				h.Dealloc(p, l)
			}
			p := h.Alloc(other) // in the memory of the freed blocks
			q := h.AllocZeroed(layout(6*mib, 8))
			if p == nil || q == nil {
				t.Fatalf("%d after %d: %p, %p:\n%v", sizes[1], sizes[0], p, q, h.Stats())
			}
			h.Dealloc(p, other)
			h.Free(q)
		}
		if s := h.Stats(); s.Live != 0 {
			t.Errorf("in the end:\n%v", s)
		}
	}
}

// Blocks in the caches do not make allocations fail.
func TestHardLimitEmptiesTheCaches(t *testing.T) {
	h := open(t, heap.Options{HardLimit: 8 * mib, Decay: -1})
	most := uintptr(8 * mib)
	var p unsafe.Pointer
	for ; p == nil; most -= 16 << 10 {
		p = h.Alloc(layout(most, 8))
	}
	h.Free(p)
	for _, size := range []uintptr{32 << 10, 8 << 10, 512} {
		var ps []unsafe.Pointer
		for p := h.Alloc(layout(size, 8)); p != nil; p = h.Alloc(layout(size, 8)) {
			ps = append(ps, p)
		}
		// So that any block may be freed last, and stay in a cache.
		for _, i := range rand.New(rand.NewPCG(9, 9)).Perm(len(ps)) {
			h.Free(ps[i])
		}
		// The heap keeps metadata, which may have grown by a step or two.
		p := h.Alloc(layout(most-256<<10, 8))
		if p == nil {
			t.Fatalf("after %d blocks of %d bytes there is no room for what there was room for:\n%v", len(ps), size,
				h.Stats())
		}
		h.Free(p)
	}
}

// An allocation that the limit refuses costs neither address space nor much time.
func TestFailingByTheLimitReservesNothing(t *testing.T) {
	h := open(t, heap.Options{HardLimit: 4 * mib})
	p := h.Alloc(layout(mib, 8))
	before := h.Stats()
	for range 20 {
		for _, l := range []galloc.Layout{layout(8*mib, 8), layout(100*mib, mib)} {
			if h.Alloc(l) != nil {
				t.Fatal("the limit does not hold")
			}
			if h.Realloc(p, layout(mib, 8), l.Size()) != nil {
				t.Fatal("the limit does not hold for Realloc")
			}
		}
	}
	if s := h.Stats(); s.Reserved > before.Reserved+200*mib || s.Extents > before.Extents+1 {
		t.Errorf("from %d bytes in %d extents to %d in %d", before.Reserved, before.Extents, s.Reserved, s.Extents)
	}
}

func TestSoftLimitCallsBackAndRearms(t *testing.T) {
	synctest.Test(t, softLimitCallsBackAndRearms)
}

func softLimitCallsBackAndRearms(t *testing.T) {
	const soft = 8 * mib
	var got []uintptr
	h := open(t, heap.Options{Decay: -1, SoftLimit: soft, OnSoftLimit: func(f uintptr) { got = append(got, f) }})
	l := layout(mib/4, 8)
	var ps []unsafe.Pointer
	add := func(n int) {
		for range n {
			ps = append(ps, h.Alloc(l))
			synctest.Wait() // for OnSoftLimit
		}
	}
	drop := func(n int) {
		for _, p := range ps[len(ps)-n:] {
			h.Dealloc(p, l)
		}
		ps = ps[:len(ps)-n]
	}
	add(28) // 7 MiB, and metadata
	if len(got) != 0 {
		t.Fatalf("called back with %d below the limit", got)
	}
	add(8) // 9 MiB
	n := len(got)
	if n == 0 || got[0] <= soft || got[0] > soft+mib {
		t.Fatalf("called back with %d", got)
	}
	if n > 3 { // 4 times a 16th
		t.Errorf("called back %d times on a MiB", n)
	}
	add(8)
	if len(got) == n || got[len(got)-1] < 10*mib {
		t.Errorf("not called back again when it grew further: %d", got)
	}
	// Free memory is released first. If that suffices, OnSoftLimit is not called.
	drop(len(ps))
	n = len(got)
	if d := h.Stats().Dirty; d < 8*mib {
		t.Fatalf("only %d bytes are dirty", d)
	}
	h.SetLimit(soft, 0, func(f uintptr) { got = append(got, f) })
	synctest.Wait()
	if s := h.Stats(); s.Dirty > remnant(s) || len(got) != n {
		t.Errorf("%d bytes dirty, calls %d, before %d", s.Dirty, len(got), n)
	}
	add(28)
	if len(got) != n {
		t.Errorf("called back below the limit: %d", got[n:])
	}
	add(8) // the limit is armed again
	if len(got) == n {
		t.Errorf("not called back after it had been below the limit")
	}
	hits := h.Stats().SoftLimitHits
	if hits == 0 {
		t.Error("no hits are counted")
	}
	h.SetLimit(0, 0, nil)
	n = len(got)
	add(40)
	if s, l := h.Limits(); len(got) != n || s != 0 || l != 0 {
		t.Errorf("called back without a limit: %d; limits %d, %d", got[n:], s, l)
	}
}

func TestOnSoftLimitMayUseTheHeap(t *testing.T) {
	synctest.Test(t, onSoftLimitMayUseTheHeap)
}

func onSoftLimitMayUseTheHeap(t *testing.T) {
	const soft = 4 * mib
	var h *heap.Heap
	var spare []unsafe.Pointer
	calls, running := 0, 0
	l := layout(mib/2, 8)
	onSoft := func(uintptr) {
		calls++
		if running++; running > 1 {
			t.Error("called while it runs")
		}
		// It allocates enough to be called again.
		for range 4 {
			p := h.Alloc(l)
			h.Free(h.Alloc(layout(100, 8)))
			h.Dealloc(p, l)
			spare = append(spare, h.Alloc(l))
		}
		for _, p := range spare {
			h.Dealloc(p, l)
		}
		spare = nil
		h.Trim()
		running--
	}
	h = open(t, heap.Options{SoftLimit: soft, OnSoftLimit: onSoft})
	for range 106 {
		p := h.Alloc(l)
		synctest.Wait()
		spare = append(spare, p)
	}
	if calls < 10 || calls > 100 {
		t.Errorf("%d calls", calls)
	}
	if s := h.Stats(); s.Live > 2*soft {
		t.Errorf("the callback has freed nothing:\n%v", s)
	}
	// The same with small blocks.
	calls = 0
	var ps []unsafe.Pointer
	for range 8 * mib / 1024 {
		ps = append(ps, h.Alloc(layout(1024, 8)))
	}
	synctest.Wait()
	if calls == 0 {
		t.Error("small blocks pass the limit unnoticed")
	}
	for _, p := range ps {
		h.Free(p)
	}
}

// A cache that evicts half of itself each time never ends in refusals, and stays near the limit.
func TestACacheThatEvictsInOnSoftLimitLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soft := uintptr(4 * mib)
		if vm.PageSize() > 16<<10 { // a block pins a page
			soft *= 8
		}
		n := 40_000
		if percpu.Race {
			n /= 4
		}
		for _, hard := range []uintptr{0, 3 * soft / 2} {
			var ps []unsafe.Pointer
			calls, refused, most := 0, 0, uintptr(0)
			var h *heap.Heap
			h = open(t, heap.Options{Decay: -1, SoftLimit: soft, HardLimit: hard, OnSoftLimit: func(uintptr) {
				calls++
				for _, p := range ps[:len(ps)/2] {
					h.Free(p)
				}
				ps = ps[len(ps)/2:]
			}})
			r := rand.New(rand.NewPCG(5, 5))
			for range n {
				p := h.Alloc(layout(uintptr(16+r.IntN(8000)), 8))
				synctest.Wait()
				if p == nil {
					refused++
					continue
				}
				ps = append(ps, p)
				most = max(most, h.ReadStats().Footprint)
			}
			if refused != 0 || calls < n*mib/1000/int(soft) || most > 3*soft/2 {
				t.Errorf("hard limit %d: %d calls, %d refusals, a footprint of up to %d", hard, calls, refused, most)
			}
		}
	})
}

// A refusal calls OnSoftLimit too, as long as there are refusals: no alarm is too high for it.
func TestARefusalCallsOnSoftLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, evict := 0, false
		var ps []unsafe.Pointer
		var h *heap.Heap
		h = open(t, heap.Options{Decay: -1, SoftLimit: 2 * mib, HardLimit: 2*mib + 1, OnSoftLimit: func(uintptr) {
			if calls++; evict {
				for _, p := range ps {
					h.Free(p)
				}
				ps = nil
			}
		}})
		l := layout(10_000, 8)
		for range 500 { // and nothing is evicted
			if p := h.Alloc(l); p != nil {
				ps = append(ps, p)
			}
			synctest.Wait()
		}
		if calls == 0 {
			t.Error("not called, though allocations are refused")
		}
		n := calls
		time.Sleep(time.Second)
		evict = true
		if h.Alloc(l) != nil {
			t.Fatal("the limit does not hold")
		}
		synctest.Wait()
		if calls != n+1 {
			t.Errorf("%d calls after another refusal, want %d", calls, n+1)
		}
		if h.Alloc(l) == nil {
			t.Error("refused after everything was freed")
		}
	})
}

// OnSoftLimit may lock what the goroutine holds that allocates.
func TestOnSoftLimitMayTakeTheLockOfTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		calls := 0
		h := open(t, heap.Options{Decay: -1, SoftLimit: mib, OnSoftLimit: func(uintptr) {
			mu.Lock()
			defer mu.Unlock()
			calls++
		}})
		mu.Lock()
		h.Alloc(layout(2*mib, 8))
		mu.Unlock()
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestLoweringTheLimit(t *testing.T) {
	h := open(t, heap.Options{})
	l := layout(mib, 8)
	var ps []unsafe.Pointer
	for range 10 {
		p := h.Alloc(l)
		fill(view(p, mib), byte(len(ps)+1))
		ps = append(ps, p)
	}
	h.SetLimit(0, 4*mib, nil) // below the bytes in use: blocks stay, and allocations fail
	if p := h.Alloc(l); p != nil {
		t.Error("allocated beyond the limit")
	}
	if p := h.Realloc(ps[0], l, 2*mib); p != nil {
		t.Error("grown beyond the limit")
	}
	small := h.Alloc(layout(8, 8))
	if small != nil && h.Stats().LimitRefusals == 0 {
		t.Error("a new span was allocated beyond the limit")
	}
	for i, p := range ps {
		if at := onlyByte(view(p, mib), byte(i+1)); at >= 0 {
			t.Fatalf("block %d has changed at %d", i, at)
		}
	}
	for len(ps) > 2 {
		h.Dealloc(ps[len(ps)-1], l)
		ps = ps[:len(ps)-1]
	}
	p := h.Alloc(layout(mib/2, 8))
	if p == nil {
		t.Errorf("no memory below the limit:\n%v", h.Stats())
	}
	h.Trim()
	if f := h.Stats().Footprint; f > 4*mib {
		t.Errorf("the footprint is %d", f)
	}
	// A soft limit below the bytes in use takes effect at once.
	got := make(chan uintptr, 1)
	h.SetLimit(mib, 0, func(f uintptr) { got <- f })
	if f := <-got; f < 2*mib {
		t.Errorf("called back with %d", f)
	}
	h.SetLimit(0, 0, nil)
	if q := h.Alloc(layout(64*mib, 8)); q == nil {
		t.Error("0 is not no limit")
	}
}

// The options decide how, in which units, and when memory is released.
func TestOptionsReachTheSystem(t *testing.T) {
	use := func(o heap.Options) (now, lazy int, parts uintptr, s heap.Stats) {
		h := open(t, o)
		var mu sync.Mutex
		restore := vm.Inject(func(op vm.Op, n uintptr) error {
			mu.Lock()
			defer mu.Unlock()
			switch op {
			case vm.OpPurge:
				now++
			case vm.OpPurgeLazy:
				lazy++
			}
			if huge := vm.HugePageSize(); huge != 0 && n%huge != 0 && op == vm.OpPurge {
				parts += n
			}
			return nil
		})
		defer restore()
		var ps []unsafe.Pointer
		for i := range uintptr(200) {
			ps = append(ps, h.Alloc(layout(50_000+1000*i, 8)))
		}
		for i, p := range ps {
			if i%50 != 0 {
				h.Free(p)
			}
		}
		h.Trim()
		return now, lazy, parts, h.Stats()
	}
	now, lazy, parts, s := use(heap.Options{Decay: -1})
	// Four blocks are left.
	if now == 0 || lazy != 0 || parts < mib && vm.HugePageSize() != 0 || s.Dirty > 5*remnant(s) {
		t.Errorf("by default: %d purges, %d lazy, %d bytes of parts of huge pages:\n%v", now, lazy, parts, s)
	}
	if vm.GoMemory {
		t.Skip("neither is anything on Go memory")
	}
	now, lazy, _, s = use(heap.Options{Decay: -1, Purge: heap.PurgeLazy})
	if now != 0 || lazy == 0 || s.Dirty > 5*remnant(s) {
		t.Errorf("PurgeLazy: %d purges, %d lazy:\n%v", now, lazy, s)
	}
	// Parts of huge pages are purged while more than 16 MiB are dirty, which short extents reach,
	// and metadata where an extent has become empty.
	if vm.HugePageSize() != 0 {
		now, _, parts, s = use(heap.Options{Decay: -1, HugePages: true})
		if now == 0 || parts > s.Metadata && s.Dirty < 14*mib || s.Dirty == 0 || s.Dirty > 20*mib {
			t.Errorf("HugePages: %d purges, %d bytes of parts:\n%v", now, parts, s)
		}
	}
}

func TestDecayPeriod(t *testing.T) {
	heaps := map[string]*heap.Heap{
		"short":   open(t, heap.Options{Decay: 20 * time.Millisecond}),
		"default": open(t, heap.Options{}),
		"long":    open(t, heap.Options{Decay: time.Hour}),
		"never":   open(t, heap.Options{Decay: -1}),
	}
	for _, h := range heaps {
		h.Free(h.Alloc(layout(10*mib, 8)))
	}
	dirty := func() uintptr { return heaps["short"].Stats().Dirty + heaps["default"].Stats().Dirty }
	for deadline := time.Now().Add(10 * time.Second); dirty() > 2*mib; {
		if time.Now().After(deadline) {
			t.Fatalf("not released:\n%v%v", heaps["short"].Stats(), heaps["default"].Stats())
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, name := range []string{"long", "never"} {
		if s := heaps[name].Stats(); s.Dirty < 10*mib || s.Ticks != 0 {
			t.Errorf("%s: released already:\n%v", name, s)
		}
	}
}

// A P that only frees has a cache too.
func TestTrimReachesPsThatOnlyFree(t *testing.T) {
	for range 30 {
		h := open(t, heap.Options{Decay: -1})
		ps := make(chan unsafe.Pointer, 200)
		for range cap(ps) {
			ps <- h.Alloc(layout(256, 8))
		}
		close(ps)
		var wg sync.WaitGroup
		for range 2 * runtime.GOMAXPROCS(0) { // on every P
			wg.Go(func() {
				for p := range ps {
					h.Free(p)
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
		h.Trim()
		if s := h.Stats(); s.Live != 0 || s.InUse != 0 {
			t.Fatalf("everything is freed, and back after Trim, but:\n%v", s)
		}
	}
}

func TestTrimReleasesMemory(t *testing.T) {
	h := open(t, heap.Options{Decay: -1})
	var ps []unsafe.Pointer
	for range 20_000 {
		ps = append(ps, h.Alloc(layout(256, 8)))
	}
	large := h.Alloc(layout(10*mib, 8))
	fill(view(large, 10*mib), 1)
	for _, p := range ps {
		h.Free(p)
	}
	h.Free(large)
	before := h.Stats()
	if before.Dirty < 14*mib {
		t.Errorf("only %d bytes are dirty", before.Dirty)
	}
	if n := h.Trim(); n < 14*mib {
		t.Errorf("Trim released %d bytes", n)
	}
	s := h.Stats()
	if s.Dirty > remnant(s) || s.Cached != 0 || s.Live != 0 || s.InUse != 0 || s.Footprint != s.Metadata+s.Dirty {
		t.Errorf("after Trim:\n%v", s)
	}
	if n := h.Trim(); n != 0 {
		t.Errorf("a second Trim released %d bytes", n)
	}
	if s.Ticks != 0 && !vm.GoMemory {
		t.Errorf("%d ticks without decay", s.Ticks)
	}
}

func TestTheErrorSaysWhoRefused(t *testing.T) {
	h := open(t, heap.Options{HardLimit: 4 * mib})
	asGlobal := galloc.AsAllocator(h)
	for _, l := range []galloc.Layout{layout(3000, 8), layout(5*mib, 8), layout(100_000, 8)} {
		var err error
		for err == nil {
			_, err = h.Allocate(l)
		}
		if !errors.Is(err, galloc.ErrLimit) || !errors.Is(err, galloc.ErrOutOfMemory) || errors.Is(err, galloc.ErrSystem) {
			t.Errorf("%v: %v", l, err)
		}
		if _, err := asGlobal.Allocate(l); !errors.Is(err, galloc.ErrLimit) {
			t.Errorf("%v as a GlobalAlloc: %v", l, err)
		}
	}
	h = open(t, heap.Options{})
	restore := vm.Inject(func(vm.Op, uintptr) error { return vm.ErrTooLarge })
	defer restore()
	if _, err := h.Allocate(layout(5*mib, 8)); !errors.Is(err, galloc.ErrSystem) || errors.Is(err, galloc.ErrLimit) {
		t.Errorf("without memory of the system: %v", err)
	}
}

// Grow and GrowZeroed fail only if the same call again would. All blocks fit into a short
// extent, 4 MiB, which a heap may get where address space is scarce.
func TestGrowTriesInPlaceAgainAfterARelief(t *testing.T) {
	for name, grow := range map[string]func(*heap.Heap, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error){
		"Grow":       (*heap.Heap).Grow,
		"GrowZeroed": (*heap.Heap).GrowZeroed,
	} {
		h := open(t, heap.Options{Decay: -1})
		other := h.Alloc(layout(mib, 8))
		h.Alloc(layout(4096, 4096)) // between them
		old := layout(mib, 8)
		p := h.Alloc(old)
		fill(view(p, mib), 7)
		h.SetLimit(0, h.Stats().Footprint+mib/16, nil)
		h.Free(other)
		b, err := grow(h, p, old, layout(3*mib/2, 8))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if onlyByte(b[:mib], 7) >= 0 || name == "GrowZeroed" && onlyByte(b[mib:], 0) >= 0 {
			t.Errorf("%s: wrong contents", name)
		}
	}
}
