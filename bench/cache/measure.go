package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
)

// A spec is what to measure.
type spec struct {
	Kind    string  `json:"kind"`
	Entries int     `json:"entries"`
	Seconds float64 `json:"seconds"`
	Rate    int     `json:"rate"`
	Garbage int     `json:"garbage"`
	Seed    uint64  `json:"seed"`
}

// A result is the result of a measurement.
type result struct {
	Global  string  `json:"global"` // the name of galloc's global allocator
	Entries int     `json:"entries"`
	Fill    latency `json:"fill"`
	FillGC  gcUse   `json:"fill_gc"`

	Lookups   latency `json:"lookups"`   // from its start
	Responses latency `json:"responses"` // from the time when it was due
	Inserts   latency `json:"inserts"`
	Hits      uint64  `json:"hits"`
	KeptUp    float64 `json:"kept_up"` // look-ups made / look-ups due
	GC        gcUse   `json:"gc"`

	// Resident bytes when the cache was full; 0 if unknown, as below.
	FullRSS int64    `json:"full_rss"`
	PeakRSS int64    `json:"peak_rss"` // at most
	EndRSS  int64    `json:"end_rss"`  // after all was freed
	RSS     []sample `json:"rss"`
	ServeAt float64  `json:"serve_at"` // the start of the look-ups, as At of a sample
}

// sample is the resident memory at one moment.
type sample struct {
	At  float64 `json:"at"` // seconds
	RSS int64   `json:"rss"`
}

// measure puts a cache of one kind under the load. It calls tell with its progress.
func measure(k kind, s spec, tell func(what string)) (r result, err error) {
	debug.SetGCPercent(k.goGC)
	atFirst := heap.Default().Stats()
	var filled atomic.Int64
	var serving atomic.Int64 // its start in nanoseconds, or 0
	var samples []sample
	began := time.Now()
	stop := every(100*time.Millisecond, func() {
		now, rss := time.Since(began), statusBytes("VmRSS")
		if rss > 0 {
			samples = append(samples, sample{now.Seconds(), rss})
		}
		if from := serving.Load(); from > 0 {
			tell(fmt.Sprintf("look-ups and insertions, %.0f of %v s", (now - time.Duration(from)).Seconds(), s.Seconds))
		} else {
			tell(fmt.Sprintf("filling, %d %%", filled.Load()*100/int64(s.Entries)))
		}
	})
	defer stop()

	c, err := newCache(s.Entries, k.shard)
	if err != nil {
		return r, fmt.Errorf("out of memory for an empty cache: %w", err)
	}
	defer c.free()
	l := newLoad(s.Seed)
	gc := readGC()
	fill, err := l.fill(c, s.Entries, &filled)
	if err != nil {
		return r, err
	}
	r.Fill, r.FillGC = fill.latency(), gc.use(time.Now())
	r.Entries, r.FullRSS = c.size(), statusBytes("VmRSS")
	debug.SetGCPercent(k.goGC)
	runtime.GC() // so that each measurement begins in the same state
	gc = readGC()
	serving.Store(int64(time.Since(began)))
	r.ServeAt = time.Since(began).Seconds()
	v, err := l.serve(c, s.Entries, s)
	if err != nil {
		return r, err
	}
	if v.wrong > 0 {
		return r, fmt.Errorf("%d of %d values found differ from the values inserted", v.wrong, v.hits)
	}
	r.GC = gc.use(time.Now())
	r.Lookups, r.Responses, r.Inserts, r.Hits = v.lookups.latency(), v.responses.latency(), v.inserts.latency(), v.hits
	r.KeptUp = float64(v.lookups.n) / max(math.Ceil(s.Seconds*float64(s.Rate)), 1)
	stop()
	r.RSS = samples

	c.free()
	runtime.GC()
	debug.FreeOSMemory()
	memcheck.Global().Drain() // with GALLOC=debug, its quarantine is not free memory
	heap.Default().Trim()
	r.PeakRSS, r.EndRSS, r.Global = statusBytes("VmHWM"), statusBytes("VmRSS"), galloc.DescribeGlobal()
	if now := heap.Default().Stats(); now.LiveBlocks != atFirst.LiveBlocks {
		return r, fmt.Errorf("after all was freed, galloc's heap counts %d blocks of %d bytes more than before",
			now.LiveBlocks-atFirst.LiveBlocks, now.Live-atFirst.Live)
	}
	return r, nil
}

// every calls f once per period, until the returned function is called, and then a last time. More
// calls of the function have no effect.
func every(period time.Duration, f func()) (stop func()) {
	ended, last := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(last)
		ticks := time.NewTicker(period)
		defer ticks.Stop()
		for {
			f()
			select {
			case <-ticks.C:
			case <-ended:
				f()
				return
			}
		}
	}()
	running := true
	return func() {
		if running {
			running = false
			close(ended)
			<-last
		}
	}
}

// gcUse is the work of the garbage collector between two moments. A cycle that runs at the second
// moment counts as a whole.
type gcUse struct {
	Cycles uint64  `json:"cycles"`
	CPU    float64 `json:"cpu_seconds"`
	// The part on processors that were otherwise idle.
	Idle  float64 `json:"idle_cpu_seconds"`
	Share float64 `json:"share"` // of the time of all processors of the program
	// Stop of the program; rounded up to a bucket of the runtime.
	Pause time.Duration `json:"longest_pause_ns"`
}

// gcState is the runtime's counts since the program started.
type gcState struct {
	at        time.Time
	cycles    uint64
	cpu, idle float64
	pauses    *metrics.Float64Histogram
}

func readGC() gcState {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, // at the end of the last cycle
		{Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
		{Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(samples)
	return gcState{
		at:     time.Now(),
		cycles: samples[0].Value.Uint64(),
		cpu:    samples[1].Value.Float64(),
		idle:   samples[2].Value.Float64(),
		pauses: samples[3].Value.Float64Histogram(),
	}
}

// use returns the work of the collector until end, which is now. It waits for the end of a running
// cycle, since the runtime counts times at the end, and leaves the collector switched off.
func (before gcState) use(end time.Time) gcUse {
	debug.SetGCPercent(-1)
	now := readGC()
	u := gcUse{Cycles: now.cycles - before.cycles, CPU: now.cpu - before.cpu, Idle: now.idle - before.idle}
	u.Share = u.CPU / (end.Sub(before.at).Seconds() * float64(runtime.GOMAXPROCS(0)))
	for i, n := range now.pauses.Counts {
		if n > before.pauses.Counts[i] {
			bound := now.pauses.Buckets[i+1]
			if math.IsInf(bound, 1) {
				bound = now.pauses.Buckets[i]
			}
			u.Pause = time.Duration(bound * float64(time.Second))
		}
	}
	return u
}

// statusBytes returns a value of /proc/self/status, such as VmRSS, the resident memory, or VmHWM,
// its maximum. On systems without the file it returns 0.
func statusBytes(name string) int64 {
	n, err := procBytes("/proc/self/status", name)
	if err != nil {
		return 0
	}
	return n
}

// availableMemory returns the bytes that the program can use without swapping, or -1 if unknown.
func availableMemory() int64 {
	n, err := procBytes("/proc/meminfo", "MemAvailable")
	if err != nil {
		return -1
	}
	// A container may have less.
	most, err1 := fileNumber("/sys/fs/cgroup/memory.max")
	used, err2 := fileNumber("/sys/fs/cgroup/memory.current")
	if err1 == nil && err2 == nil {
		n = min(n, max(most-used, 0))
	}
	return n
}

// procBytes returns the value in bytes of the line "name:   number kB" of a file.
func procBytes(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if key, value, _ := bytes.Cut(line, []byte(":")); string(key) == name {
			n, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New(file + " has no line " + name)
}

func fileNumber(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
}
