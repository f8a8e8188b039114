package alloctest

import (
	"errors"
	"math"
	"reflect"
	"runtime"
	"testing"
	"weak"

	"github.com/galloc-go/galloc"
)

// abilityRules are about the optional interfaces, and about garbage on the Go heap.
var abilityRules = []rule{
	{
		name:    "UsableSize",
		explain: "UsableSize is at least the size asked for, and no block is shorter than UsableSize",
		check: func(c *checker) {
			try := func(l galloc.Layout) {
				n := galloc.UsableSize(c.a, l)
				for _, allocate := range []func(galloc.Layout) ([]byte, error){
					c.a.Allocate,
					func(l galloc.Layout) ([]byte, error) { return galloc.AllocateZeroed(c.a, l) },
				} {
					b, err := allocate(l)
					c.must(err)
					if n < l.Size() || uintptr(len(b)) < n {
						c.fail("%v: UsableSize says %d, the block has %d", l, n, len(b))
					}
					c.next++
					c.must(c.m.add(c.next, l, b, nil))
				}
			}
			for size := range uintptr(3000) {
				try(mustLayout(size, alignments[size%uintptr(len(alignments))]))
				if size%400 == 0 {
					c.must(c.m.FreeAll())
				}
			}
			c.must(c.m.FreeAll())
			for shift := 11; shift <= 21; shift++ {
				for _, d := range []uintptr{1<<shift - 1, 1 << shift, 1<<shift + 1, 1<<shift + 1<<(shift-1) + 100} {
					try(mustLayout(d, alignments[int(d)%len(alignments)]))
					c.must(c.m.FreeAll())
				}
			}
			for _, size := range []uintptr{1 << 28, math.MaxInt/2 + 1, math.MaxInt - 4096, math.MaxInt - 63} {
				l := mustLayout(size, 64) // there need not be a block of that size
				if n := galloc.UsableSize(c.a, l); n < size {
					c.fail("%v: UsableSize says %d", l, n)
				}
			}
		},
	},
	{
		name:    "Equivalence",
		explain: "an allocator is equivalent to itself, and not to one that cannot free its blocks",
		check: func(c *checker) {
			if !galloc.Equivalent(c.a, c.a) {
				c.fail("it is not equivalent to itself")
			}
			if f := Track(galloc.System); galloc.Equivalent(c.a, f) || galloc.Equivalent(f, c.a) {
				c.fail("it is equivalent to a new allocator of another kind")
			}
		},
	},
	{
		name: "OwnsItsBlocks",
		explain: "if galloc.Owns supports the allocator, it reports true for its blocks and false " +
			"for other addresses; inside of a block, it reports the same everywhere",
		check: func(c *checker) {
			if _, err := galloc.Owns(c.a, nil); errors.Is(err, errors.ErrUnsupported) {
				c.Skip("the allocator does not know its blocks")
			}
			checkOwns(c)
		},
	},
	{
		name: "ResetFreesAll",
		explain: "if galloc.Reset supports the allocator, it frees all blocks, and the allocator can " +
			"be used as before",
		check: func(c *checker) {
			sizes := []uintptr{1, 8, 24, 100, 1000, 5000, 40_000}
			for round := range 20 {
				var ids []uint64
				for _, size := range sizes {
					for range 20 * (1 + round%2) { // twice as many cover the places of the others
						ids = append(ids, c.allocate(size, 8), c.allocateZeroed(size, 8))
					}
				}
				c.allocateZeroed(1<<20, 8)
				c.must(c.m.Verify())
				if round%4 != 3 { // what is free before a Reset is free once after it
					c.random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
					c.free(ids[:len(ids)/2]...)
				}
				if err := galloc.Reset(c.a); errors.Is(err, errors.ErrUnsupported) {
					c.must(c.m.FreeAll()) // nothing has changed
					c.Skip("the allocator cannot be reset")
				} else {
					c.must(err)
				}
				c.m.Forget()
			}
		},
	},
	{
		name: "TypedMemory",
		explain: "if the allocator holds Go pointers, its typed memory is zero and holds them; if " +
			"not, AllocateTyped fails with ErrPointers",
		check: func(c *checker) {
			s, err := galloc.MakeSlice[*[64]byte](c.a, 100)
			if !galloc.HoldsPointers(c.a) {
				if !errors.Is(err, galloc.ErrPointers) || !errors.Is(err, errors.ErrUnsupported) {
					c.fail("error %v, want ErrPointers", err)
				}
				return
			}
			c.must(err)
			refs := make([]weak.Pointer[[64]byte], len(s))
			for i := range s {
				if s[i] != nil {
					c.fail("value %d is not zero", i)
				}
				s[i] = &[64]byte{byte(i)}
				refs[i] = weak.Make(s[i])
			}
			runtime.GC()
			for i := range s {
				if refs[i].Value() == nil {
					clear(s)
					c.fail("the garbage collector does not see pointer %d", i)
				}
			}
			runtime.KeepAlive(s)
			galloc.FreeSlice(c.a, s)
			if _, err := galloc.AllocateTyped(c.a, reflect.TypeFor[*int](), -1); err == nil {
				c.fail("memory for -1 values")
			}
		},
	},
	{
		name:    "WrapperPassesOn",
		explain: "a wrapper passes on what the allocator inside can do, and fails with errors.ErrUnsupported otherwise",
		check: func(c *checker) {
			w, ok := c.a.(galloc.Wrapper)
			if !ok {
				c.Skip("the allocator is not a Wrapper")
			}
			b := c.m.blocks[c.allocate(100, 8)]
			inside := w.Unwrap()
			_, missing := galloc.Owns(inside, b.address())
			owns, err := galloc.Owns(c.a, b.address())
			switch {
			case err != nil && !errors.Is(err, errors.ErrUnsupported):
				c.fail("Owns: error %v, want errors.ErrUnsupported", err)
			case err == nil && !owns:
				c.fail("it does not own block %d", b.id)
			case err != nil && missing == nil && !two(c.a):
				c.fail("Owns: %v, but %T knows its blocks", err, inside)
			}
			if _, ok := c.a.(galloc.TypedAllocator); ok && galloc.HoldsPointers(inside) && !two(c.a) &&
				!galloc.HoldsPointers(c.a) {
				c.fail("%T holds Go pointers, but the wrapper does not", inside)
			}
		},
	},
	{
		name:    "NothingOnTheGoHeap",
		explain: "allocating, resizing and freeing make no garbage on the Go heap, and neither does a failure",
		except:  GoGarbage,
		check: func(c *checker) {
			if galloc.HoldsPointers(c.a) {
				c.Skip("the allocator's memory is the Go heap")
			}
			huge := mustLayout(math.MaxInt-4095, 8)
			for _, align := range []uintptr{8, 64, 4096} {
				for _, size := range []uintptr{8, 24, 1000, 40_000, 1 << 20} {
					l, larger := mustLayout(size, align), mustLayout(size*2, align)
					var failed error
					n := leastAllocs(20, func() {
						z, err := galloc.AllocateZeroed(c.a, l)
						b, err2 := c.a.Allocate(l)
						if failed = errors.Join(err, err2); failed != nil {
							return
						}
						c.a.Deallocate(addressOf(&z[0]), l)
						if hugeIsTooMuch {
							_, _ = galloc.Grow(c.a, addressOf(&b[0]), l, huge)
							huge = mustLayout(huge.Size()-8, 8) // another one each time
						}
						galloc.Resize(c.a, addressOf(&b[0]), l, size)
						if g, err := galloc.GrowZeroed(c.a, addressOf(&b[0]), l, larger); err == nil {
							b, failed = galloc.Shrink(c.a, addressOf(&g[0]), larger, l)
						}
						c.a.Deallocate(addressOf(&b[0]), l)
					})
					c.must(failed)
					if n != 0 {
						c.fail("blocks of %d bytes aligned to %d: %v Go allocations per round", size, align, n)
					}
				}
			}
		},
	},
}

// two reports whether a wraps two allocators.
func two(a galloc.Allocator) bool {
	_, ok := a.(interface{ Second() galloc.Allocator })
	return ok
}

// leastAllocs returns the number of Go allocations of f. Allocations of other goroutines are
// counted too, cleanups for example, so it counts again, a few times, if the number is not 0.
func leastAllocs(runs int, f func()) (n float64) {
	for range 4 {
		if n = testing.AllocsPerRun(runs, f); n == 0 {
			break
		}
	}
	return n
}
