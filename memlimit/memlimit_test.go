package memlimit

import (
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fake is the sources of a Governor, with figures that the test sets.
type fake struct {
	mu      sync.Mutex
	f       figures
	used    uint64
	limit   uint64
	err     error
	us      uint64 // pressure
	now     time.Time
	goLimit int64
	soft    uint64
	hard    uint64
	exceed  func()
	dirty   uint64 // what Trim releases
	gcs     int
	timeout chan time.Time // every wait ends with it
	order   []string
}

func newFake() *fake {
	return &fake{limit: gib, goLimit: math.MaxInt64, now: time.Unix(1e9, 0), timeout: make(chan time.Time)}
}

// with calls f with the lock held.
func (x *fake) with(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

func (x *fake) sources() sources {
	return sources{
		now: func() (t time.Time) {
			x.with(func() { t = x.now })
			return t
		},
		after: func(time.Duration) <-chan time.Time { return x.timeout },
		run:   func(f func()) { go f() },
		limit: func() (uint64, string, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.limit, "the test", x.err
		},
		goFigures: func(f *figures) {
			x.with(func() { f.goTotal, f.goBase, f.goLive, f.cycles = x.f.goTotal, x.f.goBase, x.f.goLive, x.f.cycles })
		},
		offHeap: func() (h, e uint64) {
			x.with(func() { h, e = x.f.heap+x.dirty, x.f.extra })
			return h, e
		},
		used: func() (uint64, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.used, x.err
		},
		stalled: func() (us uint64, ok bool, err error) {
			x.with(func() { us = x.us })
			return us, us != 0, nil
		},
		memoryLimit: func(n int64) (old int64) {
			x.with(func() {
				if old = x.goLimit; n >= 0 {
					x.goLimit = n
				}
			})
			return old
		},
		heapLimits: func(soft, hard uint64, exceeded func()) {
			x.with(func() { x.soft, x.hard, x.exceed = soft, hard, exceeded })
		},
		collect: func() { x.with(func() { x.gcs++; x.f.cycles++ }) },
		trim: func() (n uint64) {
			x.with(func() { n, x.dirty = x.dirty, 0 })
			return n
		},
	}
}

func startFake(t *testing.T, x *fake, o Options) *Governor {
	t.Helper()
	g, err := start(o, x.sources())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// consumer returns a function that moves up to limit bytes from the heap of x to its dirty pages.
func (x *fake) consumer(name string, limit uint64) func(uint64) uint64 {
	return func(want uint64) (n uint64) {
		x.with(func() {
			n = min(want, limit, x.f.heap)
			x.f.heap -= n
			x.dirty += n
			x.order = append(x.order, name)
		})
		return n
	}
}

// settle waits until no round is running.
func settle(g *Governor) {
	for {
		g.mu.Lock()
		r := g.round
		g.mu.Unlock()
		if r == nil {
			return
		}
		<-r.done
	}
}

func TestGovernorSubtractsOffHeapMemoryAndRestores(t *testing.T) {
	x := newFake()
	x.goLimit = int64(2 * gib)
	g := startFake(t, x, Options{})
	if x.goLimit != int64(gib-gib/8) {
		t.Errorf("GOMEMLIMIT is %d", x.goLimit)
	}
	x.f.heap, x.f.extra = gib/4, gib/8
	g.Update()
	if x.goLimit >= int64(gib-gib/8-gib/4-gib/8) {
		t.Errorf("GOMEMLIMIT is %d while off-heap memory grows", x.goLimit)
	}
	g.Update()
	if x.goLimit != int64(gib-gib/8-gib/4-gib/8) {
		t.Errorf("GOMEMLIMIT is %d with off-heap memory", x.goLimit)
	}
	x.used = gib/4 + gib/8 + gib/16
	g.Update()
	g.Update()
	s := g.Snapshot()
	if x.goLimit != int64(gib-gib/8-gib/4-gib/8-gib/16) || s.Rest != gib/16 || s.OffHeap != gib/4+gib/8 ||
		s.GoLimit != uint64(x.goLimit) || s.Limit != gib || s.Source != "the test" || s.Looks != 5 || s.Adjustments != 5 {
		t.Errorf("GOMEMLIMIT is %d with C memory, %+v", x.goLimit, s)
	}
	if err := g.Close(); err != nil || x.goLimit != int64(2*gib) {
		t.Errorf("GOMEMLIMIT is %d after Close, %v", x.goLimit, err)
	}
	x.goLimit, x.f.heap = 5, gib/2
	g.Update()
	if err := g.Close(); err != nil || x.goLimit != 5 || g.Reclaim(1) != 0 {
		t.Errorf("a closed Governor has acted: %d, %v", x.goLimit, err)
	}
}

func TestCloseKeepsALimitSetMeanwhile(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	x.goLimit = 12345
	g.Close()
	if x.goLimit != 12345 {
		t.Errorf("GOMEMLIMIT is %d", x.goLimit)
	}
}

func TestTheSoftLimitCausesALook(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	g.Register("a", 1, x.consumer("a", math.MaxUint64))
	x.f.heap = gib * 3 / 4
	g.Update()
	if x.soft == 0 {
		t.Fatal("there is no soft limit")
	}
	x.f.heap = x.soft + mib
	x.exceed()
	settle(g)
	if len(x.order) != 1 {
		t.Errorf("asked %q", x.order)
	}
	if g.Close(); x.soft != 0 {
		t.Error("the soft limit stays after Close")
	}
}

func TestGarbageIsCollected(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	x.f.heap, x.f.goTotal, x.f.goLive = gib/2, gib/2, gib/8
	for range 12 {
		g.Update()
	}
	for g.collecting.Load() {
		runtime.Gosched()
	}
	if s := g.Snapshot(); x.gcs != 1 || s.Collections != 1 {
		t.Errorf("%d collections, %+v", x.gcs, s)
	}
}

// Pressure is the change of the kernel's counter over the time that has passed.
func TestPressureIsMeasured(t *testing.T) {
	x := newFake()
	x.us = 1000
	g := startFake(t, x, Options{Pressure: 20})
	x.f.heap = gib / 4
	for _, step := range []struct {
		us    uint64
		stall float64
	}{{20000, 0.2}, {10000, 0.1}, {0, 0}, {500000, 1}} {
		x.with(func() {
			x.now = x.now.Add(100 * time.Millisecond)
			x.us += step.us
		})
		g.Update()
		if s := g.Snapshot(); s.Stall != step.stall {
			t.Errorf("%d us: the stall is %v", step.us, s.Stall)
		}
		settle(g)
	}
	if n := g.Snapshot().Rounds; n != 1 {
		t.Errorf("%d rounds", n)
	}
}

func TestTheLimitIsReadAgain(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	step := func(limit uint64, err error) Snapshot {
		x.with(func() { x.now, x.limit, x.err = x.now.Add(11*time.Second), limit, err })
		g.Update()
		return g.Snapshot()
	}
	if s := step(gib/2, nil); s.Limit != gib/2 || x.goLimit != int64(gib/2-gib/16) || s.Error != "" {
		t.Errorf("%d, %+v", x.goLimit, s)
	}
	if s := step(0, errors.New("lost")); s.Limit != gib/2 || !strings.Contains(s.Error, "lost") {
		t.Errorf("%+v", s)
	}
	if s := step(0, nil); s.Limit != gib/2 || !strings.Contains(s.Error, "leaves no room") {
		t.Errorf("%+v", s)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		o    Options
		text string
	}{
		{Options{Interval: time.Microsecond}, "Interval is 1µs"},
		{Options{Interval: -1}, "Interval is -1ns"},
		{Options{Pressure: 101}, "Pressure is 101"},
		{Options{Pressure: math.NaN()}, "Pressure is NaN"},
		{Options{Reserve: gib}, "exceed the limit of 1073741824 bytes from the test"},
		{Options{Reserve: gib / 2, Floor: gib/2 + 1}, "exceed the limit"},
		{Options{Floor: math.MaxUint64}, "too large"},
	} {
		_, err := start(c.o, newFake().sources())
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	x := newFake()
	x.limit = 0
	if _, err := start(Options{}, x.sources()); err == nil {
		t.Error("a limit of 0 bytes is accepted")
	}
	defer func() {
		if v, _ := recover().(string); !strings.HasPrefix(v, "galloc/memlimit: ") {
			t.Errorf("Register without a function: %q", v)
		}
	}()
	startFake(t, newFake(), Options{}).Register("a", 1, nil)
}

func TestOneGovernorAtATime(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	for range 2 {
		g, err := Start(Options{Limit: gib, Interval: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Start(Options{Limit: gib}); err != ErrRunning {
			t.Errorf("a second Governor: %v", err)
		}
		for g.Snapshot().Looks < 3 {
			time.Sleep(time.Millisecond) // WebAssembly reads files while all goroutines wait
		}
		g.Close()
	}
	if _, err := Start(Options{Limit: gib, Reserve: gib}); err == nil || err == ErrRunning {
		t.Errorf("%v", err)
	}
	if now := debug.SetMemoryLimit(-1); now != before {
		t.Errorf("GOMEMLIMIT is %d, and was %d", now, before)
	}
}

func TestStrictSetsAHardLimit(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{Strict: true})
	if x.soft == 0 || x.hard != x.soft+gib/16 {
		t.Errorf("the limits are %d and %d", x.soft, x.hard)
	}
	g.Close()
	x.hard = 1
	startFake(t, x, Options{})
	if x.hard != 1 {
		t.Error("the limits are set far from the end")
	}
}

// BenchmarkUpdate is the cost of a look at this process.
func BenchmarkUpdate(b *testing.B) {
	g, err := Start(Options{Limit: gib, Interval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	for b.Loop() {
		g.Update()
	}
}
