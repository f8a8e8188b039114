package engine

import (
	"errors"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// needHollow skips a test where OS pages are longer than spans.
func needHollow(t *testing.T) {
	if vm.PageSize() > pages.PageSize {
		t.Skip("the OS pages are too long")
	}
}

// thin allocates n blocks of a size, frees all but each k-th, and returns those.
func thin(h *Heap, size uintptr, n, k int) (left []testBlock) {
	blocks := make([]testBlock, n)
	for i := range blocks {
		blocks[i] = testBlock{h.Alloc(size, 8), size, 8, i}
		blocks[i].stamp()
	}
	for i, b := range blocks {
		if i%k == 0 {
			left = append(left, b)
		} else {
			h.Free(b.p, size, 8)
		}
	}
	return left
}

// Trim makes the pages hollow in which all blocks are free, of every class, and the blocks are
// handed out again.
func TestHollowPages(t *testing.T) {
	needHollow(t)
	step := 1
	if testing.Short() || vm.GoMemory {
		step = 5
	}
	for class := 1; class < pages.FirstMedium; class += step {
		size := uintptr(pages.Classes[class].Size)
		h, timer := newHeap(t, Config{Decay: -1})
		n := int(256<<10/size) + 64
		left := thin(h, size, n, 32)
		h.Trim()
		wantCheck(t, h)
		s := readStats(h)
		most := uintptr(len(left)) * (size + 2*pages.PageSize) / pages.PageSize * pages.PageSize
		if got := s.InUse - s.Hollow; got > most {
			t.Errorf("size %d: %d bytes of spans for %d blocks, want at most %d", size, got, len(left), most)
		}
		again := thin(h, size, n, 1)
		wantCheck(t, h)
		for _, b := range append(left, again...) {
			b.wantStamp(t, size)
		}
		if c := readStats(h).Classes[class-1]; c.Spans > 3+uint64(uintptr(2*n)*size/pages.PageSize) {
			t.Errorf("size %d: %d spans", size, c.Spans)
		}
		for i, b := range append(left, again...) {
			h.Free(b.p, size, 8)
			if i == n/2 {
				h.Trim()
				wantCheck(t, h)
			}
		}
		wantNothingLeft(t, h, timer)
		if s := readStats(h); s.Hollow != 0 {
			t.Errorf("size %d: %d bytes are hollow at the end", size, s.Hollow)
		}
	}
}

// Pages become hollow at the second tick, unless their span was allocated from in between. Then the
// ticking ends.
func TestPagesBecomeHollowAtTheSecondTick(t *testing.T) {
	needHollow(t)
	withProcs(t, 1)
	h, timer := newHeap(t, Config{})
	const size = 1 << 10
	left := thin(h, size, 1000, 64)
	timer.fire()
	if s := readStats(h); s.Hollow != 0 {
		t.Errorf("%d bytes are hollow at the first tick", s.Hollow)
	}
	wantArmed(t, timer, true, "pages are young")
	timer.fire() // drains the cache
	wantArmed(t, timer, true, "pages are young")
	timer.fire()
	s := readStats(h)
	if s.Hollow < s.InUse/2 {
		t.Errorf("%d of %d bytes are hollow after two ticks", s.Hollow, s.InUse)
	}
	timer.fire()
	wantArmed(t, timer, false, "nothing has changed")
	wantCheck(t, h)
	for _, b := range left {
		b.wantStamp(t, size)
		h.Free(b.p, b.size, 8)
	}
	wantNothingLeft(t, h, timer)
}

// A program that allocates from its spans between two ticks keeps their pages, although all blocks
// in them are free at both.
func TestPagesInUseDoNotBecomeHollow(t *testing.T) {
	needHollow(t)
	withProcs(t, 1)                               // another P has other spans
	h, timer := newHeap(t, Config{Checked: true}) // so that no block stays in a cache
	const size, n = 4096, 64                      // spans of 4 blocks
	left := thin(h, size, n, 4)
	for range 5 {
		timer.fire()
		if n := readStats(h).Hollow; n != 0 {
			t.Errorf("%d bytes are hollow", n)
		}
		for _, b := range thin(h, size, n/4*3, 1) {
			h.Free(b.p, b.size, 8)
		}
	}
	timer.fire()
	timer.fire()
	if readStats(h).Hollow == 0 {
		t.Error("nothing is hollow after two ticks")
	}
	for _, b := range left {
		h.Free(b.p, b.size, 8)
	}
	wantNothingLeft(t, h, timer)
}

// A block may lie in two pages that become hollow, with one between that is hollow already.
func TestABlockAroundAHollowPage(t *testing.T) {
	needHollow(t)
	withProcs(t, 1) // so that the blocks are neighbours

	h, timer := newHeap(t, Config{Decay: -1, Checked: true}) // reports what is wrong with a free
	const size, n = 7168, 4                                  // 7 pages
	blocks := thin(h, size, n, 1)
	for i, free := range [][]int{{1}, {0, 2}, {3}} {
		for _, j := range free {
			h.Free(blocks[j].p, size, 8)
		}
		h.Trim()
		wantCheck(t, h)
		if n, want := readStats(h).Hollow, []uintptr{1, 5, 0}[i]*pages.PageSize; n != want {
			t.Errorf("after blocks %v were freed, %d bytes are hollow, want %d", free, n, want)
		}
	}
	wantNothingLeft(t, h, timer)
}

// Spans come and go while their list is visited.
func TestSpansAreFreedWhileOthersBecomeHollow(t *testing.T) {
	needHollow(t)
	h, timer := newHeap(t, Config{Decay: -1, Checked: true})
	const size = 1024
	left := thin(h, size, 4000, 32)
	once := true
	restore := inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpPurge && once {
			once = false
			for i, b := range left {
				if i%8 != 0 {
					h.Free(b.p, size, 8)
				}
			}
		}
		return nil
	})
	h.Trim()
	restore()
	wantCheck(t, h)
	s := readStats(h)
	if want := s.LiveBlocks * 2 * pages.PageSize; uint64(s.InUse-s.Hollow) > want {
		t.Errorf("%d of %d bytes are hollow, with %d blocks", s.Hollow, s.InUse, s.LiveBlocks)
	}
	for i := 0; i < len(left); i += 8 {
		left[i].wantStamp(t, size)
		h.Free(left[i].p, size, 8)
	}
	wantNothingLeft(t, h, timer)
}

// At the limit, free blocks in pages that have memory are found past spans whose free blocks have
// none.
func TestAtTheLimitFilledPagesAreFound(t *testing.T) {
	needHollow(t)
	h, _ := newHeap(t, Config{Decay: -1, Checked: true})
	const size, n = 1024, 4000
	left := thin(h, size, n, 4) // one in each page
	h.Trim()
	for i, b := range left {
		if i%8 != 0 {
			h.Free(b.p, size, 8)
		}
	}
	h.Trim() // most pages are hollow, and the others have free blocks
	s := readStats(h)
	h.SetLimit(0, s.Footprint, nil)
	got := uint64(0)
	for h.Alloc(size, 8) != nil {
		got++
	}
	if want := s.LiveBlocks * 3; got < want || readStats(h).Footprint > s.Footprint {
		t.Errorf("%d blocks fit into the pages of %d, want %d; the footprint was %d and is %d", got, s.LiveBlocks, want,
			s.Footprint, readStats(h).Footprint)
	}
	wantCheck(t, h)
}

// Under a hard limit the memory of hollow pages serves other blocks, and is refused when their own
// are wanted back.
func TestHollowPagesAndTheHardLimit(t *testing.T) {
	needHollow(t)
	const hard, size, other = 8 << 20, 256, 3000
	h, _ := newHeap(t, Config{Decay: -1})
	h.SetLimit(0, hard, nil)
	var small, large []testBlock
	grow := func(blocks *[]testBlock, size uintptr) (n int) {
		for p := h.Alloc(size, 8); p != nil; p = h.Alloc(size, 8) {
			*blocks = append(*blocks, testBlock{p, size, 8, len(*blocks)})
			(*blocks)[len(*blocks)-1].stamp()
			n++
		}
		if s := readStats(h); s.Footprint > hard {
			t.Errorf("the footprint is %d, the limit %d", s.Footprint, hard)
		}
		wantCheck(t, h)
		return n
	}
	grow(&small, size)
	kept := small[:0]
	for i, b := range small {
		if i%64 == 0 {
			kept = append(kept, b)
		} else {
			h.Free(b.p, size, 8)
		}
	}
	small = kept
	if n := grow(&large, other); n*other < hard/2 {
		t.Errorf("%d blocks of %d bytes fit where all but one in 64 blocks of %d were freed", n, other, size)
	}
	full := grow(&small, size)
	for _, b := range append(small, large...) {
		b.wantStamp(t, b.size)
	}
	for _, b := range large {
		h.Free(b.p, other, 8)
	}
	large = nil
	if n := grow(&small, size); n*size < hard/2 {
		t.Errorf("%d and %d blocks fit after the others were freed", full, n)
	}
}

// Pages that the system does not commit again after a purge are committed when they are filled, or
// when they are allocated after their span was freed.
func TestHollowPagesOfAFailedPurge(t *testing.T) {
	needHollow(t)
	if vm.GoMemory {
		t.Skip("an access to a page that is not committed goes unnoticed")
	}
	h, timer := newHeap(t, Config{Decay: -1})
	left := thin(h, 512, 4000, 64)
	refused := errors.New("refused")
	restore := inject(t, func(op vm.Op, n uintptr) error {
		if op == vm.OpPurge && n < 8*pages.PageSize || op == vm.OpCommit {
			return refused
		}
		return nil
	})
	h.Trim()
	wantCheck(t, h)
	if p := h.Alloc(512, 8); p != nil { // there may be a block in a page that is not hollow
		h.Free(p, 512, 8)
	}
	h.Trim()
	restore()
	wantCheck(t, h)
	again := thin(h, 512, 2000, 1)
	for _, b := range append(left, again...) {
		b.wantStamp(t, b.size)
		h.Free(b.p, b.size, 8)
	}
	h.Trim()
	wantCheck(t, h)
	for range 2 {
		for _, b := range thin(h, 512, 4000, 1) {
			h.Free(b.p, b.size, 8)
		}
	}
	wantNothingLeft(t, h, timer)
}

// A block that is freed again while the memory of its page is being returned is reported, and the
// counts stay right.
func TestADoubleFreeWhileAPageBecomesHollow(t *testing.T) {
	needHollow(t)
	var found []Misuse
	h, timer := newHeap(t, Config{Decay: -1, Checked: true, OnMisuse: func(m Misuse) { found = append(found, m) }})
	const size, kept = 4096, 4 // in spans of 4 blocks
	var blocks []unsafe.Pointer
	for range 40 {
		blocks = append(blocks, h.Alloc(size, 8))
	}
	for i, p := range blocks {
		if i%kept != 0 {
			h.Free(p, size, 8)
		}
	}
	once := true
	restore := inject(t, func(op vm.Op, _ uintptr) error {
		for i, p := range blocks {
			if s := h.pages.SpanAt(pages.RefOf(p)); op == vm.OpPurge && once && i%kept != 0 && !s.IsFree(pages.RefOf(p)) {
				once = false
				h.Free(p, size, 8) // its page is being purged
			}
		}
		return nil
	})
	h.Trim()
	restore()
	wantCheck(t, h)
	if len(found) != 1 || found[0].Kind != misuse.DoubleFree {
		t.Errorf("misuses: %v", found)
	}
	for i := 0; i < len(blocks); i += kept {
		h.Free(blocks[i], size, 8)
	}
	wantNothingLeft(t, h, timer)
}

// Goroutines use a heap while its pages become hollow all the time.
func TestHollowPagesWhileInUse(t *testing.T) {
	needHollow(t)
	h, timer := newHeap(t, Config{})
	done := make(chan struct{})
	rounds := 40
	if testing.Short() || vm.GoMemory {
		rounds = 10
	}
	for g := range 3 {
		go func() {
			defer func() { done <- struct{}{} }()
			r := rand.New(rand.NewPCG(uint64(g), 1))
			var blocks []testBlock
			for range rounds {
				for range 300 {
					size := uintptr(1 + r.IntN(1<<(3+r.IntN(11))))
					b := testBlock{h.Alloc(size, 8), size, 8, r.IntN(255)}
					b.stamp()
					blocks = append(blocks, b)
				}
				for range 290 {
					i := r.IntN(len(blocks))
					b := blocks[i]
					b.wantStamp(t, b.size)
					h.Free(b.p, b.size, 8)
					blocks[i] = blocks[len(blocks)-1]
					blocks = blocks[:len(blocks)-1]
				}
			}
			for _, b := range blocks {
				b.wantStamp(t, b.size)
				h.Free(b.p, b.size, 8)
			}
		}()
	}
	for left := 3; left > 0; {
		select {
		case <-done:
			left--
		default:
			timer.fire()
			h.Trim()
			var s Stats
			h.ReadStats(&s)
		}
	}
	wantCheck(t, h)
	wantNothingLeft(t, h, timer)
}
