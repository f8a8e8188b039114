// Purging: free pages return their memory to the system. See allocator.go for the overview.

package pages

import (
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/vm"
)

const (
	minPurge   = 256     // pages purged at a time, which cannot be allocated in the meantime
	purgePart  = 256     // or this part of the dirty pages, if that is more
	goneFrom   = 1024    // free pages without memory that are decommitted together in any case
	gonePart   = 256     // or this part of the extent, if that is more: it bounds the mappings
	goneShort  = 64      // the same while the process has few mappings
	maxScanned = 1 << 17 // pages looked at before others may take the lock
)

// Purge returns the memory of dirty free pages to the system, and returns the number of bytes. If
// agedOnly, it leaves out the pages that are not aged. Then it marks the pages that are still dirty
// as aged: so pages that stay free from one such call to the next are purged by the latter.
// Allocating a page clears both marks. With Config.Huge, some dirty pages may stay: see huge.go.
func (a *Allocator) Purge(agedOnly bool) (bytes uintptr) {
	a.Lock()
	defer a.Unlock()
	return a.purge(agedOnly, a.keptDirty())
}

// PurgeAll returns the memory of all dirty free pages to the system, and returns the number of
// bytes.
func (a *Allocator) PurgeAll() (bytes uintptr) {
	a.Lock()
	defer a.Unlock()
	return a.purge(false, 0)
}

// purge is Purge, with the lock held. It leaves up to kept pages in parts of huge pages dirty.
func (a *Allocator) purge(agedOnly bool, kept uintptr) (bytes uintptr) {
	a.pending = false
	if a.huge { // whole huge pages of all extents before parts of any
		for e := 0; e < len(a.extents); e++ {
			bytes += a.purgeIn(a.extents[e], a.purgeUnit(), 0, agedOnly)
		}
	}
	for e := 0; e < len(a.extents); e++ {
		x := a.extents[e]
		n := a.purgeIn(x, osPages(), kept, agedOnly)
		bytes += n
		for w := range (x.frontier + 63) / 64 {
			dirty := x.free[w] & x.dirty[w]
			a.pending = a.pending || dirty&^x.aged[w] != 0
			x.aged[w] = dirty
		}
		if n != 0 || !agedOnly || a.huge {
			a.decommit(x)
		}
	}
	return bytes
}

// purgeIn purges dirty free pages of x, only aged ones if agedOnly, in multiples of unit pages,
// while more than kept pages of all extents are dirty. It returns the number of bytes.
func (a *Allocator) purgeIn(x *Extent, unit uint32, kept uintptr, agedOnly bool) (bytes uintptr) {
	most := max(minPurge, uint32(a.dirty/purgePart))
	for i := uint32(0); i < x.frontier && a.dirty > kept; {
		to := min(i+maxScanned, x.frontier)
		for i < to && a.dirty > kept {
			from, end := x.purgeable(i, to, most, unit, agedOnly)
			i = end
			if from < end {
				from, end = x.wholeUnits(from, end, unit)
				bytes += a.purgeRange(x, from, end)
				i = max(i, end)
			}
		}
		a.yield()
	}
	return bytes
}

// yield releases the lock for a moment.
func (a *Allocator) yield() {
	a.Unlock()
	a.Lock()
}

// Pending reports whether another Purge of aged pages, or RecoverLost, may have something to do.
func (a *Allocator) Pending() bool {
	a.Lock()
	defer a.Unlock()
	return a.pending || !a.lost.Empty()
}

// purgeable returns the first contiguous pages [from, end) in [i, j) that are free, dirty and, if
// agedOnly, aged: about most of them at most, up to a multiple of unit. If there are none, it
// returns j, j.
func (x *Extent) purgeable(i, j, most, unit uint32, agedOnly bool) (from, end uint32) {
	word := func(w uint32) uint64 {
		v := x.free[w] & x.dirty[w]
		if agedOnly {
			v &= x.aged[w]
		}
		return v
	}
	from = nextBit(word, i, j)
	end = nextBit(func(w uint32) uint64 { return ^word(w) }, from, min(j, roundUp32(from+most, unit)))
	return from, end
}

// wholeUnits widens or narrows [a, b), which are free pages, to multiples of unit. It keeps the
// units whose pages are all free; those outside [a, b) are clean, or dirty for a short time only.
func (x *Extent) wholeUnits(a, b, unit uint32) (from, to uint32) {
	from, to = a/unit*unit, roundUp32(b, unit)
	if x.free.next(from, a, false) != a {
		from += unit
	}
	if to > x.frontier || x.free.next(b, to, false) != to {
		to -= unit
	}
	return from, to
}

// purgeRange purges the free pages [from, to), and returns the number of bytes of them that were
// dirty. It releases the lock while the system works.
func (a *Allocator) purgeRange(x *Extent, from, to uint32) uintptr {
	if from >= to {
		return 0
	}
	dirty := uintptr(x.dirty.count(from, to)) << PageShift
	run := a.carve(x.neighbour(x.free.first(from)), from, to-from, KindHeld, 0, 1, false)
	if run == nil {
		a.pending = true // no record: another time
		return 0
	}
	p, bytes := run.Base.Pointer(), run.Bytes()
	a.Unlock()
	if a.huge {
		a.adviseAround(x, from, to)
	}
	var err error
	if a.lazy {
		err = vm.PurgeLazy(p, bytes)
	} else if err = vm.Purge(p, bytes); err != nil {
		err = vm.Commit(p, bytes) // the failed Purge has left it Reserved
	}
	a.Lock()
	a.purges++
	switch {
	case err == nil:
		a.purgedBytes += uint64(dirty)
		a.Free(run, false)
		if a.lazy {
			x.freed.set(from, to, true)
		}
	case a.lazy:
		a.Free(run, true) // and that is pending
	default:
		a.lost.Push(run)
	}
	return dirty
}

// FreePurged frees s, a large block that the caller has claimed, after its memory has been returned
// to the system: without locks.
func (a *Allocator) FreePurged(s *Span) {
	p, bytes := s.Base.Pointer(), s.Bytes()
	err := vm.Purge(p, bytes)
	if err != nil {
		err = vm.Commit(p, bytes) // the failed Purge has left it Reserved
	}
	a.Lock()
	defer a.Unlock()
	a.purges++
	if err == nil {
		x := a.extents[s.extent]
		a.purgedBytes += uint64(bytes)
		a.Free(s, false)
		a.decommit(x)
		return
	}
	a.inUse -= uintptr(s.pages)
	a.large -= uintptr(s.pages)
	a.largeRuns--
	s.Kind = KindHeld
	a.lost.Push(s)
}

// decommit decommits the runs of free pages of x that have no memory, so that the system does not
// count them: with the lock held, but it is released for a moment before each short run. At the
// frontier, the frontier moves back.
func (a *Allocator) decommit(x *Extent) {
	if a.lazy || vm.GoMemory {
		return
	}
	unit := a.purgeUnit()
	least := max(goneFrom, x.frontier/gonePart)
	word := func(w uint32) uint64 { return x.free[w] &^ x.dirty[w] &^ x.gone[w] }
	few, permitted := true, false // mappings; a short run
	for i := uint32(0); i < x.frontier; {
		from := nextBit(word, i, x.frontier)
		end := nextBit(func(w uint32) uint64 { return ^word(w) }, from, x.frontier)
		first, last := roundUp32(from, unit), end/unit*unit
		short := last < first+least
		switch {
		case last < first+goneShort || short && !few:
			i = end
			continue
		case short && !permitted:
			a.Unlock() // it may count the mappings of the process
			few = vm.MayMove()
			a.Lock()
			permitted = few
			continue // from i on again: other calls may have changed x
		case short:
			permitted = false
		}
		i = end
		if vm.Decommit(x.address(first), uintptr(last-first)<<PageShift) != nil {
			continue
		}
		a.advise(x, first, last)
		x.gone.set(first, last, true)
		x.goneCount += uintptr(last - first)
	}
	if r := x.neighbour(x.frontier - 1); r != nil && r.Kind == KindFree {
		a.moveBack(x, r, least)
	}
}

// moveBack moves the frontier of x back to the first page of r, the free run below it, from which
// on no page is dirty, if that is at least least pages. The metadata of the pages returns its
// memory.
func (a *Allocator) moveBack(x *Extent, r *Span, least uint32) {
	to := r.page
	for i := x.dirty.next(to, x.frontier, true); i < x.frontier; i = x.dirty.next(to, x.frontier, true) {
		to = x.dirty.next(i, x.frontier, false)
	}
	old := x.frontier
	to = roundUp32(to, osPages())
	if to >= old || old-to < least ||
		vm.Decommit(x.address(to), uintptr(x.committed-to)<<PageShift) != nil {
		return
	}
	a.advise(x, to, x.committed)
	a.unlink(r)
	x.clearMap(r)
	x.free.set(to, old, false)
	x.goneCount -= uintptr(x.gone.set(to, old, false))
	a.free -= uintptr(old - to)
	r.pages = to - r.page
	atomic.StoreUint32(&x.frontier, to)
	x.committed = to
	if r.pages == 0 {
		x.freeRecord(r)
	} else {
		x.setMap(r)
		a.link(r)
	}
	before := x.metaBytes()
	x.purgeMeta()
	a.metaCommitted -= before - x.metaBytes()
}

// RecoverLost commits the pages again that the system took at a Purge and would not commit since.
// It returns the number of bytes that are free again.
func (a *Allocator) RecoverLost() (bytes uintptr) {
	a.Lock()
	defer a.Unlock()
	for !a.lost.Empty() {
		s := a.lost.First()
		if vm.Commit(s.Base.Pointer(), s.Bytes()) != nil {
			break
		}
		a.lost.Remove(s)
		bytes += s.Bytes()
		a.Free(s, false)
	}
	return bytes
}
