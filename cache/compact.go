package cache

import (
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/block"
)

// A page of the heap has memory while one block in it is in use. Entries leave in another order
// than their blocks lie in memory. So after a change of their sizes, few old entries would keep
// most pages. While much memory is lost in this way, evictions also compact: they move entries out
// of sparse spans of the heap, until the spans are free.
//
// A compaction visits some buckets of a shard, and the next one continues there. How many depends
// on how much there was to move: from 1 to maxEffort.
const (
	maxEffort      = 64
	worthwhile     = 16       // the effort grows if an entry moves for this many buckets
	maxMoved       = 64 << 10 // bytes that move while the mutex is held
	maxCompactions = 16       // in a row
	evictedBytes   = 4 << 10  // for each compaction
)

// compactAfter compacts a shard after n bytes of it were evicted.
func (s *shard) compactAfter(n int64) {
	for range 1 + min(n/evictedBytes, maxCompactions) {
		s.compact(0)
	}
}

// compactFor compacts until the heap has room for n bytes, but not for long. It reports whether
// there is room.
func (c *core) compactFor(n int64) bool {
	for range maxCompactions {
		s := c.fullest()
		if s == nil {
			break
		}
		s.compact(maxEffort)
		if c.hasRoom(n) {
			return true
		}
	}
	return false
}

// compact moves entries and segments out of sparse spans, with at least that effort.
func (s *shard) compact(effort uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	effort = max(s.effort, effort, 1)
	n, moved, bytes := uint32(0), uint32(0), uintptr(0)
	for n < effort && bytes < maxMoved {
		n++
		if s.walked++; s.walked >= s.table.count {
			s.walked = 0
		}
		if s.walked%segmentBuckets == 0 {
			at := s.table.segmentAt(s.walked / segmentBuckets)
			if to := s.core.moveBlock(*at, segmentSize); to != 0 {
				*at = to
				moved++
			}
		}
		for link := s.table.head(s.walked); *link != 0; link = &link.entry().chain {
			e := link.entry()
			if atomic.LoadUint32(&e.refs) != 1 {
				continue // it is being read
			}
			size := e.size(s.core.align)
			if to := s.core.moveBlock(*link, size); to != 0 {
				*link = to
				s.moved(to)
				moved++
				bytes += size
			}
		}
	}
	s.counts.moved += uint64(moved)
	if moved*worthwhile >= n {
		s.effort = min(effort*2, maxEffort)
	} else {
		s.effort = effort / 2
	}
}

// moveBlock moves a block of n bytes to a denser span. It returns the new address, or 0 if the
// block stays where it is.
func (c *core) moveBlock(r ref, n uintptr) ref {
	e := c.heap.Engine()
	to := e.Denser(r.pointer(), n, blockAlign)
	if to != nil {
		block.Copy(to, r.pointer(), n)
		e.FreeToSpan(r.pointer(), n, blockAlign)
	}
	return ref(to)
}

// moved makes the neighbours of a linked entry refer to its new address.
func (s *shard) moved(r ref) {
	e := r.entry()
	s.queueOf(e).moved(r)
	if e.onWheel() {
		s.wheel.moved(r)
	}
}

// moved makes the neighbours of the entry r, or the ends of q, refer to r.
func (q *queue) moved(r ref) {
	e := r.entry()
	if e.prev != 0 {
		e.prev.entry().next = r
	} else {
		q.start = r
	}
	if e.next != 0 {
		e.next.entry().prev = r
	} else {
		q.end = r
	}
}

// moved makes the neighbours of the entry r, or its slot of w, refer to r.
func (w *wheel) moved(r ref) {
	x := r.entry().extra()
	if x.next != 0 {
		x.next.entry().extra().prev = r
	}
	if x.prev != 0 {
		x.prev.entry().extra().next = r
	} else {
		w.slots[x.slot] = r
	}
}
