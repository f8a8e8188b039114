package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/traces"
)

// The child process of a replay: galloc measure SPEC registers the allocator as the global
// one, replays the trace, and reports as lines of JSON. It is not for people.

const measureCommand = "measure"

// message is a line from the child.
type message struct {
	Done   float64 `json:"done"` // how much of the measurement, 0 to 1
	Error  string  `json:"error,omitempty"`
	Result *result `json:"result,omitempty"`
}

const nullName = "null"

// allocators is what can be named on the command line, null first: its row is what to hold
// the others against. maxSize is the size of the largest object to come.
var allocators = []struct {
	name string
	open func(maxSize uint64) (galloc.GlobalAlloc, error)
}{
	{nullName, trace.Null},
	{"system", func(uint64) (galloc.GlobalAlloc, error) { return galloc.System, nil }},
	{"goheap", func(uint64) (galloc.GlobalAlloc, error) { return galloc.AsGlobal(galloc.GoHeap), nil }},
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

func measure(args []string, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // the terminal sends it to both; the parent ends us
	var s spec
	if len(args) != 1 {
		return usagef("this command is for galloc replay")
	}
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil || !slices.Contains(allocatorNames(), s.Alloc) {
		return usagef("this command is for galloc replay")
	}
	out := json.NewEncoder(stdout)
	r, err := measureSpec(s, func(done float64) { _ = out.Encode(message{Done: done}) })
	if err != nil {
		return errors.Join(err, out.Encode(message{Done: 1, Error: err.Error()}))
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

func measureSpec(s spec, report func(done float64)) (result, error) {
	rep, sum, err := load(s)
	if err != nil {
		return result{}, err
	}
	defer rep.Close()
	a, err := openAllocator(s.Alloc, sum.MaxSize)
	if err != nil {
		return result{}, err
	}
	galloc.RegisterGlobal(a)
	r := result{
		Trace: traceName(s.Trace), Alloc: s.Alloc, Allocator: galloc.GlobalName(),
		Events: sum.Events, Objects: sum.Objects, Threads: sum.Threads, Threaded: s.Threads, PeakLive: sum.PeakLiveBytes,
	}
	steps := float64(s.Rounds + 1)
	report(1 / steps)
	if s.Check {
		for i := range s.Rounds {
			compared, err := rep.Check(galloc.Global)
			if err != nil {
				return r, err
			}
			r.Checked = true
			r.Compared += compared
			report(float64(i+2) / steps)
		}
		return r, nil
	}

	debug.FreeOSMemory() // what loading has left behind must not go away during the replay
	base, measured := startRSS()
	for i := range s.Rounds {
		took, err := rep.Round()
		if err != nil {
			return r, err
		}
		r.RoundsNs = append(r.RoundsNs, took.Nanoseconds())
		rep.FreeSurvivors()
		report(float64(i+2) / steps)
	}
	events := float64(max(sum.Events, 1))
	r.NsPerOp = median(r.RoundsNs) / events
	r.MinNs = float64(slices.Min(r.RoundsNs)) / events
	if measured && s.Alloc != nullName {
		peak, end := peakRSS()
		peak, end = max(peak-base, 0), max(end-base, 0)
		r.PeakRSS, r.EndRSS = &peak, &end
		if sum.PeakLiveBytes > 0 {
			r.RSSRatio = float64(peak) / float64(sum.PeakLiveBytes)
		}
	}
	return r, nil
}

// load reads a trace and prepares its replay.
func load(s spec) (replayer, trace.Summary, error) {
	src, err := open(s.Trace)
	if err != nil {
		return nil, trace.Summary{}, err
	}
	defer src.Close()
	if s.Threads {
		p, err := trace.CompileThreads("", src)
		if err != nil {
			return nil, trace.Summary{}, err
		}
		rep, err := trace.NewThreadReplay(p)
		return rep, p.Summary, err
	}
	p, err := trace.Compile("", src)
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

func open(file string) (source, error) {
	name, embedded := strings.CutPrefix(file, embeddedPrefix)
	if !embedded {
		return trace.Open(file)
	}
	f, err := traces.Files().Open(path.Base(name))
	if err != nil {
		return nil, err
	}
	r, err := trace.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return struct {
		*trace.Reader
		io.Closer
	}{r, f}, nil
}
