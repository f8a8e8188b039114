package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/rss"
)

// A soak has a process of its own, for the same reasons as a measurement:
//
//	galloc soaking SPEC
//
// with a soakSpec as JSON. It answers with soakMessages. It ends early when its standard input ends.

const soakingCommand = "soaking"

// A soakSpec is what the soaking process is told.
type soakSpec struct {
	Alloc      string        `json:"alloc"`
	Time       time.Duration `json:"time_ns"`
	Goroutines int           `json:"goroutines"`
	Procs      int           `json:"procs"`
	Live       int           `json:"live_bytes"`
	Seed       uint64        `json:"seed"`
}

// A soakMessage comes from the soaking process: any number with a Now, then one with a Result.
type soakMessage struct {
	Now    *soakNow    `json:"now,omitempty"`
	Result *soakResult `json:"result,omitempty"`
}

func (m soakMessage) final() bool { return m.Result != nil }

// soakNow is how things are at a moment.
type soakNow struct {
	At      time.Duration `json:"at_ns"`
	Rate    float64       `json:"rate"` // operations per second since the one before
	Live    uint64        `json:"live"`
	RSS     int64         `json:"rss"`
	PeakRSS int64         `json:"peak_rss"`
}

// soakProcess is the command.
func soakProcess(args []string, stdin io.Reader, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // the terminal sends it to both; the parent tells us
	signal.Reset(syscall.SIGTERM)
	var spec soakSpec
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &spec) != nil ||
		!slices.Contains(soakNames(), spec.Alloc) || checkSoak(spec) != nil {
		return usagef("this command is for galloc soak only")
	}
	runtime.GOMAXPROCS(spec.Procs)
	a, err := openAllocator(spec.Alloc, 0)
	if err != nil {
		return err
	}
	galloc.RegisterGlobal(a)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(ended)
	}()
	s := newSoaking(spec, galloc.Global, galloc.AsAllocator(a))
	out := json.NewEncoder(stdout)
	r := s.run(spec.Time, ended, func(now soakNow) {
		_ = out.Encode(soakMessage{Now: &now}) // if nobody listens, the result will fail too
	})
	r.Allocator = fmt.Sprint(a)
	return out.Encode(soakMessage{Result: &r})
}

// soaking is a soak under way.
type soaking struct {
	alloc   galloc.Allocator // does all but
	inPlace galloc.Allocator // Resize, which Global does not have
	seed    uint64

	share    int // bytes of small blocks that a worker has at the top of a wave
	maxSmall int // a power of two
	maxBig   int // maxSmall, if there are none
	live     int // what is asked for: three quarters in small blocks, one in big ones

	hang time.Duration // after how long a worker that does not end is called hung

	workers   []*worker
	exchanges []exchange

	exchanged, bigLive atomic.Int64 // bytes
	goal               atomic.Int64 // bytes of small blocks of a worker
	bigGoal            atomic.Int64 // bytes of all big blocks
	quiet, stop        atomic.Bool
	failed             atomic.Pointer[error] // the first
}

func newSoaking(spec soakSpec, alloc, inPlace galloc.Allocator) *soaking {
	s := &soaking{alloc: alloc, inPlace: inPlace, seed: spec.Seed, live: spec.Live, share: spec.Live / 4 * 3 / spec.Goroutines, hang: hangTime}
	s.maxSmall = 1 << min(bits.Len(uint(s.share/16))-1, 20)
	s.maxBig = max(min(s.live/16, 16<<20), s.maxSmall)
	if s.maxBig == s.maxSmall {
		s.share = spec.Live / spec.Goroutines
	}
	for i := range spec.Goroutines {
		s.workers = append(s.workers, newWorker(s, i))
	}
	s.exchanges = make([]exchange, 16*spec.Goroutines)
	return s
}

// fail notes that something is wrong, which ends the soak.
func (s *soaking) fail(err error) {
	s.failed.CompareAndSwap(nil, &err)
	s.stop.Store(true)
}

// current returns the bytes that are alive, and the operations so far.
func (s *soaking) current() (live, operations uint64) {
	n := s.exchanged.Load() + s.bigLive.Load()
	for _, w := range s.workers {
		n += w.published.live.Load()
		operations += w.published.all.Load()
	}
	return uint64(max(n, 0)), operations // not of one moment: a block may be missing
}

const (
	tickTime = 5 * time.Millisecond
	nowTime  = time.Second
	hangTime = 30 * time.Second
)

// run is the whole soak. It ends early when ended is closed.
func (s *soaking) run(length time.Duration, ended <-chan struct{}, tell func(soakNow)) soakResult {
	var r soakResult
	debug.FreeOSMemory()
	base, measured := rss.Start()
	measured = measured && !raceDetector
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
		tell(soakNow{At: passed, Rate: float64(operations) / since.Seconds(), Live: live, RSS: now, PeakRSS: peak})
	}, func() {
		if measured {
			_, now := resident()
			r.TroughRSS = append(r.TroughRSS, now)
		}
	})
	s.stop.Store(true)
	r.Elapsed = time.Since(start)
	if !endsWithin(&all, s.hang) {
		s.fail(fmt.Errorf("goroutines have not come back from the allocator within %v", s.hang))
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

// endsWithin reports whether all have ended, after d at the latest.
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

// finish frees what lies on the exchanges, and counts together what the workers, which have
// ended, have done.
func (s *soaking) finish(r *soakResult) {
	for _, w := range s.workers {
		r.add(w.counts)
		r.Operations += w.published.operations.Load()
	}
	w := s.workers[0]
	w.counts = soakCounts{}
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

// decayPeriod is that of a heap with the default options.
const decayPeriod = time.Second

// settle waits until all memory has gone back to the system, but no longer than limit.
func (s *soaking) settle(r *soakResult, limit time.Duration, gone func() bool) {
	h, isHeap := s.inPlace.(*heap.Heap)
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if isHeap {
			st := h.Stats()
			r.Heap = &soakHeap{
				Live: uint64(st.Live), Footprint: uint64(st.Footprint), InUse: uint64(st.InUse), Cached: uint64(st.Cached),
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
		s.fail(fmt.Errorf("the heap counts %d bytes as allocated when all has been freed", r.Heap.Live))
	}
}
