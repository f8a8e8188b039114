package pages

// events counts what has happened since the Allocator was made.
type events struct {
	allocs, frees  uint64 // runs
	grownInPlace   uint64 // large blocks
	advances       uint64 // of frontiers
	purges         uint64 // calls
	purgedBytes    uint64
	limitRefusals  uint64
	systemRefusals uint64
	spansMade      [ClassLimit]uint64
}

// Stats is the state of an Allocator. Sizes are in bytes.
//
//	Footprint == InUse - Hollow + Held + Dirty + Metadata
//	Committed == InUse + Held + Dirty + Clean
type Stats struct {
	InUse     uintptr // spans and large blocks, stashed ones included
	Hollow    uintptr // pages of spans without memory; part of InUse
	Held      uintptr // pages that are being purged or lost
	Dirty     uintptr // dirty free pages
	Clean     uintptr // free pages without memory
	Committed uintptr // committed pages
	Reserved  uintptr // address space for pages
	Extents   int
	Metadata  uintptr // committed for metadata
	Footprint uintptr // may have memory

	Large       uintptr // large blocks, stashed ones included
	LargeBlocks uint64

	Allocs, Frees       uint64 // runs
	GrownInPlace        uint64 // large blocks
	Advances            uint64 // of frontiers
	Purges, PurgedBytes uint64
	LimitRefusals       uint64
	SystemRefusals      uint64
	SpansMade           [ClassLimit]uint64

	Locks, Waits uint64 // how often the lock was taken, and was not free
}

// ReadStats sets *s to the state of a.
func (a *Allocator) ReadStats(s *Stats) {
	a.Mutex.Mutex.Lock() // which is not counted
	defer a.Unlock()
	*s = Stats{
		InUse:          a.inUse << PageShift,
		Hollow:         a.hollow << PageShift,
		Held:           (a.used - a.inUse) << PageShift,
		Dirty:          a.dirty << PageShift,
		Extents:        len(a.extents),
		Metadata:       a.metaCommitted,
		Footprint:      a.Footprint(),
		Large:          a.large << PageShift,
		LargeBlocks:    uint64(a.largeRuns),
		Allocs:         a.allocs,
		Frees:          a.frees,
		GrownInPlace:   a.grownInPlace,
		Advances:       a.advances,
		Purges:         a.purges,
		PurgedBytes:    a.purgedBytes,
		LimitRefusals:  a.limitRefusals,
		SystemRefusals: a.systemRefusals,
		SpansMade:      a.spansMade,
		Locks:          a.Locks,
		Waits:          a.Waits,
	}
	for _, x := range a.extents {
		s.Reserved += uintptr(x.pages) << PageShift
		s.Committed += (uintptr(x.committed) - x.goneCount) << PageShift
	}
	s.Clean = s.Committed - (a.used+a.dirty)<<PageShift
}
