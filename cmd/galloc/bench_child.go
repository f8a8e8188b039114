package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/galloc-go/galloc/internal/workload"
)

// A run of a workload has a process of its own, for the same reasons as a measurement:
//
//	galloc benching SPEC
//
// with a benchSpec as JSON. It answers with benchMessages.

const benchingCommand = "benching"

type benchSpec struct {
	Alloc    string   `json:"alloc"`
	Workload string   `json:"workload"`
	Settings []string `json:"settings"`
}

// A benchMessage comes from the process: any number without a Result, then one with.
type benchMessage struct {
	Done   float64          `json:"done"`
	Result *workload.Result `json:"result,omitempty"`
}

func (m benchMessage) final() bool { return m.Result != nil }

// benchInChild has a child process do one run. What goes wrong with it is in the Error of the
// result; an error says that there is no point in going on.
func benchInChild(ctx context.Context, o benchOptions, c benchCell, bar *bar) (workload.Result, error) {
	told, err := json.Marshal(benchSpec{c.alloc, c.workload, o.settingsOf(c)})
	if err != nil {
		return workload.Result{}, err
	}
	child, err := newChild(ctx, benchingCommand, string(told))
	if err != nil {
		return workload.Result{}, err
	}
	last, failure, err := converse(child, func(m benchMessage) { bar.progress(m.Done) })
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

// benchProcess is the command of the child.
func benchProcess(args []string, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // the terminal sends it to both; the parent ends us
	signal.Reset(syscall.SIGTERM)
	var s benchSpec
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &s) != nil || !slices.Contains(soakNames(), s.Alloc) {
		return usagef("this command is for galloc bench only")
	}
	a, err := openAllocator(s.Alloc, 0)
	if err != nil {
		return err
	}
	workload.Register(a)
	out := json.NewEncoder(stdout)
	r, err := workload.Run(s.Workload, s.Settings, func(done float64) {
		_ = out.Encode(benchMessage{Done: done}) // if nobody listens, the result will fail too
	})
	if err != nil {
		r.Error = strings.TrimPrefix(err.Error(), "workload: ")
	}
	return out.Encode(benchMessage{Done: 1, Result: &r})
}
