package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/traces"
	"github.com/galloc-go/galloc/wrap"
)

// Names of allocators that are treated in a way of their own.
const (
	nullName  = "null"
	heapName  = "heap"
	debugName = "debug"
)

// allocators is what can be named on the command line, null first: its row is what to hold
// the others against. maxSize is the size of the largest object to come. Those behind the usual ones are left out if no
// names are given.
var allocators = []struct {
	name  string
	about string
	open  func(maxSize uint64) (galloc.GlobalAlloc, error)
}{
	{nullName, "does nothing: its row is what the replay itself costs", trace.Null},
	{heapName, heap.Default().String() + ": galloc's own, the default of executables", func(uint64) (galloc.GlobalAlloc, error) { return heap.Default(), nil }},
	{"system", galloc.System.String(), func(uint64) (galloc.GlobalAlloc, error) { return galloc.System, nil }},
	{"goheap", galloc.GoHeap.String() + ", with garbage collection", func(uint64) (galloc.GlobalAlloc, error) { return galloc.AsGlobal(galloc.GoHeap), nil }},
	{debugName, "the heap behind wrap.Debug, which looks after every block (only if named)", func(uint64) (galloc.GlobalAlloc, error) { return wrap.Debug(heap.Default()), nil }},
	{"sampled", "the same, which looks after one in 100,000 (only if named)", func(uint64) (galloc.GlobalAlloc, error) { return wrap.Debug(heap.Default(), wrap.Sample(100_000)), nil }},
}

// usual returns the names that come before those that stand for an allocator only if they are given.
func usual(names []string) []string {
	if i := slices.Index(names, debugName); i >= 0 {
		return names[:i]
	}
	return names
}

func allocatorNames() []string {
	var names []string
	for _, a := range allocators {
		names = append(names, a.name)
	}
	return names
}

// openAllocator returns the named allocator. The name is one of allocatorNames.
func openAllocator(name string, maxSize uint64) (galloc.GlobalAlloc, error) {
	return allocators[slices.Index(allocatorNames(), name)].open(maxSize)
}

// The measuring process replays on the thread it was started on, as a program in C would:
// libc's malloc gives every thread an arena of its own, and treats that thread's best.
func init() {
	if len(os.Args) > 1 && os.Args[1] == measureCommand {
		runtime.LockOSThread()
	}
}

// measure is the command.
func measure(args []string, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // the terminal sends it to both; the parent ends us
	signal.Reset(syscall.SIGTERM)
	var s spec
	if len(args) != 2 || json.Unmarshal([]byte(args[0]), &s) != nil || s.Rounds < 1 || !slices.Contains(allocatorNames(), s.Alloc) {
		return usagef("this command is for galloc replay only")
	}
	out := json.NewEncoder(stdout)
	var last time.Time
	r, err := measureSpec(s, args[1], func(done float64) {
		if time.Since(last) > 50*time.Millisecond {
			_ = out.Encode(message{Done: done}) // if nobody listens, the result will fail too
			last = time.Now()
		}
	})
	if err != nil {
		r.Error = strings.TrimPrefix(err.Error(), "galloc: ")
	}
	return out.Encode(message{Done: 1, Result: &r})
}

// replayer is a trace.Replay or a trace.ThreadReplay.
type replayer interface {
	Round() (time.Duration, error)
	FreeSurvivors()
	Check(galloc.Allocator) (uint64, error)
	Close() error
}

// measureSpec returns with an error what is known so far: no Alloc, if the trace is faulty.
func measureSpec(s spec, path string, progress func(done float64)) (result, error) {
	rep, sum, err := load(s, path)
	if err != nil {
		return result{}, err
	}
	defer rep.Close()
	r := result{Alloc: s.Alloc, Events: sum.Events, Objects: sum.Objects, Threads: sum.Threads, PeakLive: sum.PeakLiveBytes}
	a, err := openAllocator(s.Alloc, sum.MaxSize)
	if err != nil {
		return r, err
	}
	galloc.RegisterGlobal(a)
	// The rest of the name is the line above.
	r.Allocator, _, _ = strings.Cut(galloc.GlobalName(), ", registered at ")

	steps := float64(s.Rounds + 1) // loading is one
	progress(1 / steps)
	roundDone := func(i int) { progress(float64(i+2) / steps) }
	if s.Check {
		r.Compared, err = checkRounds(rep, s.Rounds, roundDone)
		return r, err
	}
	limit := time.Duration(math.MaxInt64)
	if !s.Patient {
		limit = patience
	}
	return timeRounds(r, rep, s.Rounds, limit, roundDone)
}

func checkRounds(rep replayer, rounds int, done func(i int)) (compared uint64, err error) {
	for i := range rounds {
		n, err := rep.Check(galloc.Global)
		if err != nil {
			return 0, err
		}
		compared += n
		done(i)
	}
	return compared, nil
}

// timeRounds fills in what is measured without -check. It begins no other round when those
// before have taken limit.
func timeRounds(r result, rep replayer, rounds int, limit time.Duration, done func(i int)) (result, error) {
	var times []int64
	var sum time.Duration
	debug.FreeOSMemory() // what loading has left behind must not go away during the replay
	base, measured := rss.Start()
	for i := range rounds {
		took, err := rep.Round()
		if err != nil {
			return r, err
		}
		times = append(times, took.Nanoseconds())
		rep.FreeSurvivors()
		done(i)
		if sum += took; sum >= limit {
			break
		}
	}
	if measured && r.Alloc != nullName {
		peak, end := rss.Peak()
		peak, end = max(peak-base, 0), max(end-base, 0)
		r.PeakRSS, r.EndRSS = &peak, &end
		if r.PeakLive > 0 {
			r.RSSRatio = float64(peak) / float64(r.PeakLive)
		}
	}
	if r.Events > 0 {
		r.RoundsNs = times
		r.NsPerOp = median(times) / float64(r.Events)
		r.MinNs = float64(slices.Min(times)) / float64(r.Events)
	}
	return r, nil
}

// median returns the middle of the values, or the mean of the two in the middle.
func median(v []int64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return float64(v[(n-1)/2]+v[n/2]) / 2
}

// load reads a trace and prepares its replay.
func load(s spec, path string) (replayer, trace.Summary, error) {
	src, err := open(s, path)
	if err != nil {
		return nil, trace.Summary{}, err
	}
	defer src.Close()
	if s.Threads {
		p, err := trace.CompileThreads(path, src)
		if err != nil {
			return nil, trace.Summary{}, err
		}
		rep, err := trace.NewThreadReplay(p)
		return rep, p.Summary, err
	}
	p, err := trace.Compile(path, src)
	if err != nil {
		return nil, trace.Summary{}, err
	}
	rep, err := trace.NewReplay(p)
	return rep, p.Summary, err
}

// source is an open trace.
type source interface {
	Next() (trace.Op, error)
	io.Closer
}

func open(s spec, path string) (source, error) {
	if !s.Shipped {
		return trace.Open(path)
	}
	f, err := traces.Files().Open(path + traceEnding)
	if err != nil {
		return nil, err
	}
	r, err := trace.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return struct {
		*trace.Reader
		io.Closer
	}{r, f}, nil
}
