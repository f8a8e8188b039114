package engine

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

// A magazine that overflows and runs dry several times grows, in a room, until the blocks fit. A
// magazine that only overflows, or only runs dry, does not. Bytes and rooms are limited. A drained
// cache starts again without rooms.
func TestMagazinesGetRooms(t *testing.T) {
	if percpu.Race {
		t.Skip("Ps are hints here")
	}
	withProcs(t, 1)
	h, timer := newHeap(t, Config{})
	d := &shadow{t: t, h: h}
	cache := func() *Cache { return h.caches[0].Load() }
	limit := func(size uintptr) int { return cache().magazine(pages.ClassOf(size, 8)).cap() }
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
	for range 4 * minCycles {
		alloc(32, 700)
		free(32)
	}
	if n := limit(32); n != roomSlots || cache().roomsTaken != 1 {
		t.Errorf("after many times: %d slots, %d rooms; want %d, 1", n, cache().roomsTaken, roomSlots)
	}
	d.verify()
	puts := func() (n int64) {
		for c := range h.procs[0].Load().centrals {
			n += h.procs[0].Load().centrals[c].free
		}
		return n
	}
	before := puts()
	alloc(32, 700)
	free(32)
	if after := puts(); after != before {
		t.Errorf("700 blocks that fit into the magazine came from the central: %d free there, then %d", before, after)
	}

	for size := uintptr(8); size <= 1024; size += 8 {
		for range 20 * minCycles {
			alloc(size, 400)
			free(size)
		}
	}
	d.verify()
	sum := uintptr(0)
	for c := range uint8(pages.NumClasses) {
		if m := cache().magazine(c); m.bottom > numSlots {
			sum += uintptr(m.cap()) * uintptr(pages.Classes[c].Size)
		}
	}
	if k := cache(); sum != k.roomBytes || sum > minRooms || k.roomsTaken > rooms || sum < minRooms/2 {
		t.Errorf("%d bytes in %d rooms, %d counted", sum, k.roomsTaken, k.roomBytes)
	}

	for range ticksPerDecay {
		timer.fire()
	}
	alloc(32, 1)
	if k := cache(); k.roomsTaken != 0 || k.roomBytes != 0 || limit(32) > 2*magazineStart {
		t.Errorf("a new cache has %d rooms, %d bytes, and %d slots for 32 bytes", k.roomsTaken, k.roomBytes, limit(32))
	}
	free(32)
	d.verify()
}
