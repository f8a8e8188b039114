//go:build galloc_pages || !(windows || (cgo && unix))

package libc

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

func TestEverySizeHasTheSmallestClassThatHoldsIt(t *testing.T) {
	for c := range numClasses {
		if got := classOf(classSize(c), 1); got != c {
			t.Errorf("classOf(classSize(%d)) = %d", c, got)
		}
		if classSize(c)%quantum != 0 || classSize(c) < unsafe.Sizeof(unsafe.Pointer(nil)) {
			t.Errorf("class %d has size %d", c, classSize(c))
		}
	}
	for size := uintptr(1); size <= maxSmall; size++ {
		c := classOf(size, 1)
		if c < 0 || c >= numClasses || classSize(c) < size || c > 0 && classSize(c-1) >= size {
			t.Fatalf("classOf(%d) = %d", size, c)
		}
		if waste := classSize(c) - size; waste >= max(quantum, size/4+1) {
			t.Errorf("size %d wastes %d bytes", size, waste)
		}
		for align := uintptr(2); align <= maxSmall; align <<= 1 {
			c := classOf(size, align)
			if c < 0 || classSize(c) < size || classSize(c)%align != 0 {
				t.Fatalf("classOf(%d, %d) = %d", size, align, c)
			}
			if align > quantum && classSize(c) >= 2*max(size, align) {
				t.Errorf("size %d, align %d takes %d bytes", size, align, classSize(c))
			}
		}
	}
	for _, c := range []struct{ size, align uintptr }{
		{maxSmall + 1, 1},
		{1, 2 * maxSmall},
		{maxSmall + 1, 64},
		{math.MaxInt, 1},
		{math.MaxInt - 31, 32},
		{1, math.MaxInt/2 + 1},
	} {
		if got := classOf(c.size, c.align); got != -1 {
			t.Errorf("classOf(%#x, %#x) = %d, want -1", c.size, c.align, got)
		}
	}
}

// checkInvariants checks the equations beside extent and runHeap. allocated is the sum of all live
// runs, in bytes.
func (h *runHeap) checkInvariants(allocated uintptr) error {
	var sum uintptr
	for i, x := range h.extents {
		if i > 0 && uintptr(h.extents[i-1].base)+h.extents[i-1].size > uintptr(x.base) {
			return fmt.Errorf("extents %d and %d are not in order", i-1, i)
		}
		if x.frontier > x.size {
			return fmt.Errorf("extent %d: frontier %d beyond size %d", i, x.frontier, x.size)
		}
		sum += x.frontier
		var dirty uintptr
		for j, r := range x.free {
			dirty += r.dirty
			if r.dirty > r.n {
				return fmt.Errorf("extent %d: %d of %d bytes are dirty", i, r.dirty, r.n)
			}
			if r.n == 0 || (r.off|r.n)&(vm.PageSize()-1) != 0 || r.end() > x.frontier ||
				j > 0 && x.free[j-1].end() >= r.off {
				return fmt.Errorf("extent %d with frontier %d: free runs %v, at %d", i, x.frontier, x.free, j)
			}
			sum -= r.n
		}
		if dirty != x.dirty {
			return fmt.Errorf("extent %d: %d bytes are dirty, not %d", i, dirty, x.dirty)
		}
	}
	if sum != allocated {
		return fmt.Errorf("%d bytes are neither free nor reserved, but %d handed out", sum, allocated)
	}
	return nil
}

func (h *runHeap) wantInvariants(t *testing.T, allocated uintptr) {
	t.Helper()
	if err := h.checkInvariants(allocated); err != nil {
		t.Fatal(err)
	}
}

// newRunHeap returns a new heap, and releases its address space when the test ends.
func newRunHeap(t *testing.T) *runHeap {
	h := new(runHeap)
	t.Cleanup(func() {
		for _, x := range h.extents {
			if err := vm.Release(x.base, x.size); err != nil {
				t.Error(err)
			}
		}
	})
	return h
}

func TestRunsJoinAgainWhenAllAreFree(t *testing.T) {
	h, page := newRunHeap(t), vm.PageSize()
	type live struct {
		p       unsafe.Pointer
		size, n uintptr
		seed    byte
	}
	var runs []live
	var allocated uintptr
	rnd := rand.New(rand.NewPCG(3, 4))
	for step := range 2000 {
		i := rnd.IntN(len(runs) + 1)
		switch k := rnd.IntN(5); {
		case i == len(runs) || k == 0:
			size := 1 + uintptr(rnd.UintN(uint(page)<<rnd.UintN(5)))
			align := uintptr(1) << rnd.UintN(21)
			p := h.alloc(size, align)
			if p == nil || uintptr(p)&(max(align, page)-1) != 0 {
				t.Fatalf("alloc(%d, %d) = %#x", size, align, uintptr(p))
			}
			runs = append(runs, live{p, size, pagesFor(size), byte(step)})
			allocated += pagesFor(size)
			fill(bytesAt(p, size), byte(step))
		case k == 1:
			r := &runs[i]
			size := 1 + uintptr(rnd.UintN(2*uint(r.size)))
			if h.resize(r.p, r.size, size) {
				allocated += pagesFor(size) - r.n
				kept := min(size, r.size)
				if filled(bytesAt(r.p, kept), r.seed) != int(kept) {
					t.Fatalf("resize from %d to %d lost something", r.size, size)
				}
				r.size, r.n = size, pagesFor(size)
				fill(bytesAt(r.p, size), r.seed)
			} else if pagesFor(size) <= r.n {
				t.Fatalf("resize from %d to %d refused", r.size, size)
			}
		default:
			r := runs[i]
			if filled(bytesAt(r.p, r.size), r.seed) != int(r.size) {
				t.Fatalf("a run of %d bytes has changed", r.size)
			}
			h.put(r.p, r.size)
			allocated -= r.n
			runs = slices.Delete(runs, i, i+1)
		}
		h.wantInvariants(t, allocated)
	}
	for _, r := range runs {
		h.put(r.p, r.size)
	}
	h.wantInvariants(t, 0)
	for i, x := range h.extents {
		if len(x.free) != 1 || x.free[0].off != 0 || x.free[0].n != x.frontier {
			t.Errorf("extent %d with frontier %d: free runs %v", i, x.frontier, x.free)
		}
	}
	if n := uintptr(len(h.extents)); n*extentSize > 64<<20 {
		t.Errorf("%d extents for a few MiB", n)
	}
}

// Free runs keep their memory, up to dirtyMax bytes; above that all of it is returned to the
// system.
func TestTooMuchFreeMemoryIsPurged(t *testing.T) {
	if testing.Short() || vm.GoMemory && extentSize < dirtyMax {
		t.Skip("needs more memory than this port should take")
	}
	h := newRunHeap(t)
	const size = dirtyMax / 4
	var runs [6]unsafe.Pointer
	for i := range runs {
		runs[i] = h.alloc(size, 1)
		fill(bytesAt(runs[i], size), 0xee)
	}
	dirty := func() (sum uintptr) {
		for _, x := range h.extents {
			sum += x.dirty
		}
		return sum
	}
	for i, want := range []uintptr{1, 2, 3, 4, 0, 1} {
		h.put(runs[i], size)
		if got := dirty(); got != want*size {
			t.Errorf("after %d runs: %d bytes are dirty, want %d", i+1, got, want*size)
		}
	}
	h.wantInvariants(t, 0)
	for _, p := range runs[:5] {
		if bytes.Count(bytesAt(p, size), []byte{0}) != size {
			t.Errorf("the purged run at %#x is not zero", uintptr(p))
		}
	}
}

func TestFirstFitTakesTheLowestRun(t *testing.T) {
	h, page := newRunHeap(t), vm.PageSize()
	p := h.alloc(8*page, page)
	at := func(i uintptr) unsafe.Pointer { return unsafe.Add(p, i*page) }
	h.put(at(5), 2*page)
	h.put(at(1), page)
	for i, want := range []struct {
		n  uintptr
		at uintptr
	}{{2, 5}, {1, 1}, {1, 8}} {
		if got := h.alloc(want.n*page, page); got != at(want.at) {
			t.Errorf("allocation %d lies at page %d, want %d", i, (uintptr(got)-uintptr(p))/page, want.at)
		}
	}
	h.wantInvariants(t, 9*page)
}

func TestResizeInPlace(t *testing.T) {
	h, page := newRunHeap(t), vm.PageSize()
	p := h.alloc(4*page, page)
	resize := func(old, new uintptr, want bool, allocated uintptr) {
		t.Helper()
		if got := h.resize(p, old, new); got != want {
			t.Fatalf("resize from %d to %d: %v, want %v", old, new, got, want)
		}
		h.wantInvariants(t, allocated*page)
	}
	resize(4*page, 4*page-1, true, 4)     // the same pages
	resize(4*page-1, 6*page, true, 6)     // the frontier moves
	resize(6*page, 2*page, true, 2)       // the rest becomes free
	resize(2*page, 3*page, true, 3)       // into the free run after it
	resize(3*page, 6*page, true, 6)       // all of the free run
	resize(6*page, 5*page, true, 5)       // a free run at the frontier
	resize(5*page, 8*page, true, 8)       // that and the frontier
	q := h.alloc(page, page)              // a neighbour
	resize(8*page, 9*page, false, 9)      // blocked
	resize(8*page, 7*page, true, 8)       // one page free
	resize(7*page, 9*page, false, 8)      // not enough
	resize(7*page, math.MaxInt, false, 8) // not anywhere
	h.put(q, page)
	resize(7*page, extentSize-page, true, extentSize/page-1)
	resize(extentSize-page, extentSize, true, extentSize/page) // the whole extent
	resize(extentSize, extentSize+1, false, extentSize/page)
	h.put(p, extentSize)
	h.wantInvariants(t, 0)
}

func TestReallocStaysWhereClassAndPagesDo(t *testing.T) {
	page := vm.PageSize()
	for _, c := range []struct{ old, new, align uintptr }{
		{1, 16, 1},
		{16, 9, 8},
		{1025, 1280, 8},
		{33, 64, 64},
		{maxSmall, 28<<10 + 1, 1},
		{3*maxSmall - page + 1, 3 * maxSmall, 1},
		{9 * maxSmall, 3 * maxSmall, 1},
	} {
		p := Alloc(c.old, c.align)
		if q := Realloc(p, c.old, c.align, c.new); q != p {
			t.Errorf("%d to %d bytes, align %d: block has moved", c.old, c.new, c.align)
			p = q
		}
		Free(p, c.new, c.align)
	}
}

func TestHugeRequestsLeaveNoTrace(t *testing.T) {
	h := newRunHeap(t)
	h.put(h.alloc(1, 1), 1)
	before := fmt.Sprint(len(h.extents), *h.extents[0])
	for _, n := range []uintptr{math.MaxInt, math.MaxInt - 1<<20, math.MaxInt/2 + 1} {
		for _, align := range []uintptr{1, 1 << 20, math.MaxInt/2 + 1} {
			p := h.alloc(n, align)
			if p != nil && math.MaxInt > math.MaxInt32 {
				t.Fatalf("alloc(%#x, %#x) = %#x", n, align, uintptr(p))
			} else if p != nil {
				t.Skip("this system has that much")
			}
			if after := fmt.Sprint(len(h.extents), *h.extents[0]); after != before {
				t.Fatalf("before %s, after %s", before, after)
			}
		}
	}
}

// A class uses the block that was freed last first, and untouched memory last.
func TestClassesPreferWhatWasUsedLast(t *testing.T) {
	var c class
	const size = 20 << 10 // three to a span
	var blocks []unsafe.Pointer
	for range 7 {
		p := c.alloc(size)
		if p == nil || slices.Contains(blocks, p) {
			t.Fatalf("alloc = %#x after %#x", uintptr(p), blocks)
		}
		blocks = append(blocks, p)
	}
	for _, i := range []int{3, 0, 6} {
		c.put(blocks[i])
	}
	for _, i := range []int{6, 0, 3} {
		if p := c.alloc(size); p != blocks[i] {
			t.Errorf("alloc = %#x, want block %d of %#x", uintptr(p), i, blocks)
		}
	}
}
