package replay

import (
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/traces"
	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/trace"
)

// A replayer is a Replay or a ThreadReplay of package internal/replay.
type replayer interface {
	Round() (time.Duration, error)
	FreeSurvivors()
	Check(galloc.Allocator) (uint64, error)
	Close() error
}

// measure makes the measurement. With an error it returns the fields known so far: if the trace is
// faulty, Alloc is not among them.
func measure(s spec, path string, progress func(done float64)) (result, error) {
	rep, sum, err := load(s, path)
	if err != nil {
		return result{}, err
	}
	defer rep.Close()
	r := result{
		Alloc: s.Alloc, Events: sum.Events, Objects: sum.Objects, Threads: sum.Threads,
		PeakLive: sum.PeakLiveBytes,
	}
	need := sum.PeakLiveBytes
	if s.Alloc == allocators.Sink {
		need = sum.MaxSize
	}
	if err := cli.CheckMemory("this", need); err != nil {
		return r, err
	}
	a, err := allocators.Open(s.Alloc, sum.MaxSize)
	if err != nil {
		return r, err
	}
	galloc.RegisterGlobal(a) //galloc:ignore fromlibrary the process exists for this measurement
	// The rest of the description names the line above.
	r.Allocator, _, _ = strings.Cut(galloc.DescribeGlobal(), ", registered at ")

	steps := float64(s.Rounds + 1) // loading is one
	progress(1 / steps)
	roundDone := func(i int) { progress(float64(i+2) / steps) }
	if s.Check {
		r.Compared, err = checkRounds(rep, s.Rounds, roundDone)
		return r, err
	}
	if s.Observe {
		r.observed, err = observe(rep.(*replay.Replay), sum.Events)
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

// timeRounds fills in the fields that are measured without -check. It begins no round once the
// rounds before it have taken limit.
func timeRounds(r result, rep replayer, rounds int, limit time.Duration, done func(i int)) (result, error) {
	var times []int64
	var sum time.Duration
	debug.FreeOSMemory() // garbage of loading must not be returned to the system during the replay
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
	if measured && r.Alloc != allocators.Sink {
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

// median returns the middle value, or the mean of the two in the middle.
func median(v []int64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return float64(v[(n-1)/2]+v[n/2]) / 2
}

// load reads a trace and prepares its replay.
func load(s spec, path string) (replayer, replay.Summary, error) {
	src, err := open(s, path)
	if err != nil {
		return nil, replay.Summary{}, err
	}
	defer src.Close()
	if s.Threads {
		p, err := replay.CompileThreads(path, src)
		if err != nil {
			return nil, replay.Summary{}, err
		}
		rep, err := replay.NewThreadReplay(p)
		return rep, p.Summary, err
	}
	p, err := replay.Compile(path, src)
	if err != nil {
		return nil, replay.Summary{}, err
	}
	rep, err := replay.NewReplay(p)
	return rep, p.Summary, err
}

func open(s spec, path string) (traces.Source, error) {
	if s.Shipped {
		return traces.Open(path)
	}
	return trace.Open(path) // also if a shipped trace has this name
}
