package metrics

import (
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/rss"
)

// A Snapshot is the state of the global allocator at a moment. Sizes are in bytes. It has no
// requested sizes: no allocator here keeps them.
type Snapshot struct {
	Time       time.Time `json:"time"`
	Allocator  string    `json:"allocator"`      // as galloc.DescribeGlobal reports it
	Known      bool      `json:"known"`          // whether the allocator reports the next three
	Live       uint64    `json:"live"`           // allocated blocks, mostly at their usable sizes
	LiveBlocks uint64    `json:"liveBlocks"`     // number of these blocks
	Footprint  uint64    `json:"footprint"`      // memory that the allocator holds, or 0
	Resident   uint64    `json:"resident"`       // of the whole process in RAM; 0 except on Linux
	Heap       *Heap     `json:"heap,omitempty"` // if the global allocator is or has one
}

// Heap is the figures of a heap that is the global allocator. See the Stats of package heap for
// their meaning. While the heap is not in use, these equations hold:
//
//	Live       == Σ Classes[i].Live * Classes[i].Size + Large
//	LiveBlocks == Σ Classes[i].Live + LargeBlocks
//	Cached     == Σ Classes[i].Cached * Classes[i].Size
//	Footprint  == Active - Hollow + Held + Retained + Metadata
//	Committed  == Active + Held + Retained + Clean
//	Reserved   >= Committed
//	Spans      == Σ Classes[i].Spans
//
// and for each class
//
//	Blocks            == Live + Cached + Free
//	Refilled - Flushed == Live + Cached
type Heap struct {
	Live        uint64 `json:"live"`
	LiveBlocks  uint64 `json:"liveBlocks"`
	Large       uint64 `json:"large"` // the part of Live in large blocks
	LargeBlocks uint64 `json:"largeBlocks"`
	Cached      uint64 `json:"cached"`  // free blocks in the caches of the Ps
	Stashed     uint64 `json:"stashed"` // free large blocks that the Ps keep; part of Active

	Footprint uint64 `json:"footprint"` // pages that may have memory, and metadata
	Active    uint64 `json:"active"`    // pages of spans and large blocks
	Hollow    uint64 `json:"hollow"`    // the part of Active that has been returned to the system
	Held      uint64 `json:"held"`      // pages that are being purged
	Retained  uint64 `json:"retained"`  // free pages that may have memory
	Clean     uint64 `json:"clean"`     // free pages without memory
	Committed uint64 `json:"committed"`
	Reserved  uint64 `json:"reserved"` // address space
	Extents   uint64 `json:"extents"`  // number of reservations
	Metadata  uint64 `json:"metadata"` // the part of Footprint for the heap's own needs
	GoMemory  uint64 `json:"goMemory"` // Go memory for the heap's own needs; not part of Footprint
	Spans     uint64 `json:"spans"`    // number of runs that are cut into small blocks

	SoftLimit uint64        `json:"softLimit"` // of the footprint, or 0
	HardLimit uint64        `json:"hardLimit"`
	Decay     time.Duration `json:"decay"` // of free pages; negative is never

	Commits        uint64 `json:"commits"` // calls of the system that committed pages
	Purges         uint64 `json:"purges"`  // calls of the system that returned pages
	PurgedBytes    uint64 `json:"purgedBytes"`
	RunsAllocated  uint64 `json:"runsAllocated"`
	RunsFreed      uint64 `json:"runsFreed"`
	GrownInPlace   uint64 `json:"grownInPlace"`
	Moved          uint64 `json:"moved"`
	LimitRefusals  uint64 `json:"limitRefusals"`
	SystemRefusals uint64 `json:"systemRefusals"`
	SoftLimitHits  uint64 `json:"softLimitHits"`
	Ticks          uint64 `json:"ticks"`
	Drains         uint64 `json:"drains"`
	Misuses        uint64 `json:"misuses"`
	PageLocks      uint64 `json:"pageLocks"`
	PageWaits      uint64 `json:"pageWaits"`

	Classes []Class `json:"classes"` // by size
}

// A Class is the part of the small blocks of one size.
type Class struct {
	Size      uint64 `json:"size"`
	Live      uint64 `json:"live"`   // allocated blocks
	Cached    uint64 `json:"cached"` // free blocks in the caches of the Ps
	Free      uint64 `json:"free"`   // free blocks in spans
	Spans     uint64 `json:"spans"`
	Blocks    uint64 `json:"blocks"` // in the spans: the capacity
	Refilled  uint64 `json:"refilled"`
	Flushed   uint64 `json:"flushed"`
	SpansMade uint64 `json:"spansMade"`
	Adopted   uint64 `json:"adopted"`
	Locks     uint64 `json:"locks"`
	Waits     uint64 `json:"waits"`
}

// Fragmentation returns the part of the class's memory that no allocated block uses, from 0 to 1.
func (c *Class) Fragmentation() float64 {
	if c.Blocks == 0 {
		return 0
	}
	return 1 - float64(c.Live)/float64(c.Blocks)
}

// ReadSnapshot returns the state of the global allocator. It is a use of the global allocator:
// after it, none can be registered. Safe for concurrent use. BenchmarkReadSnapshot measures it: it
// takes as long with any number of spans and blocks, since it adds up counters. While the heap is
// in use, the figures are of slightly different moments.
func ReadSnapshot() Snapshot {
	s := Snapshot{Time: time.Now()}
	h, _ := bridge.GlobalHeap().(*engine.Heap)
	if h != nil {
		s.Heap = readHeap(h)
		s.Known, s.Live, s.LiveBlocks, s.Footprint = true, s.Heap.Live, s.Heap.LiveBlocks, s.Heap.Footprint
	} else if stats, err := galloc.ReadStats(); err == nil {
		s.Known = true
		s.Live, s.LiveBlocks, s.Footprint = uint64(stats.Live), stats.LiveBlocks, uint64(stats.Footprint)
	}
	s.Allocator = galloc.DescribeGlobal()
	_, now := rss.Peak()
	s.Resident = uint64(now)
	return s
}

func readHeap(h *engine.Heap) *Heap {
	var e engine.Stats
	h.ReadStats(&e)
	s := &Heap{
		Live: uint64(e.Live), LiveBlocks: e.LiveBlocks, Large: uint64(e.Large), LargeBlocks: e.LargeBlocks,
		Cached: uint64(e.Cached), Stashed: uint64(e.Stashed),
		Footprint: uint64(e.Footprint), Active: uint64(e.InUse), Hollow: uint64(e.Hollow), Held: uint64(e.Held),
		Retained: uint64(e.Dirty), Clean: uint64(e.Clean), Committed: uint64(e.Committed), Reserved: uint64(e.Reserved),
		Extents: uint64(e.Extents), Metadata: uint64(e.Metadata), GoMemory: uint64(e.GoMemory),
		Commits: e.Commits, Purges: e.Purges, PurgedBytes: e.PurgedBytes, RunsAllocated: e.RunsAllocated,
		RunsFreed: e.RunsFreed, GrownInPlace: e.GrownInPlace, Moved: e.Moved, LimitRefusals: e.LimitRefusals,
		SystemRefusals: e.SystemRefusals, SoftLimitHits: e.SoftLimitHits, Ticks: e.Ticks, Drains: e.Drains,
		Misuses: e.Misuses, PageLocks: e.PageLocks, PageWaits: e.PageWaits, Decay: h.Decay(),
		Classes: make([]Class, len(e.Classes)),
	}
	soft, hard := h.Limit()
	s.SoftLimit, s.HardLimit = uint64(soft), uint64(hard)
	for i, c := range e.Classes {
		s.Spans += c.Spans
		s.Classes[i] = Class{
			uint64(c.Size), c.Live, c.Cached, c.Free, c.Spans, c.Blocks, c.Refilled, c.Flushed, c.SpansMade, c.Adopted,
			c.Locks, c.Waits,
		}
	}
	return s
}
