// Draining: the blocks in caches go back to their spans. See heap.go for the overview.
//
// A cache belongs to its P, and the fast path neither locks nor announces anything, so no other
// goroutine can look into a cache that is installed. Drain removes it from the table first. A
// goroutine that comes later finds no cache, or a new one. A goroutine that had entered before is
// pinned, or in a section, which the runtime does not stop. So after a moment in which the world
// stood still, all of them have left, and the cache belongs to drain. (In the words of RCU: a
// section is a read-side critical section, and a stop of the world a grace period.)

package engine

import (
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

// maxStale is the number of bytes that an active cache may hold in magazines not used since the
// last tick.
const maxStale = 64 << 10

// drain removes the caches that pick chooses, frees their blocks, and returns the number of bytes.
// pick reads caches in use, so the numbers may be out of date.
func (h *Heap) drain(pick func(p int, c *Cache) bool) (bytes uintptr) {
	var bad misused
	h.draining.Lock()
	taken := h.taken[:0]
	for p := range int(h.procCount.Load()) {
		c := h.caches[p].Load()
		if c == &noCache {
			continue
		}
		c.lock.Lock()
		picked := pick(p, c) && h.install(p, c, &noCache)
		c.lock.Unlock()
		if picked {
			taken = append(taken, c)
		}
	}
	if len(taken) != 0 {
		h.drains.Add(1)
		percpu.Grace()
	}
	for _, c := range taken {
		bytes += h.flush(c, &bad)
		h.addSpare(c)
	}
	clear(taken)
	h.taken = taken
	h.draining.Unlock()
	bad.report(h)
	return bytes
}

// flush frees all blocks in c.
func (h *Heap) flush(c *Cache, bad *misused) (bytes uintptr) {
	for class := range uint8(pages.NumClasses) {
		for n := 1; n != 0; {
			var buf [magazineSlots]pages.Ref
			c.lock.Lock() // others may be counting
			n = min(c.magazine(class).len(), len(buf))
			c.removeOldest(class, buf[:n])
			c.lock.Unlock()
			h.freeBlocks(class, buf[:n], bad)
			bytes += uintptr(n) * uintptr(pages.Classes[class].Size)
		}
	}
	return bytes
}

// drainAll drains the caches that have blocks.
func (h *Heap) drainAll() uintptr {
	return h.drain(func(_ int, c *Cache) bool { return !c.empty() })
}

// drainIdle drains the caches that were not used since the last tick, or whose Ps are gone, and
// those with more than maxStale bytes in magazines that were not used. Caches without blocks go
// too: so no cache is left when the ticks end, and the next goroutine that needs one wakes the
// heap.
func (h *Heap) drainIdle() uintptr {
	procs := int(h.gomaxprocs.Load())
	return h.drain(func(p int, c *Cache) bool {
		busy, stale := false, uintptr(0)
		for class := range c.magazines {
			m := &c.magazines[class]
			switch {
			case m.top != m.seen:
				m.seen, busy = m.top, true
			case !m.empty():
				stale += uintptr(m.approxLen()) * uintptr(pages.Classes[class].Size)
			}
		}
		return p >= procs || !busy || stale > maxStale
	})
}
