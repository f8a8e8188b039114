package engine

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// After its first use no path allocates Go memory: neither slow paths, nor ticks, nor failures.
func TestNoGoMemory(t *testing.T) {
	if Invariants {
		t.Skip("the checks take Go memory")
	}
	h, timer := newHeap(t, Config{First: 1})
	var blocks [3000]unsafe.Pointer
	fill := func(size uintptr) {
		for i := range blocks {
			blocks[i] = h.Alloc(size, 8)
		}
		for i := range blocks {
			h.Free(blocks[i], size, 8)
		}
	}
	refuse := false
	inject(t, func(vm.Op, uintptr) error {
		if refuse {
			return errInjected
		}
		return nil
	})
	var s Stats
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"pair", func() { h.Free(h.Alloc(64, 8), 64, 8) }},
		{"small blocks through all levels", func() { fill(64) }},
		{"larger ones", func() { fill(3000) }},
		{"zeroed", func() { h.Free(h.AllocZeroed(1000, 8), 1000, 8) }},
		{"large", func() { h.Free(h.AllocZeroed(1<<20, 8), 1<<20, 8) }},
		{"aligned", func() { h.Free(h.Alloc(100, 1<<16), 100, 1<<16) }},
		{"realloc", func() {
			p := h.Alloc(100, 8)
			for size := uintptr(100); size < 1<<20; size *= 3 {
				p = h.Realloc(p, size, 8, size*3)
			}
			h.FreeUnsized(p)
		}},
		{"ticks", func() { fill(200); timer.fire(); timer.fire(); timer.fire() }},
		{"trim", func() { fill(200); h.Trim() }},
		{"statistics", func() { h.ReadStats(&s) }},
		{"limit", func() {
			h.SetLimit(0, 1<<20, nil)
			if h.Alloc(4<<20, 8) != nil {
				t.Error("a block beyond the limit")
			}
			h.SetLimit(0, 0, nil)
		}},
		{"refused by the system", func() {
			refuse = true
			n := 0
			for n < len(blocks) {
				if blocks[n] = h.Alloc(30000, 8); blocks[n] == nil {
					break
				}
				n++
			}
			for _, p := range blocks[:n] {
				h.Free(p, 30000, 8)
			}
			timer.fire()
			timer.fire()
			refuse = false
			h.Trim()
		}},
	} {
		c.f()
		if n := testing.AllocsPerRun(5, c.f); n != 0 {
			t.Errorf("%s: %v allocations of Go memory", c.name, n)
		}
		wantCheck(t, h)
	}
	wantNothingLeft(t, h, timer)
}
