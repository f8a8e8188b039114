package wrap_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/wrap"
)

// A gauge counts the live bytes of the allocator inside and their peak, exactly.
type gauge struct {
	galloc.Allocator
	live, peak atomic.Int64
}

func (g *gauge) Allocate(l galloc.Layout) ([]byte, error) {
	b, err := g.Allocator.Allocate(l)
	if err == nil {
		g.add(int64(l.Size()))
	}
	return b, err
}

func (g *gauge) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	g.live.Add(-int64(l.Size()))
	g.Allocator.Deallocate(p, l)
}

func (g *gauge) add(n int64) {
	live := g.live.Add(n)
	for peak := g.peak.Load(); live > peak && !g.peak.CompareAndSwap(peak, live); peak = g.peak.Load() {
	}
}

// 64 goroutines ask for more than the limit. A gauge inside measures that the limit is never
// exceeded, and comes near. In the end nothing is in use, and a block of the whole limit can be
// allocated.
func TestLimitIsNeverExceeded(t *testing.T) {
	for _, max := range []uintptr{3000, 60_000, 1 << 20, 3 << 20} {
		g := &gauge{Allocator: galloc.System}
		a := wrap.Limit(g, max)
		var failures, used atomic.Int64 // used is the maximum of Used when a call failed
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				l := layout(uintptr(10+i*7), 8)
				var mine []unsafe.Pointer
				for n := range 2000 {
					p := a.Alloc(l)
					if p != nil {
						mine = append(mine, p)
					} else {
						failures.Add(1)
						now := int64(a.Used())
						for top := used.Load(); now > top && !used.CompareAndSwap(top, now); top = used.Load() {
						}
						runtime.Gosched()
					}
					if k := len(mine); k > 0 && (p == nil || n%300 == 299 || k > 1000) {
						for _, p := range mine[k/2:] {
							a.Dealloc(p, l)
						}
						mine = mine[:k/2]
					}
				}
				for _, p := range mine {
					a.Dealloc(p, l)
				}
			})
		}
		wg.Wait()
		switch {
		case g.peak.Load() > int64(max):
			t.Errorf("limit %d: %d in use", max, g.peak.Load())
		case failures.Load() > 0 && used.Load() < int64(max)-1000:
			// Used also counts bytes that are reserved but not allocated yet; the gauge does not.
			t.Errorf("limit %d: %d calls failed, but only %d were in use", max, failures.Load(), used.Load())
		case a.Used() != 0 || g.live.Load() != 0:
			t.Errorf("limit %d: %d in use in the end, %d live", max, a.Used(), g.live.Load())
		}
		p := a.Alloc(layout(max, 1))
		if p == nil || a.Used() != max || a.Alloc(layout(1, 1)) != nil {
			t.Errorf("limit %d: a block of that size is refused, or the limit exceeded: %v, %d used", max, p, a.Used())
		}
		a.Dealloc(p, layout(max, 1))
	}
}

// A call succeeds if its bytes are available, to the last byte, no matter what credit the Ps have.
func TestLimitFailsOnlyIfItWouldBeExceeded(t *testing.T) {
	const max = 1 << 20
	a := wrap.Limit(galloc.System, max)
	if runtime.GOMAXPROCS(0) < 4 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	}
	for round := range 200 {
		var wg sync.WaitGroup
		for range 8 { // so that all Ps have credit
			wg.Go(func() {
				for range 300 {
					a.Dealloc(a.Alloc(layout(64, 8)), layout(64, 8))
				}
			})
		}
		wg.Wait()
		n := uintptr(max - round)
		p := a.Alloc(layout(n, 1))
		if p == nil {
			t.Fatalf("round %d: %d of %d bytes refused with %d in use", round, n, max, a.Used())
		}
		if q := a.Alloc(layout(uintptr(round)+1, 1)); q != nil {
			t.Fatalf("round %d: %d bytes more than %d", round, round+1, n)
		}
		if round > 0 {
			q := a.Alloc(layout(uintptr(round), 1))
			if q == nil || a.Used() != max {
				t.Fatalf("round %d: the last %d bytes refused", round, round)
			}
			a.Dealloc(q, layout(uintptr(round), 1))
		}
		a.Dealloc(p, layout(n, 1))
		if a.Used() != 0 {
			t.Fatalf("round %d: %d in use", round, a.Used())
		}
	}
}

// A meter is an allocator that knows its live bytes and their peak exactly, by its UsableSize. It
// has some of the optional methods. If fails is set, it fails one call in eight.
type meter struct {
	fails      bool
	n          atomic.Uint64
	live, peak atomic.Int64

	alone            bool // check that calls exclude each other
	inside, overlaps atomic.Int64
}

// enter begins a method, and returns the function that ends it.
func (m *meter) enter() (leave func()) {
	if m.alone {
		if m.inside.Add(1) != 1 {
			m.overlaps.Add(1)
		}
		runtime.Gosched()
	}
	return func() { m.inside.Add(-1) }
}

func (m *meter) failing() bool { return m.fails && m.n.Add(1)*0x9e3779b97f4a7c15>>61 == 0 }

func (m *meter) count(old, new galloc.Layout) {
	live := m.live.Add(int64(m.UsableSize(new)) - int64(m.UsableSize(old)))
	for peak := m.peak.Load(); live > peak && !m.peak.CompareAndSwap(peak, live); peak = m.peak.Load() {
	}
}

func (m *meter) UsableSize(l galloc.Layout) uintptr { return (l.Size() + 31) &^ 31 }

// really returns the size asked of System, which is more than UsableSize reports.
func (m *meter) really(l galloc.Layout) galloc.Layout { return layout((l.Size()+255)&^255, l.Align()) }

func (m *meter) Allocate(l galloc.Layout) ([]byte, error) {
	defer m.enter()()
	if l.Size() != 0 && m.failing() {
		return nil, galloc.ErrOutOfMemory
	}
	b, err := galloc.System.Allocate(m.really(l))
	if err == nil {
		m.count(galloc.Layout{}, l)
	}
	return b, err
}

func (m *meter) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	defer m.enter()()
	m.count(l, galloc.Layout{})
	galloc.System.Deallocate(p, m.really(l))
}

func (m *meter) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return m.change(galloc.Grow, p, old, new)
}

func (m *meter) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return m.change(galloc.GrowZeroed, p, old, new)
}

func (m *meter) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return m.change(galloc.Shrink, p, old, new)
}

func (m *meter) change(
	do func(galloc.Allocator, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error),
	p unsafe.Pointer, old, new galloc.Layout,
) ([]byte, error) {
	defer m.enter()()
	if m.failing() {
		return nil, galloc.ErrOutOfMemory
	}
	b, err := do(galloc.System, p, m.really(old), m.really(new))
	if err == nil {
		m.count(old, new)
	}
	return b, err
}

func (m *meter) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	defer m.enter()()
	n := layout(newSize, l.Align())
	if m.really(n) != m.really(l) || m.failing() {
		return false
	}
	m.count(l, n)
	return true
}

// drive calls each method of a n times from each of 64 goroutines, frees all blocks, and returns
// the number of calls that failed.
func drive(t *testing.T, a wrapper, n int) int64 {
	var failures atomic.Int64
	var wg sync.WaitGroup
	for g := range uint64(64) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 9))
			type block struct {
				p unsafe.Pointer
				l galloc.Layout
			}
			var mine []block
			took := func(p unsafe.Pointer, l galloc.Layout) {
				if p == nil {
					failures.Add(1)
					runtime.Gosched()
					return
				}
				*(*byte)(p), *(*byte)(unsafe.Add(p, l.Size()-1)) = byte(g), byte(g)
				mine = append(mine, block{p, l})
			}
			memory := func(b []byte, err error) unsafe.Pointer {
				if err != nil {
					return nil
				}
				return unsafe.Pointer(unsafe.SliceData(b))
			}
			for i := range n {
				l := layout(1+uintptr(r.UintN(700)), 8)
				if len(mine) == 0 || r.IntN(3) == 0 && len(mine) < 40 {
					switch r.IntN(6) {
					case 0:
						took(a.Alloc(l), l)
					case 1:
						took(a.AllocZeroed(l), l)
					case 2:
						took(memory(a.Allocate(l)), l)
					case 3:
						took(memory(a.AllocateZeroed(l)), l)
					case 4:
						took(memory(a.Grow(nil, galloc.Layout{}, l)), l)
					case 5:
						took(a.Realloc(nil, layout(0, 8), l.Size()), l)
					}
					continue
				}
				k := r.IntN(len(mine))
				b := &mine[k]
				if *(*byte)(b.p) != byte(g) || *(*byte)(unsafe.Add(b.p, b.l.Size()-1)) != byte(g) {
					t.Errorf("a block of %v was changed", b.l)
					return
				}
				var p unsafe.Pointer
				zero := layout(0, 8)
				switch {
				case i%4 == 0: // the block ends
					switch r.IntN(4) {
					case 0:
						a.Dealloc(b.p, b.l)
					case 1:
						a.Deallocate(b.p, b.l)
					case 2:
						a.Realloc(b.p, b.l, 0)
					case 3:
						_, _ = a.Shrink(b.p, b.l, zero)
					}
					mine[k] = mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					continue
				case i%4 == 1:
					if !galloc.Resize(a, b.p, b.l, l.Size()) {
						continue
					}
					p = b.p
				case i%4 == 2:
					p = a.Realloc(b.p, b.l, l.Size())
				case l.Size() < b.l.Size():
					p = memory(a.Shrink(b.p, b.l, l))
				case r.IntN(2) == 0:
					p = memory(a.GrowZeroed(b.p, b.l, l))
				default:
					p = memory(a.Grow(b.p, b.l, l))
				}
				if p == nil {
					failures.Add(1)
					continue
				}
				mine[k] = mine[len(mine)-1]
				mine = mine[:len(mine)-1]
				took(p, l)
			}
			for _, b := range mine {
				a.Deallocate(b.p, b.l)
			}
		})
	}
	wg.Wait()
	return failures.Load()
}

// A watched allocator records the used bytes whenever one of its blocks is freed or shrinks.
type watched struct {
	galloc.Allocator
	a    *wrap.Limiter
	used uintptr
}

func (w *watched) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	w.used = w.a.Used()
	w.Allocator.Deallocate(p, l)
}

func (w *watched) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	w.used = w.a.Used()
	return galloc.Shrink(w.Allocator, p, old, new)
}

// A block counts until it is freed, by any method. Otherwise another block could be allocated
// before that.
func TestLimitCountsABlockUntilItIsFreed(t *testing.T) {
	l, zero := layout(100, 8), layout(0, 8)
	for what, end := range map[string]func(a *wrap.Limiter, p unsafe.Pointer){
		"Dealloc":      func(a *wrap.Limiter, p unsafe.Pointer) { a.Dealloc(p, l) },
		"Deallocate":   func(a *wrap.Limiter, p unsafe.Pointer) { a.Deallocate(p, l) },
		"Realloc to 0": func(a *wrap.Limiter, p unsafe.Pointer) { a.Realloc(p, l, 0) },
		"Shrink to 0":  func(a *wrap.Limiter, p unsafe.Pointer) { _, _ = a.Shrink(p, l, zero) },
		"Shrink": func(a *wrap.Limiter, p unsafe.Pointer) {
			b, _ := a.Shrink(p, l, layout(50, 8))
			a.Unwrap().(*watched).Allocator.Deallocate(unsafe.Pointer(&b[0]), layout(50, 8))
		},
	} {
		w := &watched{Allocator: galloc.System}
		w.a = wrap.Limit(w, 1000)
		if end(w.a, w.a.Alloc(l)); w.used != 100 {
			t.Errorf("%s: %d bytes count while it is done", what, w.used)
		}
	}
}

// 64 goroutines call every method, calls of the allocator inside fail, and the limit changes: the
// bytes in use never exceed the highest limit. In the end nothing is in use, and the whole limit is
// available.
func TestLimitHoldsForEveryMethod(t *testing.T) {
	n := 1000
	if testing.Short() || raceEnabled {
		n = 200
	}
	for _, max := range []uintptr{2000, 100_000, 700_000, 64 << 20} {
		for _, fails := range []bool{false, true} {
			m := &meter{fails: fails}
			a := wrap.Limit(m, max)
			stop := make(chan struct{})
			var changing sync.WaitGroup
			changing.Go(func() {
				for i := uintptr(0); ; i++ {
					select {
					case <-stop:
						a.SetLimit(max)
						return
					default:
						a.SetLimit(max - i%4*(max/5))
						if used := a.Used(); used > max {
							t.Errorf("limit %d: %d used", max, used)
						}
						runtime.Gosched()
					}
				}
			})
			failures := drive(t, a, n)
			close(stop)
			changing.Wait()
			m.fails = false
			if m.peak.Load() > int64(max) || a.Used() != 0 || m.live.Load() != 0 {
				t.Errorf("limit %d: at most %d in use; in the end %d used, %d live", max, m.peak.Load(),
					a.Used(), m.live.Load())
			}
			if max < 100_000 && failures == 0 {
				t.Errorf("limit %d: nothing has failed", max)
			}
			l := layout(max&^31, 1)
			if p := a.Alloc(l); p == nil || a.Used() != l.Size() || a.Alloc(layout(32, 1)) != nil {
				t.Errorf("limit %d: a block of that size is refused, or the limit exceeded", max)
			} else {
				a.Dealloc(p, l)
			}
		}
	}
}

// Over a heap, where one section changes the credit and the cache, no byte of the limit is lost or
// added.
func TestLimitOnAHeapAddsUp(t *testing.T) {
	for _, max := range []uintptr{64 << 10, 1 << 20, 16 << 20} {
		a := wrap.Limit(newHeap(t), max)
		var held, peak atomic.Int64
		var wg sync.WaitGroup
		for g := range uintptr(64) {
			wg.Go(func() {
				l := layout(16+g%5*48, 8)
				n := int64(a.UsableSize(l))
				var mine []unsafe.Pointer
				for i := range 1500 {
					var p unsafe.Pointer
					if i%2 == 0 {
						p = a.Alloc(l)
					} else if b, err := a.Allocate(l); err == nil {
						p = unsafe.Pointer(&b[0])
					}
					if p == nil {
						runtime.Gosched()
					} else {
						mine = append(mine, p)
						for h := held.Add(n); ; {
							if m := peak.Load(); m >= h || peak.CompareAndSwap(m, h) {
								break
							}
						}
					}
					for k := len(mine); k > 0 && (p == nil || i%400 == 399); k = len(mine) {
						held.Add(-n)
						if i%3 == 0 {
							a.Dealloc(mine[k-1], l)
						} else {
							a.Deallocate(mine[k-1], l)
						}
						mine = mine[:k-1]
					}
				}
				for _, p := range mine {
					held.Add(-n)
					a.Dealloc(p, l)
				}
			})
		}
		wg.Wait()
		drive(t, a, 100)
		if peak.Load() > int64(max) || a.Used() != 0 {
			t.Errorf("limit %d: at most %d held; in the end %d used", max, peak.Load(), a.Used())
		}
		whole := layout(max, 4096)
		if p := a.Alloc(whole); p == nil || a.Used() != max || a.Alloc(layout(1, 8)) != nil {
			t.Errorf("limit %d: a block of that size is refused, or the limit exceeded: %v", max, p)
		} else {
			a.Dealloc(p, whole)
		}
	}
}

// Successes, failures and live bytes of every method are counted exactly.
func TestStatsOfEveryMethod(t *testing.T) {
	for _, fails := range []bool{false, true} {
		m := &meter{fails: fails}
		a := wrap.Stats(m)
		failures := drive(t, a, 300)
		s := a.Snapshot()
		if s.Live() != 0 || s.LiveBytes() != 0 || s.Allocs == 0 || s.Reallocs == 0 ||
			s.Failures != uint64(failures) || fails != (failures > 0) {
			t.Errorf("%v, with %d failures", s, failures)
		}
		for i, n := range s.Sizes {
			if n.Live() != 0 {
				t.Errorf("size %d: %+v", i, n)
			}
		}
		peak, off := uint64(m.peak.Load()), 64<<10*uint64(runtime.GOMAXPROCS(0))
		if s.PeakBytes < peak-min(peak, off) || s.PeakBytes > peak+off {
			t.Errorf("peak %d, want %d", s.PeakBytes, peak)
		}
	}
}

// Calls of all methods from 64 goroutines balance, with any layout that fits a block, and with
// failures.
func TestLimitBalances(t *testing.T) {
	for _, inner := range []galloc.Allocator{
		newHeap(t), alloctest.Fail(newHeap(t), alloctest.Randomly(0.2, 5)), newAble(t),
	} {
		for _, max := range []uintptr{60_000, 8 << 20} {
			a := wrap.Limit(inner, max)
			use(a, 500, make(chan []byte, 20))
			for i := range uintptr(500) {
				l := layout(1+i, 8)
				p := a.Alloc(l)
				if p == nil {
					continue
				}
				if q := a.Realloc(p, l, 2*l.Size()); q != nil {
					p, l = q, layout(2*l.Size(), 8)
				}
				a.Dealloc(p, l)
			}
			if a.Used() != 0 {
				t.Errorf("%v: %d in use in the end", a, a.Used())
			}
		}
	}
}

func TestLimitCountsWhatBlocksOccupy(t *testing.T) {
	h := newHeap(t)
	l := layout(100, 8)
	n := h.UsableSize(l)
	a := wrap.Limit(h, 3*n-1)
	p, q := a.Alloc(l), a.Alloc(l)
	if p == nil || q == nil || a.Used() != 2*n {
		t.Fatalf("two blocks of %d: %d used", n, a.Used())
	}
	if a.Alloc(l) != nil {
		t.Error("a third one exceeds the limit by a byte")
	}
	if r := a.Realloc(p, l, n); r == nil || a.Used() != 2*n {
		t.Errorf("growing within the block: %v, %d used", r, a.Used())
	} else {
		p = r
	}
	if _, err := a.Grow(p, layout(n, 8), layout(2*n, 8)); !isOutOfMemory(err) || a.Used() != 2*n {
		t.Errorf("growing beyond the limit: %v, %d used", err, a.Used())
	}
	if _, err := a.Shrink(p, layout(n, 8), layout(8, 8)); err != nil || a.Used() != n+8 {
		t.Errorf("shrinking: %v, %d used", err, a.Used())
	}
}

// Wrappers between a Counter or Limiter and the source do not change what blocks count for.
func TestBlocksCountForTheSameThroughOtherWrappers(t *testing.T) {
	h, l := newHeap(t), layout(100, 8)
	for _, a := range []*wrap.Limiter{
		wrap.Limit(alloctest.Fail(wrap.Stats(h)), 1<<20),
		wrap.Limit(wrap.Lock(wrap.Stats(h)), 1<<20),
		wrap.Limit(alloctest.Fail(h), 1<<20),
	} {
		if a.Alloc(l); a.Used() != h.UsableSize(l) {
			t.Errorf("%v: %d used by a block of %d", a, a.Used(), h.UsableSize(l))
		}
	}
	// A UsableSize that rounds up its own result is ignored.
	a := wrap.Stats(newAble(t))
	b, err := a.Allocate(l)
	if err != nil || len(b) != 100 || a.Snapshot().LiveBytes() != 100 {
		t.Errorf("%d bytes, %v, %v", len(b), err, a.Snapshot())
	}
	a.Deallocate(unsafe.Pointer(&b[0]), layout(uintptr(len(b)), 8))
	if s := a.Snapshot(); s.LiveBytes() != 0 {
		t.Errorf("%v", s)
	}
}

func TestSetLimit(t *testing.T) {
	a := wrap.Limit(galloc.System, 1<<20)
	l := layout(1000, 8)
	p := a.Alloc(l)
	a.SetLimit(500)
	if a.Limit() != 500 || a.Used() != 1000 || a.Alloc(layout(1, 1)) != nil {
		t.Errorf("below what is in use: max %d, %d used", a.Limit(), a.Used())
	}
	a.Dealloc(p, l)
	if a.Used() != 0 {
		t.Errorf("%d used", a.Used())
	}
	if a.Alloc(layout(501, 1)) != nil {
		t.Error("more than the lowered limit")
	}
	if p := a.Alloc(layout(500, 1)); p == nil {
		t.Error("a block of the lowered limit is refused")
	} else {
		a.Dealloc(p, layout(500, 1))
	}
	a.SetLimit(1 << 30)
	for range 1000 {
		a.Dealloc(a.Alloc(l), l)
	}
	a.SetLimit(1)
	if a.Alloc(layout(2, 1)) != nil || a.Limit() != 1 {
		t.Error("more than the limit of 1 byte")
	}
	for _, none := range []uintptr{0, math.MaxUint} {
		a.SetLimit(none)
		if a.Limit() != none || wrap.Limit(galloc.System, none).Limit() != none {
			t.Errorf("a limit of %d is reported as %d", none, a.Limit())
		}
		if p := a.Alloc(layout(1<<20, 8)); p == nil {
			t.Error("a limit though there is none")
		} else if a.Used() != 1<<20 {
			t.Errorf("%d used", a.Used())
		} else {
			a.Dealloc(p, layout(1<<20, 8))
		}
	}
	if a.SetLimit(0); a.Limit() != 0 || wrap.Limit(galloc.System, 0).Limit() != 0 {
		t.Error("the limit is not 0, which means none")
	}
}

func TestResetGivesTheLimitBack(t *testing.T) {
	a := wrap.Limit(newAble(t), 1<<20)
	for range 3 {
		for range 50 {
			if a.Alloc(layout(20_000, 8)) == nil {
				t.Fatal("refused")
			}
		}
		reset(t, a)
		if a.Used() != 0 {
			t.Errorf("%d used after Reset", a.Used())
		}
	}
}
