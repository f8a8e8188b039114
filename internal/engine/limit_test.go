package engine

import (
	"math"
	"testing"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// An allocation that the hard limit refuses reserves nothing, however often it is tried.
func TestRefusalsByTheLimitReserveNothing(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(1<<20, 8, false) {
		t.Fatal("no memory")
	}
	h.SetLimit(0, readStats(h).Footprint+1<<20, nil)
	before := readStats(h)
	for range 20 {
		if d.alloc(3<<20, 8, false) {
			t.Fatal("a block beyond the limit")
		}
	}
	after := readStats(h)
	if after.Extents != before.Extents || after.Reserved != before.Reserved {
		t.Errorf("20 refused requests have made %d extents of %d, %d bytes of %d",
			after.Extents, before.Extents, after.Reserved, before.Reserved)
	}
	if after.LimitRefusals == before.LimitRefusals || after.SystemRefusals != before.SystemRefusals {
		t.Errorf("counted as %d refusals by the limit and %d by the system", after.LimitRefusals-before.LimitRefusals,
			after.SystemRefusals-before.SystemRefusals)
	}
	d.freeAll()
}

// Nor does one for which the system refuses to commit.
func TestRefusalsByTheSystemReserveNothing(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(1<<20, 8, false) {
		t.Fatal("no memory")
	}
	restore := inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpCommit {
			return vm.ErrTooLarge
		}
		return nil
	})
	extents := 0
	for i := range 20 {
		if d.alloc(3<<20, 8, false) {
			t.Fatal("a block without memory")
		}
		if s := readStats(h); i < 3 {
			extents = s.Extents
		} else if s.Extents != extents {
			t.Fatalf("%d refused requests have made %d extents", i+1, s.Extents)
		}
	}
	restore()
	if !d.alloc(3<<20, 8, false) {
		t.Fatal("no memory")
	}
	d.freeAll()
}

// A hard limit below the footprint takes no block away. Free pages are still purged, and then
// allocations succeed again.
func TestALoweredLimitLetsFreePagesGo(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	for range 4 {
		if !d.alloc(1<<20, 8, false) {
			t.Fatal("no memory")
		}
	}
	for range 3 {
		d.free(0, false)
	}
	h.SetLimit(0, 2<<20, nil)
	for range 3 {
		timer.fire()
	}
	if s := readStats(h); s.Dirty != 0 {
		t.Errorf("Dirty == %d after 3 ticks", s.Dirty)
	}
	if !d.alloc(300<<10, 8, false) {
		t.Error("no memory: free pages were not purged")
	}
	d.freeAll()
}

// The footprint stays within the hard limit, metadata included.
func TestFootprintStaysWithinTheHardLimit(t *testing.T) {
	for _, hard := range []uintptr{512 << 10, 1 << 20, 8<<20 + 12345} {
		for _, size := range []uintptr{8, 64, 1000, 5000, 40000, 300000} {
			if size == 8 {
				hard = min(hard, 3<<20)
			}
			h, _ := newHeap(t, Config{First: 1})
			d := &shadow{t: t, h: h}
			h.SetLimit(0, hard, nil)
			for d.alloc(size, 8, false) {
			}
			if f := readStats(h).Footprint; f > hard {
				t.Errorf("limit %d, blocks of %d: footprint %d", hard, size, f)
			}
			d.verify()
			d.freeAll()
		}
	}
}

// The least limit suffices for a small block, whatever extent the heap gets: the metadata of a long
// one is committed in larger steps.
func TestTheLeastLimitSuffices(t *testing.T) {
	lengths := []uintptr{1, 64 << 20}
	if !vm.GoMemory && math.MaxInt > math.MaxInt32 {
		lengths = append(lengths, min(math.MaxInt, 4<<30-1)) // 4 GiB
	}
	for _, length := range lengths {
		for _, size := range []uintptr{8, 1000, pages.MaxSmall} {
			releaseSpares() // the heap would get one of another length
			h, _ := newHeap(t, Config{First: length})
			h.SetLimit(0, MinLimit, nil)
			b := h.Alloc(size, 8)
			if b == nil {
				t.Fatalf("extent of %d bytes: no block of %d bytes", length, size)
			}
			h.Free(b, size, 8)
		}
	}
}

// An allocation that the limit refuses at first reclaims free pages, blocks in caches, and lost
// pages.
func TestReclaim(t *testing.T) {
	withProcs(t, 1)
	limit := func(h *Heap) { h.SetLimit(0, readStats(h).Footprint, nil) }
	t.Run("free pages", func(t *testing.T) {
		h, _ := newHeap(t, Config{First: 1})
		d := &shadow{t: t, h: h}
		for range 32 {
			d.alloc(64<<10, 8, false)
		}
		limit(h)
		for i := 30; i >= 0; i -= 2 { // with live blocks between them
			d.free(i, false)
		}
		if !d.alloc(512<<10, 8, false) {
			t.Error("no memory, though 1 MiB is free")
		}
		d.freeAll()
	})
	t.Run("caches", func(t *testing.T) {
		h, _ := newHeap(t, Config{First: 1})
		d := &shadow{t: t, h: h}
		for _, n := range []uintptr{5000, 7000, 10000, 14000, 20000, 28000, 32000} {
			for range 3 {
				d.alloc(n, 8, false)
			}
		}
		limit(h)
		d.freeAll()
		if cached := readStats(h).Cached; cached < 200<<10 {
			t.Fatalf("Cached == %d", cached)
		}
		if !d.alloc(200<<10, 8, false) {
			t.Error("no memory, though caches hold it")
		}
		d.freeAll()
	})
	t.Run("lost pages", func(t *testing.T) {
		h, timer := newHeap(t, Config{First: 1})
		d := &shadow{t: t, h: h}
		d.alloc(1<<20, 8, false)
		limit(h)
		d.freeAll()
		restore := inject(t, func(vm.Op, uintptr) error { return errInjected })
		timer.fire()
		timer.fire()
		restore()
		if held := readStats(h).Held; held != 1<<20 {
			t.Fatalf("Held == %d", held)
		}
		if !d.alloc(1<<20, 8, false) {
			t.Error("no memory, though lost pages are available again")
		}
		d.freeAll()
	})
}

// The gaps before and after an aligned block have no memory, so the limit does not count them.
func TestGapsOfAlignedBlocksAreNotCharged(t *testing.T) {
	if vm.GoMemory {
		t.Skip("address space is memory")
	}
	for _, align := range []uintptr{16 << 20, 64 << 20, 256 << 20} {
		h, _ := newHeap(t, Config{First: 1})
		h.SetLimit(0, 16<<20, nil)
		first := h.Alloc(5000, 4096)
		p := h.Alloc(4096, align)
		if p == nil {
			t.Fatalf("no 4096 bytes aligned to %d: the footprint is %d", align, readStats(h).Footprint)
		}
		if f := readStats(h).Footprint; f > 4<<20 {
			t.Errorf("aligned to %d: the footprint is %d", align, f)
		}
		h.Free(p, 4096, align)
		h.Free(first, 5000, 4096)
	}
}
