// Verification of the equations that are written beside the types. See engine.go for overview.

package engine

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// Check verifies every equation that is written beside the types of this package, and returns the first that does not hold,
// with its numbers, or nil. Nobody may use the heap meanwhile, except for ticks. It takes time in proportion to the pages
// below the frontiers, and Go memory.
func (h *Heap) Check() error { return h.check(true) }

// CheckInUse is Check for a heap that is in use: it leaves out what does not hold while blocks and spans are under way, so that
// only pages, records and lists remain.
func (h *Heap) CheckInUse() error { return h.check(false) }

// verify panics if CheckInUse finds something, in programs built with the tag galloc_invariants; in others it does nothing. It is
// called without locks.
func (h *Heap) verify() {
	if Invariants {
		if err := h.CheckInUse(); err != nil {
			panic("galloc: " + err.Error())
		}
	}
}

func (h *Heap) check(quiet bool) error {
	h.draining.Lock() // before the centrals, and those before the pages, as drain does it
	defer h.draining.Unlock()
	c := &checker{heap: h, quiet: quiet, stashed: make(map[tag]bool)}
	if quiet {
		c.stats()
	}
	for p := range h.shardCount.Load() {
		sh := h.shards[p].Load()
		c.shards = append(c.shards, sh)
		if sh != nil {
			for i := range sh.centrals {
				sh.centrals[i].mu.Lock()
				defer sh.centrals[i].mu.Unlock()
			}
		}
	}
	h.pages.mu.Lock()
	defer h.pages.mu.Unlock()
	c.bins()
	for _, x := range h.pages.extents {
		c.extent(x)
	}
	c.sums()
	for p, sh := range c.shards {
		for i := range sh.all() {
			c.central(uint32(p), uint8(i), &sh.centrals[i])
		}
	}
	if quiet {
		c.spanCounts()
		c.caches()
		c.stashes()
	}
	return c.err
}

// all is the centrals of a shard, or none.
func (sh *shard) all() []central {
	if sh == nil {
		return nil
	}
	return sh.centrals[:]
}

// A checker is a Check under way, with the locks held.
type checker struct {
	heap   *Heap
	quiet  bool // nobody uses the heap
	shards []*shard
	err    error

	binned                      map[ref]int // free runs that are in bins
	frontiers, free, dirty      uintptr
	inUse, large, largeRuns     uintptr
	stashed                     map[tag]bool // tags of stashed runs; true for those that have been seen in a slot
	held, meta                  uintptr
	spans, spanBlocks, spanFree [classLimit]int64
	spansGone                   [classLimit]int32 // wraps around, as central.gone does
}

// fail keeps the first error.
func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("engine: "+format, args...)
	}
}

// walk calls f for each span of l, after the links between them have been checked.
func (c *checker) walk(what string, l *list, f func(*span)) {
	var prev ref
	n := 0
	for r := l.head; r != 0; n++ {
		s := r.span()
		if s.prev != prev || n > 1<<30 {
			c.fail("%s: element %d, page %d of extent %d: prev == %#x, want %#x", what, n, s.page, s.extent, s.prev, prev)
			return
		}
		next := s.next
		f(s)
		if c.err != nil {
			return
		}
		prev, r = r, next
	}
}

func (c *checker) bins() {
	ps := &c.heap.pages
	c.binned = make(map[ref]int)
	for b := range ps.bins {
		c.walk(fmt.Sprintf("bin %d", b), &ps.bins[b], func(s *span) {
			if s.kind != kindFree || binOf(s.pages) != b {
				c.fail("bin %d has a run of kind %d and %d pages (of bin %d)", b, s.kind, s.pages, binOf(s.pages))
			}
			if _, again := c.binned[s.ref()]; again {
				c.fail("bin %d has a run of %d pages twice", b, s.pages)
			}
			c.binned[s.ref()] = b
		})
		if got, want := ps.binMap[b/64]>>(b%64)&1 != 0, ps.bins[b].head != 0; got != want {
			c.fail("binMap[%d] == %v, but the bin has a run: %v", b, got, want)
		}
	}
}

func (c *checker) extent(x *extent) {
	h := c.heap
	if ok := x.frontier <= x.ready && x.ready <= x.pages; !ok {
		c.fail("extent %d: frontier <= ready <= pages: %d, %d, %d", x.index, x.frontier, x.ready, x.pages)
		return
	}
	if x.heap != h || int(x.index) >= len(h.pages.extents) || h.pages.extents[x.index] != x {
		c.fail("extent %d: heap %p of %p, or the index is wrong", x.index, x.heap, h)
		return
	}
	for off := uintptr(0); off < uintptr(x.pages)<<pageShift; off += mapUnit {
		if y := extentAt(refOf(x.base) + ref(off)); y != x {
			c.fail("extent %d: extentAt(base + %#x) == %p, want %p", x.index, off, y, x)
		}
	}
	words := (uintptr(x.frontier) + 63) / 64
	if x.mapReady.ready < 4*uintptr(x.frontier) || x.classReady.ready < uintptr(x.frontier) || x.bitsReady.ready < 8*words ||
		x.recordTop > 1 && x.records.ready < uintptr(x.recordTop)*unitSize {
		c.fail("extent %d: metadata ready for frontier %d, recordTop %d: map %d, bits %d, records %d bytes",
			x.index, x.frontier, x.recordTop, x.mapReady.ready, x.bitsReady.ready, x.records.ready)
		return
	}
	c.meta += x.metaBytes()
	c.frontiers += uintptr(x.frontier)
	units := make([]bool, x.recordTop)
	var last *span
	for i := uint32(0); i < x.frontier && c.err == nil; {
		s := c.run(x, i, units)
		if s == nil {
			return
		}
		if last != nil && last.kind == kindFree && s.kind == kindFree {
			c.fail("extent %d: free runs touch at page %d", x.index, i)
		}
		last, i = s, s.end()
	}
	c.bits(x)
	c.records(x, units)
}

// run checks the run that begins at page i, and returns it, or nil if there is none.
func (c *checker) run(x *extent, i uint32, units []bool) *span {
	u := x.pageMap[i]
	if u == 0 || u >= x.recordTop {
		c.fail("extent %d: pageMap[%d] == %d, want a record below %d", x.index, i, u, x.recordTop)
		return nil
	}
	s := x.record(u)
	if s.page != i || s.pages == 0 || s.pages > x.frontier-i || s.extent != x.index || uintptr(s.base) != uintptr(x.address(i)) {
		c.fail("extent %d: the run at page %d of %d says page %d, %d pages, extent %d, base %#x (extent.base %#x)",
			x.index, i, x.frontier, s.page, s.pages, s.extent, s.base, x.base)
		return nil
	}
	c.mark(x, s, units)
	for p := i; p < s.end(); p++ {
		want := uint32(0)
		if s.kind == kindSpan || p == i || p == s.end()-1 {
			want = u
		}
		if x.pageMap[p] != want {
			c.fail("extent %d: pageMap[%d] == %d, want %d: kind %d, pages %d to %d", x.index, p, x.pageMap[p], want, s.kind, i, s.end())
			return nil
		}
		class := uint8(0)
		if s.kind == kindSpan {
			class = s.class
		}
		if x.classMap[p] != class {
			c.fail("extent %d: classMap[%d] == %d, want %d: kind %d, pages %d to %d", x.index, p, x.classMap[p], class, s.kind, i, s.end())
			return nil
		}
	}
	n := uintptr(s.pages)
	if got, want := x.free.count(i, s.end()), int(s.pages); s.kind == kindFree && got != want || s.kind != kindFree && got != 0 {
		c.fail("extent %d: %d bits of free set in the run of kind %d, pages %d to %d", x.index, got, s.kind, i, s.end())
	}
	_, binned := c.binned[s.ref()]
	if binned != (s.kind == kindFree) {
		c.fail("extent %d: the run of kind %d, pages %d to %d is in a bin: %v", x.index, s.kind, i, s.end(), binned)
	}
	delete(c.binned, s.ref())
	switch s.kind {
	case kindFree:
		c.free += n
		c.dirty += uintptr(x.dirty.count(i, s.end()))
	case kindLarge:
		c.inUse += n
		c.large += n
		c.largeRuns++
		switch t := s.tag(); {
		case t == s.liveTag():
		case t != 0 && t == s.liveTag().as(tagStashed):
			c.stashed[t] = false
		default:
			c.fail("extent %d: the large run at page %d of %d pages has tag %#x, want %#x or stashed", x.index, i, n, t, s.liveTag())
		}
	case kindSpan:
		c.inUse += n
		c.span(x, s)
	case kindHeld:
		c.held += n
	default:
		c.fail("extent %d: the run at page %d is of kind %d", x.index, i, s.kind)
	}
	return s
}

// mark checks that the units of s belong to no other record.
func (c *checker) mark(x *extent, s *span, units []bool) {
	u := x.unit(s)
	if s.units == 0 || s.units > maxUnits || u == 0 || u+uint32(s.units) > x.recordTop {
		c.fail("extent %d: record %d has %d units, and recordTop is %d", x.index, u, s.units, x.recordTop)
		return
	}
	for i := range uint32(s.units) {
		if units[u+i] {
			c.fail("extent %d: unit %d is in two records", x.index, u+i)
		}
		units[u+i] = true
	}
}

// records checks the unused records: with those in use, they are all.
func (c *checker) records(x *extent, units []bool) {
	for n, u := range x.recordFree {
		for u != 0 && c.err == nil {
			if u >= x.recordTop {
				c.fail("extent %d: unused record %d of %d", x.index, u, x.recordTop)
				return
			}
			s := x.record(u)
			if s.kind != kindNone || int(s.units) != n {
				c.fail("extent %d: unused record %d has kind %d and %d units in the list of %d", x.index, u, s.kind, s.units, n)
			}
			c.mark(x, s, units)
			u = uint32(s.next)
		}
	}
	for u := 1; u < len(units); u++ {
		if !units[u] {
			c.fail("extent %d: unit %d of %d is in no record", x.index, u, x.recordTop)
		}
	}
}

func (c *checker) bits(x *extent) {
	for w := range (x.frontier + 63) / 64 {
		free, dirty, aged, freed := x.free[w], x.dirty[w], x.aged[w], x.freed[w]
		if aged&^(free&dirty) != 0 {
			c.fail("extent %d, word %d: aged => free and dirty: %#x, %#x, %#x", x.index, w, aged, free, dirty)
		}
		if freed&^(free&^dirty) != 0 || freed != 0 && !c.heap.lazy {
			c.fail("extent %d, word %d: freed => free and not dirty, and lazy: %#x, %#x, %#x", x.index, w, freed, free, dirty)
		}
		if n := x.frontier - w*64; n < 64 && (free|dirty|aged|freed)>>n != 0 {
			c.fail("extent %d, word %d: bits at or above the frontier %d: %#x, %#x, %#x, %#x", x.index, w, x.frontier, free, dirty, aged, freed)
		}
	}
	for i := x.frontier; uintptr(i) < min(uintptr(x.frontier)+16, x.mapReady.ready/4, uintptr(x.pages)); i++ {
		if x.pageMap[i] != 0 {
			c.fail("extent %d: pageMap[%d] == %d at or above the frontier %d", x.index, i, x.pageMap[i], x.frontier)
		}
	}
}

// span checks a span of blocks.
func (c *checker) span(x *extent, s *span) {
	if s.class == 0 || s.class >= numClasses {
		c.fail("extent %d: the span at page %d is of class %d", x.index, s.page, s.class)
		return
	}
	k := &classes[s.class]
	at := fmt.Sprintf("extent %d: the span at page %d of class %d (%d bytes)", x.index, s.page, s.class, k.size)
	if want := s.bytes() / uintptr(k.size); uintptr(s.blocks) != want || unitsFor(uint32(s.blocks)) > s.units {
		c.fail("%s has %d pages, %d blocks, want %d, and %d units, want %d", at, s.pages, s.blocks, want, s.units, unitsFor(uint32(want)))
		return
	}
	if p := s.getShard(); int(p) >= len(c.shards) || c.shards[p] == nil {
		if c.quiet {
			c.fail("%s belongs to shard %d, which is not there", at, p)
		}
		return // made since, and so not locked
	}
	n := 0
	words := s.words()
	for i, w := range words {
		n += bits.OnesCount64(w)
		if w != 0 && i < int(s.hint) {
			c.fail("%s: word %d is %#x below hint %d", at, i, w, s.hint)
		}
	}
	if tail := s.blocks % 64; tail != 0 && words[len(words)-1]>>tail != 0 {
		c.fail("%s: bits beyond the %d blocks: %#x", at, s.blocks, words[len(words)-1])
	}
	if n != int(s.free) {
		c.fail("%s: free == %d, but %d bits are set", at, s.free, n)
	}
	switch {
	case s.list > listScarce:
		c.fail("%s is in list %d", at, s.list)
	case c.quiet && (s.list == listNone) != (s.free == 0), s.list != listNone && s.free == 0:
		c.fail("%s: list == listNone <=> free == 0: list %d, free %d", at, s.list, s.free)
	case s.list != listNone && s.free == s.blocks:
		c.fail("%s: all %d blocks are free, and it is in list %d", at, s.blocks, s.list)
	case s.list == listScarce && s.free*8 >= s.blocks:
		c.fail("%s: scarce with %d of %d blocks free", at, s.free, s.blocks)
	}
	c.spans[s.class]++
	c.spanBlocks[s.class] += int64(s.blocks)
	c.spanFree[s.class] += int64(s.free)
}

// sums checks what pages counts.
func (c *checker) sums() {
	if c.err != nil {
		return
	}
	ps := &c.heap.pages
	for _, e := range []struct {
		equation  string
		got, want uintptr
	}{
		{"used + free == Σ frontier", ps.used + ps.free, c.frontiers},
		{"free == Σ pages over free runs", ps.free, c.free},
		{"dirty == Σ bits of dirty over free pages", ps.dirty, c.dirty},
		{"inUse == Σ pages over spans and large runs", ps.inUse, c.inUse},
		{"used == inUse + Σ pages over held runs", ps.used, c.inUse + c.held},
		{"large == Σ pages over large runs", ps.large, c.large},
		{"largeRuns == number of large runs", ps.largeRuns, c.largeRuns},
		{"metaReady == Σ metaBytes", ps.metaReady, c.meta},
		{"free runs in bins, but in no extent", uintptr(len(c.binned)), 0},
	} {
		if e.got != e.want {
			c.fail("%s: %d, %d", e.equation, e.got, e.want)
		}
	}
	lost := uintptr(0)
	c.walk("lost", &ps.lost, func(s *span) {
		lost += uintptr(s.pages)
		if s.kind != kindHeld {
			c.fail("a lost run of %d pages is of kind %d", s.pages, s.kind)
		}
	})
	if lost > c.held {
		c.fail("lost <= held: %d, %d", lost, c.held)
	}
}

// central checks the central of class i of shard p.
func (c *checker) central(p uint32, i uint8, ct *central) {
	if c.err != nil {
		return
	}
	at := fmt.Sprintf("central of class %d (%d bytes) of shard %d", i, classes[i].size, p)
	free, ready := int64(0), int32(0)
	for _, l := range []struct {
		list *list
		name uint8
	}{{&ct.ready, listReady}, {&ct.scarce, listScarce}} {
		c.walk(at, l.list, func(s *span) {
			free += int64(s.free)
			if l.name == listReady {
				ready++
			}
			if s.kind != kindSpan || s.class != i || s.getShard() != p || s.list != l.name {
				c.fail("%s: list %d has a run of kind %d, class %d, shard %d, list %d", at, l.name, s.kind, s.class, s.getShard(), s.list)
				return
			}
			x := c.heap.pages.extents[s.extent]
			if x.neighbour(s.page) != s {
				c.fail("%s: the page map does not know the span at page %d of extent %d", at, s.page, s.extent)
			}
		})
	}
	if ct.free != free || ct.count.Load() != ready {
		c.fail("%s: free == %d, count == %d, but the lists have %d and %d", at, ct.free, ct.count.Load(), free, ready)
	}
	c.spanFree[i] -= free
	c.spansGone[i] += ct.gone.Load()
}

// spanCounts checks what the heap counts, and that all free blocks are in lists.
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
		if made := c.heap.pages.spansMade[i]; int32(made)-c.spansGone[i] != int32(c.spans[i]) {
			c.fail("class %d: %d spans made and %d gone, but there are %d", i, made, c.spansGone[i], c.spans[i])
		}
	}
}

// stashes checks that the runs that are stashed are those in the slots, each once.
func (c *checker) stashes() {
	c.heap.eachSlot(func(_ *atomic.Uintptr, t tag) {
		t = t.as(tagStashed)
		if seen, ok := c.stashed[t]; seen || !ok || c.heap.checked || c.heap.limited.Load() {
			c.fail("a slot has tag %#x: it is stashed: %v, is in another slot: %v", t, ok, seen)
		}
		c.stashed[t] = true
	})
	for t, seen := range c.stashed {
		if !seen {
			c.fail("the run with tag %#x is stashed, but in no slot", t)
		}
	}
}

// caches checks the caches: what is in them are blocks of the class, not free, and each is there once.
func (c *checker) caches() {
	h := c.heap
	seen := make(map[ref]struct{})
	for p := range h.caches {
		k := h.caches[p].Load()
		if k == &noCache {
			continue
		}
		if uint32(p) >= h.shardCount.Load() {
			c.fail("P %d has a cache, but shardCount == %d", p, h.shardCount.Load())
		}
		k.hold()
		for i := range uint8(numClasses) {
			c.magazine(k, p, i, seen)
		}
		k.release()
	}
	h.sparing.Lock()
	defer h.sparing.Unlock()
	for _, k := range h.spares {
		if !k.empty() {
			c.fail("a spare cache has blocks in it")
		}
	}
	if !noCache.empty() {
		c.fail("noCache has blocks in it")
	}
}

func (c *checker) magazine(k *Cache, p int, i uint8, seen map[ref]struct{}) {
	if c.err != nil {
		return
	}
	m := k.magazine(i)
	most := classes[i].most
	ok := m.bottom == classes[i].slots
	if m.bottom > numSlots {
		most = classes[i].wide
		room := (m.bottom - numSlots) / (1 + roomSlots)
		ok = m.bottom == numSlots+room*(1+roomSlots)+1 && int(room) < k.roomsTaken
	}
	if !ok || m.bottom > m.top || m.top > m.end || m.end > m.bottom+most {
		c.fail("cache of P %d, class %d: slots <= bottom <= top <= end <= bottom + most: %d, %d, %d, %d, %d",
			p, i, classes[i].slots, m.bottom, m.top, m.end, m.bottom+most)
		return
	}
	if k.slots[m.bottom-1] != 0 {
		c.fail("cache of P %d, class %d: slots[bottom-1] == %#x, want 0", p, i, k.slots[m.bottom-1])
	}
	for j := m.bottom; j < m.top; j++ {
		b := k.slots[j]
		s := c.heap.spanOf(b, i)
		if s == nil {
			c.fail("cache of P %d, class %d: %#x is no block of that class", p, i, b)
			return
		}
		off := uintptr(b - s.base)
		if off%uintptr(classes[i].size) != 0 || off/uintptr(classes[i].size) >= uintptr(s.blocks) || s.holds(b) {
			c.fail("cache of P %d, class %d: %#x, %d bytes into the span at %#x, is not a block that has been taken", p, i, b, off, s.base)
			return
		}
		if _, again := seen[b]; again {
			c.fail("cache of P %d, class %d: %#x is in the caches twice", p, i, b)
			return
		}
		seen[b] = struct{}{}
	}
}

// stats checks the laws of Stats.
func (c *checker) stats() {
	var s Stats
	c.heap.ReadStats(&s)
	live, inUse, cached := s.Large, s.Large+s.Stashed, uintptr(0)
	blocks := s.LargeBlocks
	for _, t := range s.Classes {
		live += uintptr(t.Live) * t.Size
		inUse += uintptr(t.Blocks) * t.Size
		cached += uintptr(t.Cached) * t.Size
		blocks += t.Live
		if t.Live+t.Cached+t.Free != t.Blocks {
			c.fail("Stats, class of %d bytes: Live + Cached + Free == Blocks: %d, %d, %d, %d", t.Size, t.Live, t.Cached, t.Free, t.Blocks)
		}
		if t.Taken-t.Given != t.Live+t.Cached {
			c.fail("Stats, class of %d bytes: Taken - Given == Live + Cached: %d, %d, %d, %d", t.Size, t.Taken, t.Given, t.Live, t.Cached)
		}
	}
	if s.Live != live || s.LiveBlocks != blocks || s.Cached != cached {
		c.fail("Stats: Live, LiveBlocks, Cached are sums: %d, %d, %d, but %d, %d, %d", s.Live, s.LiveBlocks, s.Cached, live, blocks, cached)
	}
	if s.InUse < inUse {
		c.fail("Stats: InUse >= Σ Blocks*Size + Large + Stashed: %d, %d", s.InUse, inUse)
	}
	if s.Footprint != s.InUse+s.Held+s.Dirty+s.Metadata {
		c.fail("Stats: Footprint == InUse + Held + Dirty + Metadata: %d, %d, %d, %d, %d", s.Footprint, s.InUse, s.Held, s.Dirty, s.Metadata)
	}
	if s.Ready != s.InUse+s.Held+s.Dirty+s.Clean || s.Ready > s.Reserved {
		c.fail("Stats: Ready == InUse + Held + Dirty + Clean <= Reserved: %d, %d, %d, %d, %d, %d",
			s.Ready, s.InUse, s.Held, s.Dirty, s.Clean, s.Reserved)
	}
}
