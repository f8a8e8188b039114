package alloctest

import (
	"math/rand/v2"
	"sync"

	"github.com/galloc-go/galloc"
)

// concurrentRules are about use by several goroutines.
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
					errs <- contained(func() error { return Check(c.a, Ops(data)) })
					errs <- contained(func() error { return hammer(c.a, r, calls) })
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
		explain: "a goroutine may free a block that another goroutine allocated",
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
							l := mustLayout(uintptr(1+(id*7+i)%900), 8)
							if err := contained(func() error { return m.Allocate(id, l) }); err != nil {
								errs <- err
							}
						}
						models <- m
					}
				})
				freed.Go(func() {
					for m := range models {
						if err := contained(m.FreeAll); err != nil {
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

// hammer allocates and frees tiny blocks as fast as it can, with a few live at a time, each marked
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
