package workload

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/internal/stopwatch"
)

// A job is the work of the goroutines of a workload. Functions that are nil do nothing.
type job struct {
	threads int // the number of threads
	crew    int // the first crew threads get a goroutine, 0 means all; run starts the others

	free func(unsafe.Pointer, galloc.Layout) // frees blocks; nil means galloc.Dealloc

	prepare func()        // by the caller of Run, before the goroutines start
	setup   func(*thread) // by each goroutine, before the clock starts
	run     func(*thread) // by each goroutine, while the clock runs
	// Number of calls of run, each in a goroutine that the previous one starts at its end; 0 means
	// 1.
	generations int
	clean       func(*thread) // by each goroutine, after the clock has stopped
}

// A gang is the goroutines of a run. They are set up, wait at the gate until all are ready, and the
// last to end its work stops the clock.
type gang struct {
	v        values
	progress func(float64)
	threads  []*thread
	job      job

	ready   sync.WaitGroup
	gate    chan struct{} // closed when all are ready
	start   time.Time     // when it was closed
	working atomic.Int64
	took    time.Duration
	done    chan struct{} // closed when the last has done its work
	dirty   atomic.Int64
	clean   chan struct{} // closed when the last has freed its remaining blocks
	failed  chan *failure // has capacity for the first
}

func newGang(v values, progress func(float64)) *gang {
	return &gang{
		v: v, progress: progress,
		gate: make(chan struct{}), done: make(chan struct{}), clean: make(chan struct{}),
		failed: make(chan *failure, 1),
	}
}

// seed returns the generator of thread number t; -1 is the setup.
func (g *gang) seed(t int) rng {
	if t < 0 {
		return rng(g.v.u64("seed") - 1)
	}
	return rng(g.v.u64("seed") + uint64(t)*0x1000000)
}

// work performs a run.
func (g *gang) work(r *Result, w Workload) (err error) {
	defer func() { // prepare and the calls before it run here
		if g.caught(recover()) {
			err = <-g.failed
		}
	}()
	g.job = w.build(g, g.v)
	j := &g.job
	if j.crew == 0 {
		j.crew = j.threads
	}
	j.generations = max(j.generations, 1)
	if j.free == nil {
		j.free = directDealloc
	}
	g.threads = make([]*thread, j.threads)
	for i := range g.threads {
		t := &thread{id: i, rng: g.seed(i)}
		t.plain(j.free)
		g.threads[i] = t
	}
	latency := g.v.u64("latency") == 1
	var timers []*timer
	if latency {
		stopwatch.NsPerTick()
		timers = newTimers(j.threads, j.free)
	}

	// Garbage of the setup must not be returned to the system while memory is measured.
	debug.FreeOSMemory()
	base, measured := rss.Start()
	if j.prepare != nil {
		j.prepare()
	}
	g.ready.Add(j.crew)
	g.working.Store(int64(j.crew))
	g.dirty.Store(int64(j.crew))
	for _, t := range g.threads[:j.crew] {
		go g.enter(t)
	}
	if err := g.awaitReady(); err != nil {
		return err
	}
	g.progress(0.1)
	for i, c := range timers {
		g.threads[i].timed(c)
	}
	g.start = time.Now()
	close(g.gate)
	if err := g.await(g.done); err != nil {
		return err
	}
	g.progress(0.9)
	if err := g.await(g.clean); err != nil {
		return err
	}
	time.Sleep(time.Duration(g.v.u64("settle")) * time.Millisecond)
	if measured {
		peak, end := rss.Peak()
		peak, end = max(peak-base, 0), max(end-base, 0)
		r.PeakRSS, r.EndRSS = &peak, &end
	}
	for _, t := range g.threads {
		r.Ops += t.ops
		r.Allocs += t.allocs
		r.Bytes += t.bytes
	}
	if latency {
		r.addLatency(timers)
	} else {
		r.Ns = g.took.Nanoseconds()
	}
	g.progress(1)
	return nil
}

// awaitReady waits until all goroutines are set up, or returns the failure of one.
func (g *gang) awaitReady() error {
	ready := make(chan struct{})
	go func() {
		g.ready.Wait()
		close(ready)
	}()
	return g.await(ready)
}

func (g *gang) await(c chan struct{}) error {
	select {
	case <-c:
		return nil
	case err := <-g.failed:
		return err
	}
}

// enter is the goroutine of a thread.
func (g *gang) enter(t *thread) {
	defer func() { g.caught(recover()) }()
	if g.job.setup != nil {
		g.job.setup(t)
	}
	g.ready.Done()
	<-g.gate
	g.perform(t, 1)
}

// perform does the work of a generation and starts the next one.
func (g *gang) perform(t *thread, generation int) {
	g.job.run(t)
	if generation < g.job.generations {
		go g.inherit(t, generation+1)
		return
	}
	if g.working.Add(-1) == 0 {
		g.took = time.Since(g.start)
		close(g.done)
	}
	<-g.done
	if g.job.clean != nil {
		t.plain(g.job.free)
		g.job.clean(t)
	}
	if g.dirty.Add(-1) == 0 {
		close(g.clean)
	}
}

// inherit is the goroutine of a later generation.
func (g *gang) inherit(t *thread, generation int) {
	defer func() { g.caught(recover()) }()
	g.perform(t, generation)
}

// side runs f in a new goroutine, which ends counts, for a job that starts threads itself.
func (g *gang) side(ends *sync.WaitGroup, f func()) {
	ends.Add(1)
	go func() {
		defer func() {
			// After a failure, Run returns without waiting for ends.
			if !g.caught(recover()) {
				ends.Done()
			}
		}()
		f()
	}()
}

// caught reports whether r, from recover, is a failure, and sends it to failed. It panics again
// with any other value.
func (g *gang) caught(r any) bool {
	switch f := r.(type) {
	case nil:
		return false
	case *failure:
		select {
		case g.failed <- f:
		default: // not the first
		}
		return true
	default:
		panic(r)
	}
}

func newTimers(n int, free func(unsafe.Pointer, galloc.Layout)) []*timer {
	overhead := stopwatch.Overhead()
	timers := make([]*timer, n)
	for i := range timers {
		timers[i] = &timer{overhead: overhead, free: free}
	}
	return timers
}

// addLatency sets the percentiles from the timers.
func (r *Result) addLatency(timers []*timer) {
	var all stopwatch.Histogram
	for _, c := range timers {
		all.Merge(&c.histogram)
	}
	ns := func(ticks uint64) float64 { return float64(ticks) * stopwatch.NsPerTick() }
	r.Calls, r.Max = all.Count(), ns(all.Max())
	r.P50, r.P99, r.P999 = ns(all.Quantile(0.5)), ns(all.Quantile(0.99)), ns(all.Quantile(0.999))
}
