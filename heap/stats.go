package heap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/internal/engine"
)

// Stats is the state of a heap, as [Heap.Stats] has found it, and what has happened since
// it was made. Sizes are in bytes, except where it says otherwise.
//
// While nobody uses the heap, and up to the blocks that others have under way otherwise:
//
//	Live       == Σ Classes[i].Live * Classes[i].Size + Large
//	LiveBlocks == Σ Classes[i].Live + LargeBlocks
//	Cached     == Σ Classes[i].Cached * Classes[i].Size
//	Classes[i].Blocks == Classes[i].Live + Classes[i].Cached + Classes[i].Free
//	InUse      >= Σ Classes[i].Blocks * Classes[i].Size + Large + Stashed
//	Footprint  == InUse + Held + Dirty + Metadata
//	Ready      == InUse + Held + Dirty + Clean
//	Reserved   >= Ready
//	Classes[i].Taken - Classes[i].Given == Classes[i].Live + Classes[i].Cached
type Stats struct {
	Live        uintptr // blocks that are allocated, each as long as it is usable
	LiveBlocks  uint64  // their number
	Large       uintptr // the part of Live that is blocks of more than 32 KiB, or aligned to more than 4096 bytes
	LargeBlocks uint64  // their number
	Cached      uintptr // free blocks in the caches of the Ps
	Stashed     uintptr // free blocks of more than 32 KiB that the Ps keep for the next that is as long; part of InUse

	Footprint uintptr // what may have memory behind it: what the limits are about
	InUse     uintptr // pages of spans, and of large blocks, stashed ones too
	Held      uintptr // pages that are being given back at this moment, or that the system would not give again
	Dirty     uintptr // free pages that still have memory behind them
	Clean     uintptr // free pages without
	Ready     uintptr // pages that the system has promised memory for
	Reserved  uintptr // address space for pages
	Extents   int     // number of reservations
	Metadata  uintptr // committed for the heap's own needs; part of Footprint
	GoMemory  uintptr // on the Go heap for the heap's own needs; not part of Footprint

	RunsTaken      uint64 // spans and large blocks that pages were taken for
	RunsGiven      uint64 // and given back
	GrownInPlace   uint64 // large blocks
	Moved          uint64 // large blocks moved with their pages, without copying
	Commits        uint64 // times that the system was asked for pages
	Purges         uint64 // times that pages were given back to it
	PurgedBytes    uint64
	LimitRefusals  uint64 // times that the hard limit was in the way; mostly room was made, and the allocation succeeded
	SystemRefusals uint64 // times that the system had no memory, or no address space
	SoftLimitHits  uint64 // times that the soft limit was acted on
	Ticks          uint64 // times that the heap has looked for what to give back: four in a decay period while there is anything
	Misuses        uint64 // reported to OnMisuse

	// The heap has one lock for its pages, and one for the spans of each class and P. A call takes
	// one only where the cache of the P does not suffice; many waits mean that the Ps meet there.
	PageLocks uint64 // times that the lock of the pages was taken
	PageWaits uint64 // times of those that it was not free

	Classes [numClasses]ClassStats // by size
}

// ClassStats is the part of the blocks of one size class.
type ClassStats struct {
	Size   uintptr // of a block, in bytes
	Live   uint64  // blocks that are allocated
	Cached uint64  // blocks in the caches of the Ps
	Free   uint64  // free blocks in spans
	Spans  uint64  // rows of pages that are cut into such blocks
	Blocks uint64  // blocks in those spans

	Taken     uint64 // blocks that caches have taken from spans since the heap was made
	Given     uint64 // and given back
	SpansMade uint64 // since the heap was made
	Adopted   uint64 // spans that a P has taken over from another
	Locks     uint64 // times that one of the locks of the spans was taken, each for many blocks as a rule
	Waits     uint64 // times of those that it was not free
}

const numClasses = len(engine.Stats{}.Classes)

// Stats returns the state of the heap. The numbers are counted together when it is called, so
// they cost nothing otherwise; it takes a few microseconds, more with many Ps. While others use
// the heap, the numbers are of slightly different moments.
func (h *Heap) Stats() Stats {
	h.mustBeOpen("Stats")
	var e engine.Stats
	h.e.ReadStats(&e)
	s := Stats{
		Live: e.Live, LiveBlocks: e.LiveBlocks, Large: e.Large, LargeBlocks: e.LargeBlocks, Cached: e.Cached, Stashed: e.Stashed,
		Footprint: e.Footprint, InUse: e.InUse, Held: e.Held, Dirty: e.Dirty, Clean: e.Clean, Ready: e.Ready,
		Reserved: e.Reserved, Extents: e.Extents, Metadata: e.Metadata, GoMemory: e.GoMemory,
		RunsTaken: e.Takes, RunsGiven: e.Puts, GrownInPlace: e.GrownInPlace, Moved: e.Moved, Commits: e.Advances,
		Purges: e.Purges, PurgedBytes: e.PurgedBytes, LimitRefusals: e.LimitRefusals, SystemRefusals: e.SystemRefusals,
		SoftLimitHits: e.SoftHits, Ticks: e.Ticks, Misuses: e.Faults,
		PageLocks: e.PageLocks, PageWaits: e.PageWaits,
	}
	for i := range e.Classes {
		s.Classes[i] = ClassStats(e.Classes[i])
	}
	return s
}

// String returns s as a table of several lines, with a line for each size class that has
// spans.
func (s Stats) String() string {
	var b strings.Builder
	row := func(name, value string, args ...any) {
		fmt.Fprintf(&b, "%-10s %10s  %s\n", name, value, fmt.Sprintf(args[0].(string), args[1:]...))
	}
	row("live", bytesText(s.Live), "in %d blocks; large: %s in %d", s.LiveBlocks, bytesText(s.Large), s.LargeBlocks)
	row("footprint", bytesText(s.Footprint), "= in use %s + held %s + dirty %s + metadata %s",
		bytesText(s.InUse), bytesText(s.Held), bytesText(s.Dirty), bytesText(s.Metadata))
	row("ready", bytesText(s.Ready), "clean %s; reserved %s in %d extents", bytesText(s.Clean), bytesText(s.Reserved), s.Extents)
	row("cached", bytesText(s.Cached), "and large blocks %s; for the heap's own needs on the Go heap: %s",
		bytesText(s.Stashed), bytesText(s.GoMemory))
	row("runs", strconv.FormatUint(s.RunsTaken, 10), "given back %d; large blocks grown in place %d, moved %d", s.RunsGiven, s.GrownInPlace, s.Moved)
	row("purges", strconv.FormatUint(s.Purges, 10), "of %s; commits %d, ticks %d", bytesText(uintptr(s.PurgedBytes)), s.Commits, s.Ticks)
	row("refusals", strconv.FormatUint(s.LimitRefusals+s.SystemRefusals, 10), "by the hard limit %d, by the system %d; soft limit hits %d, misuses %d",
		s.LimitRefusals, s.SystemRefusals, s.SoftLimitHits, s.Misuses)
	var locks, waits, moved, adopted uint64
	for _, c := range s.Classes {
		locks, waits, moved, adopted = locks+c.Locks, waits+c.Waits, moved+c.Taken+c.Given, adopted+c.Adopted
	}
	row("locks", strconv.FormatUint(locks, 10), "of spans, for %.1f blocks each, %d not free; of pages %d, %d not free; spans adopted %d",
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

// bytesText returns n with the largest unit that it has at least one of: "1.5 MiB".
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
