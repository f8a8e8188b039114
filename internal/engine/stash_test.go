package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/vm"
)

func wantStashed(t *testing.T, h *Heap, want uintptr, when string) {
	t.Helper()
	wantStashedBeside(t, h, want, 0, when)
}

// wantStashedBeside is like wantStashed, but also expects live bytes to be allocated.
func wantStashedBeside(t *testing.T, h *Heap, want, live uintptr, when string) {
	t.Helper()
	wantCheck(t, h)
	if s := readStats(h); s.Stashed != want || s.Live != live || (s.LiveBlocks == 0) != (live == 0) {
		t.Errorf("%s: Stashed == %d, Live == %d in %d blocks, want %d, %d", when, s.Stashed, s.Live, s.LiveBlocks,
			want, live)
	}
}

// Goroutines on two Ps exchange large blocks, and hardly ever lock the pages.
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

// A block that stays in a stash from one tick to the next leaves the process, as free pages do.
func TestAStashedBlockLeavesAtTheSecondTick(t *testing.T) {
	const size = 1 << 20
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	free := func(size uintptr) {
		p := h.Alloc(size, 8)
		testBlock{p, size, 8, 1}.stamp()
		h.Free(p, size, 8)
	}
	other := testBlock{h.Alloc(2*size, 8), 2 * size, 8, 1} // before there is a stash for it to take
	other.stamp()
	free(size)
	wantStashedBeside(t, h, size, 2*size, "freed")
	for range 3 {
		timer.fire()
		wantStashedBeside(t, h, size, 2*size, "a tick later")
		free(size)
	}
	timer.fire()
	h.Free(other.p, 2*size, 8) // which moves the other to the second slot
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

// A stashed block is allocated again if the length and the alignment match. AllocZeroed clears it,
// whatever its dirty bits.
func TestAStashedBlockIsReusedForAsManyPages(t *testing.T) {
	const size, most = 288 << 10, pages.MaxTagged << pages.PageShift
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	for _, c := range []struct {
		size, align, newSize, newAlign uintptr
		stashed, again                 bool
	}{
		{size, 8, size, 8, true, true},
		{size, 8, size - 8*pages.PageSize + 1, 8, true, true}, // which is rounded
		{size, 8, size + 1, 8, true, true},                    // its pages: see flushKept
		{size, 8, size - 8*pages.PageSize, 8, true, true},
		{size, 8, size, 8 << 20, true, false},
		{size, 1 << 16, size, 1 << 16, true, true},
		{100, 2 * pages.PageSize, 50, 2 * pages.PageSize, true, true},
		{most, 8, most, 8, true, true},
		{most + 1, 8, most + 1, 8, false, true}, // by chance
	} {
		// Its pages are known to be zero.
		b := testBlock{h.Alloc(c.size, c.align), c.size, c.align, 1}
		if c.newAlign > 1<<20 {
			for uintptr(b.p)%c.newAlign == 0 { // aligned by chance
				b.p = h.Alloc(c.size, c.align)
			}
		}
		b.stamp()
		h.Free(b.p, c.size, c.align)
		if got := readStats(h).Stashed == pages.UsableSize(c.size, c.align); got != c.stashed {
			t.Errorf("%+v: stashed is %v", c, got)
		}
		p := h.AllocZeroed(c.newSize, c.newAlign)
		if (p == b.p) != c.again || uintptr(p)%c.newAlign != 0 {
			t.Errorf("%+v: first %p, then %p", c, b.p, p)
		}
		wantZero(t, p, c.newSize)
		if s := readStats(h); s.Live < pages.UsableSize(c.newSize, c.newAlign) || c.again && s.Stashed != 0 {
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

// A goroutine that has moved to another P finds the block that it freed before.
func TestAStashedBlockIsFoundFromAnotherP(t *testing.T) {
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	p := h.Alloc(1<<20, 8)
	h.Free(p, 1<<20, 8)
	// As if it had been freed there.
	from, to := &h.procOf(currentProc()).stash, &h.procOf(5).stash
	class := pages.LengthClass(pages.CountFor(1 << 20))
	to.slots[class][1].Store(from.slots[class][0].Swap(0))
	to.bytes.Store(from.bytes.Swap(0))
	if q := h.Alloc(1<<20, 8); q != p {
		t.Errorf("%p is stashed, but %p was allocated", p, q)
	}
	h.Free(p, 1<<20, 8)
	wantNothingLeft(t, h, timer)
}

// Trim and reclaim drain the stashes, and while there is a limit nothing is stashed.
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
	p := h.Alloc(size/2, 8) // from the rest of the extent, or from the stash
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

// Every operation on a stashed block is refused and reported.
func TestMisuseOfAStashedBlock(t *testing.T) {
	const size = 320 << 10
	withProcs(t, 1)
	for name, f := range map[string]func(h *Heap, p unsafe.Pointer){
		"free":                   func(h *Heap, p unsafe.Pointer) { h.Free(p, size, 8) },
		"free with another size": func(h *Heap, p unsafe.Pointer) { h.Free(p, 2*size, 8) },
		"unsized free":           func(h *Heap, p unsafe.Pointer) { h.FreeUnsized(p) },
		"unsized free of an interior": func(h *Heap, p unsafe.Pointer) {
			h.FreeUnsized(unsafe.Add(p, 3*pages.PageSize))
		},
		"free of an interior": func(h *Heap, p unsafe.Pointer) { h.Free(unsafe.Add(p, 8), size, 8) },
		"free as a small one": func(h *Heap, p unsafe.Pointer) { h.Free(p, 64, 8); h.drainAll() },
		"growing":             func(h *Heap, p unsafe.Pointer) { h.Resize(p, size, 8, 2*size) },
		"shrinking":           func(h *Heap, p unsafe.Pointer) { h.Resize(p, size, 8, size/2) },
		"Realloc": func(h *Heap, p unsafe.Pointer) {
			if h.Realloc(p, size, 8, 3*size) != nil {
				t.Error("reallocated")
			}
		},
		"move": func(h *Heap, p unsafe.Pointer) { moveLarge(h, p, size, 3*size) },
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
			if len(got) != 1 || got[0].Kind != misuse.DoubleFree || got[0].Actual != 0 || got[0].Start != 0 {
				t.Errorf("reported %+v", got)
			}
			wantStashed(t, h, size, "misused")
			if q := h.Alloc(size, 8); q != p {
				t.Errorf("%p is stashed, but %p was allocated", p, q)
			}
			if h.SizeOf(p) != size {
				t.Errorf("SizeOf() == %d, want %d", h.SizeOf(p), size)
			}
			h.Free(p, size, 8)
			wantNothingLeft(t, h, timer)
		})
	}
}

// Two goroutines free the same blocks as nearly at the same time as possible: of each pair one
// succeeds, and one is reported.
func TestTwoFreesOfManyLargeBlocksAtOnce(t *testing.T) {
	needPs(t)
	if percpu.Race {
		t.Skip("the later goroutine reads a record that may be in use again, which the race detector reports")
	}
	withProcs(t, max(2, runtime.GOMAXPROCS(0)))
	var faults atomic.Int64
	h, timer := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) {
		if m.Kind != misuse.DoubleFree {
			t.Error(m.Error())
		}
		faults.Add(1)
	}})
	const size = 260 << 10
	var blocks [1000]unsafe.Pointer
	for i := range blocks {
		blocks[i] = h.Alloc(size, 8)
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
				for range i % 256 * j { // the later goroutine starts first, by some nanoseconds
					arrived.Load()
				}
				h.Free(p, size, 8)
			}
		})
	}
	wg.Wait()
	if n := faults.Load(); n != int64(len(blocks)) {
		t.Errorf("%d faults after %d double frees", n, len(blocks))
	}
	wantNothingLeft(t, h, timer)
}

// One goroutine frees a block while another resizes it: the later one is reported.
func TestAFreeAndAResizeOfALargeBlockAtOnce(t *testing.T) {
	needPs(t)
	var faults, layouts atomic.Int64
	h, timer := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) {
		faults.Add(1)
		if m.Kind == misuse.WrongLayout {
			layouts.Add(1)
		}
	}})
	rounds := int64(3000)
	if vm.GoMemory {
		rounds = 300
	}
	for i := range rounds {
		p := h.Alloc(512<<10, 8)
		var ready atomic.Int32
		var wg sync.WaitGroup
		var resized bool
		for j := range 2 {
			wg.Go(func() {
				for ready.Add(1); ready.Load() < 2; {
					runtime.Gosched()
				}
				if j == 0 {
					h.Free(p, 512<<10, 8)
				} else {
					resized = h.Resize(p, 512<<10, 8, 320<<10)
				}
			})
		}
		wg.Wait()
		if faults.Load() != i+1 || resized != (h.SizeOf(p) == 320<<10) {
			t.Fatalf("%d faults after %d rounds, resized is %v, SizeOf() == %d", faults.Load(), i+1, resized,
				h.SizeOf(p))
		}
		if resized {
			h.Free(p, 320<<10, 8)
		}
		if i%100 == 0 {
			wantCheck(t, h)
		}
	}
	t.Logf("the resize came first %d times of %d", layouts.Load(), rounds)
	wantNothingLeft(t, h, timer)
}
