package engine

import "github.com/galloc-go/galloc/internal/pages"

// A relief purges at least minRelief bytes, or 1/reliefPart of the hard limit if that is more, but
// at most maxRelief unless it needs more: so that the next allocations find room too, and the dirty
// pages are not all gone each time.
const (
	minRelief  = 64 << 10
	maxRelief  = 1 << 20
	reliefPart = 64
)

// A Refusal is the reason why an allocation failed.
type Refusal uint32

// The reasons.
const (
	RefusedByLimit Refusal = 1 + iota
	RefusedBySystem
)

// Refusal returns the reason why an allocation failed last.
func (h *Heap) Refusal() Refusal { return Refusal(h.refusal.Load()) }

// relieve makes room after an allocation of about need bytes has failed, because of a limit or the
// system, and calls try again, which reports whether the allocation succeeded now. The last time it
// does so while no block moves, and all that can be reclaimed is. So an allocation fails only if at
// that moment it could not be served.
//
// One goroutine at a time makes room. The others wait, and then try before they do more.
func (h *Heap) relieve(need uintptr, try func() bool) bool {
	if h.closed.Load() {
		return false
	}
	if _, hard := h.Limit(); hard != 0 && need > hard {
		h.refusal.Store(uint32(RefusedByLimit))
		return false
	}
	if h.makeRoom(need, try) {
		return true
	}
	h.noteRefusal()
	return false
}

// makeRoom is relieve for blocks that are not longer than the hard limit.
func (h *Heap) makeRoom(need uintptr, try func() bool) bool {
	h.gate.active.Store(true)
	waited := !h.reclaiming.TryLock()
	if waited {
		h.reclaiming.Lock()
	}
	defer h.reclaiming.Unlock()
	h.gate.active.Store(true) // a tick may have opened it meanwhile
	_, refusals := h.pages.Refusals()
	if waited && try() || h.relieveSlightly(need, try) {
		return true
	}
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	h.gate.tight.Store(tightCalls)
	h.pages.RecoverLost()
	h.drainAll()
	h.drainStashes(false)
	if try() || h.purgeFor(need, try) {
		return true
	}
	if h.hollowFor(need, try) {
		return true
	}
	_, after := h.pages.Refusals()
	if after != refusals {
		// A full purge decommits too, so that the system counts less.
		h.pages.PurgeAll()
		if try() {
			return true
		}
		h.refusal.Store(uint32(RefusedBySystem))
	} else {
		h.refusal.Store(uint32(RefusedByLimit))
	}
	h.verify()
	return false
}

// relieveSlightly is the part of relieve that leaves the caches alone.
func (h *Heap) relieveSlightly(need uintptr, try func() bool) bool {
	return h.pages.RecoverLost() != 0 && try() || h.purgeFor(need, try)
}

// hollowFor makes pages hollow and calls try, if there is a limit, and enough blocks were freed
// since it was done last.
func (h *Heap) hollowFor(need uintptr, try func() bool) bool {
	if _, hard := h.Limit(); hard == 0 || h.gate.freed.Load() < int64(hard/hollowFrom) {
		return false
	}
	n, _ := h.hollow(false)
	return n != 0 && (try() || h.purgeFor(need, try))
}

// hollowFrom is the part of the hard limit that must be freed in small blocks before pages are made
// hollow for an allocation: so a heap at its limit does not look at all its spans for each block.
const hollowFrom = 256

// purgeFor purges some dirty pages and calls try, and purges twice as many each time that it fails,
// until no page is dirty. It does nothing if there is no room even without dirty pages.
func (h *Heap) purgeFor(need uintptr, try func() bool) bool {
	_, hard := h.Limit()
	for least := max(need, minRelief, min(hard/reliefPart, maxRelief)); ; least *= 2 {
		room, dirty := h.pages.Room(need)
		if !room || !dirty {
			return false
		}
		n := h.pages.PurgeSome(least)
		if try() {
			return true
		}
		if n == 0 {
			return false
		}
	}
}

// spanNeed returns the number of bytes of the shortest span of the class.
func spanNeed(class uint8) uintptr { return uintptr(pages.Classes[class].Pages) << pages.PageShift }

// Trim returns all unused memory to the system, and returns the number of bytes.
func (h *Heap) Trim() uintptr {
	h.reclaiming.Lock()
	defer h.reclaiming.Unlock()
	h.pages.RecoverLost()
	h.drainAll()
	h.drainStashes(false)
	n, _ := h.hollow(false)
	return n + h.pages.Purge(false)
}
