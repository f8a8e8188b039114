package engine

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// warm makes the cache of the current P keep blocks of size bytes.
func warm(h *Heap, size uintptr) {
	for range minCycles + 2 { // the first makes the cache
		h.Free(h.Alloc(size, 8), size, 8)
	}
}

// A P that frees and allocates medium blocks keeps some of each size, and does not lock the pages
// for them. All the ways to return memory find them.
func TestMediumBlocksAreCached(t *testing.T) {
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1})
	for _, size := range []uintptr{pages.MaxSmall + 1, 64 << 10, 100 << 10, pages.MaxMedium} {
		usable := pages.UsableSize(size, 8)
		for name, f := range map[string]func(){
			"Trim": func() { h.Trim() },
			"ticks": func() {
				for timer.fire() {
				}
			},
			"SetLimit": func() {
				h.SetLimit(0, 64<<20, nil)
				warm(h, size) // which keeps nothing now
				wantStashed(t, h, 0, "within a limit")
				h.SetLimit(0, 0, nil)
			},
		} {
			warm(h, size)
			wantStashed(t, h, usable, "freed")
			locks := readStats(h).PageLocks
			for range 100 {
				p := h.Alloc(size, 8)
				testBlock{p, size, 8, 1}.stamp()
				h.FreeUnsized(p)
				p = h.AllocZeroed(size, 8)
				wantZero(t, p, size)
				h.Free(p, size, 8)
			}
			if n := readStats(h).PageLocks - locks; n > 2 { // of readStats, and of a tick
				t.Errorf("size %d: the pages were locked %d times for 200 blocks", size, n)
			}
			f()
			wantStashed(t, h, 0, name)
		}
	}
	wantNothingLeft(t, h, timer)
}

// The blocks that a cache keeps are within the budget, whatever their sizes. Their sizes are the
// ones that were freed last.
func TestTheBudgetOfMediumBlocks(t *testing.T) {
	withProcs(t, 1)
	h, timer := newHeap(t, Config{First: 1, Decay: -1})
	d := &shadow{t: t, h: h}
	n := 30
	if vm.GoMemory {
		n = 10
	}
	for i := range n * (pages.NumClasses - pages.FirstMedium) {
		class := pages.FirstMedium + i%(pages.NumClasses-pages.FirstMedium)
		if !d.alloc(uintptr(pages.Classes[class].Size), 8, false) {
			t.Fatal("no memory")
		}
	}
	budget := h.budget.Load()
	if want := budgetFor(readStats(h).InUse, 1); budget != want || budget <= minBudget {
		t.Errorf("the budget is %d, want %d", budget, want)
	}
	d.freeAll()
	if s := readStats(h).Stashed; s > budget || s < budget/2 {
		t.Errorf("%d bytes are cached, and the budget is %d", s, budget)
	}
	wantCheck(t, h)
	const size, held = 100 << 10, 16 << 20
	other := h.Alloc(held, 8) // for the budget
	var ps [8]unsafe.Pointer
	for range minCycles + len(ps) {
		for i := range ps {
			ps[i] = h.Alloc(size, 8)
		}
		for _, p := range ps {
			h.Free(p, size, 8)
		}
	}
	locks := h.pages.Locks
	for i := range ps {
		ps[i] = h.Alloc(size, 8)
	}
	if h.pages.Locks != locks {
		t.Errorf("the pages were locked %d times for %d blocks", h.pages.Locks-locks, len(ps))
	}
	for _, p := range ps {
		h.Free(p, size, 8)
	}
	h.Free(other, held, 8)
	wantCheck(t, h)
	wantNothingLeft(t, h, timer)
}

// Before a heap grows, or moves a block, it uses what the P has freed.
func TestCachedBlocksAreUsedBeforeTheHeapGrows(t *testing.T) {
	withProcs(t, 1)
	for name, size := range map[string]uintptr{"medium": 128 << 10, "stashed": 512 << 10} {
		for what, f := range map[string]func(h *Heap) (p unsafe.Pointer){
			"another length": func(h *Heap) unsafe.Pointer { return h.Alloc(size-16*pages.PageSize, 8) },
			"a small block":  func(h *Heap) unsafe.Pointer { return h.Alloc(64, 8) },
			"a block resized": func(h *Heap) unsafe.Pointer {
				first, second := h.Alloc(size, 8), h.Alloc(size, 8)
				if uintptr(first) > uintptr(second) {
					first, second = second, first
				}
				h.Free(second, size, 8)
				if readStats(h).Stashed == 0 {
					t.Error("nothing is stashed")
				}
				if !h.Resize(first, size, 8, 2*size) {
					t.Error("not grown into a block that was freed")
				}
				return first
			},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				h, timer := newHeap(t, Config{First: 1})
				warm(h, size)
				before := readStats(h)
				if before.Stashed != size || before.Dirty >= 64 {
					t.Fatalf("%d stashed, %d dirty", before.Stashed, before.Dirty)
				}
				p := f(h)
				s := readStats(h)
				if what != "a block resized" && s.Footprint != before.Footprint || s.Stashed != 0 {
					t.Errorf("the footprint was %d and is %d, %d stashed", before.Footprint, s.Footprint, s.Stashed)
				}
				h.FreeUnsized(p)
				wantNothingLeft(t, h, timer)
			})
		}
	}
}

// Misuse of a block that a cache keeps is found when the block reaches the pages, and harms none.
func TestMisuseOfACachedMediumBlock(t *testing.T) {
	const size = 104 << 10
	withProcs(t, 1)
	for name, c := range map[string]struct {
		f    func(h *Heap, p, q unsafe.Pointer) // both are allocated
		want misuse.Kind
	}{
		"freed again at once": {func(h *Heap, p, _ unsafe.Pointer) {
			h.Free(p, size, 8)
			h.Free(p, size, 8)
		}, misuse.DoubleFree},
		"freed again later": {func(h *Heap, p, q unsafe.Pointer) {
			h.Free(p, size, 8)
			h.Free(q, size, 8)
			h.Free(p, size, 8)
		}, misuse.DoubleFree},
		"freed again, unsized": {func(h *Heap, p, q unsafe.Pointer) {
			h.Free(p, size, 8)
			h.Free(q, size, 8)
			h.FreeUnsized(p)
		}, misuse.DoubleFree},
		"another length": {func(h *Heap, p, _ unsafe.Pointer) {
			h.Free(p, size+8*pages.PageSize, 8)
		}, misuse.WrongLayout},
		"interior": {func(h *Heap, p, _ unsafe.Pointer) {
			h.Free(unsafe.Add(p, pages.PageSize), size, 8)
		}, misuse.InteriorFree},
		"a small block": {func(h *Heap, _, _ unsafe.Pointer) {
			h.Free(h.Alloc(64, 8), size, 8)
		}, misuse.WrongLayout},
		"nobody's": {func(h *Heap, _, _ unsafe.Pointer) {
			h.Free(unsafe.Pointer(new([64]byte)), size, 8)
		}, misuse.ForeignFree},
	} {
		for how, flush := range map[string]func(h *Heap){
			"drained":    func(h *Heap) { h.drainAll() },
			"heap grows": func(h *Heap) { h.Alloc(3<<20, 8) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				var got []Misuse
				h, _ := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) { got = append(got, m) }})
				big := h.Alloc(16<<20, 8) // for the budget
				for range minCycles + 1 {
					p, q := h.Alloc(size, 8), h.Alloc(size, 8)
					h.Free(p, size, 8)
					h.Free(q, size, 8)
				}
				warm(h, size+8*pages.PageSize)
				c.f(h, h.Alloc(size, 8), h.Alloc(size, 8))
				flush(h)
				if len(got) != 1 || got[0].Kind != c.want {
					t.Errorf("reported %+v, want %v", got, c.want)
				}
				if big == nil {
					t.Error("no memory")
				}
				wantCheck(t, h)
			})
		}
	}
}
