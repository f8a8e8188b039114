// The stash: large blocks that a P has freed and may want again. See engine.go for overview.
//
// Programs that take and drop a buffer over and over do so with blocks of one length, and each would be a visit to the lock of the
// pages, which all Ps share. So a P keeps the last few that it has freed, as they are, and hands one out again if the next one asked
// for has as many pages. Neither way takes a lock: a word of the record says whether the block is the caller's, and that word is changed by
// compare-and-swap, so that of two who free the same block one is refused. Everything else about a stashed run stays as it was: to the
// pages it is a large block in use.
//
// A heap must have some size for that: in a small one, what is stashed would be a large part of it, and be missing where runs join and grow (the
// sqlite trace took 7.0 MB instead of 5.5).
//
// What has lain in a stash from one tick to the next goes back to the pages, to leave the process at that tick, as if it had been free
// all the time.

package engine

import "sync/atomic"

const (
	stashSlots = 2
	stashLooks = 8                    // stashes that are looked into, that of the P first
	stashMost  = 4 << 20 >> pageShift // pages of a run
	stashFrom  = 32 << 20             // bytes in use from which on a heap stashes
)

// A tag is the word that says whose a large block is: the address of its first page, the number of its pages less one, and what it
// is, all in one, so that who compares and swaps has compared everything. Longer blocks than can be stashed have tag 0, and are
// the business of who has the lock of the pages.
//
// In a record it is prev, which a large block has no other use for. Lists have addresses of records there, and these have zeros where
// the tag has what it is: so whoever takes a stale record for that of his block finds no tag in it, or another's.
type tag uintptr

const (
	tagLive    = 1 + iota // handed out
	tagStashed            // freed, and in a slot or on its way there or back to the pages
	tagStale              // in slots only: tagStashed, and was there at the last tick
	tagWhat    = 3
)

// Blocks of stashMost pages must fit below the address.
const _ = uint(pageSize - (stashMost-1)<<2 - tagWhat - 1)

func (t tag) base() ref     { return ref(t &^ (pageSize - 1)) }
func (t tag) pages() uint32 { return uint32(t&(pageSize-1)>>2) + 1 }
func (t tag) what() tag     { return t & tagWhat }

// as returns t saying what else it is.
func (t tag) as(what tag) tag { return t&^tagWhat | what }

// liveTag returns what the tag of s is while it is a block that is handed out.
func (s *span) liveTag() tag {
	if s.pages > stashMost {
		return 0
	}
	return tag(s.base) | tag(s.pages-1)<<2 | tagLive
}

func (s *span) tag() tag     { return tag(atomic.LoadUintptr((*uintptr)(&s.prev))) }
func (s *span) setTag(t tag) { atomic.StoreUintptr((*uintptr)(&s.prev), uintptr(t)) }
func (s *span) swapTag(from, to tag) bool {
	return atomic.CompareAndSwapUintptr((*uintptr)(&s.prev), uintptr(from), uintptr(to))
}

// claim makes s, a large block, one that cannot be freed without the lock of the pages, which the caller has. It reports false if it has
// been freed. What claim takes away, setTag(liveTag()) gives back, before the lock is released.
func (s *span) claim() bool {
	t := s.tag()
	return s.pages > stashMost || t.what() == tagLive && s.swapTag(t, 0)
}

// A stash is what a P keeps. The run that was freed last is in the first slot, unless it has been taken again, and others in the order
// that they came in. Any P may take out what it wants by compare-and-swap: what comes out is its own.
type stash struct {
	slots [stashSlots]atomic.Uintptr // tags, or 0
	_     [64 - stashSlots*8]byte
}

// home returns the number of the shard of the P that we run on. It may be another P's by the time that it is used.
func home() uint32 {
	p := procPin()
	procUnpin()
	return uint32(p) % MaxProcs
}

// stashBlock puts the block at b into the stash of the P, and reports whether it has; size is as in freeLarge. Where it does not,
// nothing has changed, and b may be anything.
func (h *Heap) stashBlock(b ref, size uintptr) bool {
	if h.checked || h.limited.Load() || !h.stashing.Load() {
		return false
	}
	x := extentAt(b)
	if x == nil || x.heap != h {
		return false
	}
	s := x.spanAt(b)
	if s == nil {
		return false
	}
	t := s.tag()
	if t.what() != tagLive || t.base() != b || size != 0 && uintptr(t.pages()) != pagesFor(size) || !s.swapTag(t, t.as(tagStashed)) {
		return false
	}
	t = t.as(tagStashed)
	slots := &h.shardOf(home()).stash.slots
	for i := range slots {
		if t = tag(slots[i].Swap(uintptr(t))); t == 0 {
			break
		}
	}
	if t != 0 {
		h.putStashed(t)
	}
	if h.limited.Load() { // since we have looked, and whoever has set the limit may have been here before us
		h.emptyStashes(false)
	}
	h.wake()
	return true
}

// takeStashed returns a run of n pages aligned to align pages from a stash, as a large block, or nil. Its contents are undefined, whatever
// the bits dirty say. It looks into those of a few other Ps too: a goroutine that moves from P to P would else leave a block behind on each.
func (h *Heap) takeStashed(n, align uintptr) *span {
	if h.checked || n > stashMost {
		return nil
	}
	p, count := home(), h.shardCount.Load()
	for i := range min(count, stashLooks) {
		if s := h.shards[(p+i)%max(count, p+1)].Load().takeStashed(n, align); s != nil {
			return s
		}
	}
	return nil
}

func (sh *shard) takeStashed(n, align uintptr) *span {
	if sh == nil {
		return nil
	}
	for i := range sh.stash.slots {
		slot := &sh.stash.slots[i]
		t := tag(slot.Load())
		if t != 0 && uintptr(t.pages()) == n && uintptr(t.base())>>pageShift&(align-1) == 0 && slot.CompareAndSwap(uintptr(t), 0) {
			s := extentAt(t.base()).spanAt(t.base())
			s.setTag(t.as(tagLive))
			return s
		}
	}
	return nil
}

// putStashed gives a run that has come out of a slot back to the pages.
func (h *Heap) putStashed(t tag) {
	ps := &h.pages
	ps.mu.Lock()
	defer ps.mu.Unlock()
	x := extentAt(t.base())
	s := x.spanAt(t.base())
	first, end := s.page, s.end()
	ps.put(s, true)
	if t.what() == tagStale {
		x.aged.set(first, end, true)
	}
}

// emptyStashes gives back what is in the stashes of all Ps, and returns how many bytes that was. If staleOnly, it is a tick: what was
// there at the one before goes, and what stays is marked.
func (h *Heap) emptyStashes(staleOnly bool) (bytes uintptr) {
	h.eachSlot(func(slot *atomic.Uintptr, t tag) {
		if staleOnly && t.what() != tagStale {
			slot.CompareAndSwap(uintptr(t), uintptr(t.as(tagStale)))
			return
		}
		if slot.CompareAndSwap(uintptr(t), 0) {
			h.putStashed(t)
			bytes += uintptr(t.pages()) << pageShift
		}
	})
	return bytes
}

// stashed returns how much is in the stashes: bytes, and runs.
func (h *Heap) stashed() (bytes, runs uintptr) {
	h.eachSlot(func(_ *atomic.Uintptr, t tag) {
		bytes += uintptr(t.pages()) << pageShift
		runs++
	})
	return bytes, runs
}

// eachSlot calls f for each slot that is not empty.
func (h *Heap) eachSlot(f func(*atomic.Uintptr, tag)) {
	for p := range h.shardCount.Load() {
		if sh := h.shards[p].Load(); sh != nil {
			for i := range sh.stash.slots {
				slot := &sh.stash.slots[i]
				if t := tag(slot.Load()); t != 0 {
					f(slot, t)
				}
			}
		}
	}
}
