package memlimit

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestConsumersAreAskedByPriority(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	g.Register("c", 2, x.consumer("c", math.MaxUint64))
	g.Register("a", 1, x.consumer("a", 10*mib))
	remove := g.Register("x", 1, x.consumer("x", 20*mib))
	g.Register("b", 1, x.consumer("b", 20*mib))
	g.Register("d", 3, x.consumer("d", math.MaxUint64))
	remove()
	remove()
	x.f.heap = gib * 15 / 16
	g.Update()
	settle(g)
	if got := strings.Join(x.order, ""); got != "abc" {
		t.Errorf("asked %q", got)
	}
	s := g.Snapshot().Shrinkers
	if len(s) != 4 || s[0].Name != "a" || s[2].Asked != s[0].Asked-30*mib || s[2].Freed != s[2].Asked || s[3].Calls != 0 {
		t.Errorf("%+v", s)
	}
	if x.dirty != 0 {
		t.Error("what consumers freed was not released")
	}
	if g.Update(); g.Snapshot().Short {
		t.Error("memory is short after all was freed")
	}
}

func TestUnusedPagesGoFirst(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	g.Register("a", 1, x.consumer("a", math.MaxUint64))
	x.f.heap, x.dirty = gib/2, gib/2
	g.Update()
	settle(g)
	if s := g.Snapshot(); len(x.order) != 0 || s.Trims != 1 || s.Trimmed != gib/2 {
		t.Errorf("%q, %+v", x.order, s)
	}
}

// Consumers that never return, panic, call Goexit, free nothing, or call the Governor: the next is
// asked all the same, and GOMEMLIMIT follows.
func TestHostileConsumers(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	stuck := make(chan struct{})
	entered := make(chan struct{})
	var stuckCalls atomic.Int32
	g.Register("stuck", 1, func(uint64) uint64 {
		if stuckCalls.Add(1) == 1 {
			close(entered)
			<-stuck
		}
		return 0
	})
	g.Register("panics", 2, func(uint64) uint64 { panic("a mistake") })
	g.Register("exits", 3, func(uint64) uint64 { runtime.Goexit(); return 1 })
	g.Register("greedy", 4, func(want uint64) uint64 { x.with(func() { x.f.heap += mib }); return 0 })
	g.Register("liar", 5, func(want uint64) uint64 { return mib })
	g.Register("calls", 6, func(want uint64) uint64 {
		g.Update()
		g.Snapshot()
		g.Register("new", 9, func(uint64) uint64 { return 0 })()
		return 0
	})
	g.Register("good", 7, x.consumer("good", math.MaxUint64))
	x.f.heap = gib - mib
	g.Update()
	<-entered
	x.f.heap = gib / 2
	g.Update() // while a consumer is stuck
	x.with(func() {
		if x.goLimit != int64(gib/2-gib/8) {
			t.Errorf("GOMEMLIMIT is %d while a consumer is stuck", x.goLimit)
		}
		x.f.heap = gib - mib
	})
	x.timeout <- time.Time{}
	settle(g)
	s := g.Snapshot().Shrinkers
	for i, want := range []ShrinkerStats{
		{Name: "stuck", Calls: 1, Late: 1},
		{Name: "panics", Calls: 1, Panic: "a mistake"},
		{Name: "exits", Calls: 1, Panic: "runtime.Goexit"},
		{Name: "greedy", Calls: 1},
		{Name: "liar", Calls: 1, Freed: mib},
		{Name: "calls", Calls: 1},
		{Name: "good", Calls: 1, Freed: s[6].Asked},
	} {
		want.Priority, want.Asked = i+1, s[i].Asked
		if s[i] != want || s[i].Asked == 0 {
			t.Errorf("%+v, want %+v", s[i], want)
		}
	}
	if x.f.heap >= gib*15/16 {
		t.Errorf("%d bytes are left in the heap", x.f.heap)
	}
	// The next round skips the stuck and the dead.
	g.Reclaim(3 * mib)
	s = g.Snapshot().Shrinkers
	if s[0].Calls != 1 || s[1].Calls != 1 || s[2].Calls != 1 || s[4].Calls < 2 {
		t.Errorf("%+v", s)
	}
	close(stuck)
	for busy := true; busy; runtime.Gosched() {
		g.mu.Lock()
		busy = g.shrinkers[0].busy
		g.mu.Unlock()
	}
	if g.Reclaim(gib); g.Snapshot().Shrinkers[0].Calls < 2 {
		t.Error("a consumer that has returned is not called again")
	}
}

// A consumer that calls Reclaim waits for itself, but not forever; and so does one whose lock the
// caller of Reclaim holds.
func TestReclaimDoesNotDeadlock(t *testing.T) {
	x := newFake()
	g := startFake(t, x, Options{})
	inner := make(chan uint64, 8)
	var lock sync.Mutex
	g.Register("recursive", 1, func(uint64) uint64 {
		inner <- g.Reclaim(5)
		lock.Lock()
		defer lock.Unlock()
		return 7
	})
	lock.Lock()
	close(x.timeout) // a second has passed
	g.Reclaim(10)
	lock.Unlock()
	<-inner
	settle(g)
	if s := g.Snapshot().Shrinkers[0]; s.Calls == 0 {
		t.Errorf("%+v", s)
	}
}

func TestReclaimReturnsWhatWasFreed(t *testing.T) {
	x := newFake()
	x.f.heap = 100
	g := startFake(t, x, Options{})
	if n := g.Reclaim(10); n != 0 {
		t.Errorf("%d bytes without consumers", n)
	}
	g.Register("a", 1, x.consumer("a", math.MaxUint64))
	if n := g.Reclaim(10); n != 10 || g.Reclaim(0) != 0 {
		t.Errorf("%d bytes of 10", n)
	}
	if n := g.Reclaim(1000); n != 90 {
		t.Errorf("%d bytes of the last 90", n)
	}
}

func TestRetry(t *testing.T) {
	x := newFake()
	x.f.heap = 100
	g := startFake(t, x, Options{})
	g.Register("a", 1, x.consumer("a", 30))
	errFull := errors.New("full")
	calls := 0
	allocate := func() (uint64, error) {
		calls++
		if x.f.heap > 50 {
			return 0, errFull
		}
		return x.f.heap, nil
	}
	// It asks for 30 bytes, then for 60.
	if v, err := Retry(g, 30, allocate); v != 10 || err != nil || calls != 4 {
		t.Errorf("%d, %v after %d calls", v, err, calls)
	}
	if v, err := Retry(g, 30, allocate); v != 10 || err != nil || calls != 5 {
		t.Errorf("%d, %v: asked without need", v, err)
	}
	if _, err := Retry(g, 0, func() (int, error) { return 1, errFull }); err != errFull || x.f.heap > 40 {
		t.Error(err, x.f.heap)
	}
	x.f.heap, calls = 0, 0
	if _, err := Retry(g, 30, func() (int, error) { calls++; return 1, errFull }); err != errFull || calls != 4 {
		t.Errorf("%v after %d calls, of which two asked for nothing", err, calls)
	}
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	x := newFake()
	x.f.heap = gib
	g := startFake(t, x, Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				remove := g.Register("a", 1, x.consumer("a", mib))
				g.Update()
				g.Reclaim(mib)
				g.Snapshot()
				remove()
			}
		})
	}
	wg.Wait()
	g.Close()
	settle(g)
}
