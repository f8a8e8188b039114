package alloctest

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/galloc-go/galloc"
)

// abilityRules are about the optional interfaces that say something of the allocator, and
// about what its use costs.
var abilityRules = []rule{
	{
		name:    "UsableSize",
		explain: "UsableSize is at least the size asked for, and no block is shorter than it says",
		check: func(c *checker) {
			for size := range uintptr(3000) {
				l := mustLayout(size, alignments[size%uintptr(len(alignments))])
				n := galloc.UsableSize(c.a, l)
				b, err := c.a.Allocate(l)
				c.must(err)
				if n < size || uintptr(len(b)) < n {
					c.fail("size %d: UsableSize says %d, the block has %d", size, n, len(b))
				}
				c.next++
				c.must(c.m.add(c.next, l, b, nil))
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
			if f := Failing(0); galloc.Equivalent(c.a, f) || galloc.Equivalent(f, c.a) {
				c.fail("it is equivalent to a new allocator of another kind")
			}
		},
	},
	{
		name:    "OwnsItsBlocks",
		explain: "if the allocator has Owns, it owns its blocks, and not those of others",
		check: func(c *checker) {
			o, ok := c.a.(galloc.Owner)
			if !ok {
				c.Skip("the allocator does not have Owns")
			}
			var foreign int
			for _, size := range []uintptr{1, 8, 100, 5000, 1 << 20} {
				if b := c.m.blocks[c.allocate(size, 8)]; !o.Owns(b.address()) {
					c.fail("it does not own block %d (%v at %p)", b.id, b.l, b.address())
				}
			}
			if o.Owns(nil) || o.Owns(addressOf(&foreign)) {
				c.fail("it owns what it has not allocated")
			}
		},
	},
	{
		name:    "ResetFreesAll",
		explain: "if the allocator has Reset, it frees all blocks at once, and the allocator is as good as new",
		check: func(c *checker) {
			r, ok := c.a.(galloc.Resetter)
			if !ok {
				c.Skip("the allocator does not have Reset")
			}
			for range 20 {
				for _, size := range []uintptr{1, 8, 100, 5000, 1 << 20} {
					c.allocate(size, 8)
					c.allocateZeroed(size, 8)
				}
				c.must(c.m.Verify())
				c.m.Forget()
				r.Reset()
			}
		},
	},
	{
		name:    "NothingOnTheGoHeap",
		explain: "allocating, resizing and freeing makes no garbage on the Go heap, nor does failing to",
		except:  GoGarbage,
		check: func(c *checker) {
			if _, ok := c.a.(galloc.TypedAllocator); ok {
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

// leastAllocs returns how many Go allocations f makes at least. What other goroutines allocate meanwhile is counted too, such as
// cleanups of what has been collected: so what is not 0 is counted anew, a few times.
func leastAllocs(runs int, f func()) (n float64) {
	for range 4 {
		if n = testing.AllocsPerRun(runs, f); n == 0 {
			break
		}
	}
	return n
}

// concurrentRules are about several goroutines.
var concurrentRules = []rule{
	{
		name:    "ConcurrentUse",
		explain: "the allocator may be used by several goroutines at once",
		except:  SingleGoroutine,
		check: func(c *checker) {
			errs, calls := make(chan error, 16), fewer(20_000)
			if c.slow {
				calls = fewer(4000)
			}
			var wg sync.WaitGroup
			for g := range uint64(8) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(g, 5))
					data := make([]byte, opBytes*fewer(1500))
					for i := range data {
						data[i] = byte(r.Uint32())
					}
					errs <- Check(c.a, Ops(data))
					errs <- hammer(c.a, r, calls)
				})
			}
			wg.Wait()
			for range 16 {
				c.must(<-errs)
			}
		},
	},
	{
		name:    "FreeOnAnotherGoroutine",
		explain: "a block may be freed by another goroutine than the one that allocated it",
		except:  SingleGoroutine,
		check: func(c *checker) {
			producers, batches := 4, fewer(40)
			models, errs := make(chan *Model, 3), make(chan error, producers*batches*101)
			var made, freed sync.WaitGroup
			for range producers {
				made.Go(func() {
					for i := range uint64(batches) {
						m := NewModel(c.a)
						for id := range uint64(100) {
							if err := m.Allocate(id, mustLayout(uintptr(1+(id*7+i)%900), 8)); err != nil {
								errs <- err
							}
						}
						models <- m
					}
				})
				freed.Go(func() {
					for m := range models {
						if err := m.FreeAll(); err != nil {
							errs <- err
						}
					}
				})
			}
			made.Wait()
			close(models)
			freed.Wait()
			close(errs)
			for err := range errs {
				c.must(err)
			}
		},
	},
}

// hammer allocates and frees tiny blocks as fast as it can, a few alive at a time, each marked
// at both ends.
func hammer(a galloc.Allocator, r *rand.Rand, calls int) error {
	var blocks [8][]byte
	var sizes [8]uintptr
	for n := range calls + len(blocks) {
		i := n % len(blocks)
		if b := blocks[i]; b != nil {
			if last := sizes[i] - 1; b[0] != byte(n) || b[last] != byte(n) {
				return violation("a block of %d bytes was changed by another goroutine", sizes[i])
			}
			a.Deallocate(addressOf(&b[0]), mustLayout(sizes[i], 8))
			blocks[i] = nil
		}
		if n >= calls {
			continue
		}
		sizes[i] = 1 + uintptr(r.Uint32N(48))
		b, err := a.Allocate(mustLayout(sizes[i], 8))
		if err != nil {
			return err
		}
		b[0], b[sizes[i]-1] = byte(n+len(blocks)), byte(n+len(blocks))
		blocks[i] = b
	}
	return nil
}
