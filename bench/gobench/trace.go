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
	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/internal/stopwatch"
	"github.com/galloc-go/galloc/internal/workload"
)

// The workload trace is here and not in package workload, because its threads are given by the
// file.

const traceName = "trace"

// A program of one thread is replayed on the thread on which the process was started, as a program
// in C would: libc's malloc has an arena for each thread, and serves the first thread best.
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
	face    replay.Face
	settle  time.Duration
}

func parseTrace(settings []string) (traceSettings, error) {
	v := map[string]int{"rounds": 5, "latency": 0, "face": 0, "settle": 0}
	limits := map[string]int{"rounds": 100_000, "latency": 1, "face": int(replay.Slices), "settle": 3_600_000}
	var s traceSettings
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if key == "program" {
			s.program = value
			continue
		}
		limit, known := limits[key]
		n, err := strconv.Atoi(value)
		switch {
		case !known:
			return s, fmt.Errorf(
				"%s: the keys of trace are program, rounds, latency, face, settle and cpus; the program has the number of threads",
				setting)
		case err != nil || n < 0 || n > limit || key == "rounds" && n < 1:
			return s, fmt.Errorf("%s: the value must be a number of at most %d, and rounds at least 1", setting, limit)
		}
		v[key] = n
	}
	if s.program == "" {
		return s, errors.New("trace: write program=FILE, with a file of gobench dump")
	}
	s.rounds, s.latency, s.settle = v["rounds"], v["latency"] == 1, time.Duration(v["settle"])*time.Millisecond
	s.face = replay.Face(v["face"])
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
	if allocator == "sink" && (s.latency || r.several != nil) {
		return answer{}, errors.New(
			"the allocator sink has one block for everything: it is for programs of one thread, without latency=1")
	}
	if s.face != replay.Static {
		if r.several != nil || s.latency {
			return answer{}, errors.New("face is for programs of one thread, without latency=1")
		}
		r.one.Through(s.face)
	}
	a, err := peers.Open(allocator, peers.Need{MaxSize: r.MaxSize})
	if err != nil {
		return answer{}, err
	}
	galloc.RegisterGlobal(a) // workloads call workload.Register, in other runs

	result := workload.Result{
		Workload: traceName, Threads: r.Threads,
		Ops: uint64(r.Events), Allocs: uint64(r.Objects) * uint64(s.rounds), Bytes: r.TotalBytes * uint64(s.rounds),
	}
	var l listener
	if s.latency {
		l = newListener(r.Threads)
	}
	rounds := make([]int64, 0, s.rounds)
	debug.FreeOSMemory() // garbage of loading must not be returned to the system during the replay
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

// round does one round and frees the survivors. l, if not nil, times each call; then took is 0.
func (r player) round(l listener) (took time.Duration, err error) {
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

// median returns the middle value, or the mean of the two in the middle.
func median(v []int64) int64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// listener counts the durations of the calls of each thread.
type listener []*ear

// An ear counts the calls of one thread. It shares no cache lines with others.
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
	// The clocks of two processors may differ slightly, and a thread can move between readings.
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
