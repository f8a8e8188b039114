package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// compact moves each block that can be moved, and returns the number of them.
func compact(t *testing.T, h *Heap, blocks []testBlock) (moved int) {
	for i, b := range blocks {
		to := h.Denser(b.p, b.size, b.align)
		if to == nil {
			continue
		}
		if h.SizeOf(to) != h.SizeOf(b.p) || to == b.p {
			t.Fatalf("a block of %d bytes moves from %p to %p, of %d", b.size, b.p, to, h.SizeOf(to))
		}
		block.Copy(to, b.p, b.size)
		h.FreeToSpan(b.p, b.size, b.align)
		blocks[i].p = to
		moved++
	}
	return moved
}

// drain empties the caches.
func drain(h *Heap) {
	h.reclaiming.Lock()
	defer h.reclaiming.Unlock()
	h.drainAll()
}

// The few blocks that are left of many move together, until the spans are full but for the part
// that makes them sparse, and the others are free.
func TestBlocksMoveTogether(t *testing.T) {
	withProcs(t, 1)
	step := 1
	if testing.Short() || vm.GoMemory {
		step = 5
	}
	for class := 1; class < pages.FirstMedium; class += step {
		size := uintptr(pages.Classes[class].Size)
		h, timer := newHeap(t, Config{Decay: -1, Checked: class%2 == 0})
		n := int(512<<10/size) + 64
		left := thin(h, size, n, 8)
		drain(h)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		for range 5 {
			if compact(t, h, left) == 0 {
				break
			}
			wantCheck(t, h)
		}
		if moved := compact(t, h, left); moved != 0 {
			t.Errorf("size %d: %d blocks move on and on", size, moved)
		}
		for _, b := range left {
			b.wantStamp(t, size)
		}
		c := readStats(h).Classes[class-1]
		perSpan := uint64(pages.Classes[class].LongPages) * pages.PageSize / uint64(size)
		if most := uint64(len(left))*sparsePart/(sparsePart-1) + 2*perSpan; c.Blocks > most {
			t.Errorf("size %d: spans of %d blocks are left for %d, want at most %d", size, c.Blocks, len(left), most)
		}
		for _, b := range left {
			h.FreeToSpan(b.p, size, 8)
		}
		wantNothingLeft(t, h, timer)
	}
}

// Large blocks, and blocks in the only span of their class, stay where they are.
func TestSomeBlocksDoNotMove(t *testing.T) {
	h, timer := newHeap(t, Config{Decay: -1})
	for _, size := range []uintptr{16, 4096, 100_000} {
		p := h.Alloc(size, 8)
		if h.Denser(p, size, 8) != nil {
			t.Errorf("a block of %d bytes moves", size)
		}
		h.FreeToSpan(p, size, 8)
	}
	wantNothingLeft(t, h, timer)
}

// Slack is what can be allocated under the hard limit.
func TestSlack(t *testing.T) {
	if vm.PageSize() > pages.PageSize {
		t.Skip("the OS pages are too long")
	}
	h, timer := newHeap(t, Config{Decay: -1})
	h.SetLimit(0, 4<<20, nil)
	first := h.Alloc(1<<20, 8)
	slack := h.Slack()
	if least := uintptr(4<<20 - 1<<20 - MinLimit); slack < least || slack > 3<<20 {
		t.Errorf("the slack is %d, want from %d to %d", slack, least, 3<<20)
	}
	second := h.Alloc(slack-64<<10, 8)
	if second == nil || h.Slack() > 64<<10 {
		t.Errorf("%d bytes were not allocated, or leave %d", slack-64<<10, h.Slack())
	}
	h.Free(second, slack-64<<10, 8)
	if now := h.Slack(); now < slack-64<<10 || now > slack {
		t.Errorf("the slack is %d after a free, before %d", now, slack)
	}
	h.Free(first, 1<<20, 8)
	wantNothingLeft(t, h, timer)
	if h.SetLimit(0, 1<<20, nil); h.Slack() > 1<<20 {
		t.Errorf("the slack is %d", h.Slack())
	}
}

// Blocks do not move to pages without memory, and leave pages that only they keep.
func TestBlocksMoveBesideHollowPages(t *testing.T) {
	needHollow(t)
	withProcs(t, 1)
	h, timer := newHeap(t, Config{Decay: -1})
	left := append(thin(h, 256, 2000, 64), thin(h, 256, 500, 3)...)
	h.Trim()
	before := readStats(h)
	for compact(t, h, left) != 0 {
		h.Trim()
		wantCheck(t, h)
	}
	after := readStats(h)
	if was, is := before.InUse-before.Hollow, after.InUse-after.Hollow; before.Hollow == 0 || is > was*2/3 {
		t.Errorf("%d bytes are in use, before %d", is, was)
	}
	for _, b := range left {
		b.wantStamp(t, 256)
		h.Free(b.p, 256, 8)
	}
	wantNothingLeft(t, h, timer)
}

// Goroutines move their blocks while others allocate and free.
func TestBlocksMoveWhileOthersAreFreed(t *testing.T) {
	h, timer := newHeap(t, Config{Decay: -1})
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	done := make(chan bool)
	for g := range 4 {
		go func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			for range rounds {
				size := uintptr(16 << r.IntN(6))
				left := thin(h, size, 2000, 1+r.IntN(12))
				compact(t, h, left)
				for _, b := range left {
					b.wantStamp(t, size)
					h.Free(b.p, size, 8)
				}
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	wantNothingLeft(t, h, timer)
}
