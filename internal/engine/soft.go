package engine

import "time"

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
