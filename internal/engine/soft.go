package engine

import "time"

// SetLimit sets the limits, in bytes; 0 is no limit. See package heap.
func (h *Heap) SetLimit(soft, hard uintptr, onSoft func(footprint uintptr)) {
	if hard != 0 {
		h.gate.active.Store(true) // before there is a limit
		h.gate.freed.Store(int64(hard))
	}
	h.gate.tight.Store(0)
	h.pages.Lock()
	h.pages.SetHard(hard)
	h.soft = softLimit{bytes: soft, alarm: soft, onSoft: onSoft}
	h.limited.Store(hard != 0 || soft != 0)
	h.updateBudget()
	h.pages.Unlock()
	if h.limited.Load() {
		h.drainStashes(false)
		h.drain(func(_ int, c *Cache) bool { return c.medium != 0 })
	}
	h.pages.Lock()
	over := h.noteUse()
	h.pages.Unlock()
	h.enforceSoft(over)
	h.waitForSoft()
}

// runSoft calls onSoft, in its own goroutine and without locks. Afterwards it returns what onSoft
// has freed to the system, and arms the soft limit for the footprint that is left.
func (h *Heap) runSoft() {
	defer func() { // also if onSoft calls runtime.Goexit
		h.softCall.ended.Store(time.Now().UnixNano())
		h.softCall.running.Store(false)
	}()
	h.pages.Lock()
	f, onSoft := h.pages.Footprint(), h.soft.onSoft
	h.pages.Unlock()
	if onSoft == nil || h.closed.Load() {
		return
	}
	onSoft(f)
	h.ticking.Lock() // Close waits for it
	defer h.ticking.Unlock()
	if h.closed.Load() {
		return
	}
	if h.overSoft() {
		h.Trim()
	}
	h.overSoft()
}

// overSoft arms the soft limit, and reports whether the footprint exceeds it.
func (h *Heap) overSoft() bool {
	h.pages.Lock()
	defer h.pages.Unlock()
	f := h.pages.Footprint()
	h.soft.arm(f)
	return h.soft.bytes != 0 && f > h.soft.bytes
}
