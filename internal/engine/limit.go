// Limits of the footprint. See heap.go for the overview. The hard limit is the pages'
// (pages.Allocator).

package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A softLimit bounds the footprint of a heap beyond which it returns memory without waiting for a
// tick.
type softLimit struct {
	bytes  uintptr // 0 is no limit
	alarm  uintptr // the footprint at which to act: see arm
	onSoft func(footprint uintptr)
}

// arm sets the alarm for the footprint f: so it falls with the footprint.
func (l *softLimit) arm(f uintptr) {
	l.alarm = l.bytes
	if f > l.bytes {
		l.alarm = f + l.bytes/16
	}
}

// A softCall is the state of the goroutine that calls onSoft: see soft.go.
type softCall struct {
	run     func()       // calls onSoft
	running atomic.Bool  // there is the goroutine
	lag     atomic.Bool  // waitForSoft waits
	ended   atomic.Int64 // when onSoft was called last, in ns
}

// MinLimit is the least limit, in bytes, that makes sense for a new heap: with its metadata, the
// first block takes about 430 KiB, or up to 600 in the long extent of a heap that was closed.
const MinLimit = 1 << 20

// Limit returns the limits.
func (h *Heap) Limit() (soft, hard uintptr) {
	h.pages.Lock()
	defer h.pages.Unlock()
	return h.soft.bytes, h.pages.Hard()
}

// noteUse is called with the lock of the pages held, after runs were allocated. It updates the
// budget, and reports whether the footprint has reached the alarm. The caller then calls
// enforceSoft, without locks.
func (h *Heap) noteUse() (over bool) {
	h.updateBudget()
	l := &h.soft
	if l.bytes == 0 {
		return false
	}
	f := h.pages.Footprint()
	if over = f > l.alarm; over || f+l.bytes/16 < l.alarm {
		l.arm(f)
	}
	return over
}

// updateBudget updates the budget: with the lock of the pages held.
func (h *Heap) updateBudget() {
	budget := uintptr(0)
	if !h.limited.Load() && !h.checked {
		budget = budgetFor(h.pages.InUse(), h.procCount.Load())
	}
	if budget != h.budget.Load() {
		h.budget.Store(budget)
	}
}

// enforceSoft, if over, purges all free pages and, if that does not suffice, has onSoft called.
func (h *Heap) enforceSoft(over bool) {
	if !over {
		return
	}
	h.softHits.Add(1)
	h.pages.PurgeAll()
	h.pages.Lock()
	f := h.pages.Footprint()
	h.soft.arm(f)
	call := h.soft.bytes != 0 && f > h.soft.bytes && h.soft.onSoft != nil
	h.pages.Unlock()
	if call {
		h.callSoft()
		h.softCall.lag.Store(true)
	}
}

// callSoft has onSoft called in another goroutine, unless one is running: the caller may hold locks
// that onSoft takes, and may be in the middle of changing what onSoft wants to change.
func (h *Heap) callSoft() {
	if h.softCall.running.CompareAndSwap(false, true) {
		go h.softCall.run()
	}
}

// waitForSoft ends an allocation: it reports misuse that was found in it. If the footprint has
// reached the alarm meanwhile, it lets onSoft run, for maxSoftWait at most: a goroutine that
// allocates without a pause, under a mutex that onSoft needs, could exceed the soft limit many
// times before the scheduler hands over the mutex. No lock is held.
func (h *Heap) waitForSoft() {
	h.reportLate()
	c := &h.softCall
	if !c.lag.Load() || !c.lag.CompareAndSwap(true, false) {
		return
	}
	start := time.Now()
	for range maxSoftYields {
		if runtime.Gosched(); !c.running.Load() || time.Since(start) > maxSoftWait {
			return
		}
	}
}

// maxSoftYields bounds waitForSoft where the time stands still, as in testing/synctest.
const (
	maxSoftWait   = 200 * time.Microsecond
	maxSoftYields = 1000
)

// noteRefusal has onSoft called after the hard limit has refused an allocation, but not again and
// again if it does not help.
func (h *Heap) noteRefusal() {
	h.pages.Lock()
	call := h.soft.bytes != 0 && h.soft.onSoft != nil
	h.pages.Unlock()
	// The gap is negative in a bubble of testing/synctest, whose clock is slow.
	gap := time.Now().UnixNano() - h.softCall.ended.Load()
	if call && (gap < 0 || gap >= int64(minSoftGap)) {
		h.callSoft()
	}
	if call {
		h.softCall.lag.Store(true)
		h.waitForSoft()
	}
}

// minSoftGap is the least time from one call of onSoft to the next because of a refusal.
const minSoftGap = time.Millisecond
