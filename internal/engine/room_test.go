package engine

import (
	"testing"
	"unsafe"
)

// A magazine that has too little room again and again gets longer, in a room, until what swings fits into it; one that only gives, or
// only takes, does not; and there is an end to it, by bytes and by rooms. A cache that is taken away begins anew.
func TestMagazinesGetRooms(t *testing.T) {
	if !pinned {
		t.Skip("Ps are hints here")
	}
	withProcs(t, 1)
	h, timer := newHeap(t, Config{})
	d := &shadow{t: t, h: h}
	cache := func() *Cache { return h.caches[0].Load() }
	limit := func(size uintptr) int { return cache().magazine(ClassOf(size, 8)).limit() }
	blocks := make([]unsafe.Pointer, 0, 4000)
	alloc := func(size uintptr, n int) {
		for range n {
			p := h.Alloc(size, 8)
			*(*byte)(p) = 1
			blocks = append(blocks, p)
		}
	}
	free := func(size uintptr) {
		for _, p := range blocks {
			h.Free(p, size, 8)
		}
		blocks = blocks[:0]
	}

	alloc(32, 4000)
	free(32)
	if n := limit(32); n != magazineSlots || cache().roomsTaken != 0 {
		t.Errorf("after one time: %d slots, %d rooms", n, cache().roomsTaken)
	}
	for range 4 * swingsFor {
		alloc(32, 700)
		free(32)
	}
	if n := limit(32); n != roomSlots || cache().roomsTaken != 1 {
		t.Errorf("after many times: %d slots, %d rooms; want %d, 1", n, cache().roomsTaken, roomSlots)
	}
	d.verify()
	puts := func() (n int64) {
		for c := range h.shards[0].Load().centrals {
			n += h.shards[0].Load().centrals[c].free
		}
		return n
	}
	before := puts()
	alloc(32, 700)
	free(32)
	if after := puts(); after != before {
		t.Errorf("700 blocks that fit into the magazine were taken from the central: %d free there, then %d", before, after)
	}

	for size := uintptr(8); size <= 1024; size += 8 {
		for range 20 * swingsFor {
			alloc(size, 400)
			free(size)
		}
	}
	d.verify()
	sum := uintptr(0)
	for c := range uint8(numClasses) {
		if m := cache().magazine(c); m.bottom > numSlots {
			sum += uintptr(m.limit()) * uintptr(classes[c].size)
		}
	}
	if k := cache(); sum != k.roomed || sum > leastRoom || k.roomsTaken > rooms || sum < leastRoom/2 {
		t.Errorf("%d bytes in %d rooms, %d counted", sum, k.roomsTaken, k.roomed)
	}

	for range ticksPerDecay {
		timer.fire()
	}
	alloc(32, 1)
	if k := cache(); k.roomsTaken != 0 || k.roomed != 0 || limit(32) > 2*magazineStart {
		t.Errorf("a new cache has %d rooms, %d bytes, and %d slots for 32 bytes", k.roomsTaken, k.roomed, limit(32))
	}
	free(32)
	d.verify()
}
