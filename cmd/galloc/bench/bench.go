// Package bench is the command galloc bench.
//
// bench.go reads the command line, child.go starts a process for each run, and report.go prints
// what it measured.
package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/internal/workload"
)

const help = `usage: galloc bench [flags] NAME... [KEY=VALUE...]

Runs workloads on the global allocator, with each of the named allocators registered,
each time in a separate process. The workloads come from well-known benchmarks of
allocators, with a fixed amount of work. NAME is one of
%[1]s
or all. KEY=VALUE sets a parameter of each named workload; galloc bench -list lists the
parameters. The runs of all are interleaved, so that a machine that becomes slower for a
while slows all of them.

The allocators:
%[2]s
The output is in the format of Go's benchmarks, for benchstat:
  galloc bench -count 10 larson mstress | tee result
  benchstat -col /alloc result
It has a line for each run, with the number of operations and these values:
  ns/op    elapsed time divided by the operations of all goroutines
  ops/s    operations per second
  peak-B   the most resident memory that the workload added, in bytes; Linux only
With -latency, it has the number of calls of the allocator, and in place of the first two
  p50-ns, p99-ns, p99.9-ns, max-ns
           time that 50, 99 or 99.9 percent of the calls did not exceed; the longest call

If a run fails, the others are still made, and the exit status is 1.

Flags, before the first NAME:
%[3]s`

// allWorkloads is the NAME that means all workloads.
const allWorkloads = "all"

// Command is galloc bench.
var Command = cli.Command{
	Name:  "bench",
	Usage: "[flags] NAME... [KEY=VALUE...]  run workloads of well-known benchmarks",
	Run:   run, Child: childCommand, Serve: serve,
}

// options are the flags and arguments.
type options struct {
	count     int
	latency   bool
	list      bool
	allocs    []string
	threads   []int
	workloads []string
	settings  []string // KEY=VALUE
}

// A cell is a workload with an allocator and a number of threads. It is run count times.
type cell struct {
	workload string
	alloc    string
	threads  int
}

// String returns the cell's name in messages.
func (c cell) String() string {
	return fmt.Sprintf("%s on %s, threads=%d", c.workload, c.alloc, c.threads)
}

func (o options) cells() []cell {
	var cells []cell
	for _, w := range o.workloads {
		for _, n := range o.threads {
			for _, a := range o.allocs {
				cells = append(cells, cell{w, a, n})
			}
		}
	}
	return cells
}

// run is the command. If a run fails, it reports that and does not repeat the cell.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if o.list {
		return cli.Printed(listWorkloads(stdout))
	}
	if err := printHead(stdout, o); err != nil {
		return err
	}
	cells := o.cells()
	bar := cli.NewBar(stderr, len(cells)*o.count)
	failed := map[cell]bool{}
	for range o.count {
		for _, c := range cells {
			if failed[c] {
				bar.Skip(1)
				continue
			}
			bar.Start(c.alloc + " " + c.workload)
			r, err := runInChild(ctx, o, c, bar)
			bar.Finish()
			if err != nil {
				return err
			}
			if r.Error != "" {
				failed[c] = true
				fmt.Fprintf(stderr, "galloc bench: %s: %s\n", c, r.Error)
				continue
			}
			if err := printLine(stdout, o, c, r); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return cli.ErrReported
	}
	return nil
}

func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	allocs := flags.String("alloc", strings.Join(allocators.Usual(allocators.RealNames()), ","),
		"comma-separated `list` of allocators")
	count := flags.String("count", "5", "`number` of runs of each workload on each allocator")
	threads := flags.String("threads", "1", "comma-separated `list` of numbers of goroutines")
	flags.BoolVar(&o.latency, "latency", false, "time each call of the allocator, instead of the whole run")
	flags.BoolVar(&o.list, "list", false, "list the workloads and their parameters, and run nothing")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, cmp.Or(printHelp(flags, stdout), err)
	} else if err != nil {
		return o, cli.Usagef("%w (galloc bench -h lists the flags)", err)
	}
	var err error
	if o.count, err = strconv.Atoi(*count); err != nil || o.count < 1 {
		return o, cli.Usagef("-count %s: write a whole number, at least 1", *count)
	}
	names, err := allocators.Parse(*allocs, allocators.RealNames())
	if err != nil {
		return o, err
	}
	o.allocs = cli.AppendNew(o.allocs, names...)
	for text := range strings.SplitSeq(*threads, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return o, cli.Usagef("-threads %s: write whole numbers, at least 1, separated by commas", *threads)
		}
		o.threads = cli.AppendNew(o.threads, n)
	}
	if err := o.addNames(flags.Args()); err != nil || o.list {
		return o, err
	}
	if len(o.workloads) == 0 {
		return o, cli.Usagef("which workload? write a NAME, or all: the workloads are %s",
			strings.Join(workloadNames(), ", "))
	}
	for _, c := range o.cells() {
		if err := workload.Check(c.workload, o.settingsOf(c)); err != nil {
			return o, cli.Usagef("%s", strings.TrimPrefix(err.Error(), "workload: "))
		}
	}
	return o, nil
}

// addNames adds the arguments after the flags.
func (o *options) addNames(args []string) error {
	for _, arg := range args {
		key, _, isSetting := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(arg, "-"):
			return cli.Usagef("%s is after a NAME: write flags first", arg)
		case key == "threads" || key == "latency":
			return cli.Usagef("%s: use the flag -%s", arg, key)
		case isSetting:
			o.settings = append(o.settings, arg)
		case arg == allWorkloads:
			o.workloads = cli.AppendNew(o.workloads, workloadNames()...)
		case !slices.Contains(workloadNames(), arg):
			return cli.Usagef("unknown workload %q: the workloads are %s; all means all of them",
				arg, strings.Join(workloadNames(), ", "))
		default:
			o.workloads = cli.AppendNew(o.workloads, arg)
		}
	}
	return nil
}

// settingsOf returns all settings of a run.
func (o options) settingsOf(c cell) []string {
	s := append(slices.Clone(o.settings), "threads="+strconv.Itoa(c.threads))
	if o.latency {
		s = append(s, "latency=1")
	}
	return s
}

func workloadNames() []string {
	var names []string
	for _, w := range workload.All() {
		names = append(names, w.Name)
	}
	return names
}

func printHelp(flags *flag.FlagSet, stdout io.Writer) error {
	var names, defaults bytes.Buffer
	for _, w := range workload.All() {
		fmt.Fprintf(&names, "  %-14s %s\n", w.Name, w.About)
	}
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	_, err := fmt.Fprintf(stdout, help, bytes.TrimRight(names.Bytes(), "\n"),
		allocators.Help(allocators.RealNames()), &defaults)
	return err
}

// listWorkloads is -list.
func listWorkloads(w io.Writer) error {
	var b bytes.Buffer
	list := func(params []workload.Param) {
		for _, p := range params {
			limit := ""
			if p.Max < math.MaxUint64 {
				limit = fmt.Sprintf(" (%d to %d)", p.Min, p.Max)
			}
			fmt.Fprintf(&b, "  %-22s %s%s\n", fmt.Sprintf("%s=%d", p.Name, p.Default), p.Doc, limit)
		}
	}
	for _, w := range workload.All() {
		fmt.Fprintf(&b, "%s: %s\n  an operation: %s\n", w.Name, w.About, w.Op)
		list(w.Params)
	}
	fmt.Fprintf(&b, "all of them, in addition to -threads and -latency:\n")
	list(slices.DeleteFunc(workload.Common(), func(p workload.Param) bool {
		return p.Name == "threads" || p.Name == "latency"
	}))
	_, err := w.Write(b.Bytes())
	return err
}

// procs returns the suffix of the names of Go's benchmarks.
func procs() string {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return "-" + strconv.Itoa(n)
	}
	return ""
}
