// Runs: how they are found, cut and joined. See allocator.go for the overview.

package pages

import (
	"math/bits"

	"github.com/galloc-go/galloc/internal/vm"
)

const (
	numBins   = 65 // runs of n pages are in bin n; longer ones are in the tree
	exactScan = 8  // runs looked at in a bin
)

func (a *Allocator) link(s *Span) {
	b := s.pages
	if b >= numBins {
		a.long.insert(s)
		return
	}
	a.bins[b].Push(s)
	a.binMap[b/64] |= 1 << (b % 64)
}

func (a *Allocator) unlink(s *Span) {
	b := s.pages
	if b >= numBins {
		a.long.remove(s)
		return
	}
	a.bins[b].Remove(s)
	if a.bins[b].Empty() {
		a.binMap[b/64] &^= 1 << (b % 64)
	}
}

// find returns the shortest free run of at least n pages, or nil.
func (a *Allocator) find(n uint32) *Span {
	for w := n / 64; w < uint32(len(a.binMap)); w++ {
		m := a.binMap[w]
		if w == n/64 {
			m &= ^uint64(0) << (n % 64)
		}
		if m != 0 {
			return a.lowestIn(int(w)*64 + bits.TrailingZeros64(m))
		}
	}
	return a.long.find(n)
}

// lowestIn returns the run with the lowest address among the first few of bin b, which is not
// empty, so that runs in use gather there, and the others can decay.
func (a *Allocator) lowestIn(b int) *Span {
	best := a.bins[b].First()
	at := best.next
	for range exactScan - 1 {
		if at == 0 {
			break
		}
		s := at.span()
		if s.Base < best.Base {
			best = s
		}
		at = s.next
	}
	return best
}

// alignedIn returns the first page of the free run s that is aligned to align pages. It may be past
// the end of s.
func (a *Allocator) alignedIn(s *Span, align uint32) uint32 {
	// All modulo 2^32, which the alignment divides.
	first := uint32(uintptr(s.Base)>>PageShift) - s.page
	return (first+s.page+align-1)&^(align-1) - first
}

// findAligned returns a free run that contains n pages aligned to align pages, or nil. It looks for
// n+align-1 pages, which always suffice. At the start of an extent, which may have been reserved
// for this very run, it looks exactly.
func (a *Allocator) findAligned(n, align uint32) *Span {
	if s := a.find(n + align - 1); s != nil || align == 1 {
		return s
	}
	for _, x := range a.extents {
		if s := x.neighbour(0); s != nil && s.Kind == KindFree && a.alignedIn(s, align)+n <= s.end() {
			return s
		}
	}
	return nil
}

// carve cuts n pages from page at on out of the free run s. If there is no record, or if it is
// limited and the footprint would exceed the hard limit, it returns nil and nothing has changed.
func (a *Allocator) carve(s *Span, at, n uint32, kind, class, units uint8, limited bool) *Span {
	x := a.extents[s.extent]
	dirty := x.dirty.count(at, at+n)
	run, rest := a.carveRecords(x, s, at, n, units)
	if run == nil {
		return nil
	}
	if limited && a.hard != 0 && a.Footprint()+uintptr(n-uint32(dirty))<<PageShift > a.hard {
		a.limitRefusals++
		x.freeRecord(run)
		if rest != s {
			x.freeRecord(rest)
		}
		return nil
	}
	if !a.commitAgain(x, at, at+n) {
		x.freeRecord(run)
		if rest != s {
			x.freeRecord(rest)
		}
		return nil
	}
	a.cut(x, s, rest, at, n)
	a.setRun(x, run, at, n)
	run.Class, run.List = class, 0
	switch kind {
	case KindSmall:
		run.fill(uint16(uintptr(n) << PageShift / uintptr(Classes[class].Size)))
	case KindLarge:
		a.large += uintptr(n)
		a.largeRuns++
		run.Unclaim()
	}
	if kind != KindHeld {
		a.inUse += uintptr(n)
	}
	run.Kind = kind
	x.setMap(run)
	a.used += uintptr(n)
	a.free -= uintptr(n)
	a.dirty -= uintptr(dirty)
	a.allocs++
	return run
}

// commitAgain commits the pages [from, end) that are gone, and some after them, and reports whether
// it could.
func (a *Allocator) commitAgain(x *Extent, from, end uint32) bool {
	if x.goneCount == 0 {
		return true
	}
	unit := osPages()
	for i := x.gone.next(from, end, true); i < end; i = x.gone.next(i, end, true) {
		first := i / unit * unit
		last := x.gone.next(i, min(roundUp32(end+1<<20>>PageShift, unit), x.frontier), false)
		if vm.Commit(x.address(first), uintptr(last-first)<<PageShift) != nil {
			a.systemRefusals++
			return false
		}
		x.goneCount -= uintptr(x.gone.set(first, last, false))
		i = last
	}
	return true
}

// carveRecords returns a record for n pages from page at on of the free run s, and one for the rest
// that stays free: s, unless there are free pages on both sides. It returns nil if there is no
// record.
func (a *Allocator) carveRecords(x *Extent, s *Span, at, n uint32, units uint8) (run, rest *Span) {
	run, rest = a.newRecord(x, units), s
	if run != nil && at != s.page && at+n != s.end() {
		if rest = a.newRecord(x, 1); rest == nil {
			x.freeRecord(run)
			return nil, nil
		}
	}
	return run, rest
}

// cut takes n pages from page at on out of the free run s. The pages on both sides stay free; rest
// is the record of those after. The caller enters the n pages into the page map: each page that s
// was entered at becomes the first or the last of one of the parts.
func (a *Allocator) cut(x *Extent, s, rest *Span, at, n uint32) {
	front, back := at-s.page, s.end()-(at+n)
	a.unlink(s)
	x.free.set(at, at+n, false)
	x.aged.set(at, at+n, false)
	if a.lazy {
		for i := x.freed.next(at, at+n, true); i < at+n; i = x.freed.next(i, at+n, true) {
			j := x.freed.next(i, at+n, false)
			x.freed.set(i, j, false)
			x.dirty.set(i, j, true)
		}
	}
	if front != 0 {
		s.pages = front
		x.setMap(s)
		a.link(s)
	}
	if back != 0 {
		a.setRun(x, rest, at+n, back)
		rest.Kind = KindFree
		x.setMap(rest)
		a.link(rest)
	}
	if front == 0 && back == 0 {
		x.freeRecord(s)
	}
}

// newRecord returns an unused record of x, or nil.
func (a *Allocator) newRecord(x *Extent, units uint8) *Span {
	s := x.oldRecord(units)
	if s == nil && a.fits(x.records.need(uintptr(x.recordTop+uint32(units))*unitSize)) {
		before := x.records.committed
		if s = x.newRecord(units); s == nil {
			a.systemRefusals++
		}
		a.metaCommitted += x.records.committed - before
	}
	return s
}

func (a *Allocator) setRun(x *Extent, s *Span, page, n uint32) {
	s.extent, s.page, s.pages = x.index, page, n
	s.Base = RefOf(x.address(page))
}

// join makes s a free run, joined with its free neighbours. Its dirty bits are set and counted.
func (a *Allocator) join(x *Extent, s *Span) {
	first, last := s.page, s.end()-1
	if s.Kind == KindSmall {
		x.clearMap(s)
	}
	s.Kind = KindFree
	a.free += uintptr(s.pages)
	x.free.set(s.page, s.end(), true)
	if l := x.neighbour(s.page - 1); l != nil && l.Kind == KindFree {
		a.unlink(l)
		x.mapPage(first-1, 0)
		x.mapPage(first, 0)
		s.page, s.Base = l.page, l.Base
		s.pages += l.pages
		x.freeRecord(l)
	}
	if r := x.neighbour(s.end()); r != nil && r.Kind == KindFree {
		a.unlink(r)
		x.mapPage(last, 0)
		x.mapPage(last+1, 0)
		s.pages += r.pages
		x.freeRecord(r)
	}
	x.setMap(s)
	a.link(s)
	if Invariants && x.free.count(s.page, s.end()) != int(s.pages) {
		panic("galloc: pages: a free run has pages that are not free")
	}
}

// Footprint returns the number of bytes that may have memory: with the lock held.
func (a *Allocator) Footprint() uintptr {
	return (a.used-a.hollow+a.dirty)<<PageShift + a.metaCommitted
}

// fits reports whether the hard limit permits the footprint to grow by more bytes, and counts a
// refusal.
func (a *Allocator) fits(more uintptr) bool {
	if more == 0 || a.hard == 0 || a.Footprint()+more <= a.hard {
		return true
	}
	a.limitRefusals++
	return false
}
