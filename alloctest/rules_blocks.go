package alloctest

import (
	"errors"
	"math"
	"slices"

	"github.com/galloc-go/galloc"
)

// hugeIsTooMuch reports whether every allocator fails to allocate half of the addresses that an int
// can count. If an int has 32 bits, some allocators succeed, and leave no room for the Go runtime.
const hugeIsTooMuch = math.MaxInt > math.MaxInt32

// alignments that every allocator must support.
var alignments = []uintptr{1, 2, 4, 8, 16, 32, 64, 128, 256, 1 << 10, 1 << 12, 1 << 14, 1 << 16}

// blockRules are about the size, alignment and content of blocks.
var blockRules = []rule{
	{
		name:    "SmallSizesAreAligned",
		explain: "a block is aligned as its layout says, even if it is smaller than its alignment",
		check: func(c *checker) {
			for _, align := range []uintptr{1, 2, 4, 8, 16, 32} {
				for _, size := range []uintptr{1, 2, align / 2, align - 1, 8, 10, 20, 40, 64} {
					if size == 0 {
						continue
					}
					for range 128 { // all live: not all of them can be aligned by luck
						c.allocate(size, align)
					}
				}
			}
		},
	},
	{
		name:    "LargeAlignments",
		explain: "alignments up to 64 KiB are supported, with sizes below and above them",
		check: func(c *checker) {
			for _, align := range alignments {
				for _, size := range []uintptr{1, align - 1, align, align + 1, 3 * align} {
					for range 4 {
						if size > 0 {
							c.allocate(size, align)
						}
					}
				}
				c.must(c.m.FreeAll())
			}
		},
	},
	{
		name:    "EverySize",
		explain: "a block has at least the size asked for, all of it usable, and overlaps no other",
		check: func(c *checker) {
			for size := uintptr(1); size <= 1100; size++ {
				c.allocate(size, 1)
				c.allocate(size, 16)
			}
			for shift := 10; shift <= 20; shift++ {
				for d := range uintptr(5) {
					c.allocate(1<<shift+d-2, 8)
				}
			}
		},
	},
	{
		name:    "SizeZero",
		explain: "size 0 never fails and takes no memory: the block is not nil, aligned, and need not be freed",
		check: func(c *checker) {
			for _, align := range alignments {
				for range 100 {
					c.allocate(0, align)
					c.allocateZeroed(0, align)
				}
			}
			c.m.Forget() // need not be freed
			for _, align := range alignments {
				id := c.allocate(0, align)
				c.resize(id, 0, align)
				c.resize(id, 100, align) // growing from 0 allocates
				c.resize(id, 0, align)   // shrinking to 0 deallocates
				c.must(c.m.Resize(id, mustLayout(100, 1), true))
				c.resize(id, 0, 1)
				c.a.Deallocate(nil, mustLayout(0, align)) // ignored, with any address
				for _, grow := range []changeFunc{galloc.Grow, galloc.GrowZeroed} {
					b, err := grow(c.a, nil, galloc.Layout{}, mustLayout(100, align))
					c.must(err)
					c.next++
					c.must(c.m.add(c.next, mustLayout(100, align), b, nil))
				}
			}
		},
	},
	{
		name:    "ZeroedMemoryIsZero",
		explain: "AllocateZeroed returns zeros in fresh memory and in memory that was written to and freed",
		check: func(c *checker) {
			for range 3 {
				for _, size := range []uintptr{1, 7, 8, 16, 100, 1024, 4096, 5000, 40_000, 1 << 17, 1 << 20} {
					for range 8 {
						c.allocateZeroed(size, 8)
					}
					c.must(c.m.FreeAll())
					for _, align := range alignments[4:] {
						c.allocateZeroed(size, align)
					}
					c.must(c.m.FreeAll())
				}
			}
			c.allocateZeroed(4<<20, 8)
		},
	},
	{
		name:    "ZeroedMemoryIsZeroAfterShrinking",
		explain: "AllocateZeroed returns zeros also where the end of a larger block was",
		check: func(c *checker) {
			for _, size := range []uintptr{100, 1000, 10_000, 1 << 17, 1 << 20} {
				for round := range 4 {
					id := c.allocate(size, 8)
					if round%2 == 0 {
						c.resize(id, size/4, 8)
					} else {
						_, err := c.m.ResizeInPlace(id, size/4)
						c.must(err)
					}
					for _, part := range []uintptr{size / 4, size / 2, size * 3 / 4, size} {
						c.allocateZeroed(part, 8)
					}
				}
			}
		},
	},
	{
		name: "GrowKeepsTheContent",
		explain: "Grow keeps the first old.Size() bytes, also when the alignment rises or falls, or " +
			"when nothing changes",
		check: func(c *checker) {
			for _, align := range alignments {
				id := c.allocate(20, align)
				c.resize(id, 40, 4*align)
				c.resize(id, 40, 4*align)
				c.resize(id, 41, align)
				for size := uintptr(41); size < 1<<17; size += size + 7 {
					c.resize(id, size, align)
				}
				c.free(id)
			}
			id := c.allocate(1, 1)
			for _, align := range alignments { // of a block that may be aligned by luck
				c.resize(id, align, align)
			}
			for size := uintptr(1 << 18); size <= 4<<20; size *= 2 {
				c.resize(id, size, 16)
			}
		},
	},
	{
		name:    "GrowZeroedClearsTheGain",
		explain: "GrowZeroed keeps the first old.Size() bytes and clears what the block gains",
		check: func(c *checker) {
			for round := range uintptr(4) {
				for size := uintptr(1); size < 1<<18; size = size*3 + round {
					id := c.allocate(size, 8)
					c.must(c.m.Resize(id, mustLayout(size+1, 8), true))
					c.must(c.m.Resize(id, mustLayout(size*2+1, 64), true))
					c.must(c.m.Resize(id, mustLayout(size*5, 16), true))
				}
				c.must(c.m.FreeAll())
			}
			id := c.allocateZeroed(20, 8)
			c.must(c.m.Resize(id, mustLayout(40, 32), true))
		},
	},
	{
		name: "ShrinkKeepsTheContent",
		explain: "Shrink keeps the first new.Size() bytes, also when the alignment rises or falls, " +
			"or when nothing changes",
		check: func(c *checker) {
			id := c.allocate(4<<20, 8)
			for size := uintptr(3 << 20); size > 1<<17; size = size * 2 / 3 {
				c.resize(id, size, 8)
			}
			for _, align := range alignments {
				id := c.allocate(1<<17, align)
				c.resize(id, 1<<17, align)
				for size := uintptr(1 << 16); size > 0; size = size * 2 / 5 {
					c.resize(id, size, align)
				}
				id = c.allocate(40, align)
				c.resize(id, 10, max(align/2, 1))
				c.resize(id, 9, 4*align)
			}
		},
	},
	{
		name:    "ResizingSparesTheNeighbours",
		explain: "growing and shrinking a block changes no byte of the others",
		check: func(c *checker) {
			// Pairs of blocks of 10 to 80 bytes. All grow and shrink back, from the last to the
			// first and from the first to the last, with every byte of every block checked after
			// each step.
			var ids []uint64
			sizes := map[uint64]uintptr{}
			for size := uintptr(10); size <= 80; size += 10 {
				for range 2 {
					id := c.allocate(size, 8)
					ids, sizes[id] = append(ids, id), size
				}
			}
			step := func(id uint64, size uintptr) {
				c.resize(id, size, 8)
				c.must(c.m.Verify())
			}
			for i := len(ids) - 1; i >= 0; i-- {
				step(ids[i], 160)
			}
			for i := len(ids) - 1; i >= 0; i-- {
				step(ids[i], sizes[ids[i]])
			}
			for _, id := range ids {
				step(id, 160)
			}
			for _, id := range ids {
				step(id, sizes[id])
			}
		},
	},
	{
		name: "ResizeInPlace",
		explain: "Resize either changes the size where the block is, or changes nothing; keeping the " +
			"size always succeeds",
		check: func(c *checker) {
			for _, align := range []uintptr{1, 8, 64, 4096} {
				for _, size := range []uintptr{1, 7, 8, 24, 100, 4096, 40_000, 1 << 20} {
					for _, n := range []uintptr{
						size, 1, size - 1, size + 1, size * 2, 10 * size, size / 2,
						math.MaxInt, math.MaxUint,
					} {
						if n == 0 || n == 10<<20 {
							continue
						}
						before, id, after := c.allocate(size, align), c.allocate(size, align), c.allocate(size, align)
						ok, err := c.m.ResizeInPlace(id, n)
						c.must(err)
						if n == size && !ok {
							c.fail("a block of %d bytes cannot keep its size", size)
						}
						next, last := c.allocate(min(size, 64), align), c.allocate(size, align)
						c.free(before, id, after, next, last) // unchanged
					}
				}
			}
		},
	},
	{
		name:    "AnyOrderOfFree",
		explain: "blocks may be freed in any order",
		check: func(c *checker) {
			sizes := []uintptr{8, 24, 100, 1000, 5000, 70_000}
			for order := range 4 {
				var ids []uint64
				for i := range 300 {
					ids = append(ids, c.allocate(sizes[i%len(sizes)], 8))
				}
				switch order {
				case 1: // last first
					slices.Reverse(ids)
				case 2:
					c.random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				case 3: // every second one first, then the others
					slices.SortStableFunc(ids, func(a, b uint64) int { return int(a%2) - int(b%2) })
				}
				c.free(ids...)
			}
		},
	},
	{
		name:    "RandomUse",
		explain: "any sequence of calls that keeps to the contract works",
		check: func(c *checker) {
			data := make([]byte, opBytes*fewer(4000))
			for i := range data {
				data[i] = byte(c.random.Uint32())
			}
			c.must(Check(c.a, Ops(data)))
		},
	},
	{
		name: "HugeSizesFail",
		explain: "a size or alignment that is too large is an error, without side effects: no panic, " +
			"no crash, no block lost or changed",
		check: func(c *checker) {
			if !hugeIsTooMuch {
				c.Skip("on this platform an allocation of any size may succeed")
			}
			id := c.allocate(100, 8)
			for _, l := range []galloc.Layout{
				mustLayout(math.MaxInt, 1), mustLayout(math.MaxInt-7, 8), mustLayout(math.MaxInt-4095, 4096),
				mustLayout(math.MaxInt-1<<20+1, 1<<16), mustLayout(math.MaxInt/2+1, 16), mustLayout(1, math.MaxInt/2+1),
			} {
				for range 10 {
					var ae *galloc.AllocError
					if _, err := c.a.Allocate(l); !errors.As(err, &ae) {
						c.fail("Allocate(%v): error %v, want an *AllocError", l, err)
					}
					if _, err := galloc.AllocateZeroed(c.a, l); !errors.As(err, &ae) {
						c.fail("AllocateZeroed(%v): error %v, want an *AllocError", l, err)
					}
					grown := mustLayout(max(l.Size(), 100), l.Align())
					for _, zeroed := range []bool{false, true} {
						if err := c.m.Resize(id, grown, zeroed); !errors.As(err, &ae) {
							c.fail("growing to %v: error %v, want an *AllocError", grown, err)
						}
						c.allocate(100, 8) // not where the block is that failed to grow
					}
				}
			}
			c.must(c.m.Verify())
			c.allocate(1<<20, 8)
		},
	},
}
