// The slow path: between caches and centrals. See heap.go for the overview.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
)

// shortBatch is the largest number of blocks that are moved through a short buffer. Clearing the
// buffer for a long batch would take longer than moving a short one.
const shortBatch = magazineSlots / 2

// AllocSlow is Alloc when the magazine is empty, or the block is large.
func (h *Heap) AllocSlow(size, align uintptr) unsafe.Pointer {
	switch class := pages.ClassOf(size, align); {
	case class == 0:
		return h.allocLarge(size, align, false)
	case pages.IsMedium(class):
		return h.allocMedium(class, size, false)
	default:
		return h.refill(class)
	}
}

// refill gets a batch of blocks from the centrals, returns one, and fills the magazine with the
// others.
func (h *Heap) refill(class uint8) unsafe.Pointer {
	want := 1
	p := pin()
	c := h.cache(p)
	if c != &noCache {
		if b := c.Pop(class); b != nil { // the goroutine is on another P now, or Enter knows none
			c.unpin()
			return b
		}
		want = (c.magazine(class).cap() + 1) / 2
		if !c.grow(class) {
			c.maybeGrow(class, h.maxRooms.Load())
		}
	}
	c.unpin()
	var b unsafe.Pointer
	gated := h.gate.enter()
	if c == &noCache {
		h.installNew()
	}
	h.wake()
	if want > shortBatch {
		b = h.refillLong(class, p, want)
	} else {
		var buf [shortBatch]pages.Ref
		b = h.refillBy(class, p, buf[:want])
	}
	h.gate.leave(gated)
	if b == nil {
		b = h.refillLast(class, p)
	}
	h.waitForSoft()
	return b
}

//go:noinline
func (h *Heap) refillLong(class uint8, p, want int) unsafe.Pointer {
	var buf [roomSlots / 2]pages.Ref
	return h.refillBy(class, p, buf[:want])
}

// refillBy gets up to len(buf) blocks for P p from the centrals. It returns one, and the others go
// into the magazine of the current P, or back if it is full. If memory runs out, it returns nil.
func (h *Heap) refillBy(class uint8, p int, buf []pages.Ref) unsafe.Pointer {
	n := h.allocBatch(class, p, buf)
	if n == 0 {
		return nil
	}
	if n > 1 {
		c := h.cache(pin())
		left := c.fill(class, buf[1:n])
		c.unpin()
		h.freeBatch(class, left)
	}
	return buf[0].Pointer()
}

// refillLast makes room and gets one block, after refillBy has failed. If there is none, it returns
// nil.
//
//go:noinline
func (h *Heap) refillLast(class uint8, p int) unsafe.Pointer {
	var buf [1]pages.Ref
	if !h.relieve(spanNeed(class), func() bool { return h.allocBatch(class, p, buf[:]) != 0 }) {
		return nil
	}
	return buf[0].Pointer()
}

// FreeSlow is Free when the magazine is full, or the block is large.
func (h *Heap) FreeSlow(p unsafe.Pointer, size, align uintptr) {
	switch class := pages.ClassOf(size, align); {
	case class == 0:
		h.freeLarge(p, size, true)
	case pages.IsMedium(class):
		h.freeMedium(class, p)
	default:
		h.freeSmall(class, p)
	}
}

// freeSmall is FreeSlow for a block of the class.
func (h *Heap) freeSmall(class uint8, p unsafe.Pointer) {
	c := h.cache(pin())
	long := c.magazine(class).cap() > 2*shortBatch
	c.unpin()
	if long {
		h.freeLong(class, p)
		return
	}
	var buf [shortBatch + 1]pages.Ref
	h.freeBy(class, p, buf[:])
}

//go:noinline
func (h *Heap) freeLong(class uint8, p unsafe.Pointer) {
	var buf [roomSlots/2 + 1]pages.Ref
	h.freeBy(class, p, buf[:])
}

// freeBy frees the block into the magazine of the current P. If the magazine is full and cannot
// grow, the older half of its blocks goes to the centrals first, through buf.
func (h *Heap) freeBy(class uint8, p unsafe.Pointer, buf []pages.Ref) {
	n := 0
	gated := h.gate.enter()
	c := h.cache(pin())
	if !c.Push(class, p) {
		m := c.magazine(class)
		if *c.slot(m.top - 1) == pages.RefOf(p) {
			c.unpin()
			h.gate.leave(gated)
			h.reportDouble(pages.RefOf(p), uintptr(pages.Classes[class].Size))
			return
		}
		if c == &noCache || !c.grow(class) {
			n = min((m.len()+1)/2, len(buf)-1)
			c.removeOldest(class, buf[:n])
			c.noteOverflow(class)
		}
		if !c.Push(class, p) { // there is no cache
			buf[n] = pages.RefOf(p)
			n++
		}
	}
	c.unpin()
	if c == &noCache {
		h.installNew()
	}
	h.wake()
	var bad misused
	h.freeBlocks(class, buf[:n], &bad)
	h.gate.leave(gated)
	bad.report(h)
}
