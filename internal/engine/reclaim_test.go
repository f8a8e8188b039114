package engine

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// Groups of blocks are allocated and freed again and again, by several goroutines at once. All of
// them together fill half of the limit at most, so none may be refused.
func TestNobodyIsRefusedWhatOthersHaveFreed(t *testing.T) {
	needPs(t)
	for _, ticks := range []bool{false, true} {
		h, timer := newHeap(t, Config{First: 1})
		h.SetLimit(0, 4<<20, nil)
		var stop atomic.Bool
		var ticker sync.WaitGroup
		if ticks {
			ticker.Go(func() {
				for !stop.Load() {
					timer.fire()
				}
			})
		}
		refused := int64(0)
		for round := uint64(0); round < 10 && readStats(h).LimitRefusals < 20; round++ {
			refused += useGroups(h, 4<<20, round)
		}
		stop.Store(true)
		ticker.Wait()
		if refused != 0 {
			t.Errorf("ticks=%v: %d allocations are refused, though at most half of the limit is in use", ticks, refused)
		}
		t.Logf("ticks=%v: the limit was reached %d times", ticks, readStats(h).LimitRefusals)
	}
}

// useGroups is the work of four goroutines, each of which has at most a tenth of limit in use. It
// returns the number of refused allocations.
func useGroups(h *Heap, limit uintptr, seed uint64) int64 {
	var refused atomic.Int64
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, seed))
			for range 300 {
				size := uintptr(512+r.IntN(512)) << r.IntN(8) // to 128 KiB
				var ps []unsafe.Pointer
				for range max(limit/10/size, 1) {
					if p := h.Alloc(size, 8); p != nil {
						ps = append(ps, p)
					} else {
						refused.Add(1)
					}
				}
				runtime.Gosched()
				for _, p := range ps {
					h.Free(p, size, 8)
				}
			}
		})
	}
	wg.Wait()
	return refused.Load()
}

// A block that has no room at first grows in place once there is room.
func TestReallocGrowsInPlaceAfterARelief(t *testing.T) {
	withProcs(t, 1)
	h, _ := newHeap(t, Config{First: 1, Decay: -1})
	const size = 1 << 20
	other := h.Alloc(3*size, 8)
	fence := h.Alloc(4096, 4096)
	b := testBlock{h.Alloc(3*size, 8), 3 * size, 8, 1}
	if other == nil || fence == nil || b.p == nil {
		t.Fatal("no memory")
	}
	b.stamp()
	h.SetLimit(0, readStats(h).Footprint+64<<10, nil)
	h.Free(other, 3*size, 8) // dirty pages that the block has no use for
	q := h.Realloc(b.p, b.size, 8, 5*size)
	if q == nil {
		t.Fatal("not grown, though it could grow in place")
	}
	b.p = q
	b.wantStamp(t, b.size)
	h.Free(b.p, 5*size, 8)
	h.FreeUnsized(fence)
}

// A heap at its limit does not empty the caches and purge everything for each call that it refuses.
func TestRefusalsAreCheap(t *testing.T) {
	withProcs(t, 1)
	for _, size := range []uintptr{64, 3000, 100 << 10} {
		h, _ := newHeap(t, Config{First: 1, Decay: -1})
		h.SetLimit(0, 8<<20, nil)
		var ps []unsafe.Pointer
		for p := h.Alloc(size, 8); p != nil; p = h.Alloc(size, 8) {
			ps = append(ps, p)
		}
		before := readStats(h)
		r := rand.New(rand.NewPCG(1, 1))
		const n = 2000
		for range n { // a cache that evicts when it is refused memory
			if h.Alloc(size, 8) != nil {
				t.Fatalf("blocks of %d: the limit does not hold", size)
			}
			i := r.IntN(len(ps))
			h.Free(ps[i], size, 8)
			if ps[i] = h.Alloc(size, 8); ps[i] == nil {
				t.Fatalf("blocks of %d: refused after a block was freed", size)
			}
		}
		after := readStats(h)
		if d := after.Purges - before.Purges; d > n/100 {
			t.Errorf("blocks of %d: %d purges for %d refusals", size, d, n)
		}
		if d := after.Drains - before.Drains; d > 1+n/1000 {
			t.Errorf("blocks of %d: the caches were emptied %d times for %d refusals", size, d, n)
		}
		for _, p := range ps {
			h.Free(p, size, 8)
		}
		if h.Refusal() != RefusedByLimit {
			t.Errorf("the reason is %d", h.Refusal())
		}
	}
}

// After a shortage the Ps get caches again.
func TestCachesComeBackAfterAShortage(t *testing.T) {
	withProcs(t, 1)
	h, _ := newHeap(t, Config{First: 1, Decay: -1})
	h.SetLimit(0, 4<<20, nil)
	var ps []unsafe.Pointer
	for p := h.Alloc(64, 8); p != nil; p = h.Alloc(64, 8) {
		ps = append(ps, p)
	}
	for _, p := range ps {
		h.Free(p, 64, 8)
	}
	if s := readStats(h); s.Cached == 0 {
		t.Errorf("%d blocks were freed, and none is in a cache", len(ps))
	}
}

// The system's refusals are told apart from the limit's, and end with the shortage.
func TestRefusalSaysWhoRefused(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1, Decay: time.Hour})
	restore := inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpCommit || op == vm.OpReserve {
			return errInjected
		}
		return nil
	})
	for _, size := range []uintptr{64, 1 << 20} {
		if h.Alloc(size, 8) != nil {
			t.Skip("the heap needs no system call")
		}
		if got := h.Refusal(); got != RefusedBySystem {
			t.Errorf("%d bytes: the reason is %d", size, got)
		}
	}
	restore()
	h.SetLimit(0, 64<<10, nil)
	if h.Alloc(1<<20, 8) != nil || h.Refusal() != RefusedByLimit {
		t.Errorf("the reason is %d", h.Refusal())
	}
	h.SetLimit(0, 0, nil)
	h.Free(h.Alloc(1<<20, 8), 1<<20, 8)
	for timer.fire() {
	}
	if h.gate.active.Load() {
		t.Error("slow calls pass the gate after the shortage")
	}
}

// The same when the system refuses to commit more memory than the heap had at first.
func TestNobodyIsRefusedByTheSystemWhatOthersHaveFreed(t *testing.T) {
	needPs(t)
	h, _ := newHeap(t, Config{First: 1})
	const most = 4 << 20
	h.Free(h.Alloc(most, 8), most, 8)
	inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpReserve || op == vm.OpCommit {
			return errInjected
		}
		return nil
	})
	refused := int64(0)
	for round := uint64(0); round < 10 && readStats(h).SystemRefusals < 20; round++ {
		refused += useGroups(h, most*3/4, round)
	}
	if refused != 0 {
		t.Errorf("%d allocations are refused, though at most half of the memory is in use", refused)
	}
	t.Logf("the system refused %d times", readStats(h).SystemRefusals)
}
