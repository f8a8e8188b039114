package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/traces"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/internal/rss"
	"github.com/galloc-go/galloc/internal/workload"
	"github.com/galloc-go/galloc/trace"
)

// A work is a workload of bench/WORKLOADS.md, or a recorded program, whose number of threads is
// fixed.
type work struct {
	name     string
	trace    bool
	settings func(ps int) []string // one thread per P, and about the same work for any number
	spread   float64               // the part of the Ps whose centrals are used; see lock
	inOrder  bool                  // blocks are freed in the order in which they were allocated
}

var works = []work{
	{"larson", false, func(ps int) []string { return settings(ps, "generations", 128, 2) }, 1, false},
	{
		"mstress", false, func(ps int) []string { return append(settings(ps, "iterations", 256, 2), "scale=50") }, 1,
		false,
	},
	{
		"rptest", false, func(ps int) []string { return append(settings(ps, "iterations", 256, 2), "loops=250") }, 1,
		false,
	},
	// Half of the goroutines are consumers. All blocks belong to the Ps of the others.
	{"xmalloc-test", false, func(ps int) []string { return settings(max(ps/2, 1), "batches", 4096, 32) }, 0.5, true},
	{"glibc-thread", false, func(ps int) []string { return settings(ps, "iterations", 16_000_000, 100_000) }, 1, false},
	{"mariadb", true, func(int) []string { return nil }, 1, false},
}

func settings(threads int, key string, all, least int) []string {
	return []string{"threads=" + strconv.Itoa(threads), key + "=" + strconv.Itoa(max(all/threads, least))}
}

// A sample is the result of a run of a workload.
type sample struct {
	Ps   int
	CPUs float64 // used by the process, on average
	Ops  float64
	Ns   float64 // elapsed
	Peak float64 // resident bytes, 0 if not measured
	Go   float64 // bytes of the heap on the Go heap

	PageLocks, PageWaits float64
	Runs, Spans, Taken   float64 // runs allocated and freed; allocated spans; allocated runs
	Classes              []classSample
}

// A classSample has the counts of the centrals of one class.
type classSample struct {
	Size           uintptr
	Locks, Waits   float64
	Blocks         float64 // moved
	Adopted, Spans float64
}

// centrals returns the sum over classes.
func (s *sample) centrals() (sum classSample) {
	for _, c := range s.Classes {
		sum.Locks += c.Locks
		sum.Waits += c.Waits
		sum.Blocks += c.Blocks
		sum.Adopted += c.Adopted
		sum.Spans += c.Spans
	}
	return sum
}

// best runs the workload several times, each in a new process with ps Ps and the settings for like
// Ps, and returns the fastest sample.
func best(w work, like, ps, rounds int) (least sample, err error) {
	for i := range rounds {
		s, err := ask(w, like, ps)
		if err != nil {
			return least, err
		}
		if i == 0 || s.Ns/s.Ops < least.Ns/least.Ops {
			least = s
		}
	}
	return least, nil
}

func ask(w work, like, ps int) (s sample, err error) {
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	cmd := exec.Command(self, append([]string{childName, w.name}, w.settings(like)...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "GOGC" || name == "GOMEMLIMIT" || name == "GODEBUG"
	}), "GOMAXPROCS="+strconv.Itoa(ps))
	var crash bytes.Buffer
	cmd.Stderr = &crash
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, crash.String())
	}
	err = json.Unmarshal(out, &s)
	s.CPUs = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() / time.Since(start).Seconds()
	return s, err
}

// child runs one workload on the heap, which is the default of executables, and prints its sample.
func child(args []string, stdout io.Writer) int {
	s, err := run(args)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run(args []string) (s sample, err error) {
	if len(args) == 0 {
		return s, errors.New("a workload must be named")
	}
	i := slices.IndexFunc(works, func(w work) bool { return w.name == args[0] })
	if i < 0 {
		return s, fmt.Errorf("unknown workload %q", args[0])
	}
	if works[i].trace {
		return replayTrace(args[0])
	}
	var before, after heap.Stats
	r, err := workload.Run(args[0], args[1:], func(done float64) {
		switch done { // 0.1 just before the clock starts, 0.9 after it has stopped
		case 0.1:
			before = heap.Default().Stats()
		case 0.9:
			after = heap.Default().Stats()
		}
	})
	if err != nil {
		return s, err
	}
	s = between(&before, &after)
	s.Ops, s.Ns = float64(r.Ops), float64(r.Ns)
	if r.PeakRSS != nil {
		s.Peak = float64(*r.PeakRSS)
	}
	return s, nil
}

// replayTrace replays a trace with a goroutine for each of its threads. The first round is not
// counted.
func replayTrace(name string) (s sample, err error) {
	f, err := traces.Files().Open(path.Join(".", name+".trace.gz"))
	if err != nil {
		return s, err
	}
	defer f.Close()
	reader, err := trace.NewReader(f)
	if err != nil {
		return s, err
	}
	p, err := replay.CompileThreads(name, reader)
	if err != nil {
		return s, err
	}
	r, err := replay.NewThreadReplay(p)
	if err != nil {
		return s, err
	}
	defer r.Close()
	runtime.GC()
	base, measured := rss.Start()
	var before, after heap.Stats
	for round := range 2 {
		before = heap.Default().Stats()
		took, err := r.Round()
		if err != nil {
			return s, err
		}
		after = heap.Default().Stats()
		if round == 1 {
			s = between(&before, &after)
			s.Ops, s.Ns = float64(p.Events), float64(took.Nanoseconds())
		}
		r.FreeSurvivors()
	}
	if peak, _ := rss.Peak(); measured {
		s.Peak = float64(max(peak-base, 0))
	}
	return s, nil
}

// between returns the difference of two statistics.
func between(before, after *heap.Stats) sample {
	s := sample{
		Ps: runtime.GOMAXPROCS(0), Go: float64(after.GoMemory),
		PageLocks: float64(after.PageLocks - before.PageLocks), PageWaits: float64(after.PageWaits - before.PageWaits),
		Taken: float64(after.RunsAllocated - before.RunsAllocated),
	}
	s.Runs = s.Taken + float64(after.RunsFreed-before.RunsFreed)
	for i, a := range after.Classes {
		b := before.Classes[i]
		if a.Locks == b.Locks {
			continue
		}
		s.Spans += float64(a.SpansMade - b.SpansMade)
		s.Classes = append(s.Classes, classSample{
			Size: a.Size, Locks: float64(a.Locks - b.Locks), Waits: float64(a.Waits - b.Waits),
			Blocks:  float64(a.Refilled + a.Flushed - b.Refilled - b.Flushed),
			Adopted: float64(a.Adopted - b.Adopted), Spans: float64(a.SpansMade - b.SpansMade),
		})
	}
	return s
}
