// Runs of pages: best fit, joined at once. See engine.go for overview.
//
// Every page below an extent's frontier belongs to exactly one run. Free runs are in bins by size: one bin for each number of
// pages up to 64, above that eight for each doubling. An allocation takes from the first bin that has a run long enough, cuts off
// what it does not need, and gives that back as a free run; in a bin of several sizes it looks for the smallest that will do,
// among the first few. A run that is freed joins its free neighbours at once, which the page map finds. So no two free runs touch.
//
// Whether free pages have memory behind them is not a property of runs but of pages, kept in bitmaps: that is what lets runs
// join regardless, and purging and clearing be exact.

package engine

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

const (
	exactBins = 64
	numBins   = exactBins + 8*26 + 1
	binScan   = 32 // runs looked at in a bin of several sizes
	exactScan = 8  // and in one of a single size
)

// pages hands out runs. Its lock is the innermost: nothing else is locked while it is held.
//
//	used + free == Σ frontier over extents
//	free == Σ pages over kindFree runs
//	dirty == Σ set bits of dirty over their pages
type pages struct {
	mu      mutex
	heap    *Heap
	extents []*extent
	bins    [numBins]list
	binMap  [(numBins + 63) / 64]uint64 // bins that are not empty

	used, free, dirty uintptr // pages
	pending           bool    // a tick may find more to do: there are dirty pages that have not been seen to be so
	inUse             uintptr // pages of kindSpan and kindLarge runs
	large, largeRuns  uintptr // pages and number of kindLarge runs, stashed ones too
	metaReady         uintptr // bytes of committed metadata
	lost              list    // runs that are not Ready, since the system would not commit them again after a purge
	limits
	pageStats
	_ [64]byte // what all Ps read of a Heap at each batch comes next, and is not to be where the lock's owner writes
}

// pageStats are counters of events, for Stats.
type pageStats struct {
	takes, puts    uint64 // runs
	grownInPlace   uint64 // runs
	advances       uint64 // of frontiers
	purges         uint64 // calls
	purgedBytes    uint64
	limitRefusals  uint64
	systemRefusals uint64
	spansMade      [classLimit]uint64
}

func binOf(n uint32) int {
	if n <= exactBins {
		return int(n)
	}
	lg := bits.Len32(n) - 1 // >= 6
	return min(exactBins+(lg-6)*8+int(n>>(lg-3)&7)+1, numBins-1)
}

func (ps *pages) link(s *span) {
	b := binOf(s.pages)
	ps.bins[b].push(s)
	ps.binMap[b/64] |= 1 << (b % 64)
}

func (ps *pages) unlink(s *span) {
	b := binOf(s.pages)
	ps.bins[b].remove(s)
	if ps.bins[b].head == 0 {
		ps.binMap[b/64] &^= 1 << (b % 64)
	}
}

// find returns a free run of at least n pages, or nil.
func (ps *pages) find(n uint32) *span {
	own := binOf(n)
	b := own
	if own > exactBins {
		if s := ps.bestIn(own, n, binScan); s != nil {
			return s
		}
		b++
	}
	for w := b / 64; w < len(ps.binMap); w++ {
		m := ps.binMap[w]
		if w == b/64 {
			m &= ^uint64(0) << (b % 64)
		}
		if m != 0 {
			return ps.bestIn(w*64+bits.TrailingZeros64(m), n, binScan)
		}
	}
	if own > exactBins {
		return ps.bestIn(own, n, math.MaxInt)
	}
	return nil
}

// bestIn returns the smallest run of at least n pages among the first scan of bin b, or nil: of several that are as small the
// lowest, so that what is in use gathers there, and the rest can decay.
func (ps *pages) bestIn(b int, n uint32, scan int) *span {
	var best *span
	if b <= exactBins {
		scan = exactScan
	}
	for r := ps.bins[b].head; r != 0 && scan > 0; scan-- {
		s := r.span()
		if s.pages >= n && (best == nil || s.pages < best.pages || s.pages == best.pages && s.base < best.base) {
			best = s
		}
		r = s.next
	}
	return best
}

// take hands out a run of n pages, aligned to align pages, as kind, with a record of so many units. It returns nil if there is no
// memory, or no record to be had.
func (ps *pages) take(n, align uint32, kind, class uint8, units uint8) *span {
	s := ps.findAligned(n, align)
	if s == nil && ps.extend(n, align) {
		s = ps.findAligned(n, align)
	}
	if s == nil {
		return nil
	}
	return ps.carve(s, ps.alignedIn(s, align), n, kind, class, units, true)
}

// alignedIn returns the first page aligned to align pages that is not before the free run s.
func (ps *pages) alignedIn(s *span, align uint32) uint32 {
	first := uint32(uintptr(s.base)>>pageShift) - s.page // all modulo 2^32, which the alignment divides
	return (first+s.page+align-1)&^(align-1) - first
}

// findAligned returns a free run with n pages in it from a multiple of align pages on, or nil. Where it may lie in a run, so many more are
// looked for that it must; at the start of an extent, which may have been reserved for no other reason, it is seen exactly.
func (ps *pages) findAligned(n, align uint32) *span {
	if s := ps.find(n + align - 1); s != nil || align == 1 {
		return s
	}
	for _, x := range ps.extents {
		if s := x.neighbour(0); s != nil && s.kind == kindFree && ps.alignedIn(s, align)+n <= s.end() {
			return s
		}
	}
	return nil
}

// carve cuts n pages from page at out of the free run s. It returns nil, and has changed nothing, if there is no record to be had
// or if it is limited and the footprint would be beyond the hard limit.
func (ps *pages) carve(s *span, at, n uint32, kind, class, units uint8, limited bool) *span {
	x := ps.extents[s.extent]
	dirty := x.dirty.count(at, at+n)
	front, back := at-s.page, s.end()-(at+n)
	run := ps.newRecord(x, units)
	if run == nil {
		return nil
	}
	rest := s // the record of the part that stays free
	if front != 0 && back != 0 {
		if rest = ps.newRecord(x, 1); rest == nil {
			x.freeRecord(run)
			return nil
		}
	}
	if limited && ps.hard != 0 && ps.footprint()+uintptr(n-uint32(dirty))<<pageShift > ps.hard {
		ps.limitRefusals++
		x.freeRecord(run)
		if rest != s {
			x.freeRecord(rest)
		}
		return nil
	}
	ps.unlink(s)
	x.clearMap(s)
	x.free.set(at, at+n, false)
	x.aged.set(at, at+n, false)
	if ps.heap.lazy {
		for i := x.freed.next(at, at+n, true); i < at+n; i = x.freed.next(i, at+n, true) {
			j := x.freed.next(i, at+n, false)
			x.freed.set(i, j, false)
			x.dirty.set(i, j, true)
		}
	}
	if front != 0 {
		s.pages = front
		x.setMap(s)
		ps.link(s)
	}
	if back != 0 {
		ps.setRun(x, rest, at+n, back)
		rest.kind = kindFree
		x.setMap(rest)
		ps.link(rest)
	}
	if front == 0 && back == 0 {
		x.freeRecord(s)
	}
	ps.setRun(x, run, at, n)
	run.class, run.list = class, listNone
	if kind == kindSpan {
		run.fill(uint16(uintptr(n) << pageShift / uintptr(classes[class].size)))
	}
	if kind == kindLarge {
		ps.large += uintptr(n)
		ps.largeRuns++
		run.setTag(run.liveTag())
	}
	if kind != kindHeld {
		ps.inUse += uintptr(n)
		if h, much := ps.heap, ps.inUse<<pageShift >= ps.heap.stashFrom; much != h.stashing.Load() {
			h.stashing.Store(much)
		}
	}
	run.kind = kind
	x.setMap(run)
	ps.used += uintptr(n)
	ps.free -= uintptr(n)
	ps.dirty -= uintptr(dirty)
	ps.takes++
	return run
}

// newRecord returns an unused record of x, or nil.
func (ps *pages) newRecord(x *extent, units uint8) *span {
	s := x.oldRecord(units)
	if s == nil && ps.fits(x.records.more(uintptr(x.recordTop+uint32(units))*unitSize)) {
		before := x.records.ready
		if s = x.newRecord(units); s == nil {
			ps.systemRefusals++
		}
		ps.metaReady += x.records.ready - before
	}
	return s
}

// fits reports whether the footprint may grow by so many bytes, as far as the hard limit is concerned, and counts it if not.
func (ps *pages) fits(more uintptr) bool {
	if more == 0 || ps.hard == 0 || ps.footprint()+more <= ps.hard {
		return true
	}
	ps.limitRefusals++
	return false
}

func (ps *pages) setRun(x *extent, s *span, page, n uint32) {
	s.extent, s.page, s.pages = x.index, page, n
	s.base = refOf(x.address(page))
}

// put takes back a run. Its contents are zeros, with no memory behind them, unless dirty.
func (ps *pages) put(s *span, dirty bool) {
	x := ps.extents[s.extent]
	ps.used -= uintptr(s.pages)
	ps.puts++
	if s.kind != kindHeld {
		ps.inUse -= uintptr(s.pages)
	}
	if s.kind == kindLarge {
		ps.large -= uintptr(s.pages)
		ps.largeRuns--
	}
	x.dirty.set(s.page, s.end(), dirty)
	if dirty {
		ps.dirty += uintptr(s.pages)
		ps.pending = true
	}
	ps.join(x, s)
}

// join makes s a free run, together with its free neighbours. Its dirty bits are set, and counted.
func (ps *pages) join(x *extent, s *span) {
	x.clearMap(s)
	s.kind = kindFree
	ps.free += uintptr(s.pages)
	x.free.set(s.page, s.end(), true)
	if l := x.neighbour(s.page - 1); l != nil && l.kind == kindFree {
		ps.unlink(l)
		x.clearMap(l)
		s.page, s.base = l.page, l.base
		s.pages += l.pages
		x.freeRecord(l)
	}
	if r := x.neighbour(s.end()); r != nil && r.kind == kindFree {
		ps.unlink(r)
		x.clearMap(r)
		s.pages += r.pages
		x.freeRecord(r)
	}
	x.setMap(s)
	ps.link(s)
	if Invariants && x.free.count(s.page, s.end()) != int(s.pages) {
		panic("galloc: engine: the pages of a free run are not all free")
	}
}

// shrink cuts s down to n pages. It reports false, and has changed nothing, if there is no record for the rest.
func (ps *pages) shrink(s *span, n uint32) bool {
	x := ps.extents[s.extent]
	rest := ps.newRecord(x, 1)
	if rest == nil {
		return false
	}
	x.clearMap(s)
	ps.large -= uintptr(s.pages - n)
	ps.inUse -= uintptr(s.pages - n)
	ps.setRun(x, rest, s.page+n, s.pages-n)
	s.pages = n
	s.setTag(s.liveTag())
	x.setMap(s)
	rest.kind = kindHeld
	x.setMap(rest)
	ps.put(rest, true)
	return true
}

// grow makes s n pages long if the pages behind it are free, and reports whether it has.
func (ps *pages) grow(s *span, n uint32) bool {
	x := ps.extents[s.extent]
	more := n - s.pages
	r := x.neighbour(s.end())
	if r == nil || r.kind != kindFree || r.pages < more {
		free := uint32(0)
		if r != nil && r.kind == kindFree {
			free = r.pages
		}
		if s.end()+free != x.frontier || !ps.extendIn(x, more-free) {
			return false
		}
		r = x.neighbour(s.end())
	}
	piece := ps.carve(r, r.page, more, kindHeld, 0, 1, true)
	if piece == nil {
		return false
	}
	x.clearMap(piece)
	x.freeRecord(piece)
	x.clearMap(s)
	s.pages = n
	s.setTag(s.liveTag())
	x.setMap(s)
	ps.large += uintptr(more)
	ps.inUse += uintptr(more)
	ps.grownInPlace++
	return true
}

// extend makes room for a run of n pages aligned to align pages, and reports whether it could.
func (ps *pages) extend(n, align uint32) bool {
	if ps.heap.closed.Load() || !ps.fits(uintptr(n)<<pageShift) {
		return false
	}
	want := n + align - 1
	for i := len(ps.extents) - 1; i >= 0; i-- {
		x := ps.extents[i]
		free := uint32(0)
		if r := x.neighbour(x.frontier - 1); r != nil && r.kind == kindFree {
			free = r.pages
		}
		if x.pages-x.frontier+free >= want {
			return ps.extendIn(x, want-min(free, want))
		}
	}
	x := ps.heap.reserve(uintptr(n), uintptr(align), ps.extents)
	if x == nil {
		ps.systemRefusals++
		return false
	}
	x.index = uint32(len(ps.extents))
	x.heap = ps.heap
	ps.extents = append(ps.extents, x)
	ps.heap.main.CompareAndSwap(&noExtent, x)
	x.enter(true)
	return ps.extendIn(x, min(want, x.pages))
}

// extendIn moves the frontier of x by n pages, and reports whether it could.
func (ps *pages) extendIn(x *extent, n uint32) bool {
	if n > x.pages-x.frontier {
		return false
	}
	// The frontier moves no further than it must, so that pages that have been used are used again first: to the next page of the
	// system. But pages are committed in few steps, an eighth ahead at most: systems that count promises count these.
	step := min(max(uint32((ps.used+ps.free)/8), 1<<20>>pageShift), 64<<20>>pageShift)
	to := roundUp32(x.frontier+n, ospages())
	if !ps.fits(uintptr(n)<<pageShift + x.moreMeta(to)) {
		return false
	}
	if ps.advance(x, to, to+min(x.pages-to, step)) || ps.advance(x, to, to) {
		return true
	}
	ps.systemRefusals++
	return false
}

// advance moves the frontier of x to to, as a new free run, and commits pages as far as ahead.
func (ps *pages) advance(x *extent, to, ahead uint32) bool {
	ahead = min(roundUp32(ahead, ospages()), x.pages)
	before := x.metaBytes()
	defer func() { ps.metaReady += x.metaBytes() - before }()
	s := x.oldRecord(1)
	if s == nil {
		s = x.newRecord(1)
	}
	if s == nil {
		return false
	}
	from := x.frontier
	if x.advance(to, ahead) != nil {
		x.freeRecord(s)
		return false
	}
	ps.advances++
	ps.setRun(x, s, from, to-from)
	s.kind = kindHeld
	ps.join(x, s)
	return true
}

// ospages returns how many pages a page of the system has.
func ospages() uint32 { return uint32(max(vm.PageSize()>>pageShift, 1)) }

func roundUp32(n, step uint32) uint32 { return (n + step - 1) / step * step }

// footprint returns the bytes that may have memory behind them.
func (ps *pages) footprint() uintptr {
	return (ps.used+ps.dirty)<<pageShift + ps.metaReady
}

// nextDirty returns the bytes of run s that may be other than zero since before it was taken: the first row of them from page i
// of the run on, as offsets from its start, or 0, 0.
func (ps *pages) nextDirty(s *span, i uint32) (from, to uintptr) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	x := ps.extents[s.extent]
	a := x.dirty.next(s.page+i, s.end(), true)
	b := x.dirty.next(a, s.end(), false)
	return uintptr(a-s.page) << pageShift, uintptr(b-s.page) << pageShift
}

// clearRun makes the bytes of run s from off up to n zero, if they are not known to be.
func (ps *pages) clearRun(s *span, off, n uintptr) {
	for i := uint32(off >> pageShift); ; {
		from, to := ps.nextDirty(s, i)
		from, to = max(from, off), min(to, n)
		if from >= to {
			return
		}
		// SAFETY: the run has n bytes, and belongs to the caller.
		clear(unsafe.Slice((*byte)(unsafe.Add(s.base.pointer(), from)), to-from))
		i = uint32(pagesFor(to))
	}
}
