package soak

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A worker is a goroutine of a soak, with the blocks that it owns. While it runs, it allocates
// nothing on the Go heap, so that the resident memory is the allocator's.
type worker struct {
	s      *soak
	random *rand.Rand
	small  []block // their capacity does not change
	big    []block // larger than s.maxSmall
	made   block   // a new block; a local variable would be allocated on the Go heap
	live   int     // bytes of small
	goal   int     // the goal for live
	counts tally

	published struct { // updated from time to time, for other goroutines
		_               [64]byte
		live            atomic.Int64
		operations, all atomic.Uint64 // all includes the frees at the end
		_               [64]byte
	}
}

// An exchange is a place in which a worker leaves a block and takes the block of another worker, so
// that blocks are freed on other Ps than they were allocated on.
type exchange struct {
	mu sync.Mutex
	block
	_ [64]byte
}

const (
	maxBigs     = 64                   // big blocks of a worker
	bigEvery    = 8192                 // one allocation in bigEvery is big
	changeBig   = 512                  // one change in changeBig is of a big block
	glanceEvery = 16                   // steps between two looks at the goals
	quietPause  = 5 * time.Millisecond // at each look, in the quiet part of a wave
)

func newWorker(s *soak, number int) *worker {
	w := &worker{s: s, random: rand.New(rand.NewPCG(s.seed, uint64(number)))}
	const samples = 4096
	sum := 0
	for range samples {
		sum += w.smallSize()
	}
	// Touch the pages of the tables now, before the resident memory is measured.
	w.small = make([]block, 2*s.share/(sum/samples+1)+64)
	clear(w.small)
	w.small = w.small[:0]
	w.big = make([]block, 0, maxBigs)
	return w
}

// run is the goroutine. When the soak stops, it frees all its blocks and ends; when it finds an
// error, it ends at once.
func (w *worker) run() {
	defer w.publish()
	for i := 0; ; i++ {
		if i%glanceEvery == 0 {
			if w.s.stop.Load() {
				break
			}
			w.publish()
			w.goal = int(w.s.goal.Load())
			if w.s.quiet.Load() {
				time.Sleep(quietPause)
			}
			if len(w.big) > 0 && w.s.bigLive.Load() > w.s.bigGoal.Load() {
				if err := w.free(&w.big); err != nil {
					w.s.fail(err)
					return
				}
			}
		}
		if err := w.step(); err != nil {
			w.s.fail(err)
			return
		}
	}
	w.publish()
	w.published.operations.Store(w.counts.operations())
	for len(w.small)+len(w.big) > 0 && w.s.failed.Load() == nil {
		table := &w.small
		if len(w.small) == 0 {
			table = &w.big
		}
		if err := w.free(table); err != nil {
			w.s.fail(err)
		}
	}
}

func (w *worker) publish() {
	w.published.live.Store(int64(w.live))
	w.published.all.Store(w.counts.operations())
}

// step does one random operation, such that w.live approaches the goal.
func (w *worker) step() error {
	if len(w.small) == 0 {
		return w.allocate()
	}
	switch n := w.random.IntN(100); {
	case n < 20:
		return w.change(w.pick())
	case n < 28:
		return w.resize(w.pick())
	case n < 36:
		w.swap()
		return nil
	case n < 40 || n >= 44 && w.live > w.goal || len(w.small) == cap(w.small):
		return w.free(&w.small)
	}
	return w.allocate()
}

// pick returns the table of the next block to change.
func (w *worker) pick() *[]block {
	if len(w.big) > 0 && w.random.IntN(changeBig) == 0 {
		return &w.big
	}
	return &w.small
}

// smallSize returns a size from 1 to s.maxSmall. Most sizes are small, but most bytes are in large
// blocks.
func (w *worker) smallSize() int {
	octaves := bits.Len(uint(w.s.maxSmall)) - 1
	lg := min(w.random.IntN(octaves), w.random.IntN(octaves), w.random.IntN(octaves))
	return 1<<lg + w.random.IntN(1<<lg+1)
}

func (w *worker) bigSize() int {
	return w.s.maxSmall + 1 + w.random.IntN(w.s.maxBig-w.s.maxSmall)
}

// align returns an alignment from 1 to 4096, each half as often as the next smaller one.
func (w *worker) align() uintptr {
	return 1 << min(bits.TrailingZeros64(w.random.Uint64()), 12)
}
