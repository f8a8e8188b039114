package engine

import (
	"testing"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// A new heap uses the extent of a closed heap, as if it were new.
func TestExtentsOfClosedHeapsAreAsNew(t *testing.T) {
	withoutSpares(t)
	var base pages.Ref
	for round := range 3 {
		timer := new(fakeTimer)
		h := New(Config{First: 1, Lazy: round == 1, Timer: func(f func()) Timer { timer.f = f; return timer }})
		d := &shadow{t: t, h: h}
		for range 2000 {
			d.alloc(1000, 8, true)
		}
		d.alloc(1<<20, 8, true)
		for i := range 500 {
			d.free(i, false)
		}
		timer.fire()
		timer.fire()
		wantCheck(t, h)
		d.verify()
		x := h.pages.Main()
		if round > 0 && x.Base() != base && !vm.GoMemory {
			t.Errorf("round %d: the extent at %#x is not used again", round, base)
		}
		base = x.Base()
		p := d.live[0].p
		h.Close()
		if pages.ExtentAt(pages.RefOf(p)) != nil {
			t.Error("a closed heap's addresses are still in the extent map")
		}
	}
}

func TestCloseTwicePanics(t *testing.T) {
	h := New(Config{})
	h.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	h.Close()
}

// Blocks larger than any extent so far, and aligned to more than a page, get extents of a suitable
// size.
func TestLargeAlignments(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	for _, align := range []uintptr{8 << 10, 64 << 10, 1 << 20, 2 << 20, pages.MapUnit, 2 * pages.MapUnit} {
		for _, size := range []uintptr{1, 5000, align, align + 1} {
			if size > 3<<20 {
				continue // touching it all takes too long
			}
			if !d.alloc(size, align, size == 1) {
				t.Fatalf("no %d bytes aligned to %d", size, align)
			}
		}
	}
	wantCheck(t, h)
	wantLive(t, d)
	d.freeAll()
	wantNothingLeft(t, h, timer)
	const maxInt = ^uintptr(0) >> 1
	for _, c := range []struct{ size, align uintptr }{
		{maxInt, 1},
		{maxInt - 1<<20, 8},
		{1, maxInt/2 + 1},
		{maxInt / 2, maxInt/2 + 1},
	} {
		if p := h.Alloc(c.size, c.align); p != nil {
			if c.size > 1 {
				t.Errorf("%d bytes aligned to %d at %p", c.size, c.align, p)
			}
			h.Free(p, c.size, c.align)
		}
		wantCheck(t, h)
	}
}
