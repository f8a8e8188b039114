// Centrals: the spans that have free blocks, by class and P. See heap.go for the overview.

package engine

import (
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/pages"
)

// The lists of a central, in pages.Span.List.
const (
	listNone   = iota
	listReady  // allocated from first: at least an eighth of the blocks was free when listed
	listScarce // allocated from last: fetching a block or two each time costs locality
)

const (
	churn     = 64 // after churn spans have come and gone, a central asks for long ones
	manySpans = 32 // from the spans of a class on, new ones are long
)

// A central has the spans of one class that belong to one P, since that P allocated or adopted
// them. It lists the spans with free blocks.
//
// The first cache line is for the work, the second for Stats. They come in pairs, so both belong to
// the P.
//
//	Σ refilled - Σ flushed == Σ Blocks - Free over the spans of the class
//	span.List == listNone  <=>  span.Free == 0
//	span.List == listReady  =>  span.Free*8 >= span.Blocks when it was listed
type central struct {
	mu     pages.Mutex
	ready  pages.List
	scarce pages.List
	free   int64        // free blocks of the spans in both lists
	count  atomic.Int32 // spans in ready; other Ps read it without the lock, as a hint
	used   atomic.Bool  // the P has allocated from it since another P last looked; see adopt
	gone   atomic.Int32 // spans that were freed; see newSpan

	refilled, flushed uint64 // blocks that magazines got and returned, since the heap was made
	adopted           uint64 // spans, from other Ps

	walk     pages.Cursor // the span that hollow looks at next
	hollowed uint64       // refilled + flushed when hollow last began
	young    bool         // it has left young pages
	_        [16]byte
}

// allocBatch allocates blocks of the class for P p, from its central, an adopted span, a new span,
// or other centrals, in this order. It returns their number: at least 1, or 0 if memory runs out.
func (h *Heap) allocBatch(class uint8, p int, buf []pages.Ref) int {
	home := uint32(p) % maxProcs
	ct := &h.procOf(home).centrals[class]
	if !ct.used.Load() {
		ct.used.Store(true)
	}
	if n := h.allocListed(ct, buf, false); n != 0 {
		return n
	}
	if h.adopt(class, home) {
		if n := h.allocListed(ct, buf, false); n != 0 {
			return n
		}
	}
	if s := h.newSpan(class, home, ct.gone.Load() >= churn); s != nil {
		return ct.allocFirst(s, buf)
	}
	return h.allocScarce(class, buf)
}

// newSpan returns a span of the class for P home, all of whose blocks are free, or nil. It is in no
// list. It is a long one if long, or if there are many spans of the class: fewer spans are less
// work.
func (h *Heap) newSpan(class uint8, home uint32, long bool) *pages.Span {
	long = long || h.spans[class].Load() >= manySpans
	extend := h.budget.Load() == 0 // nothing is cached that could serve
	h.pages.Lock()
	s := h.pages.AllocSmall(class, long, extend)
	if s == nil && !extend && !h.pages.HasRun(pages.SpanPages(class, long), 1) {
		h.pages.Unlock()
		h.flushKept()
		h.pages.Lock()
		s = h.pages.AllocSmall(class, long, true)
	}
	if s != nil {
		s.SetOwner(home)
	}
	over := h.noteUse()
	h.pages.Unlock()
	h.enforceSoft(over)
	if s != nil {
		h.spans[class].Add(1)
		h.spanBlocks[class].Add(int64(s.Blocks))
	}
	return s
}

// allocListed allocates blocks from the ready spans of a central and, with scarce, from the scarce
// ones too.
func (h *Heap) allocListed(ct *central, buf []pages.Ref, scarce bool) (n int) {
	over := false
	ct.mu.Lock()
	for n < len(buf) && !ct.ready.Empty() {
		k := h.allocFrom(ct, ct.ready.First(), buf[n:], &over)
		if n += k; k == 0 {
			n += ct.allocFilled(&ct.ready, buf[n:])
			break
		}
	}
	for scarce && n < len(buf) && !ct.scarce.Empty() {
		k := h.allocFrom(ct, ct.scarce.First(), buf[n:], &over)
		if n += k; k == 0 {
			n += ct.allocFilled(&ct.scarce, buf[n:])
			break
		}
	}
	ct.mu.Unlock()
	h.enforceSoft(over)
	return n
}

// allocFirst allocates blocks from a new span, and lists it if it has free blocks left.
func (ct *central) allocFirst(s *pages.Span, buf []pages.Ref) int {
	ct.mu.Lock()
	n := s.Alloc(buf)
	if s.Free != 0 {
		ct.list(s, listReady)
		ct.free += int64(s.Free)
	}
	ct.refilled += uint64(n)
	ct.mu.Unlock()
	return n
}

// allocFrom allocates blocks from a listed span. It returns 0 if all its free blocks lie in hollow
// pages, and a limit or the system refuses memory for them.
func (h *Heap) allocFrom(ct *central, s *pages.Span, buf []pages.Ref, over *bool) (n int) {
	if s.IsHollow() {
		n = h.allocHollow(s, buf, over)
	} else {
		n = s.Alloc(buf)
	}
	ct.noteAllocated(s, n)
	return n
}

func (ct *central) noteAllocated(s *pages.Span, n int) {
	ct.refilled += uint64(n)
	ct.free -= int64(n)
	if s.Free == 0 {
		ct.list(s, listNone)
	}
}

// allocHollow allocates blocks from a span with hollow pages: those in other pages first.
func (h *Heap) allocHollow(s *pages.Span, buf []pages.Ref, over *bool) int {
	n := s.AllocFilled(buf)
	for n < len(buf) && s.Free != 0 && h.fill(s, over) {
		n += s.AllocFilled(buf[n:])
	}
	return n
}

// fill makes free blocks of s, all of which lie in hollow pages, usable, and reports whether it
// could. It sets *over if the footprint has reached the alarm.
func (h *Heap) fill(s *pages.Span, over *bool) bool {
	h.pages.Lock()
	defer h.pages.Unlock()
	ok := h.pages.Fill(s)
	*over = h.noteUse() || *over
	return ok
}

// allocFilled allocates blocks from the pages of the spans of a list that have memory.
func (ct *central) allocFilled(list *pages.List, buf []pages.Ref) (n int) {
	for s := list.First(); s != nil && n < len(buf); {
		next := s.Next()
		k := s.AllocFilled(buf[n:])
		ct.noteAllocated(s, k)
		n += k
		s = next
	}
	return n
}

// list moves s to another list.
func (ct *central) list(s *pages.Span, to uint8) {
	ct.walk.Leave(s)
	switch s.List {
	case listReady:
		ct.ready.Remove(s)
		ct.count.Add(-1)
	case listScarce:
		ct.scarce.Remove(s)
	}
	s.List = to
	switch to {
	case listReady:
		ct.ready.Push(s)
		ct.count.Add(1)
	case listScarce:
		ct.scarce.Push(s)
	}
}

// adopt moves a ready span from another P to P home. It chooses a P that does not need it: a P that
// has another ready span, is gone, or has not allocated from its central since a span of it was
// last spared. So a goroutine that moves from P to P takes its spans along, and busy Ps leave one
// another alone.
func (h *Heap) adopt(class uint8, home uint32) bool {
	count, procs := h.procCount.Load(), h.gomaxprocs.Load()
	to := &h.procOf(home).centrals[class]
	for i := uint32(1); i < count; i++ {
		other := (home + i) % count
		pr := h.procs[other].Load()
		if pr == nil || other == home {
			continue
		}
		from := &pr.centrals[class]
		if n := from.count.Load(); n == 0 || n == 1 && other < procs && from.used.Swap(false) {
			continue
		}
		// Both locks are held, so that a block of the span that is freed in the meantime finds it
		// listed.
		first, second := from, to
		if home < other {
			first, second = to, from
		}
		first.mu.Lock()
		second.mu.Lock()
		s := from.ready.First()
		if s != nil {
			from.list(s, listNone)
			from.free -= int64(s.Free)
			s.SetOwner(home)
			to.list(s, listReady)
			to.free += int64(s.Free)
			to.adopted++
		}
		second.mu.Unlock()
		first.mu.Unlock()
		if s != nil {
			return true
		}
	}
	return false
}

// allocScarce allocates blocks from any central that has some.
func (h *Heap) allocScarce(class uint8, buf []pages.Ref) int {
	for i := range h.procCount.Load() {
		if pr := h.procs[i].Load(); pr != nil {
			if n := h.allocListed(&pr.centrals[class], buf, true); n != 0 {
				return n
			}
		}
	}
	return 0
}

// freeBatch frees blocks of the class to their spans, and overwrites the slice. It locks each
// central that owns some of them once. Invalid blocks are reported after the valid ones have been
// freed; they are left alone.
func (h *Heap) freeBatch(class uint8, blocks []pages.Ref) {
	var bad misused
	h.freeBlocks(class, blocks, &bad)
	bad.report(h)
}

// freeBlocks is freeBatch that adds the invalid blocks to bad. It also frees medium blocks.
func (h *Heap) freeBlocks(class uint8, blocks []pages.Ref, bad *misused) {
	if pages.IsMedium(class) {
		h.pages.Lock()
		for _, b := range blocks {
			h.freeRun(class, b, bad)
		}
		h.pages.Unlock()
		h.wake()
		return
	}
	for len(blocks) != 0 {
		if s := h.pages.SmallAt(blocks[0], class); s != nil {
			blocks = h.freeOwned(class, s.Owner(), blocks, bad)
		} else {
			bad.add(blocks[0], class)
			blocks = blocks[1:]
		}
	}
}

// freeOwned frees the blocks whose spans belong to P home, and returns the others.
func (h *Heap) freeOwned(class uint8, home uint32, blocks []pages.Ref, bad *misused) []pages.Ref {
	k := &pages.Classes[class&(pages.ClassLimit-1)]
	ct := &h.procOf(home).centrals[class&(pages.ClassLimit-1)]
	var empty pages.List
	left := 0
	ct.mu.Lock()
	for i := 0; i < len(blocks); {
		s := h.pages.SmallAt(blocks[i], class)
		if s == nil || s.Owner() != home {
			blocks[left] = blocks[i]
			left++
			i++
			continue
		}
		if n := s.FreeBlocks(blocks[i:], k); n != 0 {
			ct.noteFreed(s, &empty, n)
			i += n
		} else {
			bad.add(blocks[i], class)
			i++
		}
	}
	ct.mu.Unlock()
	if h.gate.active.Load() {
		h.gate.freed.Add(int64(len(blocks)-left) * int64(k.Size))
	}
	h.freeSpans(class, &empty)
	return blocks[:left]
}

// noteFreed counts n blocks of s that were freed, and moves s to the list where it belongs, or to
// empty if all its blocks are free.
func (ct *central) noteFreed(s *pages.Span, empty *pages.List, n int) {
	ct.free += int64(n)
	ct.flushed += uint64(n)
	if Invariants && s.Free > s.Blocks {
		panic("galloc: engine: a span has more free blocks than blocks")
	}
	if s.List != listReady || s.Free == s.Blocks {
		ct.relist(s, empty)
	}
}

func (ct *central) relist(s *pages.Span, empty *pages.List) {
	switch {
	case s.Free == s.Blocks:
		ct.gone.Add(1)
		ct.list(s, listNone)
		ct.free -= int64(s.Free)
		empty.Push(s)
	case s.Free*8 >= s.Blocks:
		ct.list(s, listReady)
	case s.List == listNone:
		ct.list(s, listScarce)
	}
}

// freeSpans frees the runs of spans whose blocks are all free.
func (h *Heap) freeSpans(class uint8, spans *pages.List) {
	if spans.Empty() {
		return
	}
	n, blocks := int64(0), int64(0)
	h.pages.Lock()
	for !spans.Empty() {
		s := spans.First()
		spans.Remove(s)
		n++
		blocks += int64(s.Blocks)
		h.pages.Free(s, true)
	}
	h.pages.Unlock()
	h.spans[class].Add(-n)
	h.spanBlocks[class].Add(-blocks)
	h.wake()
}
