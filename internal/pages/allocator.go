// Package pages is the page allocator beneath the heap. It reserves address space, allocates runs
// of pages from it, and keeps a record of every run outside of the pages.
//
// # Terms
//
//	page      4 KiB, also where the OS page has another size                    class.go
//	extent    a reservation of address space                                    extent.go
//	frontier  the end of the pages of an extent that are in runs                extent.go
//	run       contiguous pages: free, one large block, or small blocks          runs.go
//	span      a run and its record                                              span.go
//	class     a size of small blocks, and the length of the spans for them      class.go
//	tag       a word of a record that says who owns a large block               tag.go
//	dirty     of a free page: it may have memory, or contents other than zeros  extent.go
//	hollow    of a page of small blocks, all of them free: it has no memory     hollow.go
//
// # Allocating n pages
//
//  1. The free runs are searched for the shortest of at least n pages: [Allocator.find].
//  2. If there is none, the frontier of an extent moves. Now and then this commits pages ahead of
//     the frontier, and metadata for them: [Allocator.advance], a few system calls.
//  3. If no extent has room, another is reserved, twice as long as the longest, but at most an
//     eighth of the address space that a limit leaves. If the system refuses, an eighth as much is
//     tried, and so on, down to what is needed: [Allocator.reserve].
//  4. The run is cut to n pages, and a record is made and entered into the page map of the extent:
//     [Allocator.carve]. It fails if the footprint would exceed the hard limit.
//
// # Freeing them
//
// A freed run joins the free runs next to it at once, and goes into a bin: [Allocator.Free]. Its
// pages are dirty until they are purged: [Allocator.Purge]. Long runs that were purged are
// decommitted too. The addresses remain reserved, even after [Allocator.Close].
//
// # Rules
//
//   - Nothing here knows of caches, Ps, timers or soft limits. Those are package engine's, which
//     calls down; nothing here calls up.
//   - A method whose comment says "with the lock held" needs the lock of the Allocator. The others
//     take it themselves. While it is held, only the lock of spareExtents is taken.
//   - Only commits, decommits and reservations make system calls under the lock. Purge releases it.
//   - Records and bitmaps lie in reservations between guard pages, so a stray write damages blocks
//     and never the metadata.
//   - Metadata holds addresses as numbers ([Ref]). The garbage collector does not see them.
//   - Go memory is allocated for new extents only.
//   - An operation that fails leaves the Allocator unchanged.
package pages

import (
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/vm"
)

// MaxPages is the largest number of pages of a run. Longer ones fit into no extent.
const MaxPages = 1 << 30

// An Allocator allocates runs of pages by best fit.
//
// Every page below the frontier of an extent belongs to exactly one run. Free runs of up to 64
// pages are in bins, one for each length, and longer ones in a tree. An allocation takes the
// shortest run that is long enough, cuts off what it does not need, and frees the rest. A freed run
// joins its free neighbours at once, which the page map finds. So no two free runs are adjacent.
//
// Whether free pages have memory is a property of pages, not of runs, and kept in bitmaps. So runs
// join whatever their state, and purging and clearing are exact.
//
//	used + free == Σ frontier over extents
//	free == Σ pages over KindFree runs
//	dirty == Σ set bits of dirty over their pages
//	hollow == Σ pages in hollow over KindSmall runs
//	Footprint() <= hard, except that lowering hard takes nothing away
type Allocator struct {
	main       atomic.Pointer[Extent] // the longest extent: most blocks are there
	lazy, huge bool
	firstSize  uintptr
	_          [64]byte // all Ps read what is above, and the lock holder writes what is below

	Mutex
	extents []*Extent
	bins    [numBins]List
	binMap  [(numBins + 63) / 64]uint64 // the bins that are not empty
	long    tree                        // free runs that have no bin
	closed  bool
	hard    uintptr // bytes; 0 is no limit

	used, free, dirty uintptr // pages
	hollow            uintptr // pages of KindSmall runs that have no memory; part of used
	pending           bool    // there are dirty pages that Purge has not marked as aged
	inUse             uintptr // pages of KindSmall and KindLarge runs
	large, largeRuns  uintptr // pages and number of KindLarge runs, stashed ones included
	metaCommitted     uintptr // bytes of committed metadata
	lost              List    // runs that the system would not commit again after a purge
	purgeAt           purgePlace
	events
	_ [64]byte // all Ps read what comes next in an engine.Heap
}

// Config configures an Allocator. The zero value is the default.
type Config struct {
	Lazy  bool    // purge with vm.PurgeLazy
	Huge  bool    // ask for huge pages, and purge whole ones where it can: see huge.go
	First uintptr // bytes of address space to reserve first
}

// noExtent is the main extent of allocators that have none.
var noExtent Extent

// Init makes a, which nobody uses, an empty Allocator.
func (a *Allocator) Init(c Config) {
	a.main.Store(&noExtent)
	a.lazy, a.huge = c.Lazy && !vm.GoMemory, c.Huge
	a.firstSize = c.First
	if a.firstSize == 0 {
		a.firstSize = FirstExtent >> 8
	}
}

// Huge reports whether a was configured with Config.Huge.
func (a *Allocator) Huge() bool { return a.huge }

// Main returns the longest extent, where most blocks are. It is never nil.
func (a *Allocator) Main() *Extent { return a.main.Load() }

// SpanAt returns the span that contains address p, or nil if a has none. It finds every block in a
// KindSmall run. Of other runs it finds the first and the last page only. p may be any number.
func (a *Allocator) SpanAt(p Ref) *Span {
	x := ExtentAt(p)
	if x == nil || x.owner != a {
		return nil
	}
	return x.SpanAt(p)
}

// SmallAt returns the KindSmall span of the class that contains address p, or nil if a has none.
func (a *Allocator) SmallAt(p Ref, class uint8) *Span {
	x := ExtentAt(p)
	if x == nil || x.owner != a {
		return nil
	}
	s := x.SpanAt(p)
	if s == nil || s.Kind != KindSmall || s.Class != class {
		return nil
	}
	return s
}

// MediumAt returns the KindLarge span of as many pages as the class of medium blocks has, if it
// begins at address p, or nil: with the lock held.
func (a *Allocator) MediumAt(p Ref, class uint8) *Span {
	s := a.SpanAt(p)
	if s == nil || s.Kind != KindLarge || s.Base != p || s.pages != uint32(Classes[class].Pages) {
		return nil
	}
	return s
}

// ClassAt returns the class of the blocks of the span that contains address p, or 0 if p is not in
// a KindSmall run of a.
func (a *Allocator) ClassAt(p Ref) uint8 {
	x := ExtentAt(p)
	if x == nil || x.owner != a {
		return 0
	}
	return x.ClassAt(p)
}

// Owns reports whether address p lies in an extent of a.
func (a *Allocator) Owns(p Ref) bool {
	x := ExtentAt(p)
	return x != nil && x.owner == a
}

// Find returns the span that contains address p, which a owns, or nil if p lies in free pages or
// above the frontier: with the lock held.
func (a *Allocator) Find(p Ref) *Span {
	x := ExtentAt(p)
	page := uint32((uintptr(p) - uintptr(x.base)) >> PageShift)
	if page >= x.frontier || x.free.get(page) {
		return nil
	}
	// The inner pages of a large block are not in the page map: the block starts before them.
	s := x.neighbour(page)
	for s == nil {
		page--
		s = x.neighbour(page)
	}
	return s
}

// HasRun reports whether n pages aligned to align pages are free below the frontiers: with the lock
// held.
func (a *Allocator) HasRun(n, align uint32) bool { return a.findAligned(n, align) != nil }

// AllocLarge allocates a large block of n pages, aligned to align pages. It returns nil if memory
// runs out: with the lock held. Without extend, it takes pages below the frontiers only.
func (a *Allocator) AllocLarge(n, align uint32, extend bool) *Span {
	return a.alloc(n, align, KindLarge, 0, 1, extend)
}

// AllocSmall allocates a short or a long span of the class, all of whose blocks are free, as
// AllocLarge does.
func (a *Allocator) AllocSmall(class uint8, long, extend bool) *Span {
	c := &Classes[class]
	n, units := c.Pages, c.units
	if long {
		n, units = c.LongPages, c.longUnits
	}
	s := a.alloc(uint32(n), 1, KindSmall, class, units, extend)
	if s != nil {
		a.spansMade[class]++
	}
	return s
}

func (a *Allocator) alloc(n, align uint32, kind, class, units uint8, extend bool) *Span {
	s := a.findAligned(n, align)
	if s == nil && extend && a.extend(n, align) {
		s = a.findAligned(n, align)
	}
	if s == nil {
		return nil
	}
	return a.carve(s, a.alignedIn(s, align), n, kind, class, units, true)
}

// Free frees the run of s: with the lock held. The pages must be zeros without memory unless dirty.
func (a *Allocator) Free(s *Span, dirty bool) {
	x := a.extents[s.extent]
	a.used -= uintptr(s.pages)
	a.frees++
	if s.Kind != KindHeld {
		a.inUse -= uintptr(s.pages)
	}
	if s.Kind == KindLarge {
		a.large -= uintptr(s.pages)
		a.largeRuns--
	}
	x.dirty.set(s.page, s.end(), dirty)
	if dirty {
		a.dirty += uintptr(s.pages)
		a.pending = true
	}
	if s.hollow != 0 {
		a.freeHollow(x, s)
	}
	a.join(x, s)
}

// FreeStashed frees the large block that has the tag t, in the state TagStashed. If t is stale, the
// pages are aged already.
func (a *Allocator) FreeStashed(t Tag) {
	a.Lock()
	defer a.Unlock()
	s := t.Span()
	x, first, end := a.extents[s.extent], s.page, s.end()
	a.Free(s, true)
	if t.State() == TagStale {
		x.aged.set(first, end, true)
	}
}

// Shrink cuts s, a large block, down to n pages: with the lock held. If there is no record for the
// rest, it returns false and s is unchanged.
func (a *Allocator) Shrink(s *Span, n uint32) bool {
	x := a.extents[s.extent]
	rest := a.newRecord(x, 1)
	if rest == nil {
		return false
	}
	x.clearMap(s)
	a.large -= uintptr(s.pages - n)
	a.inUse -= uintptr(s.pages - n)
	a.setRun(x, rest, s.page+n, s.pages-n)
	s.pages = n
	s.Unclaim()
	x.setMap(s)
	rest.Kind = KindHeld
	x.setMap(rest)
	a.Free(rest, true)
	return true
}

// Grow extends s, a large block, to n pages if the pages after it are free, and reports whether it
// has: with the lock held.
func (a *Allocator) Grow(s *Span, n uint32) bool {
	x := a.extents[s.extent]
	more := n - s.pages
	r := x.neighbour(s.end())
	if r == nil || r.Kind != KindFree || r.pages < more {
		free := uint32(0)
		if r != nil && r.Kind == KindFree {
			free = r.pages
		}
		if s.end()+free != x.frontier || !a.extendIn(x, more-free, more-free) {
			return false
		}
		r = x.neighbour(s.end())
	}
	piece := a.carve(r, r.page, more, KindHeld, 0, 1, true)
	if piece == nil {
		return false
	}
	x.clearMap(piece)
	x.freeRecord(piece)
	x.clearMap(s)
	s.pages = n
	s.Unclaim()
	x.setMap(s)
	a.large += uintptr(more)
	a.inUse += uintptr(more)
	a.grownInPlace++
	return true
}

// Zero clears the bytes [off, n) of the run of s, where they are not known to be zero. The run
// belongs to the caller.
func (a *Allocator) Zero(s *Span, off, n uintptr) {
	for i := uint32(off >> PageShift); ; {
		from, to := a.nextDirty(s, i)
		from, to = max(from, off), min(to, n)
		if from >= to {
			return
		}
		// SAFETY: the run has n bytes, and belongs to the caller.
		block.Clear(unsafe.Add(s.Base.Pointer(), from), to-from)
		i = uint32(pagesFor(to))
	}
}

// nextDirty returns the first dirty bytes of the run of s, from page i of the run on, as offsets
// from its start, or 0, 0. They may have been other than zero when the run was allocated.
func (a *Allocator) nextDirty(s *Span, i uint32) (from, to uintptr) {
	a.Lock()
	defer a.Unlock()
	x := a.extents[s.extent]
	first := x.dirty.next(s.page+i, s.end(), true)
	end := x.dirty.next(first, s.end(), false)
	return uintptr(first-s.page) << PageShift, uintptr(end-s.page) << PageShift
}

// DirtyBytes returns the number of bytes of the run of s that were dirty when it was allocated.
func (a *Allocator) DirtyBytes(s *Span) uintptr {
	a.Lock()
	defer a.Unlock()
	return uintptr(a.extents[s.extent].dirty.count(s.page, s.end())) << PageShift
}

// SetHard sets the hard limit of the footprint, in bytes: with the lock held. 0 is no limit.
func (a *Allocator) SetHard(hard uintptr) { a.hard = hard }

// Hard returns the hard limit: with the lock held.
func (a *Allocator) Hard() uintptr { return a.hard }

// InUse returns the number of bytes of spans and large blocks: with the lock held.
func (a *Allocator) InUse() uintptr { return a.inUse << PageShift }

// Close releases all memory of a, and keeps the address space for other allocators. From now on a
// is empty, owns no address, and allocates nothing.
func (a *Allocator) Close() {
	a.Lock()
	defer a.Unlock()
	a.closed = true
	for _, x := range a.extents {
		x.enter(false)
		x.retire()
	}
	a.main.Store(&noExtent)
	a.extents, a.lost = nil, List{}
	a.bins, a.binMap = [numBins]List{}, [len(a.binMap)]uint64{}
	a.long = tree{}
	a.used, a.free, a.dirty, a.inUse, a.large, a.largeRuns, a.metaCommitted = 0, 0, 0, 0, 0, 0, 0
	a.hollow = 0
}

// extend makes room for a run of n pages aligned to align pages, and reports whether it could.
func (a *Allocator) extend(n, align uint32) bool {
	if a.closed || !a.fits(uintptr(n)<<PageShift) {
		return false
	}
	want := n + align - 1
	for i := len(a.extents) - 1; i >= 0; i-- {
		x := a.extents[i]
		free := uint32(0)
		if r := x.neighbour(x.frontier - 1); r != nil && r.Kind == KindFree {
			free = r.pages
		}
		if x.pages-x.frontier+free >= want {
			move := want - min(free, want)
			return a.extendIn(x, move, min(n, move))
		}
	}
	x := a.reserve(uintptr(n), uintptr(align))
	if x == nil {
		a.systemRefusals++
		return false
	}
	x.index = uint32(len(a.extents))
	x.owner = a
	a.extents = append(a.extents, x)
	if x.pages > a.main.Load().pages {
		a.main.Store(x)
	}
	x.enter(true)
	a.advise(x, 0, x.pages)
	vm.NoHuge(x.meta, x.metaSize)
	return a.extendIn(x, min(want, x.pages), n)
}

// reserve returns a new extent with room for n pages aligned to align pages, or nil. It leaves most
// of a limited address space to the rest of the process, which cannot go on without: the Go runtime
// for one. So a refusal is no reason to take the largest piece that the system grants.
func (a *Allocator) reserve(n, align uintptr) *Extent {
	const unit = MapUnit >> PageShift
	want := roundUp(n, unit)
	size := a.firstSize >> PageShift
	for _, x := range a.extents {
		size = max(size, uintptr(x.pages))
	}
	if len(a.extents) > 0 {
		size *= 2 // about as long as all the others together
	}
	if x := reuseExtent(want, align); x != nil {
		return x
	}
	size = max(size, want)
	size = vm.Share(extentBytes(size), extentBytes(want)) / extentBytes(1)
	for size = roundUp(max(size, want), unit); ; size = max(roundUp(size/8, unit), want) {
		if size <= MaxPages {
			if x, err := newExtent(size, align); err == nil {
				return x
			}
		}
		if size == want {
			return nil
		}
	}
}

// extentBytes returns the address space that an extent of n pages takes, metadata included.
func extentBytes(n uintptr) uintptr { return n * (PageSize + metaPerPage) }

// extendIn moves the frontier of x by n pages, and reports whether it could. The caller will use
// at most used pages of them, which the hard limit must permit. The others are gaps before and
// after an aligned run: they have no memory.
func (a *Allocator) extendIn(x *Extent, n, used uint32) bool {
	if n > x.pages-x.frontier {
		return false
	}
	// The frontier moves no further than it must, to the next OS page, so that pages that were used
	// are used again first. But pages are committed in large steps, up to an eighth ahead, and no
	// more, since some systems count committed pages as used.
	step := min(max(uint32((a.used+a.free)/8), 1<<20>>PageShift), 64<<20>>PageShift)
	to := roundUp32(x.frontier+n, osPages())
	if to > x.committed && step > 1<<20>>PageShift {
		step = uint32(vm.CommitShare(uintptr(step)<<PageShift, 1<<20) >> PageShift)
	}
	if !a.fits(uintptr(used)<<PageShift + x.needMeta(to)) {
		return false
	}
	if a.advance(x, to, to+min(x.pages-to, step)) || a.advance(x, to, to) {
		return true
	}
	a.systemRefusals++
	return false
}

// advance moves the frontier of x to page to, so that the pages become a free run, and commits the
// pages below ahead.
func (a *Allocator) advance(x *Extent, to, ahead uint32) bool {
	ahead = min(roundUp32(ahead, osPages()), x.pages)
	before := x.metaBytes()
	defer func() { a.metaCommitted += x.metaBytes() - before }()
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
	a.advances++
	a.setRun(x, s, from, to-from)
	s.Kind = KindHeld
	a.join(x, s)
	return true
}
