package heap_test

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/vm"
)

func TestBlocksAreAsLongAsTheirClass(t *testing.T) {
	h := open(t, heap.Options{Checked: true, OnMisuse: func(m heap.Misuse) { t.Error(m) }})
	for _, align := range []uintptr{1, 8, 64, 1024, 4096, 8192, 1 << 16} {
		for size := uintptr(1); size < 70_000; size += 1 + size/7 {
			l := layout(size, align)
			usable := h.UsableSize(l)
			if waste := usable - size; usable < size || size > 128 && align <= 64 && waste > max(size/4, 4096) ||
				waste > size && waste > max(align, 4096) {
				t.Fatalf("%v: usable %d", l, usable)
			}
			// Each size up to the usable one.
			for _, fits := range []uintptr{size, (size + usable) / 2, usable} {
				b, err := h.Allocate(l)
				z, err2 := h.AllocateZeroed(l)
				if err != nil || err2 != nil || uintptr(len(b)) != usable || len(z) != len(b) {
					t.Fatalf("%v: %d and %d bytes, usable %d: %v, %v", l, len(b), len(z), usable, err, err2)
				}
				p, q := unsafe.Pointer(&b[0]), unsafe.Pointer(&z[0])
				if onlyByte(z, 0) >= 0 {
					t.Fatalf("%v: not all of it is zero", l)
				}
				fill(b, 1)
				fill(z, 1)
				if n := h.SizeOf(p); n != usable || !h.Owns(q) {
					t.Fatalf("%v: SizeOf says %d, not %d", l, n, usable)
				}
				if !h.Resize(p, l, fits) { // within the class
					t.Fatalf("%v: cannot become %d where it is, of %d", l, fits, usable)
				}
				h.Deallocate(p, layout(fits, align))
				h.Dealloc(q, layout(fits, align))
			}
		}
	}
	if s := h.Stats(); s.Live != 0 {
		t.Errorf("in the end:\n%v", s)
	}
}

func TestOwnsSizeOfAndFree(t *testing.T) {
	h, other := open(t, heap.Options{}), open(t, heap.Options{})
	var local [64]byte
	p, big := h.Alloc(layout(100, 8)), h.Alloc(layout(200_000, 8))
	q := other.Alloc(layout(100, 8))
	dangling := layout(0, 4096).Dangling()
	for what, c := range map[string]struct {
		p    unsafe.Pointer
		size uintptr
	}{
		"small":            {p, 104},
		"large":            {big, 212_992},
		"nil":              {nil, 0},
		"size 0":           {dangling, 0},
		"another heap":     {q, 0},
		"Go memory":        {unsafe.Pointer(&local), 0},
		"inside small":     {unsafe.Add(p, 8), 0},
		"inside large":     {unsafe.Add(big, 4096), 0},
		"end of large":     {unsafe.Add(big, 212_992-8), 0},
		"beyond all pages": {unsafe.Add(big, 16<<20), 0},
	} {
		if n := h.SizeOf(c.p); n != c.size || h.Owns(c.p) != (c.size != 0) {
			t.Errorf("%s: SizeOf %d, Owns %v; want %d", what, n, h.Owns(c.p), c.size)
		}
	}
	h.Free(p)
	h.Free(big)
	h.Free(nil)
	h.Free(dangling)
	if h.Owns(big) {
		t.Error("a large block that was freed is owned")
	}
	other.Free(q)
	h.Trim()
	other.Trim()
	if a, b := h.Stats(), other.Stats(); a.Live != 0 || b.Live != 0 || a.Misuses+b.Misuses != 0 {
		t.Errorf("in the end:\n%v%v", a, b)
	}
	// Free of every size and alignment, without the layout.
	for _, align := range []uintptr{1, 64, 4096, 1 << 16} {
		for size := uintptr(1); size < 200_000; size += 1 + size/3 {
			h.Free(h.Alloc(layout(size, align)))
		}
	}
	h.Trim()
	if s := h.Stats(); s.Live != 0 || s.Misuses != 0 {
		t.Errorf("in the end:\n%v", s)
	}
}

func TestSizeZero(t *testing.T) {
	h := open(t, heap.Options{Checked: true})
	zero := layout(0, 64)
	for _, p := range []unsafe.Pointer{h.Alloc(zero), h.AllocZeroed(zero), h.Realloc(nil, zero, 0)} {
		if p != zero.Dangling() {
			t.Errorf("got %p", p)
		}
		h.Dealloc(p, zero)
		h.Deallocate(nil, zero)
	}
	if h.UsableSize(zero) != 0 || h.Resize(nil, zero, 8) || h.Resize(nil, zero, 100_000) || !h.Resize(nil, zero, 0) {
		t.Error("UsableSize or Resize of size 0")
	}
	if s := h.Stats(); s.RunsAllocated != 0 {
		t.Errorf("size 0 takes memory:\n%v", s)
	}
	p := h.Realloc(nil, zero, 32) // growing from 0 allocates
	if p == nil || uintptr(p)%64 != 0 || h.Stats().LiveBlocks != 1 {
		t.Fatalf("got %p", p)
	}
	if q := h.Realloc(p, layout(32, 64), 0); q != zero.Dangling() || h.Stats().LiveBlocks != 0 {
		t.Errorf("shrunk to %p", q)
	}
	if h.Realloc(nil, zero, math.MaxUint) != nil || h.Realloc(nil, zero, math.MaxInt) != nil {
		t.Error("a size that no Layout can have was allocated")
	}
}

func TestGrowAndShrinkPanic(t *testing.T) {
	h := heap.Default()
	small, large := layout(8, 8), layout(16, 8)
	for _, f := range []func(){
		func() { _, _ = h.Grow(nil, large, small) },
		func() { _, _ = h.GrowZeroed(nil, large, small) },
		func() { _, _ = h.Shrink(nil, small, large) },
	} {
		if v, ok := mustPanic(t, f).(string); !ok || !strings.HasPrefix(v, "galloc/heap: ") ||
			!strings.Contains(v, "): use ") {
			t.Errorf("it panics with %v", v)
		}
	}
}

func TestLargeBlocksResizeInPlace(t *testing.T) {
	h := open(t, heap.Options{Decay: -1})
	l := layout(4*mib, 8)
	p := h.Alloc(l)
	fill(view(p, 4*mib), 1)
	for _, size := range []uintptr{3 * mib, mib, 100_000, 33_000} {
		if !h.Resize(p, l, size) {
			t.Fatalf("cannot shrink from %v to %d", l, size)
		}
		l = layout(size, 8)
		if onlyByte(view(p, size), 1) >= 0 || h.SizeOf(p) < size || h.SizeOf(p) != h.UsableSize(l) {
			t.Fatalf("shrunk to %d: SizeOf %d", size, h.SizeOf(p))
		}
	}
	s := h.Stats()
	if s.Large != h.SizeOf(p) || s.Dirty < 3*mib {
		t.Errorf("the rest is not free:\n%v", s)
	}
	sizes := []uintptr{50_000, 2 * mib, 16 * mib} // into free pages, and past the last one
	if bits.UintSize == 32 || vm.GoMemory {
		sizes = sizes[:2] // reservations are short there
	}
	for _, size := range sizes {
		if !h.Resize(p, l, size) {
			t.Fatalf("cannot grow from %v to %d", l, size)
		}
		fill(view(p, size)[l.Size():], 1)
		l = layout(size, 8)
	}
	if onlyByte(view(p, l.Size()), 1) >= 0 || h.Stats().GrownInPlace == 0 {
		t.Errorf("grown in place:\n%v", h.Stats())
	}
	q := h.Alloc(layout(mib, 8)) // the page after the block is not free
	if h.Resize(p, l, 32*mib) || h.Resize(p, l, 64) {
		t.Error("grown into a neighbour, or shrunk to a small block")
	}
	if onlyByte(view(p, l.Size()), 1) >= 0 {
		t.Error("changed by a resize that failed")
	}
	h.Dealloc(p, l)
	h.Free(q)
	if s := h.Stats(); s.Live != 0 || s.Misuses != 0 {
		t.Errorf("in the end:\n%v", s)
	}
}

func TestRealloc(t *testing.T) {
	h := open(t, heap.Options{Checked: true})
	sizes := []uintptr{
		1, 8, 100, 104, 105, 1000, 32 << 10, 32<<10 + 1, 100_000, 700_000, 3 * mib, 2 * mib, 40_000,
		32 << 10, 5, 6 * mib, 1,
	}
	for _, align := range []uintptr{1, 8, 4096, 1 << 16} {
		p := h.Alloc(layout(sizes[0], align))
		fill(view(p, sizes[0]), 1)
		for i, n := range sizes[1:] {
			old := sizes[i]
			between := h.Alloc(layout(64<<10, 8)) // sometimes after the block
			q := h.Realloc(p, layout(old, align), n)
			if q == nil || uintptr(q)%align != 0 {
				t.Fatalf("from %d to %d: %p", old, n, q)
			}
			if at := onlyByte(view(q, min(old, n)), byte(i+1)); at >= 0 {
				t.Fatalf("from %d to %d: byte %d is lost", old, n, at)
			}
			fill(view(q, n), byte(i+2))
			p = q
			h.Free(between)
		}
		h.Dealloc(p, layout(1, align))
	}
	if s := h.Stats(); s.Live != 0 {
		t.Errorf("in the end:\n%v", s)
	}
}

func TestAlignments(t *testing.T) {
	top := 30 // 1 GiB
	if bits.UintSize == 32 || vm.GoMemory {
		top = 22 // address space is limited
	}
	h := open(t, heap.Options{})
	for lg := range top + 1 {
		align := uintptr(1) << lg
		var ps []unsafe.Pointer
		ls := []galloc.Layout{layout(1, align), layout(100, align), layout(5000, align), layout(100_000, align)}
		for _, l := range ls {
			for range 2 {
				p := h.AllocZeroed(l)
				if p == nil || uintptr(p)%align != 0 || onlyByte(view(p, l.Size()), 0) >= 0 {
					t.Fatalf("%v: %p\n%v", l, p, h.Stats())
				}
				fill(view(p, l.Size()), byte(len(ps)+1))
				ps = append(ps, p)
			}
		}
		for i, p := range ps {
			l := ls[i/2]
			if onlyByte(view(p, l.Size()), byte(i+1)) >= 0 {
				t.Fatalf("%v: overwritten", l)
			}
			h.Dealloc(p, l)
		}
	}
	h.Trim()
	if s := h.Stats(); s.Live != 0 || s.Misuses != 0 {
		t.Errorf("in the end:\n%v", s)
	}
	if bits.UintSize == 64 {
		for _, l := range []galloc.Layout{
			layout(8, math.MaxInt/2+1), layout(math.MaxInt/2+1, 8),
			layout(math.MaxInt, 1), layout(math.MaxInt-4095, 4096),
		} {
			if p := h.Alloc(l); p != nil || h.AllocZeroed(l) != nil {
				t.Errorf("%v: %p", l, p)
			}
		}
	}
}

func TestZeroedMemoryIsZero(t *testing.T) {
	for name, o := range kinds {
		t.Run(name, func(t *testing.T) {
			h := open(t, o)
			sizes := []uintptr{1, 8, 100, 5000, 32 << 10, 33 << 10, 300_000, 3 * mib}
			for round := range 6 {
				type block struct {
					p unsafe.Pointer
					l galloc.Layout
				}
				var bs []block
				for i := range 40 {
					l := layout(sizes[(i+round)%len(sizes)], 8)
					if i%8 == 7 && round > 2 {
						l = layout(l.Size(), 4096)
					}
					b, err := h.AllocateZeroed(l)
					if err != nil {
						if o.HardLimit != 0 {
							continue
						}
						t.Fatal(err)
					}
					if at := onlyByte(b, 0); at >= 0 {
						t.Fatalf("%v in round %d: byte %d of %d is not zero", l, round, at, len(b))
					}
					fill(b, 0xff)
					bs = append(bs, block{unsafe.Pointer(&b[0]), l})
				}
				for i, b := range bs {
					h.Dealloc(b.p, b.l)
					if i == 20 && round%2 == 0 {
						h.Trim() // some of the pages used next are purged
					}
				}
			}
		})
	}
}

func TestGrowZeroed(t *testing.T) {
	h := open(t, heap.Options{})
	sizes := []uintptr{1, 3, 8, 100, 101, 4000, 32 << 10, 32<<10 + 1, 60_000, 60_001, 65_536, 300_000, 2 * mib, 9 * mib}
	for _, aligned := range []bool{false, true} {
		for round := range 3 {
			for _, n := range sizes { // so that the block grows into dirty pages
				p := h.Alloc(layout(n, 8))
				fill(view(p, n), 0xff)
				h.Free(p)
			}
			l := layout(sizes[0], 8)
			b, err := h.Allocate(l)
			if err != nil {
				t.Fatal(err)
			}
			fill(b[:1], 1)
			for i, n := range sizes[1:] {
				next := layout(n, 8)
				if aligned {
					next = layout(n, 8<<(i%10))
				}
				fill(b[l.Size():], 0xee) // past the layout, but usable
				b, err = h.GrowZeroed(unsafe.Pointer(&b[0]), l, next)
				if err != nil || uintptr(len(b)) != h.UsableSize(next) ||
					uintptr(unsafe.Pointer(&b[0]))%next.Align() != 0 {
					t.Fatalf("to %v: %d bytes, %v", next, len(b), err)
				}
				if at := onlyByte(b[:l.Size()], 1); at >= 0 {
					t.Fatalf("round %d, from %v to %v: byte %d is lost", round, l, next, at)
				}
				if at := onlyByte(b[l.Size():], 0); at >= 0 {
					t.Fatalf("round %d, from %v to %v: byte %d of the gain is not zero", round, l, next, at)
				}
				l = next
				fill(b[:l.Size()], 1)
			}
			h.Deallocate(unsafe.Pointer(&b[0]), l)
		}
	}
}

func TestEquivalence(t *testing.T) {
	h, other := open(t, heap.Options{}), open(t, heap.Options{})
	for _, c := range []struct {
		a, b galloc.Allocator
		want bool
	}{
		{h, h, true},
		{h, other, false},
		{h, heap.Default(), false},
		{heap.Default(), heap.Default(), true},
		{heap.Default(), galloc.GoHeap, false},
		{h, galloc.System, false},
	} {
		if galloc.Equivalent(c.a, c.b) != c.want || galloc.Equivalent(c.b, c.a) != c.want {
			t.Errorf("%v and %v: not %v", c.a, c.b, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for want, o := range map[string]heap.Options{
		"separate galloc heap": {},
		"separate galloc heap (checked, never decaying, PurgeLazy, huge pages, overcommit)": {
			Checked: true, Decay: -1, Purge: heap.PurgeLazy, HugePages: true, Overcommit: true,
		},
		"separate galloc heap (decay 5s)": {Decay: 5e9},
	} {
		if h := open(t, o); h.String() != want || fmt.Sprint(h) != want {
			t.Errorf("%q, want %q", h, want)
		}
	}
	if s := heap.Default().String(); s != "galloc heap" {
		t.Errorf("%q", s)
	}
	if s := fmt.Sprint(heap.PurgeNow, heap.PurgeLazy, heap.PurgeMode(9)); s != "PurgeNow PurgeLazy PurgeMode(9)" {
		t.Errorf("%q", s)
	}
}

func TestStats(t *testing.T) {
	h := open(t, heap.Options{Decay: -1})
	if s := h.Stats(); s.Footprint != 0 || s.Reserved != 0 || s.GoMemory != 0 {
		t.Errorf("a new heap has memory:\n%v", s)
	}
	var want, large uintptr
	var ps []unsafe.Pointer
	for i := range uintptr(3000) {
		l := layout(1+i*i%50_000, 8)
		p := h.Alloc(l)
		if i%3 == 0 {
			h.Free(p)
			continue
		}
		want += h.UsableSize(l)
		if l.Size() > 32<<10 {
			large += h.UsableSize(l)
		}
		ps = append(ps, p)
	}
	s := h.Stats()
	if s.Live != want || s.LiveBlocks != uint64(len(ps)) || s.Large != large {
		t.Errorf("live %d in %d, large %d; want %d in %d, %d", s.Live, s.LiveBlocks, s.Large, want, len(ps), large)
	}
	conserved(t, s)
	text := s.String()
	for _, part := range []string{
		"live ", " blocks; large: ", "footprint ", "locks ",
		" blocks each, 0 not free; of pages ", "class    spans", "\n     128 ",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
	for _, p := range ps {
		h.Free(p)
	}
	conserved(t, h.Stats())
	h.Trim()
	s = h.Stats()
	conserved(t, s)
	if s.Live != 0 || s.InUse != 0 || s.RunsAllocated == 0 || s.RunsAllocated != s.RunsFreed || s.PurgedBytes == 0 {
		t.Errorf("in the end:\n%v", s)
	}
	if strings.Contains(s.String(), "class") {
		t.Errorf("classes without spans are listed:\n%v", s)
	}
}

// conserved checks the equations in the documentation of Stats.
func conserved(t *testing.T, s heap.Stats) {
	t.Helper()
	var live, cached, spans uintptr
	var blocks uint64
	last := uintptr(0)
	for _, c := range s.Classes {
		if c.Size <= last {
			t.Errorf("classes are not in order: %d after %d", c.Size, last)
		}
		last = c.Size
		if c.Blocks != c.Live+c.Cached+c.Free {
			t.Errorf("%+v", c)
		}
		if c.Refilled-c.Flushed != c.Live+c.Cached || c.SpansMade < c.Spans || c.Locks == 0 != (c.Refilled == 0) {
			t.Errorf("the counts of a class are wrong: %+v", c)
		}
		live += uintptr(c.Live) * c.Size
		cached += uintptr(c.Cached) * c.Size
		spans += uintptr(c.Blocks) * c.Size
		blocks += c.Live
	}
	if s.Live != live+s.Large || s.LiveBlocks != blocks+s.LargeBlocks || s.Cached != cached ||
		s.InUse < spans+s.Large+s.Stashed ||
		s.Footprint != s.InUse-s.Hollow+s.Held+s.Dirty+s.Metadata || s.Committed != s.InUse+s.Held+s.Dirty+s.Clean ||
		s.Reserved < s.Committed {
		t.Errorf("a law does not hold:\n%v", s)
	}
}

// No method allocates Go memory after its first call.
func TestNothingOnTheGoHeap(t *testing.T) {
	if engine.Invariants {
		t.Skip("the checks take Go memory")
	}
	for name, o := range map[string]heap.Options{
		"New":     {Decay: -1, HardLimit: 64 * mib},
		"Checked": {Checked: true, Decay: -1, HardLimit: 64 * mib},
	} {
		h := open(t, o)
		small, large, tooMuch := layout(100, 8), layout(100_000, 8), layout(128*mib, 8)
		bytes := func(b []byte, err error) unsafe.Pointer {
			if err != nil {
				panic(err)
			}
			return unsafe.Pointer(unsafe.SliceData(b))
		}
		fails := func(b []byte, err error) {
			if b != nil || !errors.Is(err, galloc.ErrOutOfMemory) {
				panic("it has not failed")
			}
		}
		var s heap.Stats
		for what, f := range map[string]func(){
			"Alloc":          func() { h.Dealloc(h.Alloc(small), small) },
			"Alloc large":    func() { h.Dealloc(h.Alloc(large), large) },
			"AllocZeroed":    func() { h.Dealloc(h.AllocZeroed(small), small); h.Free(h.AllocZeroed(large)) },
			"Realloc":        func() { h.Free(h.Realloc(h.Realloc(h.Alloc(small), small, 100_000), large, 1_000_000)) },
			"Allocate":       func() { h.Deallocate(bytes(h.Allocate(small)), small) },
			"AllocateZeroed": func() { h.Deallocate(bytes(h.AllocateZeroed(large)), large) },
			"Grow":           func() { h.Deallocate(bytes(h.Grow(h.Alloc(small), small, large)), large) },
			"GrowZeroed":     func() { h.Deallocate(bytes(h.GrowZeroed(h.Alloc(small), small, large)), large) },
			"Shrink":         func() { h.Deallocate(bytes(h.Shrink(h.Alloc(large), large, small)), small) },
			"Resize": func() {
				p := h.Alloc(large)
				_ = h.Resize(p, large, 50_000) && h.Resize(p, layout(50_000, 8), 200_000) &&
					h.Resize(p, layout(200_000, 8), 300_000)
				h.Free(p)
			},
			"size 0": func() { h.Free(bytes(h.Allocate(galloc.Layout{}))) },
			"questions": func() {
				p := h.Alloc(small)
				_ = h.Owns(p) && h.SizeOf(p) == h.UsableSize(small) && h.EquivalentTo(h) && h.String() == "" &&
					h.Engine() == nil
				_, _ = h.Limits()
				h.Free(p)
			},
			"Stats": func() { s = h.Stats() },
			"Trim":  func() { h.Free(h.Alloc(small)); h.Free(h.Alloc(large)); h.Trim() },
			"failing": func() {
				if h.Alloc(tooMuch) != nil || h.AllocZeroed(tooMuch) != nil {
					panic("it has not failed")
				}
				fails(h.Allocate(tooMuch))
				fails(h.AllocateZeroed(tooMuch))
				p := h.Alloc(small)
				fails(h.Grow(p, small, tooMuch))
				fails(h.GrowZeroed(p, small, tooMuch))
				if h.Realloc(p, small, tooMuch.Size()) != nil || h.Resize(p, small, tooMuch.Size()) {
					panic("it has not failed")
				}
				h.Free(p)
			},
			"failing to allocate small blocks": func() {
				h.SetLimit(0, 1, nil)
				h.Trim()
				if h.Alloc(small) != nil || h.Alloc(layout(3000, 8)) != nil {
					panic("it has not failed")
				}
				h.SetLimit(0, 64*mib, nil)
			},
		} {
			f()
			if n := testing.AllocsPerRun(50, f); n != 0 {
				t.Errorf("%s, %s: %v Go allocations", name, what, n)
			}
		}
		_ = s
	}
}
