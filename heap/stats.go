package heap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// Stats is the state of a heap, and counts of events since it was made. Sizes are in bytes, unless
// a field says otherwise. While the heap is not in use, these equations hold:
//
//	Live       == Σ Classes[i].Live * Classes[i].Size + Large
//	LiveBlocks == Σ Classes[i].Live + LargeBlocks
//	Cached     == Σ Classes[i].Cached * Classes[i].Size
//	Classes[i].Blocks == Classes[i].Live + Classes[i].Cached + Classes[i].Free
//	InUse      >= Σ Classes[i].Blocks * Classes[i].Size + Large + Stashed
//	Footprint  == InUse - Hollow + Held + Dirty + Metadata
//	Committed  == InUse + Held + Dirty + Clean
//	Reserved   >= Committed
//	Classes[i].Refilled - Classes[i].Flushed == Classes[i].Live + Classes[i].Cached
//
// While it is in use, blocks that are being allocated or freed may be missing.
type Stats struct {
	Live        uintptr // allocated blocks, at their usable sizes
	LiveBlocks  uint64  // number of allocated blocks
	Large       uintptr // the part of Live in large blocks: see the package comment
	LargeBlocks uint64  // number of these blocks
	Cached      uintptr // free blocks in the caches of the Ps
	Stashed     uintptr // free blocks of more than 32 KiB that the Ps keep for reuse; part of InUse

	Footprint uintptr // pages that may have memory, and metadata: bounded by the limits
	InUse     uintptr // pages of spans and of large blocks, stashed ones included
	Hollow    uintptr // pages of free small blocks, returned to the system; part of InUse
	Held      uintptr // pages that are being purged, or that the system would not commit again
	Dirty     uintptr // free pages that may have memory
	Clean     uintptr // free pages without memory
	Committed uintptr // committed pages
	Reserved  uintptr // address space for pages
	Extents   int     // number of reservations
	Metadata  uintptr // committed for the heap's own needs; part of Footprint
	GoMemory  uintptr // Go memory for the heap's own needs; not part of Footprint

	RunsAllocated  uint64 // runs of pages allocated, for spans and large blocks
	RunsFreed      uint64
	GrownInPlace   uint64 // large blocks
	Moved          uint64 // large blocks moved with their pages, without copying
	Commits        uint64 // times that the heap committed pages
	Purges         uint64 // times that the heap returned pages to the system
	PurgedBytes    uint64
	LimitRefusals  uint64 // times that the hard limit was reached; mostly the heap then made room
	SystemRefusals uint64 // times that the system had no memory or no address space
	SoftLimitHits  uint64 // times that the heap released memory because of the soft limit
	Ticks          uint64 // times that the heap looked for memory to release, up to four per decay
	Drains         uint64 // times that the heap emptied caches of Ps, see Trim
	Misuses        uint64 // reported to OnMisuse

	// The heap has one lock for its pages, and one for the spans of each class and P. A call takes
	// a lock only if the cache of the P does not suffice. Many waits mean that the Ps contend.
	PageLocks uint64 // times that the lock of the pages was taken
	PageWaits uint64 // times that it was not free

	Classes [numClasses]ClassStats // by size
}

// ClassStats is the part of the blocks of one size class.
type ClassStats struct {
	Size   uintptr // of a block, in bytes
	Live   uint64  // allocated blocks
	Cached uint64  // free blocks in the caches of the Ps
	Free   uint64  // free blocks in spans
	Spans  uint64  // runs of pages that are cut into blocks of the class
	Blocks uint64  // blocks in these spans

	Refilled  uint64 // blocks that caches got from spans since the heap was made
	Flushed   uint64 // blocks that caches returned to spans
	SpansMade uint64 // since the heap was made
	Adopted   uint64 // spans that one P took over from another
	Locks     uint64 // times that a lock of the spans was taken, mostly for many blocks each
	Waits     uint64 // times that it was not free
}

const numClasses = len(engine.Stats{}.Classes)

// Stats returns the state of the heap. The numbers are added up by the call, so they cost nothing
// otherwise. It takes a few microseconds, more with many Ps, and waits if caches are being emptied.
// While the heap is in use, the numbers are of slightly different moments.
func (h *Heap) Stats() Stats {
	h.mustBeOpen("Stats")
	var e engine.Stats
	h.Engine().ReadStats(&e)
	s := Stats{
		Live: e.Live, LiveBlocks: e.LiveBlocks, Large: e.Large, LargeBlocks: e.LargeBlocks, Cached: e.Cached,
		Stashed: e.Stashed, Footprint: e.Footprint, InUse: e.InUse, Hollow: e.Hollow, Held: e.Held, Dirty: e.Dirty, Clean: e.Clean,
		Committed: e.Committed, Reserved: e.Reserved, Extents: e.Extents, Metadata: e.Metadata, GoMemory: e.GoMemory,
		RunsAllocated: e.RunsAllocated, RunsFreed: e.RunsFreed, GrownInPlace: e.GrownInPlace, Moved: e.Moved,
		Commits: e.Commits, Purges: e.Purges, PurgedBytes: e.PurgedBytes, LimitRefusals: e.LimitRefusals,
		SystemRefusals: e.SystemRefusals, SoftLimitHits: e.SoftLimitHits, Ticks: e.Ticks, Drains: e.Drains, Misuses: e.Misuses,
		PageLocks: e.PageLocks, PageWaits: e.PageWaits,
	}
	for i := range e.Classes {
		s.Classes[i] = ClassStats(e.Classes[i])
	}
	return s
}

// ReadStats returns the figures of the heap that every allocator may have: see
// [galloc.StatsReader].
func (h *Heap) ReadStats() galloc.Stats {
	h.mustBeOpen("ReadStats")
	var e engine.Stats
	h.Engine().ReadStats(&e)
	return galloc.Stats{Live: e.Live, LiveBlocks: e.LiveBlocks, Footprint: e.Footprint}
}

// String returns s as a table, with a line for each size class that has spans.
func (s Stats) String() string {
	var b strings.Builder
	row := func(name, value string, args ...any) {
		fmt.Fprintf(&b, "%-10s %10s  %s\n", name, value, fmt.Sprintf(args[0].(string), args[1:]...))
	}
	row("live", bytesText(s.Live), "in %d blocks; large: %s in %d", s.LiveBlocks, bytesText(s.Large), s.LargeBlocks)
	row("footprint", bytesText(s.Footprint), "= in use %s - hollow %s + held %s + dirty %s + metadata %s",
		bytesText(s.InUse), bytesText(s.Hollow), bytesText(s.Held), bytesText(s.Dirty), bytesText(s.Metadata))
	row("committed", bytesText(s.Committed), "clean %s; reserved %s in %d extents", bytesText(s.Clean),
		bytesText(s.Reserved), s.Extents)
	row("cached", bytesText(s.Cached), "and large blocks %s; for the heap's own needs on the Go heap: %s",
		bytesText(s.Stashed), bytesText(s.GoMemory))
	row("runs", strconv.FormatUint(s.RunsAllocated, 10), "freed %d; large blocks grown in place %d, moved %d",
		s.RunsFreed, s.GrownInPlace, s.Moved)
	row("purges", strconv.FormatUint(s.Purges, 10), "of %s; commits %d, ticks %d", bytesText(uintptr(s.PurgedBytes)),
		s.Commits, s.Ticks)
	row("refusals", strconv.FormatUint(s.LimitRefusals+s.SystemRefusals, 10),
		"by the hard limit %d, by the system %d; soft limit hits %d, misuses %d",
		s.LimitRefusals, s.SystemRefusals, s.SoftLimitHits, s.Misuses)
	var locks, waits, moved, adopted uint64
	for _, c := range s.Classes {
		locks, waits, moved, adopted = locks+c.Locks, waits+c.Waits, moved+c.Refilled+c.Flushed, adopted+c.Adopted
	}
	row("locks", strconv.FormatUint(locks, 10),
		"of spans, for %.1f blocks each, %d not free; of pages %d, %d not free; spans adopted %d",
		float64(moved)/float64(max(locks, 1)), waits, s.PageLocks, s.PageWaits, adopted)
	header := false
	for _, c := range s.Classes {
		if c.Spans == 0 {
			continue
		}
		if !header {
			fmt.Fprintf(&b, "\n%8s %8s %10s %10s %10s %10s\n", "class", "spans", "blocks", "live", "cached", "free")
			header = true
		}
		fmt.Fprintf(&b, "%8d %8d %10d %10d %10d %10d\n", c.Size, c.Spans, c.Blocks, c.Live, c.Cached, c.Free)
	}
	return b.String()
}

// bytesText returns n in the largest unit that is not more than n: "1.5 MiB".
func bytesText(n uintptr) string {
	if n < 1<<10 {
		return strconv.FormatUint(uint64(n), 10) + " B"
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1<<10 && unit < 3 {
		v /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %s", v, [...]string{"KiB", "MiB", "GiB", "TiB"}[unit])
}
