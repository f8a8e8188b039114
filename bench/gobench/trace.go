package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bench/internal/peers"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/internal/stopwatch"
	"github.com/galloc-go/galloc/internal/workload"
)

// The workload trace is here, and not in package workload, because it is for one program only, and its threads are those of the file.

const traceName = "trace"

// A program of one thread is replayed on the thread that the process was started on, as a program in C would: libc's malloc gives
// every thread an arena of its own, and treats that thread's best.
func init() {
	if len(os.Args) > 2 && os.Args[2] == traceName {
		runtime.LockOSThread()
	}
}

// traceSettings are the keys and their values.
type traceSettings struct {
	program string
	rounds  int
	latency bool
	settle  time.Duration
}

func parseTrace(settings []string) (traceSettings, error) {
	v := map[string]int{"rounds": 5, "latency": 0, "settle": 0}
	most := map[string]int{"rounds": 100_000, "latency": 1, "settle": 3_600_000}
	var s traceSettings
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if key == "program" {
			s.program = value
			continue
		}
		limit, known := most[key]
		n, err := strconv.Atoi(value)
		switch {
		case !known:
			return s, fmt.Errorf("%s: the keys of trace are program, rounds, latency, settle and cpus; the program says how many threads", setting)
		case err != nil || n < 0 || n > limit || key == "rounds" && n < 1:
			return s, fmt.Errorf("%s: the value must be a number of at most %d, and rounds at least 1", setting, limit)
		}
		v[key] = n
	}
	if s.program == "" {
		return s, errors.New("trace: say which one: program=FILE, with a file that gobench dump has made")
	}
	s.rounds, s.latency, s.settle = v["rounds"], v["latency"] == 1, time.Duration(v["settle"])*time.Millisecond
	return s, nil
}

// runTrace replays a program.
func runTrace(allocator string, settings []string) (answer, error) {
	s, err := parseTrace(settings)
	if err != nil {
		return answer{}, err
	}
	r, err := load(s.program)
	if err != nil {
		return answer{}, err
	}
	if r.several != nil {
		runtime.UnlockOSThread() // this goroutine only waits
	}
	if allocator == "null" && (s.latency || r.several != nil) {
		return answer{}, errors.New("the allocator null has one block for everything: it is for programs of one thread, without latency=1")
	}
	a, err := peers.Open(allocator, peers.Need{MaxSize: r.MaxSize})
	if err != nil {
		return answer{}, err
	}
	galloc.RegisterGlobal(a)

	result := workload.Result{
		Workload: traceName, Threads: r.Threads,
		Ops: uint64(r.Events), Allocs: uint64(r.Objects) * uint64(s.rounds), Bytes: r.TotalBytes * uint64(s.rounds),
	}
	var l listener
	if s.latency {
		l = newListener(r.Threads)
	}
	rounds := make([]int64, 0, s.rounds)
	debug.FreeOSMemory() // what loading has left behind must not go away during the replay
	base, measured := rss.Start()
	for range s.rounds {
		took, err := r.round(l)
		if err != nil {
			return answer{}, err
		}
		rounds = append(rounds, took.Nanoseconds())
	}
	time.Sleep(s.settle)
	if measured {
		peak, end := rss.Peak()
		peak, end = max(peak-base, 0), max(end-base, 0)
		result.PeakRSS, result.EndRSS = &peak, &end
	}
	if s.latency {
		l.report(&result)
		return answerOf(result, nil), nil
	}
	result.Ns = median(rounds)
	return answerOf(result, rounds), nil
}

// round does one round and frees what is left alive then. The time is that without l, which listens to each call; l may be nil.
func (r replay) round(l listener) (took time.Duration, err error) {
	switch {
	case r.one != nil && l == nil:
		took, err = r.one.Round()
	case r.one != nil:
		err = r.one.RoundObserved(stopwatch.Now, func(ticks uint64) { l.observe(0, ticks) })
	case l == nil:
		took, err = r.several.Round()
	default:
		err = r.several.RoundObserved(stopwatch.Now, l.observe)
	}
	switch {
	case err != nil:
	case r.one != nil:
		r.one.FreeSurvivors()
	default:
		r.several.FreeSurvivors()
	}
	return took, err
}

// median is the middle of the values, or the mean of the two in the middle.
func median(v []int64) int64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// listener counts how long the calls of each thread take.
type listener []*ear

// An ear is on cache lines of its own.
type ear struct {
	histogram stopwatch.Histogram
	overhead  uint64
	_         [128]byte
}

func newListener(threads int) listener {
	stopwatch.NsPerTick()
	overhead := stopwatch.Overhead()
	l := make(listener, max(threads, 1))
	for i := range l {
		l[i] = &ear{overhead: overhead}
	}
	return l
}

func (l listener) observe(thread int, ticks uint64) {
	e := l[thread]
	// The clocks of two processors may differ by a little, and a thread can move between readings.
	e.histogram.Add(uint64(max(int64(ticks-e.overhead), 0)))
}

func (l listener) report(r *workload.Result) {
	var all stopwatch.Histogram
	for _, e := range l {
		all.Merge(&e.histogram)
	}
	ns := func(ticks uint64) float64 { return float64(ticks) * stopwatch.NsPerTick() }
	r.Calls, r.Max = all.Count(), ns(all.Max())
	r.P50, r.P99, r.P999 = ns(all.Quantile(0.5)), ns(all.Quantile(0.99)), ns(all.Quantile(0.999))
}
