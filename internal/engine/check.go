// Verification of the equations beside the types. See heap.go for the overview.

package engine

import (
	"fmt"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/pages"
)

// Invariants reports whether heaps check themselves while they work. See Check.
const Invariants = pages.Invariants

// Check verifies every equation beside the types of this package and of package pages. It returns
// an error for the first that does not hold, with its numbers. The heap must not be in use, except
// by ticks. Check takes time in proportion to the pages below the frontiers, and Go memory.
func (h *Heap) Check() error { return h.check(true) }

// CheckInUse is Check for a heap that is in use. It leaves out what does not hold while blocks and
// spans move: it checks pages, records and lists.
func (h *Heap) CheckInUse() error { return h.check(false) }

// verify panics if CheckInUse fails, in programs built with the tag galloc_invariants. No lock is
// held.
func (h *Heap) verify() {
	if Invariants {
		if err := h.CheckInUse(); err != nil {
			panic("galloc: " + err.Error())
		}
	}
}

func (h *Heap) check(quiet bool) error {
	h.draining.Lock()
	defer h.draining.Unlock()
	c := &checker{heap: h, quiet: quiet, stashed: make(map[pages.Tag]bool)}
	if quiet {
		c.stats()
		h.pages.ReadStats(&c.pages)
	}
	for p := range h.procCount.Load() {
		pr := h.procs[p].Load()
		c.procs = append(c.procs, pr)
		if pr != nil {
			for i := range pr.centrals {
				pr.centrals[i].mu.Lock()
				defer pr.centrals[i].mu.Unlock()
			}
		}
	}
	h.pages.Lock()
	defer h.pages.Unlock()
	if err := h.pages.Check(c.visit); err != nil && c.err == nil {
		c.err = err
	}
	for p, pr := range c.procs {
		if pr == nil {
			continue
		}
		for i := range pr.centrals {
			c.central(uint32(p), uint8(i), &pr.centrals[i])
		}
	}
	if quiet {
		c.spanCounts()
		c.caches()
		c.stashes()
	}
	return c.err
}

// A checker is the state of a check, with the locks held.
type checker struct {
	heap  *Heap
	quiet bool // the heap is not in use
	procs []*proc
	pages pages.Stats
	err   error

	stashed                     map[pages.Tag]bool // tags of stashed blocks: found in a slot
	spans, spanBlocks, spanFree [pages.ClassLimit]int64
	spansGone                   [pages.ClassLimit]int32 // wraps around, as central.gone does
}

// fail keeps the first error.
func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("engine: "+format, args...)
	}
}

// visit checks the fields of a span that belong to the heap.
func (c *checker) visit(s *pages.Span) error {
	switch {
	case s.Kind == pages.KindSmall:
		c.span(s)
	case s.Tag().State() == pages.TagStashed:
		c.stashed[s.Tag()] = false
	}
	return c.err
}

// span checks a span of small blocks.
func (c *checker) span(s *pages.Span) {
	if p := s.Owner(); int(p) >= len(c.procs) || c.procs[p] == nil {
		if c.quiet {
			c.fail("%v belongs to P %d, which has no proc", s, p)
		}
		return // made after the locks were taken
	}
	if err := s.CheckBlocks(); err != nil && c.err == nil {
		c.err = err
	}
	switch {
	case s.List > listScarce:
		c.fail("%v is in list %d", s, s.List)
	case c.quiet && (s.List == listNone) != (s.Free == 0), s.List != listNone && s.Free == 0:
		c.fail("%v: List == listNone <=> Free == 0: list %d, free %d", s, s.List, s.Free)
	case s.List != listNone && s.Free == s.Blocks:
		c.fail("%v: all %d blocks are free, and it is in list %d", s, s.Blocks, s.List)
	case s.List == listScarce && s.Free*8 >= s.Blocks:
		c.fail("%v: scarce with %d of %d blocks free", s, s.Free, s.Blocks)
	}
	c.spans[s.Class]++
	c.spanBlocks[s.Class] += int64(s.Blocks)
	c.spanFree[s.Class] += int64(s.Free)
}

// central checks the central of class i of P p.
func (c *checker) central(p uint32, i uint8, ct *central) {
	if c.err != nil {
		return
	}
	at := fmt.Sprintf("central of class %d (%d bytes) of P %d", i, pages.Classes[i].Size, p)
	free, ready := int64(0), int32(0)
	for _, l := range []struct {
		list *pages.List
		name uint8
	}{{&ct.ready, listReady}, {&ct.scarce, listScarce}} {
		err := l.list.Check(func(s *pages.Span) error {
			free += int64(s.Free)
			if l.name == listReady {
				ready++
			}
			if s.Kind != pages.KindSmall || s.Class != i || s.Owner() != p || s.List != l.name {
				return fmt.Errorf("list %d has %v, P %d, list %d", l.name, s, s.Owner(), s.List)
			}
			if !c.heap.pages.Maps(s) {
				return fmt.Errorf("the page map does not have %v", s)
			}
			return nil
		})
		if err != nil {
			c.fail("%s: %w", at, err)
			return
		}
	}
	if ct.free != free || ct.count.Load() != ready {
		c.fail("%s: free == %d, count == %d, but the lists have %d and %d", at, ct.free, ct.count.Load(), free, ready)
	}
	c.spanFree[i] -= free
	c.spansGone[i] += ct.gone.Load()
}

// spanCounts checks the numbers of spans and blocks, and that all free blocks are in lists.
func (c *checker) spanCounts() {
	if c.err != nil {
		return
	}
	for i := range c.spans {
		if got := c.heap.spans[i].Load(); got != c.spans[i] {
			c.fail("spans[%d] == %d, but there are %d", i, got, c.spans[i])
		}
		if got := c.heap.spanBlocks[i].Load(); got != c.spanBlocks[i] {
			c.fail("spanBlocks[%d] == %d, but there are %d", i, got, c.spanBlocks[i])
		}
		if c.spanFree[i] != 0 {
			c.fail("class %d: %d free blocks are in no central", i, c.spanFree[i])
		}
		if made := c.pages.SpansMade[i]; int32(made)-c.spansGone[i] != int32(c.spans[i]) {
			c.fail("class %d: %d spans made and %d freed, but there are %d", i, made, c.spansGone[i], c.spans[i])
		}
	}
}

// stashes checks that each stashed block is in one slot.
func (c *checker) stashes() {
	bytes := make(map[*stash]int64)
	c.heap.eachStashed(func(st *stash, slot *atomic.Uintptr, t pages.Tag) {
		bytes[st] += stashedBytes(t)
		if class := st.slots[pages.LengthClass(t.Pages())][:]; slot != &class[0] && slot != &class[1] {
			c.fail("a block of %d pages is in a slot of another length", t.Pages())
		}
		t = t.WithState(pages.TagStashed)
		if seen, ok := c.stashed[t]; seen || !ok || c.heap.checked || c.heap.limited.Load() {
			c.fail("a slot has tag %#x: stashed %v, in another slot %v", t, ok, seen)
		}
		c.stashed[t] = true
	})
	for p, pr := range c.procs {
		if pr != nil && pr.stash.bytes.Load() != bytes[&pr.stash] {
			c.fail("stash of P %d: bytes == %d, but the slots have %d", p, pr.stash.bytes.Load(), bytes[&pr.stash])
		}
	}
	for t, seen := range c.stashed {
		if !seen {
			c.fail("the block with tag %#x is stashed, but in no slot", t)
		}
	}
}

// caches checks that the caches hold blocks of the class that are not free in their spans, each
// once.
func (c *checker) caches() {
	h := c.heap
	seen := make(map[pages.Ref]struct{})
	for p := range h.caches {
		cache := h.caches[p].Load()
		if cache == &noCache {
			continue
		}
		if uint32(p) >= h.procCount.Load() {
			c.fail("P %d has a cache, but procCount == %d", p, h.procCount.Load())
		}
		cache.lock.Lock()
		medium := uintptr(0)
		for i := range uint8(pages.NumClasses) {
			c.magazine(cache, p, i, seen)
			if pages.IsMedium(i) {
				medium += uintptr(cache.magazine(i).cap()) * uintptr(pages.Classes[i].Size)
			}
		}
		if medium != cache.medium || medium > maxBudget {
			c.fail("cache of P %d: medium == %d, want %d, the bytes of its magazines, at most %d", p, cache.medium,
				medium, maxBudget)
		}
		cache.lock.Unlock()
	}
	h.sparing.Lock()
	defer h.sparing.Unlock()
	for _, cache := range h.spares {
		if !cache.empty() {
			c.fail("a spare cache has blocks in it")
		}
	}
	if !noCache.empty() {
		c.fail("noCache has blocks in it")
	}
}

func (c *checker) magazine(cache *Cache, p int, class uint8, seen map[pages.Ref]struct{}) {
	if c.err != nil {
		return
	}
	m, b := cache.magazine(class), &bounds[class]
	limit := b.max
	ok := m.bottom == b.first
	if m.bottom > numSlots {
		limit = b.roomMax
		room := (m.bottom - numSlots) / (1 + roomSlots)
		ok = m.bottom == numSlots+room*(1+roomSlots)+1 && int(room) < cache.roomsTaken
	}
	if !ok || m.bottom > m.top || m.top > m.end || m.end > m.bottom+limit {
		c.fail("cache of P %d, class %d: first <= bottom <= top <= end <= bottom + max: %d, %d, %d, %d, %d",
			p, class, b.first, m.bottom, m.top, m.end, m.bottom+limit)
		return
	}
	if cache.slots[m.bottom-1] != 0 {
		c.fail("cache of P %d, class %d: slots[bottom-1] == %#x, want 0", p, class, cache.slots[m.bottom-1])
	}
	for _, r := range cache.slots[m.bottom:m.top] {
		s := c.heap.pages.SmallAt(r, class)
		if pages.IsMedium(class) {
			s = c.heap.pages.MediumAt(r, class)
		}
		if s == nil {
			c.fail("cache of P %d, class %d: %#x is no block of that class", p, class, r)
			return
		}
		if !s.HasBlock(r) || s.Kind == pages.KindSmall && s.IsFree(r) {
			c.fail("cache of P %d, class %d: %#x, %d bytes into the span at %#x, is not an allocated block", p, class,
				r, r-s.Base, s.Base)
			return
		}
		if _, again := seen[r]; again {
			c.fail("cache of P %d, class %d: %#x is in the caches twice", p, class, r)
			return
		}
		seen[r] = struct{}{}
	}
}

// stats checks the equations of Stats.
func (c *checker) stats() {
	var s Stats
	c.heap.readStats(&s)
	live, inUse, cached := s.Large, s.Large+s.Stashed, uintptr(0)
	blocks := s.LargeBlocks
	for _, t := range s.Classes {
		live += uintptr(t.Live) * t.Size
		inUse += uintptr(t.Blocks) * t.Size
		cached += uintptr(t.Cached) * t.Size
		blocks += t.Live
		if t.Live+t.Cached+t.Free != t.Blocks {
			c.fail("Stats, class of %d bytes: Live + Cached + Free == Blocks: %d, %d, %d, %d", t.Size, t.Live,
				t.Cached, t.Free, t.Blocks)
		}
		if t.Refilled-t.Flushed != t.Live+t.Cached {
			c.fail("Stats, class of %d bytes: Refilled - Flushed == Live + Cached: %d, %d, %d, %d", t.Size,
				t.Refilled, t.Flushed, t.Live, t.Cached)
		}
	}
	if s.Live != live || s.LiveBlocks != blocks || s.Cached != cached {
		c.fail("Stats: Live, LiveBlocks, Cached are sums: %d, %d, %d, but %d, %d, %d", s.Live, s.LiveBlocks, s.Cached,
			live, blocks, cached)
	}
	if s.InUse < inUse {
		c.fail("Stats: InUse >= Σ Blocks*Size + Large + Stashed: %d, %d", s.InUse, inUse)
	}
	if s.Footprint != s.InUse-s.Hollow+s.Held+s.Dirty+s.Metadata {
		c.fail("Stats: Footprint == InUse - Hollow + Held + Dirty + Metadata: %d, %d, %d, %d, %d, %d", s.Footprint,
			s.InUse, s.Hollow, s.Held, s.Dirty, s.Metadata)
	}
	if s.Committed != s.InUse+s.Held+s.Dirty+s.Clean || s.Committed > s.Reserved {
		c.fail("Stats: Committed == InUse + Held + Dirty + Clean <= Reserved: %d, %d, %d, %d, %d, %d",
			s.Committed, s.InUse, s.Held, s.Dirty, s.Clean, s.Reserved)
	}
}
