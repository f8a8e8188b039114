// Command versus measures galloc's heap against other allocators, in C and in Go, and writes the report: make versus.
//
// Each measurement is a process of its own, native (C) or gobench (Go), that does one workload of bench/WORKLOADS.md on one
// allocator. plan.go says what is measured, passes.go in which order, run.go how one process is run; stats.go, counts.go and marks.go
// make figures of the answers, and report.go writes them down.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/galloc-go/galloc/bench/internal/cpus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "versus:", err)
		os.Exit(1)
	}
}

// patience is how long a process may take to be repeated.
const patience = 10 * time.Second

// options is the command line.
type options struct {
	quick   bool
	reps    int
	rows    *regexp.Regexp
	allocs  []string
	traces  []string
	json    string
	out     string
	from    string
	timeout time.Duration
	budget  time.Duration
	given   []string
}

func parseFlags(args []string) (options, error) {
	o := options{given: args}
	f := flag.NewFlagSet("versus", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "make versus [ARGS=\"flags\"]: measures allocators against each other, as bench/WORKLOADS.md says.\nPaths are relative to the root of the repository. Flags:")
		f.PrintDefaults()
	}
	f.BoolVar(&o.quick, "quick", false, "under 3 minutes: fewer rows, 3 repetitions, the report on stdout")
	f.IntVar(&o.reps, "reps", 0, "repetitions; 0 stands for 5, or 3 with -quick. Slow allocators get half as many")
	rows := f.String("rows", "", "a regular `expression`: only rows whose name or group (traces, workloads, pair, batch) matches")
	list := f.String("alloc", "", "only these allocators, a comma-separated `list`")
	traces := f.String("traces", "traces,bench/traces", "the `folders` with the traces, files *"+traceEnding+", as a comma-separated list")
	f.StringVar(&o.json, "json", "", "write all raw answers to this `file`")
	f.StringVar(&o.out, "o", "", "write the report to this `file`; - is stdout (default BENCHMARKS.md, with -quick -)")
	f.StringVar(&o.from, "from", "", "measure nothing: write the report of what -json has written to this `file`")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "the most that one process may take")
	f.DurationVar(&o.budget, "budget", 0, "begin no repetition that would not be done by then (default 38m, with -quick 2m45s)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("there are flags only, and %q is none: see -h", f.Arg(0))
	}
	var err error
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return o, fmt.Errorf("-rows: %w", err)
	}
	if *list != "" {
		o.allocs = strings.Split(*list, ",")
	}
	if *traces != "" {
		o.traces = strings.Split(*traces, ",")
	}
	if o.reps < 0 {
		return o, errors.New("-reps: a number from 1, or 0 for the default")
	}
	if o.quick {
		o.reps, o.out, o.budget = cmp.Or(o.reps, 3), cmp.Or(o.out, "-"), cmp.Or(o.budget, 165*time.Second)
	}
	o.reps, o.out, o.budget = cmp.Or(o.reps, 5), cmp.Or(o.out, "BENCHMARKS.md"), cmp.Or(o.budget, 38*time.Minute)
	return o, nil
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if err := toRoot(); err != nil {
		return err
	}
	var r *results
	if o.from != "" {
		text, err := os.ReadFile(o.from)
		if err != nil {
			return err
		}
		r = &results{}
		if err := json.Unmarshal(text, r); err != nil {
			return fmt.Errorf("%s: not what -json writes: %w", o.from, err)
		}
	} else if r, err = measure(ctx, o); err != nil {
		return err
	}
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	text := report(r)
	if o.out == "-" {
		_, err = io.WriteString(stdout, text)
	} else {
		err = os.WriteFile(o.out, []byte(text), 0o644)
	}
	if err != nil {
		return err
	}
	if lines := r.disagreements(); len(lines) > 0 {
		return fmt.Errorf("not all have allocated the same blocks, so their times must not be compared:\n  %s", strings.Join(lines, "\n  "))
	}
	return nil
}

// toRoot makes the root of the repository the working directory.
func toRoot() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for !exists(filepath.Join(dir, "bench", "WORKLOADS.md")) {
		if dir == filepath.Dir(dir) {
			return errors.New("this is not in a checkout of galloc: use make versus there")
		}
		dir = filepath.Dir(dir)
	}
	return os.Chdir(dir)
}

// measure builds the programs and carries out the plan.
func measure(ctx context.Context, o options) (*results, error) {
	n, err := cpus.Count()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "galloc-versus-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left of it, the system's cleaning takes
	r := &results{
		Date: time.Now().Format("2 January 2006"), Quick: o.quick, Machine: thisMachine(n), Versions: versions(),
		Command: strings.TrimSpace("go -C bench run ./versus " + strings.Join(o.given, " ")),
	}
	chosen, err := chooseAllocators(o)
	if err != nil {
		return nil, err
	}
	bar := newBar(os.Stderr, o.budget)
	bar.note("building")
	native, err := build(ctx, dir, chosen)
	if err != nil {
		return nil, err
	}
	for _, a := range chosen {
		if a.missing == "" {
			r.Allocs = append(r.Allocs, a)
			continue
		}
		line := a.Name + " is left out: " + a.missing
		r.Missing = append(r.Missing, line)
		bar.note("%s", line)
	}
	if n < 2 {
		r.Missing = append(r.Missing, "rows with 2 CPUs are left out: there is one")
	}
	traces, err := traceRows(ctx, dir, filepath.Join(dir, "gobench"), o.traces, n, o.quick)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted: nothing is written")
	}
	if err != nil {
		return nil, fmt.Errorf("traces (-traces= leaves them out): %w", err)
	}
	r.Rows = choose(append(traces, rows(n, o.quick)...), o.rows)
	if len(r.Rows) == 0 {
		return nil, errors.New("-rows: no row matches")
	}
	p := plan{rows: r.Rows, allocs: r.Allocs, reps: o.reps, latency: !o.quick, budget: o.budget, patience: patience}
	r.Samples, r.Reps = p.carryOut(ctx, runner{native, o.timeout}.run, time.Now, bar)
	bar.clear()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted: nothing is written")
	}
	return r, nil
}

// chooseAllocators returns those that are named, or those of -quick, or all.
func chooseAllocators(o options) ([]*allocator, error) {
	all := allocators()
	for _, name := range o.allocs {
		if !slices.ContainsFunc(all, func(a *allocator) bool { return a.Name == name }) {
			var names []string
			for _, a := range all {
				names = append(names, a.Name)
			}
			return nil, fmt.Errorf("-alloc: there is no %q; choose from %s", name, strings.Join(names, ","))
		}
	}
	return slices.DeleteFunc(all, func(a *allocator) bool {
		if o.allocs != nil {
			return !slices.Contains(o.allocs, a.Name)
		}
		return o.quick && !a.Quick
	}), nil
}
