// Taking back what the caches of the Ps hold. See engine.go for overview.
//
// A cache belongs to its P, and the fast path neither locks nor announces anything: so nobody else can look into it while it is in
// place. It is taken out of place instead. From then on whoever enters finds no cache there, or makes a new one; and
// whoever had entered before is pinned, which the runtime does not stop. So when the world has stood still for a moment, all of
// them have left, and the cache belongs to us. (In the words of RCU: a pinned section is a read-side critical section, and a stop
// of the world a grace period.)

package engine

// staleBytes is how much an active cache may hold in magazines that have not been used since the last tick.
const staleBytes = 64 << 10

// drain takes away the caches that pick chooses, gives back what they hold, and returns how many bytes that was. Pick reads caches in
// use: its numbers may be out of date.
func (h *Heap) drain(pick func(p int, k *Cache) bool) (bytes uintptr) {
	var bad misused
	h.draining.Lock()
	taken := h.taken[:0]
	for p := range int(h.shardCount.Load()) {
		k := h.caches[p].Load()
		if k == &noCache {
			continue
		}
		k.hold()
		picked := pick(p, k) && h.seat(p, k, &noCache)
		k.release()
		if picked {
			taken = append(taken, k)
		}
	}
	if len(taken) != 0 {
		grace()
	}
	for _, k := range taken {
		bytes += h.flush(k, &bad)
		h.keepSpare(k)
	}
	clear(taken)
	h.taken = taken
	h.draining.Unlock()
	bad.report(h)
	return bytes
}

// flush gives all blocks in k back to the centrals.
func (h *Heap) flush(k *Cache, bad *misused) (bytes uintptr) {
	for c := range uint8(numClasses) {
		for n := 1; n != 0; {
			var buf [magazineSlots]ref
			k.hold() // others may be counting
			n = min(k.magazine(c).len(), len(buf))
			k.pull(c, buf[:n])
			k.release()
			h.give(c, buf[:n], bad)
			bytes += uintptr(n) * uintptr(classes[c].size)
		}
	}
	return bytes
}

// spareCache returns a cache that belongs to nobody.
func (h *Heap) spareCache() *Cache {
	h.sparing.Lock()
	defer h.sparing.Unlock()
	if n := len(h.spares); n > 0 {
		k := h.spares[n-1]
		h.spares = h.spares[:n-1]
		return k
	}
	h.cacheCount.Add(1)
	return new(Cache)
}

func (h *Heap) keepSpare(k *Cache) {
	h.sparing.Lock()
	h.spares = append(h.spares, k)
	h.sparing.Unlock()
}

// drainAll takes back everything that the caches hold.
func (h *Heap) drainAll() uintptr {
	return h.drain(func(_ int, k *Cache) bool { return !k.empty() })
}

// drainIdle takes away the caches that have not been used since the last tick, or whose Ps are gone, and others if a lot lies about unused
// in them. Caches without blocks go too: so when nothing ticks any more there is no cache, and whoever comes first wakes the heap.
func (h *Heap) drainIdle() uintptr {
	procs := int(h.procs.Load())
	return h.drain(func(p int, k *Cache) bool {
		busy, stale := false, uintptr(0)
		for c := range k.magazines {
			m := &k.magazines[c]
			switch {
			case m.top != m.seen:
				m.seen, busy = m.top, true
			case !m.empty():
				stale += uintptr(m.about()) * uintptr(classes[c].size)
			}
		}
		return p >= procs || !busy || stale > staleBytes
	})
}
