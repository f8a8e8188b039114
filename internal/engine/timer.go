package engine

import "time"

// ticksPerDecay is how often the timer ticks in a decay period.
const ticksPerDecay = 4

// A Timer calls the function that it was made with once, some time after Reset. It is an
// [alarm.Alarm], or the timer of a test.
type Timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

// wake sets the timer unless it is set. It is called whenever there may be memory to return.
func (h *Heap) wake() {
	if h.armed.Load() || h.decay < 0 {
		return
	}
	if h.armed.CompareAndSwap(false, true) {
		h.timer.Reset(h.decay / ticksPerDecay)
	}
}
