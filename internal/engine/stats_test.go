package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
)

// On a heap without caches, where each call moves one block, Stats counts the locks of a few calls
// exactly.
func TestStatsCountsLocksBlocksAndSpans(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // no adoption, which locks too
	h, _ := newHeap(t, Config{Checked: true, Decay: -1})
	c := pages.ClassOf(4096, 8)
	var ps []unsafe.Pointer
	for range 3 {
		ps = append(ps, h.Alloc(4096, 8))
	}
	for _, p := range ps {
		h.Free(p, 4096, 8)
	}
	h.Free(h.Alloc(1<<20, 8), 1<<20, 8)
	var s Stats
	h.ReadStats(&s)
	h.ReadStats(&s) // which does not count itself
	k := s.Classes[c-1]
	if k.Blocks != 0 || k.Refilled != 3 || k.Flushed != 3 || k.SpansMade == 0 || k.Adopted != 0 || k.Waits != 0 {
		t.Errorf("%+v: want 3 blocks refilled and flushed in freed spans, no waits, nothing adopted", k)
	}
	// One lock for each block, and one more for each new span, after the central was found empty.
	if want := 6 + k.SpansMade; k.Locks != want {
		t.Errorf("%d locks of centrals, want %d", k.Locks, want)
	}
	if want := 2*k.SpansMade + 2; s.PageLocks != want || s.PageWaits != 0 {
		t.Errorf("%d locks of the pages, %d waits, want %d, 0", s.PageLocks, s.PageWaits, want)
	}
}

func TestACentralHasTwoCacheLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("it is smaller on 32 bits")
	}
	var ct central
	if size := unsafe.Sizeof(ct); size != 128 {
		t.Errorf("a central has %d bytes, want 128", size)
	}
	if end := unsafe.Offsetof(ct.gone) + 4; end > 64 {
		t.Errorf("what a batch needs of a central ends at byte %d, beyond a cache line", end)
	}
	if at := unsafe.Offsetof(ct.refilled); at < 60 {
		t.Errorf("the counts begin at byte %d", at)
	}
}

// The documentation of package heap states these sizes: 20 KiB for a heap, 180 KiB for each P.
func TestDocumentedSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("they are for 64 bits")
	}
	if n := unsafe.Sizeof(Heap{}); (n+1<<9)>>10 != 20 {
		t.Errorf("a Heap has %d bytes", n)
	}
	if n := unsafe.Sizeof(Cache{}) + unsafe.Sizeof(proc{}); n < 175<<10 || n > 180<<10 {
		t.Errorf("a P has %d bytes", n)
	}
}

// Blocks on their way from a cache or a stash to the pages are not live.
func TestNothingIsLiveWhileATickDrains(t *testing.T) {
	needPs(t)
	h, timer := newHeap(t, Config{})
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			timer.fire()
		}
	})
	const rounds = 300
	for range rounds {
		var ps []unsafe.Pointer
		for i := range uintptr(200) {
			ps = append(ps, h.Alloc(64*(1+i), 8))
		}
		large := h.Alloc(100<<10, 8)
		for i, p := range ps {
			h.Free(p, 64*(1+uintptr(i)), 8)
		}
		h.Free(large, 100<<10, 8)
		for range 20 {
			if s := readStats(h); s.Live != 0 || s.LiveBlocks != 0 {
				t.Errorf("%d bytes in %d blocks are live", s.Live, s.LiveBlocks)
				stop.Store(true)
				wg.Wait()
				return
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}
