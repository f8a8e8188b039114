// Hollow pages: memory of spans that are mostly free. See heap.go for the overview, and package
// pages for what a hollow page is.
//
// A span that keeps a single block would keep up to eight pages. So Trim, and an allocation that
// finds no memory under the hard limit, return the memory of all pages in which every block is
// free. A tick does that for pages that were so at the tick before, in spans that have not been
// allocated from since. It visits only centrals where something has changed.

package engine

import (
	"github.com/galloc-go/galloc/internal/pages"
)

const (
	hollowSpans  = 16  // spans whose blocks are held at a time
	hollowVisits = 256 // spans looked at before others may take the lock of the central
	hollowPart   = 4   // at ticks, spans with fewer free blocks than this part are left alone
)

// hollow makes pages hollow, and returns the number of bytes, and whether there are young pages:
// free ones that were not free at the last tick. At a tick it leaves those alone. Heap.reclaiming
// is held.
func (h *Heap) hollow(tick bool) (bytes uintptr, young bool) {
	var bad misused
	if !tick {
		h.gate.freed.Store(0)
	}
	h.draining.Lock() // held blocks are neither free nor live
	for p := range h.procCount.Load() {
		pr := h.procs[p].Load()
		if pr == nil {
			continue
		}
		for class := uint8(1); class < pages.FirstMedium; class++ {
			n, y := h.hollowIn(class, &pr.centrals[class], tick, &bad)
			bytes += n
			young = young || y
		}
	}
	h.draining.Unlock()
	bad.report(h)
	return bytes, young
}

// A holding is the pages of a span whose blocks are held.
type holding struct {
	span *pages.Span
	mask pages.PageMask
}

// hollowIn is hollow for the spans of a central.
func (h *Heap) hollowIn(class uint8, ct *central, tick bool, bad *misused) (bytes uintptr, young bool) {
	ct.mu.Mutex.Lock() // which is not counted
	defer ct.mu.Unlock()
	changes := ct.refilled + ct.flushed
	if tick && changes == ct.hollowed && !ct.young {
		return 0, false
	}
	ct.hollowed, ct.young = changes, false
	for i, list := range []*pages.List{&ct.ready, &ct.scarce} {
		if tick && i == 1 {
			break // hardly a page is free there
		}
		ct.walk.Start(list)
		for more := true; more; {
			var held [hollowSpans]holding
			var n int
			n, more = ct.hold(held[:], tick)
			ct.mu.Unlock()
			for _, x := range held[:n] {
				bytes += h.makeHollow(class, x, bad)
			}
			ct.mu.Mutex.Lock()
		}
	}
	return bytes, ct.young
}

// hold holds the blocks of free pages of the spans at ct.walk, and returns the number of spans that
// have some, and whether there may be more.
func (ct *central) hold(held []holding, tick bool) (n int, more bool) {
	for range hollowVisits {
		s := ct.walk.Next()
		if s == nil {
			return n, false
		}
		if tick && s.Free < s.Blocks/hollowPart {
			continue
		}
		mask := s.FreePages()
		if tick {
			var young bool
			mask, young = s.AgePages(mask)
			ct.young = ct.young || young
		}
		if mask == 0 {
			continue
		}
		ct.free -= int64(s.Hold(mask))
		if s.Free == 0 {
			ct.list(s, listNone)
		}
		held[n] = holding{s, mask}
		if n++; n == len(held) {
			break
		}
	}
	return n, true
}

// makeHollow returns the memory of the held pages of a span to the system, and releases their
// blocks. It returns the number of bytes.
func (h *Heap) makeHollow(class uint8, x holding, bad *misused) (bytes uintptr) {
	s := x.span
	purged, committed := h.pages.PurgePages(s, x.mask)
	ct := h.lockOwner(class, s)
	if purged {
		h.pages.Lock()
		bytes = h.pages.SetHollow(s, x.mask, committed)
		h.pages.Unlock()
	}
	n, again, misused := s.Release(x.mask)
	if again != 0 {
		bad.add(misused, class)
	}
	var empty pages.List
	ct.noteFreed(s, &empty, n)
	ct.flushed -= uint64(n + again) // the blocks have not been in a magazine
	ct.mu.Unlock()
	h.freeSpans(class, &empty)
	return bytes
}

// lockOwner locks the central that owns s, and returns it. The caller holds blocks of it.
func (h *Heap) lockOwner(class uint8, s *pages.Span) *central {
	for {
		home := s.Owner()
		ct := &h.procOf(home).centrals[class]
		ct.mu.Mutex.Lock()
		if s.Owner() == home {
			return ct
		}
		ct.mu.Unlock()
	}
}
