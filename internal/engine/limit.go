// Limits. See engine.go for overview.

package engine

// reliefs is how often an allocation that has failed is tried again after giving back what can be given back.
const reliefs = 2

// limits bound the footprint of a heap, in bytes; 0 is no limit. They are guarded by pages.mu.
//
//	footprint <= hard, except that lowering hard takes nothing away
type limits struct {
	hard, soft uintptr
	alarm      uintptr // footprint at which to act on soft: soft, or more after it has been acted on
	onSoft     func(footprint uintptr)
}

// SetLimit bounds the footprint. See package heap.
func (h *Heap) SetLimit(soft, hard uintptr, onSoft func(footprint uintptr)) {
	ps := &h.pages
	ps.mu.Lock()
	ps.limits = limits{hard: hard, soft: soft, alarm: soft, onSoft: onSoft}
	h.limited.Store(hard != 0 || soft != 0)
	ps.mu.Unlock()
	if h.limited.Load() {
		h.emptyStashes(false)
	}
	ps.mu.Lock()
	act := ps.afterTake()
	ps.mu.Unlock()
	h.afterTake(act)
}

// Limit returns the limits.
func (h *Heap) Limit() (soft, hard uintptr) {
	h.pages.mu.Lock()
	defer h.pages.mu.Unlock()
	return h.pages.soft, h.pages.hard
}

// afterTake reports whether the soft limit has to be acted on.
func (ps *pages) afterTake() bool {
	if ps.soft == 0 {
		return false
	}
	f := ps.footprint()
	if f <= ps.soft {
		ps.alarm = ps.soft
		return false
	}
	if f <= ps.alarm {
		return false
	}
	ps.alarm = f + ps.soft/16
	return true
}

// afterTake acts on the soft limit, if so told by the method of the same name of pages: it gives back what is free and, if that
// is not enough, calls onSoft. No lock is held.
func (h *Heap) afterTake(act bool) {
	if !act {
		return
	}
	h.softHits.Add(1)
	h.purge(false)
	ps := &h.pages
	ps.mu.Lock()
	f, onSoft := ps.footprint(), ps.onSoft
	over := ps.soft != 0 && f > ps.soft
	ps.mu.Unlock()
	if over && onSoft != nil {
		onSoft(f)
	}
}

// relieve makes room when an allocation has failed, by a limit or by the system: it takes back what the caches
// and stashes hold and purges what is free. It reports whether there is any point in trying again.
func (h *Heap) relieve() bool {
	got := h.pages.recoverLost()
	got += h.drainAll()
	got += h.emptyStashes(false)
	got += h.purge(false)
	h.verify()
	return got != 0
}

// Trim gives everything back to the system that is not in use, and returns how many bytes that were.
func (h *Heap) Trim() uintptr {
	h.pages.recoverLost()
	h.drainAll()
	h.emptyStashes(false)
	return h.purge(false)
}
