// Command versus measures galloc's heap against other allocators, in C and in Go, and writes
// BENCHMARKS.md: make versus.
//
// Each measurement is a process, native (C) or gobench (Go), that does one workload of
// bench/WORKLOADS.md on one allocator. plan.go lists the rows and allocators, passes.go orders the
// measurements, build.go builds the programs and run.go runs a process; figures.go, stats.go,
// counts.go and targets.go compute figures from the answers; csv.go writes and reads them, and
// report.go and chart.go write the page.
package main

import (
	"cmp"
	"context"
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

// dateFormat is the form of dates.
const dateFormat = "2 January 2006"

// patience is the time after which a run is not repeated.
const patience = 10 * time.Second

// cheap is the time below which a run costs so little that it is repeated more often.
const cheap = 600 * time.Millisecond

// options is the command line.
type options struct {
	quick   bool
	reps    int
	rows    *regexp.Regexp
	allocs  []string
	natives []*allocator // of the user
	traces  []string
	csv     string
	out     string
	targets bool
	from    string
	timeout time.Duration
	budget  time.Duration
	given   []string
}

func parseFlags(args []string) (options, error) {
	o := options{given: args}
	f := flag.NewFlagSet("versus", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(),
			"make versus [ARGS=\"flags\"]: measures allocators with the workloads of bench/WORKLOADS.md.\n"+
				"Paths are relative to the root of the repository. Flags:")
		f.PrintDefaults()
	}
	f.BoolVar(&o.quick, "quick", false, "under 3 minutes: fewer rows, 3 repetitions, a short report on stdout")
	f.IntVar(&o.reps, "reps", 0, "repetitions; 0 means 5, or 3 with -quick. Slow allocators get half as many")
	rows := f.String("rows", "",
		"a regular `expression`: only rows whose name or group (traces, workloads, pair, batch) matches it")
	list := f.String("alloc", "", "only these allocators, a comma-separated `list`")
	f.Func("native", "also measure the shared library at `NAME=PATH`, which replaces malloc; may be repeated",
		func(s string) error {
			a, err := nativeOf(s)
			if err == nil {
				o.natives = append(o.natives, a)
			}
			return err
		})
	traces := f.String("traces", "cmd/galloc/traces,bench/traces",
		"the `folders` with the traces, files *"+traceEnding+", as a comma-separated list")
	f.StringVar(&o.out, "o", "",
		"write the report to this `file`, and charts beside the CSV file; - is a short one to stdout\n"+
			"(default BENCHMARKS.md, with -quick -)")
	f.StringVar(&o.csv, "csv", "",
		"write the figures to this CSV `file` (default bench/results/DATE.csv, none with -o -)")
	f.StringVar(&o.from, "from", "", "measure nothing: write the report of the figures in this CSV `file`")
	f.BoolVar(&o.targets, "targets", false, "print the project's targets and what was measured, too")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "time limit of one process")
	f.DurationVar(&o.budget, "budget", 0,
		"begin no repetition that would end after this time (default 38m, with -quick 2m45s)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag: see -h", f.Arg(0))
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
		return o, errors.New("-reps: write a number from 1, or 0 for the default")
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
	f, err := obtain(ctx, o)
	if err != nil {
		return err
	}
	if err := write(f, o, stdout); err != nil {
		return err
	}
	if len(f.Faults) > 0 {
		return fmt.Errorf("not all have allocated the same blocks, so their times must not be compared:\n  %s",
			strings.Join(f.Faults, "\n  "))
	}
	return nil
}

// obtain measures the figures, or reads them from a file.
func obtain(ctx context.Context, o options) (*figures, error) {
	if o.from == "" {
		r, err := measure(ctx, o)
		if err != nil {
			return nil, err
		}
		return r.figures(), nil
	}
	text, err := os.ReadFile(o.from)
	if err != nil {
		return nil, err
	}
	f, err := readCSV(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.from, err)
	}
	return f, nil
}

// write writes the figures, the report and its charts.
func write(f *figures, o options, stdout io.Writer) error {
	data := cmp.Or(o.from, o.csv)
	if data == "" && o.out != "-" {
		day, err := time.Parse(dateFormat, f.Date)
		if err != nil {
			return err
		}
		data = filepath.Join("bench", "results", day.Format(time.DateOnly)+".csv")
	}
	if data != "" && o.from == "" {
		if err := writeFile(data, f.csv()); err != nil {
			return err
		}
	}
	if o.targets {
		if _, err := io.WriteString(stdout, targetsText(f)); err != nil {
			return err
		}
	}
	if o.out == "-" {
		_, err := io.WriteString(stdout, brief(f))
		return err
	}
	folder := filepath.Dir(data)
	from, err := filepath.Rel(filepath.Dir(o.out), folder)
	if err != nil {
		return err
	}
	for name, svg := range f.charts() {
		if err := writeFile(filepath.Join(folder, name), svg); err != nil {
			return err
		}
	}
	return writeFile(o.out, report(f, filepath.Base(data), func(name string) string {
		return filepath.ToSlash(filepath.Join(from, name))
	}))
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// toRoot makes the root of the repository the working directory.
func toRoot() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for !exists(filepath.Join(dir, "bench", "WORKLOADS.md")) {
		if dir == filepath.Dir(dir) {
			return errors.New("this is not a checkout of galloc: run make versus in one")
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
	defer func() { _ = os.RemoveAll(dir) }() // if this fails, temporary files stay
	r := &results{
		Date: time.Now().Format(dateFormat), Machine: thisMachine(n), Versions: versions(),
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
		r.Missing = append(r.Missing, "rows with 2 CPUs are left out: there is only one")
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
	p := plan{
		rows: r.Rows, allocs: r.Allocs, reps: o.reps, latency: !o.quick, budget: o.budget,
		patience: patience, cheap: cheap,
	}
	r.Samples, r.Reps = p.carryOut(ctx, runner{native, o.timeout}.run, time.Now, bar)
	bar.clear()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted: nothing is written")
	}
	return r, nil
}

// chooseAllocators returns the named allocators, or the allocators of -quick, or all.
func chooseAllocators(o options) ([]*allocator, error) {
	all := allocators()
	// Before the first that is not native.
	i := slices.IndexFunc(all, func(a *allocator) bool { return a.Name == "go" })
	all = slices.Insert(all, i, o.natives...)
	for _, name := range o.allocs {
		if !slices.ContainsFunc(all, func(a *allocator) bool { return a.Name == name }) {
			var names []string
			for _, a := range all {
				names = append(names, a.Name)
			}
			return nil, fmt.Errorf("-alloc: unknown allocator %q: choose from %s", name, strings.Join(names, ","))
		}
	}
	return slices.DeleteFunc(all, func(a *allocator) bool {
		if o.allocs != nil {
			return !slices.Contains(o.allocs, a.Name)
		}
		return o.quick && !a.Quick
	}), nil
}
