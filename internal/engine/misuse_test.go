package engine

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/pages"
)

// Every misuse is reported with its kind and addresses when the block reaches its span, and has no
// effect. A checked heap reports it in the call.
func TestMisuse(t *testing.T) {
	t.Run("medium", func(t *testing.T) { testMisuse(t, 104<<10) })
	t.Run("long", func(t *testing.T) { testMisuse(t, 320<<10) })
}

func testMisuse(t *testing.T, largeSize uintptr) {
	withProcs(t, 1) // so that blocks come from the spans of their neighbours
	var global [64]byte
	type call struct {
		h, other *Heap
		small    unsafe.Pointer // of 64 bytes, the second of its span; its neighbours are allocated
		odd      unsafe.Pointer // of 24 bytes
		large    unsafe.Pointer // of largeSize bytes
		want     Misuse
	}
	at := func(p unsafe.Pointer, off uintptr) unsafe.Pointer { return unsafe.Add(p, off) }
	for _, c := range []struct {
		name string
		f    func(c *call)
	}{
		{"double free of a small block", func(c *call) {
			p := c.h.Alloc(64, 8)
			c.h.Free(p, 64, 8)
			c.h.drainAll()
			c.h.Free(p, 64, 8)
			c.want = Misuse{misuse.DoubleFree, uintptr(p), 64, 64, uintptr(p)}
		}},
		{"double free while the block is in a cache", func(c *call) {
			p := c.h.Alloc(64, 8)
			c.h.Free(p, 64, 8)
			c.h.Free(p, 64, 8)
			c.want = Misuse{misuse.DoubleFree, uintptr(p), 64, 64, uintptr(p)}
		}},
		{"double free of a large block", func(c *call) {
			p := c.h.Alloc(largeSize, 8)
			c.h.Free(p, largeSize, 8)
			c.h.Free(p, largeSize, 8)
			c.want = Misuse{misuse.DoubleFree, uintptr(p), largeSize, 0, 0}
		}},
		{"block of a span that is gone", func(c *call) {
			p := c.h.Alloc(3000, 8)
			c.h.Free(p, 3000, 8)
			c.h.drainAll()
			c.h.Free(p, 3000, 8)
			c.want = Misuse{misuse.DoubleFree, uintptr(p), 3072, 0, 0}
		}},
		{"never handed out", func(c *call) {
			end := pages.ExtentAt(pages.RefOf(c.small)).End()
			p := end.Pointer()
			c.h.Free(p, 64, 8)
			c.want = Misuse{misuse.DoubleFree, uintptr(p), 64, 0, 0}
		}},
		{"inside of a small block", func(c *call) {
			c.h.Free(at(c.small, 8), 64, 8)
			c.want = Misuse{misuse.InteriorFree, uintptr(c.small) + 8, 64, 64, uintptr(c.small)}
		}},
		{"one byte into a block", func(c *call) {
			c.h.Free(at(c.small, 1), 64, 8)
			c.want = Misuse{misuse.InteriorFree, uintptr(c.small) + 1, 64, 64, uintptr(c.small)}
		}},
		{"inside of a large block", func(c *call) {
			c.h.Free(at(c.large, 5*pages.PageSize), largeSize, 8)
			c.want = Misuse{
				misuse.InteriorFree, uintptr(c.large) + 5*pages.PageSize, largeSize, largeSize,
				uintptr(c.large),
			}
		}},
		{"inside of a large block, as a small one", func(c *call) {
			c.h.Free(at(c.large, largeSize-64), 64, 8)
			c.want = Misuse{misuse.InteriorFree, uintptr(c.large) + largeSize - 64, 64, largeSize, uintptr(c.large)}
		}},
		{"what is left over at the end of a span", func(c *call) {
			s := c.h.pages.SmallAt(pages.RefOf(c.odd), pages.ClassOf(24, 8))
			p := uintptr(s.Base) + uintptr(s.Blocks)*24
			c.h.Free(at(s.Base.Pointer(), p-uintptr(s.Base)), 24, 8)
			c.want = Misuse{misuse.InteriorFree, p, 24, 0, 0}
		}},
		{"wrong class", func(c *call) {
			c.h.Free(c.small, 32, 8)
			c.want = Misuse{misuse.WrongLayout, uintptr(c.small), 32, 64, uintptr(c.small)}
		}},
		{"small as large", func(c *call) {
			c.h.Free(c.small, largeSize, 8)
			c.want = Misuse{misuse.WrongLayout, uintptr(c.small), largeSize, 64, uintptr(c.small)}
		}},
		{"large as small", func(c *call) {
			c.h.Free(c.large, 64, 8)
			c.want = Misuse{misuse.WrongLayout, uintptr(c.large), 64, largeSize, uintptr(c.large)}
		}},
		{"large with another number of pages", func(c *call) {
			given := pages.UsableSize(largeSize+1, 8)
			c.h.Free(c.large, given, 8)
			c.want = Misuse{misuse.WrongLayout, uintptr(c.large), given, largeSize, uintptr(c.large)}
		}},
		{"resize of a large block that is another", func(c *call) {
			if c.h.Resize(c.large, largeSize+pages.PageSize, 8, largeSize) {
				t.Error("resized")
			}
			c.want = Misuse{
				misuse.WrongLayout, uintptr(c.large), largeSize + pages.PageSize, largeSize,
				uintptr(c.large),
			}
		}},
		{"another heap's", func(c *call) {
			p := c.other.Alloc(64, 8)
			c.h.Free(p, 64, 8)
			c.want = Misuse{misuse.ForeignFree, uintptr(p), 64, 0, 0}
		}},
		{"another heap's, large", func(c *call) {
			p := c.other.Alloc(largeSize, 8)
			c.h.Free(p, largeSize, 8)
			c.want = Misuse{misuse.ForeignFree, uintptr(p), largeSize, 0, 0}
		}},
		{"nobody's", func(c *call) {
			c.h.Free(unsafe.Pointer(&global[8]), 64, 8)
			c.want = Misuse{misuse.ForeignFree, uintptr(unsafe.Pointer(&global[8])), 64, 0, 0}
		}},
		{"unsized, inside of a small block", func(c *call) { // the span knows the class
			c.h.FreeUnsized(at(c.small, 16))
			c.want = Misuse{misuse.InteriorFree, uintptr(c.small) + 16, 64, 64, uintptr(c.small)}
		}},
		{"unsized, inside of a large block", func(c *call) {
			c.h.FreeUnsized(at(c.large, pages.PageSize))
			c.want = Misuse{misuse.InteriorFree, uintptr(c.large) + pages.PageSize, 0, largeSize, uintptr(c.large)}
		}},
		{"unsized, nobody's", func(c *call) {
			c.h.FreeUnsized(unsafe.Pointer(&global[8]))
			c.want = Misuse{misuse.ForeignFree, uintptr(unsafe.Pointer(&global[8])), 0, 0, 0}
		}},
		{"unsized, freed", func(c *call) {
			p := c.h.Alloc(64, 8)
			c.h.Free(p, 64, 8)
			c.h.drainAll()
			c.h.FreeUnsized(p)
			c.want = Misuse{misuse.DoubleFree, uintptr(p), 64, 64, uintptr(p)}
		}},
	} {
		for _, checked := range []bool{false, true} {
			name := c.name
			if checked {
				name += ", checked"
			}
			t.Run(name, func(t *testing.T) {
				var got []Misuse
				h, timer := newHeap(t, Config{
					First: 1, Checked: checked,
					OnMisuse: func(m Misuse) { got = append(got, m) },
				})
				other, _ := newHeap(t, Config{First: 1})
				d := &shadow{t: t, h: h}
				for range 40 {
					d.alloc(64, 8, false)
					d.alloc(24, 8, false)
				}
				d.alloc(largeSize, 8, false)
				k := &call{h: h, other: other, small: d.live[2].p, odd: d.live[1].p, large: d.live[80].p}
				c.f(k)
				if checked && len(got) != 1 {
					t.Errorf("%d faults before anything else has happened", len(got))
				}
				h.drainAll()
				if len(got) != 1 || got[0] != k.want {
					t.Fatalf("reported %+v, want %+v", got, k.want)
				}
				if got[0].Error() == "" || got[0].Kind.String() == "unknown misuse" {
					t.Errorf("no words for %+v", got[0])
				}
				if s := readStats(h); s.Misuses != 1 {
					t.Errorf("Faults == %d", s.Misuses)
				}
				d.verify()
				wantCheck(t, h)
				wantLive(t, d)
				d.freeAll()
				wantNothingLeft(t, h, timer)
				if len(got) != 1 {
					t.Errorf("reported later: %+v", got[1:])
				}
			})
		}
	}
}

// The valid blocks of a batch are freed, however many others are invalid.
func TestMisuseInABatch(t *testing.T) {
	faults := 0
	h, timer := newHeap(t, Config{First: 1, OnMisuse: func(Misuse) { faults++ }})
	d := &shadow{t: t, h: h}
	for range 64 {
		d.alloc(64, 8, false)
	}
	var blocks []pages.Ref
	for i, b := range d.live {
		b.wantStamp(t, b.size)
		blocks = append(blocks, pages.RefOf(b.p))
		if i%8 == 0 {
			blocks = append(blocks, pages.RefOf(b.p), pages.RefOf(b.p)+8, 8)
		}
	}
	d.live = nil
	for len(blocks) > 0 {
		n := min(len(blocks), magazineSlots)
		h.freeBatch(pages.ClassOf(64, 8), blocks[:n])
		blocks = blocks[n:]
	}
	if faults == 0 {
		t.Error("no faults")
	}
	wantNothingLeft(t, h, timer)
}

// By default a heap panics, and works afterwards.
func TestMisusePanics(t *testing.T) {
	h := New(Config{Checked: true, Decay: -1})
	defer h.Close()
	p := h.Alloc(64, 8)
	q := h.Alloc(104<<10, 8)
	for _, f := range []func(){
		func() { h.Free(unsafe.Add(p, 8), 64, 8) },
		func() { h.Free(q, 64, 8) },
		func() { h.Free(p, 104<<10, 8) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}()
		wantCheck(t, h)
	}
	h.Free(p, 64, 8)
	h.Free(q, 104<<10, 8)
	h.Trim()
	wantCheck(t, h)
	if s := readStats(h); s.Live != 0 {
		t.Errorf("Live == %d", s.Live)
	}
}

// A second free right after the first is detected at once, even without Checked.
func TestDoubleFreeInARow(t *testing.T) {
	for _, size := range []uintptr{24, 5000} {
		var got []Misuse
		h, _ := newHeap(t, Config{OnMisuse: func(m Misuse) { got = append(got, m) }})
		p, q := h.Alloc(size, 8), h.Alloc(size, 8)
		h.Free(p, size, 8)
		h.Free(q, size, 8)
		h.Free(q, size, 8)
		if len(got) != 1 || got[0].Kind != misuse.DoubleFree || got[0].Address != uintptr(q) ||
			got[0].Given != pages.UsableSize(size, 8) {
			t.Errorf("size %d: reported %v", size, got)
		}
		if a, b := h.Alloc(size, 8), h.Alloc(size, 8); a == b {
			t.Errorf("size %d: %p was allocated twice", size, a)
		}
		h.Free(nil, size, 8)
		h.drainAll()
		if len(got) != 2 || got[1].Kind != misuse.ForeignFree {
			t.Errorf("size %d: reported %v", size, got)
		}
	}
}
