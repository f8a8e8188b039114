package bench

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/internal/workload"
)

// A run of a workload is made in a new process:
//
//	galloc benching SPEC

const childCommand = "benching"

// A spec is what to run.
type spec struct {
	Alloc    string   `json:"alloc"`
	Workload string   `json:"workload"`
	Settings []string `json:"settings"`
}

// A message comes from the process: any number without a Result, then one with it.
type message struct {
	Done   float64          `json:"done"`
	Result *workload.Result `json:"result,omitempty"`
}

func (m message) Final() bool { return m.Result != nil }

// runInChild makes one run in a child process. If the process fails, the Error of the result says
// how. An error means that no other run can succeed either.
func runInChild(ctx context.Context, o options, c cell, bar *cli.Bar) (workload.Result, error) {
	child, err := cli.NewChild(ctx, childCommand, spec{c.alloc, c.workload, o.settingsOf(c)})
	if err != nil {
		return workload.Result{}, err
	}
	last, failure, err := cli.Converse(child, func(m message) { bar.Progress(m.Done) })
	switch {
	case err != nil:
		return workload.Result{}, err
	case ctx.Err() != nil:
		return workload.Result{}, ctx.Err()
	case failure != "":
		return workload.Result{Error: "the process failed: " + failure}, nil
	}
	r := *last.Result
	if r.Error == "" && r.Ops == 0 {
		r.Error = "there was no operation to be timed: set larger parameters"
	}
	return r, nil
}

// serve is the child process.
func serve(args []string, _ io.Reader, stdout io.Writer) error {
	cli.IgnoreInterrupts()
	var s spec
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &s) != nil ||
		!slices.Contains(allocators.RealNames(), s.Alloc) {
		return cli.Usagef("only galloc bench uses this command")
	}
	a, err := allocators.Open(s.Alloc, 0)
	if err != nil {
		return err
	}
	workload.Register(a)
	out := json.NewEncoder(stdout)
	r, err := workload.Run(s.Workload, s.Settings, func(done float64) {
		_ = out.Encode(message{Done: done}) // if nobody reads it, the result will fail too
	})
	if err != nil {
		r.Error = strings.TrimPrefix(err.Error(), "workload: ")
	}
	return out.Encode(message{Done: 1, Result: &r})
}
