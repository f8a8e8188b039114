// What can be known about a heap. See engine.go for overview.

package engine

import (
	"sync"
	"unsafe"
)

// A mutex counts how often it is locked, and how often who came had to wait. It guards these counts itself, so they lie in a
// cache line that who locks it has anyway. ReadStats leaves itself out: it locks the Mutex inside.
type mutex struct {
	sync.Mutex
	locks, waits uint64
}

func (m *mutex) Lock() {
	if !m.TryLock() {
		m.Mutex.Lock()
		m.waits++
	}
	m.locks++
}

// Stats is the state of a heap. All sizes are in bytes.
//
//	Live == Σ Classes[c].Live * Classes[c].Size + Large
//	InUse >= Σ Classes[c].Blocks * Classes[c].Size + Large + Stashed
//	Classes[c].Live + Classes[c].Cached + Classes[c].Free == Classes[c].Blocks
//	Footprint == InUse + Held + Dirty + Metadata
//	Ready == InUse + Held + Dirty + Clean
type Stats struct {
	Live       uintptr // handed out, as sizes of classes and runs
	LiveBlocks uint64
	Cached     uintptr // blocks in the caches of Ps
	Stashed    uintptr // large blocks in the stashes of Ps
	InUse      uintptr // spans and large blocks, stashed ones too
	Held       uintptr // pages that are being purged, or are lost for the time being
	Dirty      uintptr // free pages with memory behind them
	Clean      uintptr // free pages without
	Ready      uintptr // committed pages
	Reserved   uintptr // address space for blocks
	Extents    int
	Metadata   uintptr // committed for metadata, outside of the Go heap
	GoMemory   uintptr // caches and centrals, in the Go heap
	Footprint  uintptr // what may have memory behind it, except for GoMemory

	Large       uintptr
	LargeBlocks uint64

	Takes, Puts         uint64 // runs
	GrownInPlace, Moved uint64 // large blocks
	Advances            uint64 // of frontiers: system calls
	Purges, PurgedBytes uint64
	LimitRefusals       uint64
	SystemRefusals      uint64
	SoftHits            uint64
	Ticks               uint64
	Faults              uint64

	PageLocks, PageWaits uint64 // of the lock of the pages: times that it was locked, and that it was not free

	Classes [numClasses - 1]ClassStats
}

// ClassStats is the part of a size class.
type ClassStats struct {
	Size   uintptr // of a block
	Live   uint64  // blocks handed out
	Cached uint64  // blocks in caches
	Free   uint64  // blocks in spans
	Spans  uint64
	Blocks uint64 // of those spans

	Taken, Given uint64 // blocks that caches have taken from spans and given back; Taken - Given == Live + Cached
	SpansMade    uint64
	Adopted      uint64 // spans that have passed from a P to another
	Locks, Waits uint64 // of the locks of the centrals: times that one was locked, and that it was not free
}

// ReadStats fills in s. While the heap is in use by others, the numbers are of slightly different moments; they cost the fast
// path nothing, since they are counted together here.
func (h *Heap) ReadStats(s *Stats) {
	*s = Stats{}
	shards := h.shardCount.Load()
	for c := uint8(1); c < numClasses; c++ {
		k := &classes[c]
		t := &s.Classes[c-1]
		t.Size = uintptr(k.size)
		for p := range shards {
			if sh := h.shards[p].Load(); sh != nil {
				ct := &sh.centrals[c]
				ct.mu.Mutex.Lock()
				t.Free += uint64(ct.free)
				t.Taken += ct.taken
				t.Given += ct.given
				t.Adopted += ct.adopted
				t.Locks += ct.mu.locks
				t.Waits += ct.mu.waits
				ct.mu.Unlock()
			}
			if q := h.caches[p].Load(); q != &noCache {
				q.hold()
				t.Cached += uint64(q.magazine(c).about())
				q.release()
			}
		}
		t.Spans = uint64(h.spans[c].Load())
		// Blocks under way between the places just looked at may be missing, so the difference may be too large, but not below
		// zero.
		t.Blocks = uint64(h.spanBlocks[c].Load())
		t.Live = max(t.Blocks, t.Free+t.Cached) - t.Free - t.Cached
		s.Live += uintptr(t.Live) * t.Size
		s.LiveBlocks += t.Live
		s.Cached += uintptr(t.Cached) * t.Size
	}
	ps := &h.pages
	ps.mu.Mutex.Lock()
	defer ps.mu.Unlock()
	s.PageLocks, s.PageWaits = ps.mu.locks, ps.mu.waits
	for i := range s.Classes {
		s.Classes[i].SpansMade = ps.spansMade[i+1]
	}
	// Who moves a run from slot to slot meanwhile may have it counted twice.
	stashed, runs := h.stashed()
	s.Stashed = min(stashed, ps.large<<pageShift)
	s.Large, s.LargeBlocks = ps.large<<pageShift-s.Stashed, uint64(ps.largeRuns-min(runs, ps.largeRuns))
	s.Live += s.Large
	s.LiveBlocks += s.LargeBlocks
	s.InUse = ps.inUse << pageShift
	s.Dirty = ps.dirty << pageShift
	s.Held = (ps.used - ps.inUse) << pageShift
	s.Extents = len(ps.extents)
	for _, x := range ps.extents {
		s.Reserved += uintptr(x.pages) << pageShift
		s.Ready += uintptr(x.ready) << pageShift
	}
	s.Clean = s.Ready - (ps.used+ps.dirty)<<pageShift
	s.Metadata = ps.metaReady
	s.Footprint = ps.footprint()
	s.GoMemory = uintptr(shards)*unsafe.Sizeof(shard{}) + uintptr(h.cacheCount.Load())*unsafe.Sizeof(Cache{})
	s.Takes, s.Puts, s.GrownInPlace, s.Moved = ps.takes, ps.puts, ps.grownInPlace, h.moves.Load()
	s.Advances, s.Purges, s.PurgedBytes = ps.advances, ps.purges, ps.purgedBytes
	s.LimitRefusals, s.SystemRefusals = ps.limitRefusals, ps.systemRefusals
	s.SoftHits, s.Ticks, s.Faults = h.softHits.Load(), h.ticks.Load(), h.faults.Load()
}
