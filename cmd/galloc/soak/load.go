package soak

import (
	"fmt"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/memcheck"
)

// A soak is a running soak.
type soak struct {
	alloc galloc.Allocator
	heap  *heap.Heap // the heap that alloc takes its memory from, or nil
	seed  uint64

	share    int // bytes of small blocks of a worker at the top of a wave
	maxSmall int // a power of two
	maxBig   int // maxSmall, if there are no big blocks
	live     int // -live: three quarters in small blocks, one in big ones

	hang time.Duration // the time after which a worker that does not end is hung

	workers   []*worker
	exchanges []exchange

	exchanged, bigLive atomic.Int64 // bytes
	goal               atomic.Int64 // bytes of small blocks of a worker
	bigGoal            atomic.Int64 // bytes of all big blocks
	quiet, stop        atomic.Bool
	failed             atomic.Pointer[error] // the first
}

func newSoak(o options, alloc galloc.Allocator) *soak {
	s := &soak{
		alloc: alloc, seed: o.Seed, live: o.Live, share: o.Live / 4 * 3 / o.Goroutines,
		hang: hangTime,
	}
	s.maxSmall = 1 << min(bits.Len(uint(s.share/16))-1, 20)
	s.maxBig = max(min(s.live/16, 16<<20), s.maxSmall)
	if s.maxBig == s.maxSmall {
		s.share = o.Live / o.Goroutines
	}
	for i := range o.Goroutines {
		s.workers = append(s.workers, newWorker(s, i))
	}
	s.exchanges = make([]exchange, 16*o.Goroutines)
	return s
}

// fail records an error, which ends the soak.
func (s *soak) fail(err error) {
	s.failed.CompareAndSwap(nil, &err)
	s.stop.Store(true)
}

// current returns the live bytes, and the operations so far.
func (s *soak) current() (live, operations uint64) {
	n := s.exchanged.Load() + s.bigLive.Load()
	for _, w := range s.workers {
		n += w.published.live.Load()
		operations += w.published.all.Load()
	}
	return uint64(max(n, 0)), operations // not a snapshot: a block may be missing
}

const (
	tickTime = 5 * time.Millisecond
	nowTime  = time.Second
	hangTime = 30 * time.Second
)

// run is the whole soak. It ends early when ended is closed.
func (s *soak) run(length time.Duration, ended <-chan struct{}, tell func(status)) result {
	var r result
	debug.FreeOSMemory()
	base, measured := rss.Start()
	measured = measured && !raceEnabled
	resident := func() (peak, now int64) {
		peak, now = rss.Peak()
		return max(peak-base, 0), max(now-base, 0)
	}
	s.setGoals(0)
	var all sync.WaitGroup
	start := time.Now()
	for _, w := range s.workers {
		all.Go(w.run)
	}
	s.ride(&r, start, length, ended, func(passed, since time.Duration, live, operations uint64) {
		peak, now := resident()
		tell(status{At: passed, Rate: float64(operations) / since.Seconds(), Live: live, RSS: now, PeakRSS: peak})
	}, func() {
		if measured {
			_, now := resident()
			r.TroughRSS = append(r.TroughRSS, now)
		}
	})
	s.stop.Store(true)
	r.Elapsed = time.Since(start)
	if !endsWithin(&all, s.hang) {
		s.fail(fmt.Errorf("goroutines have not returned from the allocator within %v", s.hang))
		r.Error = (*s.failed.Load()).Error()
		return r
	}
	s.finish(&r)
	if s.failed.Load() == nil {
		s.settle(&r, min(length, 2*decayPeriod), func() bool { _, now := resident(); return measured && now < 1<<20 })
	}
	if measured {
		peak, now := resident()
		r.PeakRSS, r.EndRSS = &peak, &now
	}
	if err := s.failed.Load(); err != nil {
		r.Error = (*err).Error()
	}
	return r
}

// endsWithin waits for all to end, for at most d, and reports whether they have.
func endsWithin(all *sync.WaitGroup, d time.Duration) bool {
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// finish frees the blocks on the exchanges, and adds up the counts of the workers, which have
// ended.
func (s *soak) finish(r *result) {
	for _, w := range s.workers {
		r.add(w.counts)
		r.Operations += w.published.operations.Load()
	}
	w := s.workers[0]
	w.counts = tally{}
	for i := range s.exchanges {
		if b := s.exchanges[i].block; b.mem != nil && s.failed.Load() == nil {
			w.small = append(w.small[:0], b)
			w.count(&w.small, len(b.mem))
			s.exchanged.Add(int64(-len(b.mem)))
			if err := w.free(&w.small); err != nil {
				s.fail(err)
			}
		}
	}
	r.add(w.counts)
	r.OpsPerSecond = float64(r.Operations) / max(r.Busy, tickTime).Seconds()
}

// decayPeriod is the decay period of a heap with the default options.
const decayPeriod = time.Second

// settle waits until all memory was released to the system, for at most limit.
func (s *soak) settle(r *result, limit time.Duration, gone func() bool) {
	memcheck.Global().Drain() // its quarantine is not free memory
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if s.heap != nil {
			st := s.heap.Stats()
			r.Heap = &heapStats{
				Live: uint64(
					st.Live), Footprint: uint64(st.Footprint), InUse: uint64(st.InUse), Cached: uint64(st.Cached),
				Dirty: uint64(st.Dirty), Metadata: uint64(st.Metadata), GoMemory: uint64(st.GoMemory),
				Purges: st.Purges, Purged: st.PurgedBytes, Moved: st.Moved, GrownInPlace: st.GrownInPlace, Misuses: st.Misuses,
			}
			if st.Dirty == 0 && st.InUse == 0 {
				break
			}
		} else if gone() {
			break
		}
		if time.Since(start) >= limit {
			break
		}
	}
	if r.Heap != nil && r.Heap.Live != 0 {
		s.fail(fmt.Errorf("the heap counts %d bytes as allocated after all was freed", r.Heap.Live))
	}
}
