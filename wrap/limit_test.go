package wrap_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

// A gauge counts what is live below it, and the most that ever was, exactly.
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

// Under 64 goroutines that want more than there is, no more than the limit is ever in use,
// which is measured below it; the most that is in use comes near to it; and in the end nothing
// is, and all of it can be had in one piece.
func TestLimitIsNeverExceeded(t *testing.T) {
	for _, max := range []uintptr{3000, 60_000, 1 << 20, 3 << 20} {
		g := &gauge{Allocator: galloc.System}
		a := wrap.Limit(g, max)
		var failures atomic.Int64
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
		case failures.Load() > 0 && g.peak.Load() < int64(max)-1000:
			t.Errorf("limit %d: %d calls failed, but only %d were in use", max, failures.Load(), g.peak.Load())
		case a.Used() != 0 || g.live.Load() != 0:
			t.Errorf("limit %d: %d in use in the end, %d live", max, a.Used(), g.live.Load())
		}
		p := a.Alloc(layout(max, 1))
		if p == nil || a.Used() != max || a.Alloc(layout(1, 1)) != nil {
			t.Errorf("limit %d: it cannot be had in one piece, or exceeded: %v, %d used", max, p, a.Used())
		}
		a.Dealloc(p, layout(max, 1))
	}
}

// Whatever the Ps keep in advance, a call succeeds if there is room for it, to the last byte.
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

// All kinds of calls, from 64 goroutines, balance: whatever layout a block is freed with, and
// whatever has failed.
func TestLimitBalances(t *testing.T) {
	for _, inner := range []galloc.Allocator{newHeap(t), wrap.Fail(newHeap(t), wrap.Randomly(0.2, 5)), newAble(t)} {
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

func TestSetMax(t *testing.T) {
	a := wrap.Limit(galloc.System, 1<<20)
	l := layout(1000, 8)
	p := a.Alloc(l)
	a.SetMax(500)
	if a.Max() != 500 || a.Used() != 1000 || a.Alloc(layout(1, 1)) != nil {
		t.Errorf("below what is in use: max %d, %d used", a.Max(), a.Used())
	}
	a.Dealloc(p, l)
	if a.Used() != 0 {
		t.Errorf("%d used", a.Used())
	}
	if a.Alloc(layout(501, 1)) != nil {
		t.Error("more than the lowered limit")
	}
	if p := a.Alloc(layout(500, 1)); p == nil {
		t.Error("the lowered limit cannot be had")
	} else {
		a.Dealloc(p, layout(500, 1))
	}
	a.SetMax(1 << 30)
	for range 1000 {
		a.Dealloc(a.Alloc(l), l)
	}
	a.SetMax(0)
	if a.Alloc(layout(1, 1)) != nil {
		t.Error("something out of nothing")
	}
	a.SetMax(^uintptr(0))
	if p := a.Alloc(l); p == nil {
		t.Error("no limit is no limit")
	} else {
		a.Dealloc(p, l)
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
		a.(galloc.Resetter).Reset()
		if a.Used() != 0 {
			t.Errorf("%d used after Reset", a.Used())
		}
	}
}
