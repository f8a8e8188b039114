package main

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

	"github.com/galloc-go/galloc/internal/workload"
)

const benchHelp = `usage: galloc bench [flags] NAME... [KEY=VALUE...]

Runs workloads on the global allocator, with each of the named allocators registered
as it, each time in a process of its own. The workloads are those of well-known
benchmarks of allocators, with a fixed amount of work; NAME is one of
%[1]s
or all for all of them. KEY=VALUE sets a parameter of each of them: galloc bench -list
lists those that there are. The rounds of all are interleaved, so that a machine that
becomes slower for a while does not harm a single one.

The allocators:
%[2]s
The output is in the format of Go's benchmarks, for benchstat: such as
  galloc bench -count 10 larson mstress | tee result
  benchstat -col /alloc result
It has a line for each run, with the number of operations and
  ns/op    time of an operation; of all goroutines together, as long as that took
  ops/s    operations in a second
  peak-B   the most resident memory that the workload has added, in bytes; Linux only
and with -latency, with the number of calls of the allocator, in place of the first two
  p50-ns, p99-ns, p99.9-ns, max-ns
           time that so many of a hundred calls have not exceeded, and that of the longest

If a run fails, the others are made all the same, and the exit status is 1.

Flags, which come before the first NAME:
%[3]s`

// allWorkloads is the NAME of all of them.
const allWorkloads = "all"

// benchOptions are what is asked for.
type benchOptions struct {
	count     int
	latency   bool
	list      bool
	allocs    []string
	threads   []int
	workloads []string
	settings  []string // KEY=VALUE
}

// A benchCell is what is run count times.
type benchCell struct {
	workload string
	alloc    string
	threads  int
}

// String names it in messages.
func (c benchCell) String() string {
	return fmt.Sprintf("%s on %s, threads=%d", c.workload, c.alloc, c.threads)
}

func (o benchOptions) cells() []benchCell {
	var cells []benchCell
	for _, w := range o.workloads {
		for _, n := range o.threads {
			for _, a := range o.allocs {
				cells = append(cells, benchCell{w, a, n})
			}
		}
	}
	return cells
}

// bench is the command. A run that fails is reported, and is not repeated.
func bench(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseBench(args, stdout)
	if err != nil {
		return err
	}
	if o.list {
		return printed(listWorkloads(stdout))
	}
	if err := printBenchHead(stdout, o); err != nil {
		return err
	}
	cells := o.cells()
	bar := newBar(stderr, len(cells)*o.count)
	failed := map[benchCell]bool{}
	for range o.count {
		for _, c := range cells {
			if failed[c] {
				bar.skip(1)
				continue
			}
			bar.start(c.alloc + " " + c.workload)
			r, err := benchInChild(ctx, o, c, bar)
			bar.finish()
			if err != nil {
				return err
			}
			if r.Error != "" {
				failed[c] = true
				fmt.Fprintf(stderr, "galloc bench: %s: %s\n", c, r.Error)
				continue
			}
			if err := printBenchLine(stdout, o, c, r); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return errReported
	}
	return nil
}

func parseBench(args []string, stdout io.Writer) (benchOptions, error) {
	var o benchOptions
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	allocs := flags.String("alloc", strings.Join(usual(soakNames()), ","), "comma-separated `list` of allocators")
	count := flags.String("count", "5", "`number` of times each is run")
	threads := flags.String("threads", "1", "comma-separated `list` of numbers of goroutines that work at the same time")
	flags.BoolVar(&o.latency, "latency", false, "time each call of the allocator, instead of the whole")
	flags.BoolVar(&o.list, "list", false, "list the workloads and their parameters, and run nothing")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, cmp.Or(printBenchHelp(flags, stdout), err)
	} else if err != nil {
		return o, usagef("%w (galloc bench -h lists the flags)", err)
	}
	var err error
	if o.count, err = strconv.Atoi(*count); err != nil || o.count < 1 {
		return o, usagef("-count %s: give a whole number, at least 1", *count)
	}
	for name := range strings.SplitSeq(*allocs, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(soakNames(), name) {
			why := "unknown allocator"
			if name == nullName {
				why = "all blocks are the same with"
			}
			return o, usagef("-alloc: %s %q: there are %s", why, name, strings.Join(soakNames(), ", "))
		}
		o.allocs = appendNew(o.allocs, name)
	}
	for text := range strings.SplitSeq(*threads, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return o, usagef("-threads %s: give whole numbers, at least 1, with commas between them", *threads)
		}
		o.threads = appendNew(o.threads, n)
	}
	if err := o.addNames(flags.Args()); err != nil || o.list {
		return o, err
	}
	if len(o.workloads) == 0 {
		return o, usagef("which workload? give a NAME, or all: there are %s", strings.Join(workloadNames(), ", "))
	}
	for _, c := range o.cells() {
		if err := workload.Check(c.workload, o.settingsOf(c)); err != nil {
			return o, usagef("%s", strings.TrimPrefix(err.Error(), "workload: "))
		}
	}
	return o, nil
}

// addNames takes the arguments behind the flags.
func (o *benchOptions) addNames(args []string) error {
	for _, arg := range args {
		key, _, isSetting := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(arg, "-"):
			return usagef("%s stands behind a NAME: flags come first", arg)
		case key == "threads" || key == "latency":
			return usagef("%s: there is the flag -%s for that", arg, key)
		case isSetting:
			o.settings = append(o.settings, arg)
		case arg == allWorkloads:
			o.workloads = appendNew(o.workloads, workloadNames()...)
		case !slices.Contains(workloadNames(), arg):
			return usagef("there is no workload %q: there are %s, and all", arg, strings.Join(workloadNames(), ", "))
		default:
			o.workloads = appendNew(o.workloads, arg)
		}
	}
	return nil
}

// appendNew appends what is not yet there.
func appendNew[T comparable](to []T, what ...T) []T {
	for _, v := range what {
		if !slices.Contains(to, v) {
			to = append(to, v)
		}
	}
	return to
}

// settingsOf returns all settings of a run.
func (o benchOptions) settingsOf(c benchCell) []string {
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

func printBenchHelp(flags *flag.FlagSet, stdout io.Writer) error {
	var names, about, defaults bytes.Buffer
	for _, w := range workload.All() {
		fmt.Fprintf(&names, "  %-14s %s\n", w.Name, w.About)
	}
	for _, a := range allocators {
		if a.name != nullName {
			fmt.Fprintf(&about, "  %-10s %s\n", a.name, a.about)
		}
	}
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	_, err := fmt.Fprintf(stdout, benchHelp, bytes.TrimRight(names.Bytes(), "\n"), &about, &defaults)
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
	fmt.Fprintf(&b, "all of them, besides -threads and -latency:\n")
	list(slices.DeleteFunc(workload.Common(), func(p workload.Param) bool { return p.Name == "threads" || p.Name == "latency" }))
	_, err := w.Write(b.Bytes())
	return err
}

// procs is what the names of Go's benchmarks end with.
func procs() string {
	if n := runtime.GOMAXPROCS(0); n > 1 {
		return "-" + strconv.Itoa(n)
	}
	return ""
}
