package alloctest

import (
	"errors"
	"math"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// memoryRules are about failures and leaks.
var memoryRules = []rule{
	{
		name: "FailuresChangeNothing",
		explain: "a Grow, GrowZeroed or Shrink that fails leaves the block as it is: allocated, where " +
			"it was, with its content",
		check: func(c *checker) {
			if !hugeIsTooMuch {
				c.Skip("on this platform an allocation of any size may succeed")
			}
			for _, size := range []uintptr{1, 24, 100, 1000, 5000, 40_000, 1 << 18} {
				again := 64 // allocations that would get a block that was freed
				if size > 10_000 {
					again = 4
				}
				for _, to := range []galloc.Layout{
					aligned(1), aligned(size/2 + 1), aligned(size), aligned(size * 2), mustLayout(math.MaxInt-7, 8),
				} {
					id := c.allocate(size, 8)
					for _, zeroed := range []bool{false, true} {
						var ae *galloc.AllocError
						if err := c.m.Resize(id, to, zeroed); !errors.As(err, &ae) {
							c.fail("from %d bytes to %v: error %v, want an *AllocError", size, to, err)
						}
					}
					for range again {
						c.allocate(size, 8)
						if to.Size() <= size {
							c.allocate(to.Size(), 8)
						}
					}
				}
				c.must(c.m.Verify())
				c.must(c.m.FreeAll())
			}
		},
	},
	{
		name: "FullMemory",
		explain: "when memory runs out, a failure changes nothing; and what is freed then can be " +
			"allocated again",
		check: func(c *checker) {
			if galloc.GarbageCollected(c.a) {
				c.Skip("the allocator's memory is the Go heap")
			}
			f := &filler{c: c}
			first := uintptr(0)
			for round := range 3 {
				if !f.fill() {
					f.empty()
					c.Skip("the allocator has more memory than the test fills")
				}
				total := f.bytes
				if round == 0 {
					first = total
				}
				if total < first-first/8 {
					c.fail("%d bytes could be allocated at first, and %d after everything was freed", first, total)
				}
				f.resize()
				f.fill()
				f.empty()
			}
		},
	},
	{
		name:    "FreedMemoryComesBack",
		explain: "every way to free a block, or to fail to change it, makes its memory available again",
		check: func(c *checker) {
			if galloc.GarbageCollected(c.a) {
				c.Skip("the allocator's memory is the Go heap")
			}
			for _, w := range waysToFree {
				if w.fails && !hugeIsTooMuch {
					continue
				}
				c.repeat(w)
			}
		},
	},
	{
		name:    "ResetGivesBack",
		explain: "if galloc.Reset supports the allocator, the memory of all blocks is available again after it",
		check: func(c *checker) {
			if err := galloc.Reset(c.a); errors.Is(err, errors.ErrUnsupported) {
				c.Skip("the allocator cannot be reset")
			}
			limit := c.limit()
			for round := 0; round < c.rounds(128) && !limit(); round++ {
				for range 4 {
					if _, err := c.a.Allocate(mustLayout(3<<20, 8)); err != nil {
						c.fail("round %d: %v: what was allocated before a Reset has not come back", round, err)
					}
				}
				c.must(galloc.Reset(c.a))
			}
		},
	},
}

// aligned returns a layout with an alignment that no allocator can satisfy.
func aligned(size uintptr) galloc.Layout { return mustLayout(size, math.MaxInt/2+1) }

// rounds returns how often to repeat what a full test repeats n times.
func (c *checker) rounds(n int) int {
	n = fewer(n)
	switch {
	case c.slow:
		return max(n/64, 4)
	case c.volume.short:
		return max(n/16, 8)
	}
	return n
}

// limit returns a function that reports whether a repetition has taken long enough. It ends early
// for allocators that write to all of their memory, of which a full test would write tens of GiB.
func (c *checker) limit() func() bool {
	end := time.Now().Add(c.volume.limit)
	return func() bool { return time.Now().After(end) }
}

// A way is a way to allocate a block and to free it again.
type way struct {
	name  string
	fails bool // a call of it fails
	moves bool // the block moves, so that its first place is lost in an arena until a Reset
	clear bool // it writes to the block
	do    func(a galloc.Allocator, l galloc.Layout) error
}

// waysToFree are the ways that must leave nothing allocated.
var waysToFree = []way{
	{name: "Deallocate", do: func(a galloc.Allocator, l galloc.Layout) error {
		return using(a, l, func(p unsafe.Pointer) galloc.Layout { return l })
	}},
	{name: "Deallocate with the usable size", do: func(a galloc.Allocator, l galloc.Layout) error {
		b, err := a.Allocate(l)
		if err == nil {
			a.Deallocate(addressOf(&b[0]), mustLayout(uintptr(len(b)), l.Align()))
		}
		return err
	}},
	{name: "Deallocate of zeroed memory", clear: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		b, err := galloc.AllocateZeroed(a, l)
		if err == nil {
			a.Deallocate(addressOf(&b[0]), l)
		}
		return err
	}},
	{name: "a failed Allocate", fails: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		_, _ = a.Allocate(aligned(l.Size()))
		_, _ = galloc.AllocateZeroed(a, mustLayout(math.MaxInt-4095, 4096))
		return using(a, l, func(p unsafe.Pointer) galloc.Layout { return l })
	}},
	{name: "a failed Grow", fails: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return using(a, l, func(p unsafe.Pointer) galloc.Layout {
			_, _ = galloc.Grow(a, p, l, mustLayout(math.MaxInt-7, l.Align()))
			return l
		})
	}},
	{name: "a failed GrowZeroed", fails: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return using(a, l, func(p unsafe.Pointer) galloc.Layout {
			_, _ = galloc.GrowZeroed(a, p, l, mustLayout(math.MaxInt-7, l.Align()))
			return l
		})
	}},
	{name: "a failed Shrink", fails: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return using(a, l, func(p unsafe.Pointer) galloc.Layout {
			_, _ = galloc.Shrink(a, p, l, aligned(l.Size()/2))
			return l
		})
	}},
	{name: "Shrink to 0", do: func(a galloc.Allocator, l galloc.Layout) error {
		b, err := a.Allocate(l)
		if err != nil {
			return err
		}
		_, err = galloc.Shrink(a, addressOf(&b[0]), l, mustLayout(0, l.Align()))
		return err // a block of size 0 need not be freed
	}},
	{name: "Resize", do: func(a galloc.Allocator, l galloc.Layout) error {
		return using(a, l, func(p unsafe.Pointer) galloc.Layout {
			for _, size := range []uintptr{l.Size() / 2, l.Size()/2 + 1000, 100} {
				if galloc.Resize(a, p, l, size) {
					l = mustLayout(size, l.Align())
				}
			}
			return l
		})
	}},
	{name: "Grow from 0", do: func(a galloc.Allocator, l galloc.Layout) error {
		b, err := galloc.Grow(a, nil, mustLayout(0, 8), l)
		if err == nil {
			a.Deallocate(addressOf(&b[0]), l)
		}
		return err
	}},
	{name: "Grow", moves: true, clear: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return changing(a, l, galloc.Grow, mustLayout(l.Size()*2, l.Align()))
	}},
	{name: "GrowZeroed", moves: true, clear: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return changing(a, l, galloc.GrowZeroed, mustLayout(l.Size()*2, l.Align()))
	}},
	{name: "Grow with another alignment", moves: true, clear: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return changing(a, l, galloc.Grow, mustLayout(l.Size(), 1<<16))
	}},
	{name: "Shrink", moves: true, clear: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return changing(a, l, galloc.Shrink, mustLayout(l.Size()/2, l.Align()))
	}},
	{name: "Shrink with another alignment", moves: true, clear: true, do: func(a galloc.Allocator, l galloc.Layout) error {
		return changing(a, l, galloc.Shrink, mustLayout(l.Size()/2, 1<<16))
	}},
}

// using allocates a block, calls f, and frees the block with the layout that f returns.
func using(a galloc.Allocator, l galloc.Layout, f func(p unsafe.Pointer) galloc.Layout) error {
	b, err := a.Allocate(l)
	if err == nil {
		p := addressOf(&b[0])
		a.Deallocate(p, f(p))
	}
	return err
}

// changing allocates a block, changes its layout, and frees it.
func changing(a galloc.Allocator, l galloc.Layout, change changeFunc, to galloc.Layout) error {
	b, err := a.Allocate(l)
	if err != nil {
		return err
	}
	p := addressOf(&b[0])
	if b, err = change(a, p, l, to); err != nil {
		a.Deallocate(p, l)
		return err
	}
	a.Deallocate(addressOf(&b[0]), to)
	return nil
}

// repeat goes a way with blocks of several sizes, which are 2 GiB in all if nothing writes to them.
func (c *checker) repeat(w way) {
	for _, p := range []struct {
		size           uintptr
		rounds, writes int // rounds, and rounds of a way that writes to the blocks
	}{{47, 1 << 20, 0}, {250, 1 << 18, 0}, {4001, 16 << 10, 4 << 10}, {1<<20 - 1, 256, 64}, {4<<20 - 1, 512, 32}} {
		n, l := p.rounds, mustLayout(p.size, 8)
		switch {
		case w.clear:
			n = p.writes
		case p.size == 47 && w.name != "Deallocate":
			continue // it takes long, and a fault of one way seldom depends on the size
		}
		limit := c.limit()
		for round := 0; round < c.rounds(n) && (p.size < 1<<20 && round%64 != 0 || !limit()); round++ {
			if err := w.do(c.a, l); err != nil {
				c.fail("%s: round %d with blocks of %d bytes: %v: the memory of earlier rounds has not come back",
					w.name, round, p.size, err)
			}
			if w.moves && uintptr(round+1)%(48<<20/p.size) == 0 {
				c.reset() // an arena loses the places that blocks leave; a leak has shown before
			}
		}
	}
}
