package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/heap"
)

// A soak is made in a new process:
//
//	galloc soaking OPTIONS
//
// It ends early when its standard input ends.

const childCommand = "soaking"

// options are the flags that the soaking process needs.
type options struct {
	Alloc      string        `json:"alloc"`
	Time       time.Duration `json:"time_ns"`
	Goroutines int           `json:"goroutines"`
	Procs      int           `json:"procs"`
	Live       int           `json:"live_bytes"`
	Seed       uint64        `json:"seed"`
}

// A message comes from the soaking process: any number with a Now, then one with a Result.
type message struct {
	Now    *status `json:"now,omitempty"`
	Result *result `json:"result,omitempty"`
}

func (m message) Final() bool { return m.Result != nil }

// status is the state of a soak at one moment.
type status struct {
	At      time.Duration `json:"at_ns"`
	Rate    float64       `json:"rate"` // operations per second since the status before
	Live    uint64        `json:"live"`
	RSS     int64         `json:"rss"`
	PeakRSS int64         `json:"peak_rss"`
}

// String returns a line for the terminal.
func (s status) String() string {
	const mega = 1e6
	return fmt.Sprintf("%3.0fs %.2fM/s live %.0f RSS %.0f/%.0f MB", s.At.Seconds(), s.Rate/mega,
		float64(s.Live)/mega, float64(s.RSS)/mega, float64(s.PeakRSS)/mega)
}

// runInChild soaks in a child process. If the process fails, the Error of the result says how. When
// ctx is done, even before the start, the end of its standard input asks the process to end, which
// may take it some time.
func runInChild(ctx context.Context, o options, bar *cli.Bar) (result, error) {
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	child, err := cli.NewChild(alive, childCommand, o)
	if err != nil {
		return result{}, err
	}
	stdin, err := child.StdinPipe()
	if err != nil {
		return result{}, cli.NoProcess(err)
	}
	stop := context.AfterFunc(ctx, func() {
		stdin.Close()
		time.AfterFunc(hangTime+4*decayPeriod, kill)
	})
	defer stop()
	last, failure, err := cli.Converse(child, func(m message) {
		if m.Now != nil {
			bar.Show(m.Now.String())
		}
	})
	switch {
	case err != nil:
		return result{}, err
	case last.Result != nil:
		return *last.Result, nil
	}
	return result{Error: "the soaking process failed: " + failure, Interrupted: ctx.Err() != nil}, nil
}

// serve is the child process.
func serve(args []string, stdin io.Reader, stdout io.Writer) error {
	cli.IgnoreInterrupts()
	var o options
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &o) != nil ||
		!slices.Contains(allocators.RealNames(), o.Alloc) || o.check() != nil {
		return cli.Usagef("only galloc soak uses this command")
	}
	runtime.GOMAXPROCS(o.Procs)
	a, err := allocators.Open(o.Alloc, 0)
	if err != nil {
		return err
	}
	galloc.RegisterGlobal(a) //galloc:ignore fromlibrary the process exists for this test
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(ended)
	}()
	s := newSoak(o, galloc.Global) // not a itself: with GALLOC=debug, a checker is in front of it
	s.heap, _ = a.(*heap.Heap)
	out := json.NewEncoder(stdout)
	r := s.run(o.Time, ended, func(now status) {
		_ = out.Encode(message{Now: &now}) // if nobody reads it, the result will fail too
	})
	r.Allocator = fmt.Sprint(a)
	return out.Encode(message{Result: &r})
}
