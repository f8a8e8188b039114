package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
)

// A measurement is made in a new process:
//
//	galloc measure SPEC PATH
//
// The path of the trace is not part of the spec because a path need not be valid text. This file is
// both ends of the conversation; measure.go is what the process does.

const childCommand = "measure"

// A spec is what to measure, besides the path of the trace.
type spec struct {
	Alloc   string `json:"alloc"`
	Shipped bool   `json:"shipped"` // the path is the name of a shipped trace
	Rounds  int    `json:"rounds"`
	Patient bool   `json:"patient"` // all Rounds, however long they take
	Check   bool   `json:"check"`
	Threads bool   `json:"threads"`
	Observe bool   `json:"observe"` // only one round, with each call timed, for -html
}

// A message comes from the measuring process: any number without a Result, then one with it.
type message struct {
	Done     float64   `json:"done"` // the part of the measurement that is done, 0 to 1
	Result   *result   `json:"result,omitempty"`
	Observed *observed `json:"observed,omitempty"` // of the Result
}

func (m message) Final() bool { return m.Result != nil }

// measureInChild makes one measurement in a child process. If the process fails, the Error of the
// result says how. An error means that no other measurement can succeed either.
func measureInChild(ctx context.Context, o options, t traceFile, alloc string, bar *cli.Bar) (result, error) {
	return converse(ctx, spec{
		Alloc: alloc, Shipped: t.shipped, Rounds: o.rounds, Patient: o.patient, Check: o.check, Threads: o.threads,
	}, t, bar)
}

// observeInChild is measureInChild for what only -html shows.
func observeInChild(ctx context.Context, t traceFile, alloc string, bar *cli.Bar) (result, error) {
	return converse(ctx, spec{Alloc: alloc, Shipped: t.shipped, Rounds: 1, Observe: true}, t, bar)
}

func converse(ctx context.Context, s spec, t traceFile, bar *cli.Bar) (result, error) {
	alloc := s.Alloc
	child, err := cli.NewChild(ctx, childCommand, s, t.path)
	if err != nil {
		return result{}, err
	}
	if alloc == allocators.Sink {
		// One block for everything: the memory checker of GALLOC=debug would call that misuse.
		child.Env = append(os.Environ(), "GALLOC=")
	}
	last, failure, err := cli.Converse(child, func(m message) { bar.Progress(m.Done) })
	switch {
	case err != nil:
		return result{}, err
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	}
	r := result{Alloc: alloc, Error: "the measuring process failed: " + failure}
	if failure == "" {
		r = *last.Result
		r.observed = last.Observed
	}
	r.Trace = t.label
	if !t.shipped {
		r.File = t.path
	}
	return r, nil
}

// The measuring process replays on the thread that it was started on, as a program in C would:
// libc's malloc has an arena for each thread, and serves the first thread best.
func init() {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		runtime.LockOSThread()
	}
}

// serve is the child process.
func serve(args []string, _ io.Reader, stdout io.Writer) error {
	cli.IgnoreInterrupts()
	var s spec
	if len(args) != 2 || json.Unmarshal([]byte(args[0]), &s) != nil || s.Rounds < 1 ||
		!slices.Contains(allocators.Names(), s.Alloc) {
		return cli.Usagef("only galloc replay uses this command")
	}
	out := json.NewEncoder(stdout)
	var last time.Time
	r, err := measure(s, args[1], func(done float64) {
		if time.Since(last) > 50*time.Millisecond {
			_ = out.Encode(message{Done: done}) // if nobody reads it, the result will fail too
			last = time.Now()
		}
	})
	if err != nil {
		r.Error = strings.TrimPrefix(fmt.Sprint(err), "galloc: ")
	}
	return out.Encode(message{Done: 1, Result: &r, Observed: r.observed})
}
