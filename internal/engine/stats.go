package engine

import (
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
)

// Stats is the state of a heap. Sizes are in bytes. Package heap has the equations, and says what
// each field means.
type Stats struct {
	Live, Large, Cached, Stashed                 uintptr
	LiveBlocks, LargeBlocks                      uint64
	Footprint, InUse, Hollow, Held, Dirty, Clean uintptr
	Committed, Reserved, Metadata, GoMemory      uintptr
	Extents                                      int
	RunsAllocated, RunsFreed                     uint64
	GrownInPlace, Moved                          uint64
	Commits, Purges, PurgedBytes                 uint64
	LimitRefusals, SystemRefusals, SoftLimitHits uint64
	Ticks, Misuses, Drains                       uint64
	PageLocks, PageWaits                         uint64

	Classes [pages.FirstMedium - 1]ClassStats // of small blocks
}

// ClassStats is the part of a size class. Package heap says what each field means.
type ClassStats struct {
	Size               uintptr
	Live, Cached, Free uint64
	Spans, Blocks      uint64
	Refilled, Flushed  uint64
	SpansMade, Adopted uint64
	Locks, Waits       uint64
}

// ReadStats sets *s to the state of the heap. While the heap is in use, the numbers are of slightly
// different moments. They cost the fast path nothing, since they are counted here. ReadStats waits
// for a drain to end: its blocks are neither in a cache nor in a stash, and not in their spans yet.
func (h *Heap) ReadStats(s *Stats) {
	h.draining.Lock()
	defer h.draining.Unlock()
	h.readStats(s)
}

// Decay returns the decay period. It is negative if the heap never decays.
func (h *Heap) Decay() time.Duration { return h.decay }

// readStats is ReadStats, with Heap.draining held.
func (h *Heap) readStats(s *Stats) {
	*s = Stats{}
	for class := uint8(1); class < pages.FirstMedium; class++ {
		t := &s.Classes[class-1]
		h.readClass(t, class)
		s.Live += uintptr(t.Live) * t.Size
		s.LiveBlocks += t.Live
		s.Cached += uintptr(t.Cached) * t.Size
	}
	var ps pages.Stats
	h.pages.ReadStats(&ps)
	for i := range s.Classes {
		s.Classes[i].SpansMade = ps.SpansMade[i+1]
	}
	// A block that moves from slot to slot during the count may be counted twice.
	stashed, blocks := h.stashed()
	cached, n := h.mediumCached()
	stashed, blocks = stashed+cached, blocks+n
	s.Stashed = min(stashed, ps.Large)
	s.Large, s.LargeBlocks = ps.Large-s.Stashed, ps.LargeBlocks-min(uint64(blocks), ps.LargeBlocks)
	s.Live += s.Large
	s.LiveBlocks += s.LargeBlocks
	s.Footprint, s.InUse, s.Hollow = ps.Footprint, ps.InUse, ps.Hollow
	s.Held, s.Dirty, s.Clean = ps.Held, ps.Dirty, ps.Clean
	s.Committed, s.Reserved, s.Extents, s.Metadata = ps.Committed, ps.Reserved, ps.Extents, ps.Metadata
	s.GoMemory = uintptr(h.procCount.Load())*unsafe.Sizeof(proc{}) + uintptr(h.cacheCount.Load())*unsafe.Sizeof(Cache{})
	s.RunsAllocated, s.RunsFreed, s.GrownInPlace, s.Moved = ps.Allocs, ps.Frees, ps.GrownInPlace, h.moves.Load()
	s.Commits, s.Purges, s.PurgedBytes = ps.Advances, ps.Purges, ps.PurgedBytes
	s.LimitRefusals, s.SystemRefusals, s.SoftLimitHits = ps.LimitRefusals, ps.SystemRefusals, h.softHits.Load()
	s.Ticks, s.Misuses, s.Drains = h.ticks.Load(), h.misuses.Load(), h.drains.Load()
	s.PageLocks, s.PageWaits = ps.Locks, ps.Waits
}

// mediumCached returns the bytes and the number of the medium blocks in caches.
func (h *Heap) mediumCached() (bytes, blocks uintptr) {
	for p := range h.procCount.Load() {
		c := h.caches[p].Load()
		if c == &noCache {
			continue
		}
		c.lock.Lock()
		for class := uint8(pages.FirstMedium); class < pages.NumClasses; class++ {
			n := uintptr(c.magazine(class).approxLen())
			bytes += n * uintptr(pages.Classes[class].Size)
			blocks += n
		}
		c.lock.Unlock()
	}
	return bytes, blocks
}

// readClass sets *t to the state of the class, but for SpansMade.
func (h *Heap) readClass(t *ClassStats, class uint8) {
	t.Size = uintptr(pages.Classes[class].Size)
	for p := range h.procCount.Load() {
		if pr := h.procs[p].Load(); pr != nil {
			ct := &pr.centrals[class]
			ct.mu.Mutex.Lock() // which is not counted
			t.Free += uint64(ct.free)
			t.Refilled += ct.refilled
			t.Flushed += ct.flushed
			t.Adopted += ct.adopted
			t.Locks += ct.mu.Locks
			t.Waits += ct.mu.Waits
			ct.mu.Unlock()
		}
		if c := h.caches[p].Load(); c != &noCache {
			c.lock.Lock()
			t.Cached += uint64(c.magazine(class).approxLen())
			c.lock.Unlock()
		}
	}
	t.Spans = uint64(h.spans[class].Load())
	t.Blocks = uint64(h.spanBlocks[class].Load())
	// Blocks that moved during the count may be missing, so Live may be too large. It is not
	// negative.
	t.Live = max(t.Blocks, t.Free+t.Cached) - t.Free - t.Cached
}
