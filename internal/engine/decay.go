// Decay: what is not used any more goes back to the system. See engine.go for overview.
//
// While there is something to give back, a timer ticks four times in a decay period. There are three things to give back. Blocks in
// the caches of idle Ps go to their spans at the first tick that finds nothing changed since the one before (drain.go). Large blocks
// that have been in a stash since the tick before become free pages, aged as if they had been free since (stash.go). And free
// pages that are dirty become aged at one tick; if they are still free at the next, they are purged. Taking a page takes both marks
// away. So whatever has been freed has left the process after one period, and what is in use again within a quarter of
// it never leaves.
//
// Between ticks no goroutine exists; when there is nothing more to give back, no timer runs either.

package engine

import (
	"runtime"
	"time"

	"github.com/galloc-go/galloc/internal/vm"
)

const (
	ticksPerDecay = 4
	purgeMost     = 256     // pages purged at a time: meanwhile they cannot be allocated
	scanMost      = 1 << 17 // pages looked at before others may have the lock
)

// A Timer calls the function it was made with once, some time after Reset. It is a *time.Timer, or a test's.
type Timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

// wake starts the ticking if it is not on.
func (h *Heap) wake() {
	if h.ticking.Load() || h.decay < 0 {
		return
	}
	if h.ticking.CompareAndSwap(false, true) {
		h.timer.Reset(h.decay / ticksPerDecay)
	}
}

// tick is what the timer calls.
func (h *Heap) tick() {
	h.inTick.Lock()
	defer h.inTick.Unlock()
	if h.closed.Load() {
		return
	}
	h.procs.Store(uint32(runtime.GOMAXPROCS(0)))
	h.pages.mu.Lock()
	inUse := h.pages.inUse << pageShift
	h.pages.mu.Unlock()
	h.roomFor.Store(max(leastRoom, inUse/roomPart/uintptr(h.procs.Load())))
	h.drainIdle()
	h.pages.recoverLost()
	h.emptyStashes(true)
	h.purge(true)
	h.ticks.Add(1)
	h.verify()
	if h.idle() {
		h.ticking.Store(false)
		if h.idle() {
			return
		}
		if !h.ticking.CompareAndSwap(false, true) {
			return // somebody has woken us meanwhile
		}
	}
	h.timer.Reset(h.decay / ticksPerDecay)
}

// idle reports whether there is nothing to give back.
func (h *Heap) idle() bool {
	h.pages.mu.Lock()
	pending := h.pages.pending || h.pages.lost.head != 0
	h.pages.mu.Unlock()
	if pending {
		return false
	}
	if _, runs := h.stashed(); runs != 0 {
		return false
	}
	for p := range h.shardCount.Load() {
		if h.caches[p].Load() != &noCache {
			return false
		}
	}
	return true
}

// purge gives the memory of free dirty pages back to the system, of those that are aged if so asked, and returns how many bytes.
// Then it marks as aged what is still dirty.
func (h *Heap) purge(agedOnly bool) (bytes uintptr) {
	ps := &h.pages
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.pending = false
	unit := ps.purgeUnit()
	for e := 0; e < len(ps.extents); e++ {
		x := ps.extents[e]
		for i := uint32(0); i < x.frontier && ps.dirty != 0; {
			to := min(i+scanMost, x.frontier)
			for i < to {
				a, b := x.purgeable(i, to, unit, agedOnly)
				i = b
				if a < b {
					a, b = x.wholeUnits(a, b, unit)
					bytes += ps.purgeRange(x, a, b)
					i = max(i, b)
				}
			}
			ps.breathe()
		}
		for w := range (x.frontier + 63) / 64 {
			dirty := x.free[w] & x.dirty[w]
			ps.pending = ps.pending || dirty&^x.aged[w] != 0
			x.aged[w] = dirty
		}
	}
	return bytes
}

// breathe lets others have the lock.
func (ps *pages) breathe() {
	ps.mu.Unlock()
	ps.mu.Lock()
}

// purgeable returns the first row of pages from i up to j that are free, dirty, and aged if so asked: purgeMost of them or so at most, up
// to a multiple of unit, and none, j, j, if there is no such page.
func (x *extent) purgeable(i, j, unit uint32, agedOnly bool) (a, b uint32) {
	word := func(w uint32) uint64 {
		v := x.free[w] & x.dirty[w]
		if agedOnly {
			v &= x.aged[w]
		}
		return v
	}
	a = nextBit(word, i, j)
	b = nextBit(func(w uint32) uint64 { return ^word(w) }, a, min(j, roundUp32(a+purgeMost, unit)))
	return a, b
}

// wholeUnits returns the units of so many pages that have some of the free pages from a up to b, as far as all their pages are free: what
// else there is of them is clean, or not long dirty.
func (x *extent) wholeUnits(a, b, unit uint32) (from, to uint32) {
	from, to = a/unit*unit, roundUp32(b, unit)
	if x.free.next(from, a, false) != a {
		from += unit
	}
	if to > x.frontier || x.free.next(b, to, false) != to {
		to -= unit
	}
	return from, to
}

// purgeRange purges the pages from a up to b, which are free, and returns how many bytes of them were dirty. The lock is released
// meanwhile.
func (ps *pages) purgeRange(x *extent, a, b uint32) uintptr {
	if a >= b {
		return 0
	}
	dirty := uintptr(x.dirty.count(a, b)) << pageShift
	run := ps.carve(x.neighbour(x.free.first(a)), a, b-a, kindHeld, 0, 1, false)
	if run == nil {
		ps.pending = true // no record: another time
		return 0
	}
	p, bytes := run.base.pointer(), run.bytes()
	ps.mu.Unlock()
	var err error
	if ps.heap.lazy {
		err = vm.PurgeLazy(p, bytes)
	} else if err = vm.Purge(p, bytes); err != nil {
		err = vm.Commit(p, bytes) // it is Reserved now
	}
	ps.mu.Lock()
	ps.purges++
	switch {
	case err == nil:
		ps.purgedBytes += uint64(dirty)
		ps.put(run, false)
		if ps.heap.lazy {
			x.freed.set(a, b, true)
		}
	case ps.heap.lazy:
		ps.put(run, true) // and that is pending
	default:
		ps.lost.push(run)
	}
	return dirty
}

// recoverLost makes those pages Ready again that the system has taken at a Purge and not given back since.
func (ps *pages) recoverLost() (bytes uintptr) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for ps.lost.head != 0 {
		s := ps.lost.head.span()
		if vm.Commit(s.base.pointer(), s.bytes()) != nil {
			break
		}
		ps.lost.remove(s)
		bytes += s.bytes()
		ps.put(s, false)
	}
	return bytes
}

// purgeUnit returns how many pages are purged together at least.
func (ps *pages) purgeUnit() uint32 {
	unit := vm.PageSize()
	if ps.heap.huge {
		unit = max(unit, vm.HugePageSize())
	}
	return uint32(max(unit>>pageShift, 1))
}
