// Stashes: large blocks that a P has freed and may want again. See heap.go for the overview.
//
// Programs that allocate and free a buffer again and again use blocks of one length, and each would
// take the lock of the pages, which all Ps share. So each P keeps the last few that it has freed,
// and returns one if the next allocation has as many pages. Neither takes a lock: the tag of the
// block (pages.Tag) says whether the caller owns it, and is changed by compare-and-swap, so that if
// two goroutines free the same block, one is refused. The pages count a stashed block as a large
// block in use.
//
// The stash of a P has two slots for each length of up to 1 MiB, of which there are few
// (pages.CountFor), and two for all others. It takes no more blocks once it holds a part of what is
// in use.
//
// A stashed block keeps runs from joining and growing. So before the heap grows, or moves a block
// that cannot grow, the stashes of this P and of a few others are emptied. Without that the sqlite
// trace took 7.0 MB instead of 5.5.
//
// A block that has been in a stash from one tick to the next is freed, and its pages leave the
// process at that tick, as if they had been free all the time.

package engine

import (
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

const (
	stashSlots  = 2
	stashProbes = 8       // stashes searched, beginning with the current P
	minStash    = 4 << 20 // bytes from which on a stash takes no more blocks, or half the budget
)

// A stash holds the tags of stashed blocks. Of the slots of a length, the block that was freed last
// is in the first, unless it has been allocated again; the other was freed before. Any P may empty
// a slot by compare-and-swap, and then owns the block.
//
//	bytes == Σ sizes of the blocks
type stash struct {
	slots [pages.LengthClasses][stashSlots]atomic.Uintptr // tags, or 0; by pages.LengthClass
	bytes atomic.Int64                                    // of the blocks
	_     [64]byte
}

// stashedBytes returns the size of the block with tag t.
func stashedBytes(t pages.Tag) int64 { return int64(t.Pages()) << pages.PageShift }

// currentProc returns the number of the proc of the current P. By the time the caller uses it, the
// goroutine may be on another P.
func currentProc() uint32 { return uint32(percpu.Current()) % maxProcs }

// stashBlock frees the block at b, of size bytes, or of any size if that is 0, into the stash of
// the current P. If it returns false, nothing has changed, and b may be any address.
func (h *Heap) stashBlock(b pages.Ref, size uintptr) bool {
	budget := h.budget.Load()
	if budget == 0 {
		return false
	}
	s := h.pages.SpanAt(b)
	if s == nil {
		return false
	}
	t := s.Tag()
	st := &h.procOf(currentProc()).stash
	if st.bytes.Load() >= max(minStash, int64(budget/2)) {
		return false
	}
	if t.State() != pages.TagLive || t.Base() != b || size != 0 && t.Pages() != pages.CountFor(size) ||
		!s.SwapTag(t, t.WithState(pages.TagStashed)) {
		return false
	}
	t = t.WithState(pages.TagStashed)
	more := stashedBytes(t)
	slots := &st.slots[pages.LengthClass(t.Pages())]
	for i := range slots {
		if t = pages.Tag(slots[i].Swap(uintptr(t))); t == 0 {
			break
		}
	}
	if t != 0 {
		more -= stashedBytes(t)
		h.pages.FreeStashed(t)
	}
	if more != 0 {
		st.bytes.Add(more)
	}
	// Set since the check above, perhaps after the new limit emptied the stashes.
	if h.budget.Load() == 0 {
		h.drainStashes(false)
	}
	h.wake()
	return true
}

// unstash returns a stashed block of n pages aligned to align pages, allocated again, or nil. Its
// contents are undefined, and its dirty bits do not describe them. It searches the stashes of a few
// other Ps too: otherwise a goroutine that moves from P to P would leave a block on each.
func (h *Heap) unstash(n, align uintptr) *pages.Span {
	if h.checked || n > pages.MaxTagged {
		return nil
	}
	for st := range h.nearStashes {
		if s := st.take(n, align); s != nil {
			return s
		}
	}
	return nil
}

// nearStashes yields the stashes of the current P and of a few others.
func (h *Heap) nearStashes(yield func(*stash) bool) {
	p, count := currentProc(), h.procCount.Load()
	for i := range min(count, stashProbes) {
		if pr := h.procs[(p+i)%max(count, p+1)].Load(); pr != nil && !yield(&pr.stash) {
			return
		}
	}
}

// take removes a block of n pages aligned to align pages, and makes it an allocated one.
func (st *stash) take(n, align uintptr) *pages.Span {
	slots := &st.slots[pages.LengthClass(n)]
	for i := range slots {
		slot := &slots[i]
		t := pages.Tag(slot.Load())
		if t != 0 && t.Pages() == n && uintptr(t.Base())>>pages.PageShift&(align-1) == 0 &&
			slot.CompareAndSwap(uintptr(t), 0) {
			st.bytes.Add(-stashedBytes(t))
			s := t.Span()
			s.SetTag(t.WithState(pages.TagLive))
			return s
		}
	}
	return nil
}

// drainStashes frees the blocks in the stashes of all Ps, and returns the number of bytes. With
// staleOnly, at a tick, it frees the blocks that were there at the tick before, and marks the
// others.
func (h *Heap) drainStashes(staleOnly bool) (bytes uintptr) {
	h.draining.Lock() // for ReadStats
	defer h.draining.Unlock()
	h.eachStashed(func(st *stash, slot *atomic.Uintptr, t pages.Tag) {
		if staleOnly && t.State() != pages.TagStale {
			slot.CompareAndSwap(uintptr(t), uintptr(t.WithState(pages.TagStale)))
			return
		}
		if slot.CompareAndSwap(uintptr(t), 0) {
			st.bytes.Add(-stashedBytes(t))
			h.pages.FreeStashed(t)
			bytes += t.Pages() << pages.PageShift
		}
	})
	return bytes
}

// flushStashes frees the blocks in the stashes that unstash searches, and reports whether any were
// there.
func (h *Heap) flushStashes() (any bool) {
	for st := range h.nearStashes {
		if st.bytes.Load() == 0 {
			continue
		}
		st.each(func(slot *atomic.Uintptr, t pages.Tag) {
			if slot.CompareAndSwap(uintptr(t), 0) {
				st.bytes.Add(-stashedBytes(t))
				h.pages.FreeStashed(t)
				any = true
			}
		})
	}
	return any
}

// stashed returns the bytes and the number of the stashed blocks.
func (h *Heap) stashed() (bytes, blocks uintptr) {
	h.eachStashed(func(_ *stash, _ *atomic.Uintptr, t pages.Tag) {
		bytes += t.Pages() << pages.PageShift
		blocks++
	})
	return bytes, blocks
}

// eachStashed calls f for each slot that is not empty.
func (h *Heap) eachStashed(f func(*stash, *atomic.Uintptr, pages.Tag)) {
	for p := range h.procCount.Load() {
		if pr := h.procs[p].Load(); pr != nil {
			pr.stash.each(func(slot *atomic.Uintptr, t pages.Tag) { f(&pr.stash, slot, t) })
		}
	}
}

// each calls f for each slot that is not empty.
func (st *stash) each(f func(*atomic.Uintptr, pages.Tag)) {
	for i := range st.slots {
		for j := range st.slots[i] {
			slot := &st.slots[i][j]
			if t := pages.Tag(slot.Load()); t != 0 {
				f(slot, t)
			}
		}
	}
}
