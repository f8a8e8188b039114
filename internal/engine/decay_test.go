package engine

import (
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// wantArmed checks whether the heap is ticking.
func wantArmed(t *testing.T, timer *fakeTimer, want bool, when string) {
	t.Helper()
	if got := timer.armed.Load(); got != want {
		t.Errorf("%s: ticking is %v, want %v", when, got, want)
	}
}

func TestNothingTicksWithoutDirt(t *testing.T) {
	h, timer := newHeap(t, Config{})
	wantArmed(t, timer, false, "new heap")
	large := h.Alloc(1<<20, 8)
	wantArmed(t, timer, false, "a large block from new pages")
	h.Free(large, 1<<20, 8)
	wantArmed(t, timer, true, "a large block freed")
	for timer.fire() {
	}
	if s := readStats(h); s.Dirty != 0 || s.Ticks > 4 {
		t.Errorf("at rest: Dirty == %d after %d ticks", s.Dirty, s.Ticks)
	}
	small := h.Alloc(64, 8)
	wantArmed(t, timer, true, "a small block, and others in the cache")
	for range 4 {
		timer.fire()
	}
	wantArmed(t, timer, false, "nobody has used the cache for 4 ticks")
	if s := readStats(h); s.Cached != 0 {
		t.Errorf("Cached == %d", s.Cached)
	}
	h.Free(small, 64, 8)
	wantArmed(t, timer, true, "a block freed")
	wantNothingLeft(t, h, timer)
}

// A free into an empty cache sets the timer of a heap at rest.
func TestABlockFreedIntoAnEmptyCacheStartsTheTicking(t *testing.T) {
	withProcs(t, 1)
	h, timer := newHeap(t, Config{})
	var blocks []unsafe.Pointer
	for {
		p := h.Alloc(64, 8)
		blocks = append(blocks, p)
		if s := readStats(h); s.Cached == 0 && len(blocks) > 4 {
			break
		}
		if len(blocks) > 1000 {
			t.Fatal("the cache is never empty")
		}
	}
	for range 4 {
		timer.fire()
	}
	wantArmed(t, timer, false, "nothing to give back")
	h.Free(blocks[0], 64, 8)
	wantArmed(t, timer, true, "a block freed")
	for _, p := range blocks[1:] {
		h.Free(p, 64, 8)
	}
	wantNothingLeft(t, h, timer)
}

// Free pages are purged at the second tick, unless they were in use in between.
func TestAgedPagesArePurgedAtTheSecondTick(t *testing.T) {
	const size = 8 << 20 // which is not stashed
	for _, lazy := range []bool{false, true} {
		h, timer := newHeap(t, Config{Lazy: lazy})
		free := func() { // a block that was written to
			p := h.Alloc(size, 8)
			testBlock{p, size, 8, 1}.stamp()
			h.Free(p, size, 8)
		}
		want := func(dirty, purged uintptr, when string) {
			t.Helper()
			wantCheck(t, h)
			if s := readStats(h); s.Dirty != dirty || uintptr(s.PurgedBytes) != purged {
				t.Errorf("lazy %v, %s: Dirty == %d, PurgedBytes == %d, want %d, %d", lazy, when, s.Dirty,
					s.PurgedBytes, dirty, purged)
			}
		}
		free()
		want(size, 0, "freed")
		timer.fire()
		want(size, 0, "a tick later")
		free()
		timer.fire()
		want(size, 0, "used again, and a tick later")
		timer.fire()
		want(0, size, "two ticks later")
		wantArmed(t, timer, false, "all purged")
		p := h.AllocZeroed(size, 8)
		wantZero(t, p, size)
		h.Free(p, size, 8)
		wantNothingLeft(t, h, timer)
	}
}

// A heap that never decays keeps its memory until Trim.
func TestNoDecay(t *testing.T) {
	h, timer := newHeap(t, Config{Decay: -1})
	d := &shadow{t: t, h: h}
	for range 100 {
		d.alloc(5000, 8, false)
	}
	d.alloc(1<<20, 8, false)
	d.freeAll()
	wantArmed(t, timer, false, "no decay")
	if s := readStats(h); s.Dirty+s.InUse < 1<<20 || s.PurgedBytes != 0 {
		t.Errorf("Dirty == %d, PurgedBytes == %d", s.Dirty, s.PurgedBytes)
	}
	if n := h.Trim(); n < 1<<20 {
		t.Errorf("Trim() == %d", n)
	}
	wantNothingLeft(t, h, timer)
}

// A cache in use keeps its blocks. A cache that is not used is drained at the second tick, whether
// or not its P is gone.
func TestOnlyIdleCachesAreDrained(t *testing.T) {
	needPs(t)
	withProcs(t, 1)
	h, timer := newHeap(t, Config{})
	p := h.Alloc(64, 8)
	timer.fire()
	for i := range 6 {
		if i%2 == 0 {
			h.Free(p, 64, 8)
		} else {
			p = h.Alloc(64, 8)
		}
		cached := readStats(h).Cached
		timer.fire()
		if now := readStats(h).Cached; now != cached {
			t.Errorf("tick %d drained %d bytes from a cache in use", i, cached-now)
		}
	}
	timer.fire()
	timer.fire()
	if s := readStats(h); s.Cached != 0 {
		t.Errorf("Cached == %d after two idle ticks", s.Cached)
	}
	h.Free(p, 64, 8)
}

// A cache in use is drained if many of its bytes are not used.
func TestStaleMagazinesAreDrained(t *testing.T) {
	withProcs(t, 1)
	h, timer := newHeap(t, Config{})
	d := &shadow{t: t, h: h}
	for size := uintptr(2048); size <= 32<<10; size += size / 4 {
		for range 4 {
			d.alloc(size, 8, false)
		}
	}
	d.freeAll()
	if s := readStats(h); s.Cached <= maxStale {
		t.Fatalf("Cached == %d", s.Cached)
	}
	p := h.Alloc(64, 8)
	for range 3 {
		timer.fire()
		h.Free(p, 64, 8)
		timer.fire()
		p = h.Alloc(64, 8)
	}
	if s := readStats(h); s.Cached > maxStale {
		t.Errorf("Cached == %d", s.Cached)
	}
	h.Free(p, 64, 8)
}

// A heap with Huge purges huge pages only, and comes to rest with dirty pages left.
func TestHugePages(t *testing.T) {
	huge := vm.HugePageSize()
	if huge == 0 || huge > 16<<20 {
		t.Skip("no huge pages")
	}
	h, timer := newHeap(t, Config{Huge: true})
	d := &shadow{t: t, h: h}
	d.alloc(8*huge+3*pages.PageSize, 8, false)
	d.freeAll()
	for range 8 {
		timer.fire()
	}
	if s := readStats(h); s.PurgedBytes < 7*uint64(huge) || s.Dirty >= 2*huge {
		t.Errorf("of %d huge pages, %d bytes are purged and %d dirty", 8, s.PurgedBytes, s.Dirty)
	}
	wantArmed(t, timer, false, "what is dirty cannot be purged")
	d.alloc(100<<10, 8, true)
	d.freeAll()
	wantArmed(t, timer, true, "something has been freed")
}

// Close waits for a tick that is running.
func TestCloseWhileATickPurges(t *testing.T) {
	needPs(t)
	timer := new(fakeTimer)
	h := New(Config{First: 1, Timer: func(f func()) Timer { timer.f = f; return timer }})
	h.Free(h.Alloc(1<<20, 8), 1<<20, 8)
	timer.fire()
	var wg sync.WaitGroup
	closing := make(chan struct{})
	var once sync.Once
	inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpPurge {
			once.Do(func() {
				wg.Go(func() { close(closing); h.Close() })
				<-closing
				time.Sleep(10 * time.Millisecond) // if Close does not wait, it has returned by now
			})
		}
		return nil
	})
	timer.fire()
	wg.Wait()
	timer.armed.Store(true)
	timer.fire() // a tick after Close does nothing
}
