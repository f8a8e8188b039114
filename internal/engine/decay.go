// Decay: memory that is no longer used goes back to the system. See heap.go for the overview.
//
// While there is something to return, a timer ticks four times in a decay period. A tick returns
// four kinds of memory:
//
//   - Blocks in the caches of idle Ps go to their spans, or become free pages, at the first tick
//     that finds a cache unchanged since the tick before (drain.go).
//   - Large blocks that were in a stash at the tick before become free pages, aged already
//     (stash.go).
//   - Pages of small blocks that are all free become hollow, if they were free at the tick before
//     (hollow.go).
//   - Dirty free pages become aged at one tick. If they are still free at the next, they are purged
//     (pages.Allocator.Purge).
//
// So freed memory has left the process after one period, and memory that is used again within a
// quarter of it never leaves.
//
// No goroutine exists between ticks. When there is nothing left to return, no timer runs either.

package engine

import "runtime"

// tick is called by the timer.
func (h *Heap) tick() {
	h.ticking.Lock()
	defer h.ticking.Unlock()
	if h.closed.Load() {
		return
	}
	h.gomaxprocs.Store(uint32(runtime.GOMAXPROCS(0)))
	h.pages.Lock()
	inUse := h.pages.InUse()
	h.pages.Unlock()
	perP := inUse / uintptr(h.gomaxprocs.Load())
	h.maxRooms.Store(max(minRooms, perP/roomPart))
	h.reclaimIdle()
	h.ticks.Add(1)
	h.verify()
	if h.idle() {
		h.armed.Store(false)
		if h.idle() {
			return
		}
		if !h.armed.CompareAndSwap(false, true) {
			return // wake has set the timer again
		}
	}
	h.timer.Reset(h.decay / ticksPerDecay)
}

// reclaimIdle returns what was not used since the last tick. An allocation that finds no memory
// waits for it: what is on its way is not missing.
func (h *Heap) reclaimIdle() {
	h.reclaiming.Lock()
	defer h.reclaiming.Unlock()
	h.drainIdle()
	h.pages.RecoverLost()
	h.drainStashes(true)
	if !h.pages.Huge() {
		_, h.young = h.hollow(true)
	}
	h.pages.Purge(true)
	_, hard := h.Limit()
	if _, refusals := h.pages.Refusals(); hard == 0 && refusals == h.gate.refusals {
		h.gate.open()
	} else {
		h.gate.refusals = refusals
	}
}

// idle reports whether a tick has nothing to return.
func (h *Heap) idle() bool {
	if h.pages.Pending() || h.young {
		return false
	}
	if _, blocks := h.stashed(); blocks != 0 {
		return false
	}
	for p := range h.procCount.Load() {
		if h.caches[p].Load() != &noCache {
			return false
		}
	}
	return true
}
