package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

func wantStashed(t *testing.T, h *Heap, want uintptr, when string) {
	t.Helper()
	wantCheck(t, h)
	if s := readStats(h); s.Stashed != want || s.Live != 0 || s.LiveBlocks != 0 {
		t.Errorf("%s: Stashed == %d, Live == %d in %d blocks, want %d, 0, 0", when, s.Stashed, s.Live, s.LiveBlocks, want)
	}
}

// Goroutines on two Ps hand large blocks to one another, and hardly ever have to lock the pages.
func TestPsThatExchangeLargeBlocksHardlyLock(t *testing.T) {
	needPs(t)
	withProcs(t, 2)
	h, timer := newHeap(t, Config{First: 1})
	const n = 10_000
	var between atomic.Pointer[byte]
	exchange := func(seed int) {
		for range n {
			p := h.Alloc(64<<10, 8)
			*(*int)(p) = seed
			if old := between.Swap((*byte)(p)); old != nil {
				h.Free(unsafe.Pointer(old), 64<<10, 8)
			}
		}
	}
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { exchange(i) })
	}
	wg.Wait()
	if s := readStats(h); s.PageLocks > n/10 {
		t.Errorf("the pages were locked %d times for %d blocks", s.PageLocks, 2*n)
	}
	h.Free(unsafe.Pointer(between.Load()), 64<<10, 8)
	wantNothingLeft(t, h, timer)
}

// What has not been used from one tick to the next leaves the process, as free pages do; what has been stays.
func TestAStashedBlockLeavesAtTheSecondTick(t *testing.T) {
	const size = 1 << 20
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	free := func(size uintptr) {
		p := h.Alloc(size, 8)
		block{p, size, 8, 1}.stamp()
		h.Free(p, size, 8)
	}
	free(size)
	wantStashed(t, h, size, "freed")
	for range 3 {
		timer.fire()
		wantStashed(t, h, size, "a tick later")
		free(size)
	}
	timer.fire()
	free(2 * size) // which moves the other to the second slot
	wantStashed(t, h, 3*size, "another freed")
	timer.fire()
	wantStashed(t, h, 2*size, "the first is at its second tick")
	if s := readStats(h); s.PurgedBytes != size || s.Dirty != 0 {
		t.Errorf("PurgedBytes == %d, Dirty == %d, want %d, 0", s.PurgedBytes, s.Dirty, size)
	}
	wantArmed(t, timer, true, "something is stashed")
	timer.fire()
	wantStashed(t, h, 0, "the end")
	if s := readStats(h); s.PurgedBytes != 3*size || s.Dirty != 0 || s.InUse != 0 {
		t.Errorf("PurgedBytes == %d, Dirty == %d, InUse == %d, want %d, 0, 0", s.PurgedBytes, s.Dirty, s.InUse, 3*size)
	}
	wantArmed(t, timer, false, "the end")
}

// A run is handed out again if it has the length and the alignment, and then AllocZeroed clears it, whatever it was before.
func TestAStashedBlockIsHandedOutToWhoAsksForAsManyPages(t *testing.T) {
	const size, most = 68 << 10, stashMost << pageShift
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	for _, c := range []struct {
		size, align, newSize, newAlign uintptr
		stashed, again                 bool
	}{
		{size, 8, size, 8, true, true},
		{size, 8, size - pageSize + 1, 8, true, true},
		{size, 8, size + 1, 8, true, false},
		{size, 8, size - pageSize, 8, true, false},
		{size, 8, size, 8 << 20, true, false},
		{size, 1 << 16, size, 1 << 16, true, true},
		{100, 2 * pageSize, 50, 2 * pageSize, true, true},
		{most, 8, most, 8, true, true},
		{most + 1, 8, most + 1, 8, false, true}, // by chance
	} {
		b := block{h.Alloc(c.size, c.align), c.size, c.align, 1} // of pages that are known to be zero
		if c.newAlign > 1<<20 {
			for uintptr(b.p)%c.newAlign == 0 { // as bad luck would have it
				b.p = h.Alloc(c.size, c.align)
			}
		}
		b.stamp()
		h.Free(b.p, c.size, c.align)
		if got := readStats(h).Stashed == UsableSize(c.size, c.align); got != c.stashed {
			t.Errorf("%+v: stashed is %v", c, got)
		}
		p := h.AllocZeroed(c.newSize, c.newAlign)
		if (p == b.p) != c.again || uintptr(p)%c.newAlign != 0 {
			t.Errorf("%+v: first %p, then %p", c, b.p, p)
		}
		wantZero(t, p, c.newSize)
		if s := readStats(h); s.Live < UsableSize(c.newSize, c.newAlign) || c.again && s.Stashed != 0 {
			t.Errorf("%+v: Live == %d, Stashed == %d", c, s.Live, s.Stashed)
		}
		wantCheck(t, h)
		h.Free(p, c.newSize, c.newAlign)
		h.Trim()
	}
	if s := readStats(h); s.Live == 0 {
		wantNothingLeft(t, h, timer)
	}
}

// A goroutine that has moved to another P finds what it has freed on the one before.
func TestAStashedBlockIsFoundFromAnotherP(t *testing.T) {
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	p := h.Alloc(1<<20, 8)
	h.Free(p, 1<<20, 8)
	h.shardOf(5).stash.slots[1].Store(h.shardOf(home()).stash.slots[0].Swap(0)) // as if it had been freed there
	if q := h.Alloc(1<<20, 8); q != p {
		t.Errorf("%p is stashed, and %p is handed out", p, q)
	}
	h.Free(p, 1<<20, 8)
	wantNothingLeft(t, h, timer)
}

// Whoever takes everything back takes what is stashed, and while there is a limit nothing is.
func TestStashesAreEmptied(t *testing.T) {
	const size = 1 << 20
	withProcs(t, 1)
	h, _ := newHeap(t, Config{First: 1, Decay: -1})
	free := func() { h.Free(h.Alloc(size, 8), size, 8) }
	free()
	if n := h.Trim(); n != size {
		t.Errorf("Trim() == %d", n)
	}
	wantStashed(t, h, 0, "Trim")
	for _, c := range []struct{ soft, hard uintptr }{{64 << 20, 0}, {0, 64 << 20}} {
		free()
		h.SetLimit(c.soft, c.hard, func(uintptr) {})
		wantStashed(t, h, 0, "SetLimit")
		free()
		wantStashed(t, h, 0, "a block freed within a limit")
		h.SetLimit(0, 0, nil)
		free()
		wantStashed(t, h, size, "without limits")
	}
	p := h.Alloc(size/2, 8) // what is left of the extent may serve it, or the stash, but nothing else
	refused := inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpReserve || op == vm.OpCommit {
			return errInjected
		}
		return nil
	})
	for readStats(h).Stashed != 0 {
		if q := h.Alloc(size/2, 8); q == nil {
			t.Fatal("no memory, though there is some in a stash")
		}
	}
	refused()
	h.FreeUnsized(p)
	h.Trim()
	wantCheck(t, h)
}

// Everything that can be done to a block is refused while it is stashed, and reported as what it is.
func TestMisuseOfAStashedBlock(t *testing.T) {
	const size = 100 << 10
	withProcs(t, 1)
	for name, f := range map[string]func(h *Heap, p unsafe.Pointer){
		"free":                        func(h *Heap, p unsafe.Pointer) { h.Free(p, size, 8) },
		"free with another size":      func(h *Heap, p unsafe.Pointer) { h.Free(p, 2*size, 8) },
		"unsized free":                func(h *Heap, p unsafe.Pointer) { h.FreeUnsized(p) },
		"unsized free of an interior": func(h *Heap, p unsafe.Pointer) { h.FreeUnsized(unsafe.Add(p, 3*pageSize)) },
		"free of an interior":         func(h *Heap, p unsafe.Pointer) { h.Free(unsafe.Add(p, 8), size, 8) },
		"free as a small one":         func(h *Heap, p unsafe.Pointer) { h.Free(p, 64, 8); h.drainAll() },
		"growing":                     func(h *Heap, p unsafe.Pointer) { h.Resize(p, size, 8, 2*size) },
		"shrinking":                   func(h *Heap, p unsafe.Pointer) { h.Resize(p, size, 8, size/2) },
		"Realloc": func(h *Heap, p unsafe.Pointer) {
			if h.Realloc(p, size, 8, 3*size) != nil {
				t.Error("reallocated")
			}
		},
		"move": func(h *Heap, p unsafe.Pointer) { h.moveLarge(p, size, 8, 3*size) },
	} {
		t.Run(name, func(t *testing.T) {
			var got []Misuse
			h, timer := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) { got = append(got, m) }})
			p := h.Alloc(size, 8)
			h.Free(p, size, 8)
			if h.SizeOf(p) != 0 {
				t.Errorf("SizeOf() == %d", h.SizeOf(p))
			}
			f(h, p)
			if len(got) != 1 || got[0].Fault != FaultDouble || got[0].Actual != 0 || got[0].Start != 0 {
				t.Errorf("reported %+v", got)
			}
			wantStashed(t, h, size, "misused")
			if q := h.Alloc(size, 8); q != p {
				t.Errorf("%p is stashed, and %p is handed out", p, q)
			}
			if h.SizeOf(p) != size {
				t.Errorf("SizeOf() == %d, want %d", h.SizeOf(p), size)
			}
			h.Free(p, size, 8)
			wantNothingLeft(t, h, timer)
		})
	}
}

// Two free the same blocks at the same moments, as closely as can be had: each is obeyed once, and reported once.
func TestTwoFreesOfManyLargeBlocksAtOnce(t *testing.T) {
	needPs(t)
	if !pinned {
		t.Skip("who comes second looks at a record that may be somebody else's by then, which the race detector does not like")
	}
	withProcs(t, max(2, runtime.GOMAXPROCS(0)))
	var faults atomic.Int64
	h, timer := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) {
		if m.Fault != FaultDouble {
			t.Error(m.Error())
		}
		faults.Add(1)
	}})
	var blocks [4000]unsafe.Pointer
	for i := range blocks {
		blocks[i] = h.Alloc(40<<10, 8)
	}
	var arrived atomic.Int64
	var wg sync.WaitGroup
	for j := range 2 {
		wg.Go(func() {
			for i, p := range blocks {
				arrived.Add(1)
				for n := 1; arrived.Load() < int64(i+1)*2; n++ {
					if n%1000 == 0 {
						runtime.Gosched()
					}
				}
				for range i % 256 * j { // who arrives last goes first, by some nanoseconds
					arrived.Load()
				}
				h.Free(p, 40<<10, 8)
			}
		})
	}
	wg.Wait()
	if n := faults.Load(); n != int64(len(blocks)) {
		t.Errorf("%d faults after %d double frees", n, len(blocks))
	}
	wantNothingLeft(t, h, timer)
}

// One frees a block while another resizes it: either comes first, and the other is reported.
func TestAFreeAndAResizeOfALargeBlockAtOnce(t *testing.T) {
	needPs(t)
	var faults, layouts atomic.Int64
	h, timer := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) {
		faults.Add(1)
		if m.Fault == FaultLayout {
			layouts.Add(1)
		}
	}})
	rounds := int64(3000)
	if vm.GoMemory {
		rounds = 300
	}
	for i := range rounds {
		p := h.Alloc(128<<10, 8)
		var ready atomic.Int32
		var wg sync.WaitGroup
		var resized bool
		for j := range 2 {
			wg.Go(func() {
				for ready.Add(1); ready.Load() < 2; {
					runtime.Gosched()
				}
				if j == 0 {
					h.Free(p, 128<<10, 8)
				} else {
					resized = h.Resize(p, 128<<10, 8, 64<<10)
				}
			})
		}
		wg.Wait()
		if faults.Load() != i+1 || resized != (h.SizeOf(p) == 64<<10) {
			t.Fatalf("%d faults after %d rounds, resized is %v, SizeOf() == %d", faults.Load(), i+1, resized, h.SizeOf(p))
		}
		if resized {
			h.Free(p, 64<<10, 8)
		}
		if i%100 == 0 {
			wantCheck(t, h)
		}
	}
	t.Logf("the resize came first %d times of %d", layouts.Load(), rounds)
	wantNothingLeft(t, h, timer)
}

// A small heap does not stash, and one that has grown does.
func TestSmallHeapsDoNotStash(t *testing.T) {
	h, _ := newHeap(t, Config{})
	h.stashFrom = stashFrom
	h.Free(h.Alloc(1<<20, 8), 1<<20, 8)
	if s := readStats(h); s.Stashed != 0 {
		t.Errorf("Stashed == %d in a heap of 1 MiB", s.Stashed)
	}
	large := h.Alloc(stashFrom, 8)
	h.Free(h.Alloc(1<<20, 8), 1<<20, 8)
	if s := readStats(h); s.Stashed != 1<<20 {
		t.Errorf("Stashed == %d in a heap of more than %d bytes", s.Stashed, stashFrom)
	}
	h.Free(large, stashFrom, 8)
}
