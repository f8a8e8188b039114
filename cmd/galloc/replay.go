package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/traces"
)

const replayHelp = `usage: galloc replay [flags] [FILE...]

Replays allocation traces (malloctrace 1, as they are or in gzip) through the
global allocator, once with each of the named allocators registered as it, each
in a process of its own. Without FILE, the traces that come with galloc are
replayed: %s.

The columns:
  events     calls in the trace, one round
  ns/op      median over the rounds of the time per event; the row of the
             allocator null, which does nothing, is the cost of the replay itself
  min        the same of the fastest round
  peak live  the most bytes asked for and not yet freed, in the order of the trace
  peak RSS   the most resident memory that the replay has added to the process
  /live      peak RSS divided by peak live
  end RSS    resident memory still added when all objects have been freed
(1 MB is 1,000,000 bytes.)

flags:
`

// options is what the user asked for.
type options struct {
	spec            // but for Alloc and Trace
	allocs []string // names
	files  []string // of traces; those that come with galloc begin with embeddedPrefix
	json   bool
}

// A spec is one measurement: what the child process is told, as JSON.
type spec struct {
	Alloc   string `json:"alloc"`
	Trace   string `json:"trace"`
	Rounds  int    `json:"rounds"`
	Check   bool   `json:"check"`
	Threads bool   `json:"threads"`
}

// A result is one row. Fields that were not measured are absent.
type result struct {
	Trace     string  `json:"trace"`
	Alloc     string  `json:"alloc"`
	Events    int     `json:"events"`
	Objects   int     `json:"objects"`
	Threads   int     `json:"threads"` // of the trace
	Threaded  bool    `json:"threaded"`
	PeakLive  uint64  `json:"peak_live_bytes"`
	NsPerOp   float64 `json:"ns_per_op,omitempty"`     // median
	MinNs     float64 `json:"min_ns_per_op,omitempty"` // of the fastest round
	RoundsNs  []int64 `json:"rounds_ns,omitempty"`     // each round's whole duration
	PeakRSS   *int64  `json:"peak_rss_bytes,omitempty"`
	RSSRatio  float64 `json:"peak_rss_ratio,omitempty"` // to peak live
	EndRSS    *int64  `json:"end_rss_bytes,omitempty"`
	Checked   bool    `json:"checked,omitempty"`
	Compared  uint64  `json:"compared_bytes,omitempty"`
	Allocator string  `json:"global_name"` // what GlobalName said
}

const embeddedPrefix = "galloc:"

func replay(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseReplay(args, stdout)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot start a process for each measurement: %w", err)
	}
	bar := newBar(stderr, len(o.files)*len(o.allocs))
	defer bar.clear()
	if !o.json {
		fmt.Fprintf(stdout, "%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
		header(stdout, o.Check)
	}
	var results []result
	for _, file := range o.files {
		for _, alloc := range o.allocs {
			s := o.spec
			s.Trace, s.Alloc = file, alloc
			bar.start(traceName(file) + " " + alloc)
			r, err := measureInChild(ctx, exe, s, bar)
			bar.finish()
			if err != nil {
				return fmt.Errorf("%s on %s: %w", traceName(file), alloc, err)
			}
			if o.json {
				results = append(results, r)
			} else {
				row(stdout, r)
			}
		}
	}
	if o.json {
		return writeJSON(stdout, results)
	}
	return nil
}

func parseReplay(args []string, stdout io.Writer) (options, error) {
	var o options
	shipped := shippedTraces()
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	allocs := flags.String("alloc", strings.Join(allocatorNames(), ","), "comma-separated `list` of allocators")
	flags.IntVar(&o.Rounds, "rounds", 5, "`number` of times each trace is replayed")
	flags.BoolVar(&o.json, "json", false, "print the results as JSON")
	flags.BoolVar(&o.Check, "check", false, "write and compare every byte of every object, instead of measuring")
	flags.BoolVar(&o.Threads, "threads", false, "replay with one goroutine for each thread of the trace")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(stdout, replayHelp, strings.Join(names(shipped), ", "))
			flags.SetOutput(stdout)
			flags.PrintDefaults()
			return o, err
		}
		return o, usagef("%w (galloc replay -h lists the flags)", err)
	}
	if o.Rounds < 1 {
		return o, usagef("-rounds %d: at least one round is needed", o.Rounds)
	}
	for name := range strings.SplitSeq(*allocs, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(allocatorNames(), name) {
			return o, usagef("unknown allocator %q: the allocators are %s", name, strings.Join(allocatorNames(), ", "))
		}
		if o.Check && name == nullName {
			continue // has no memory to check
		}
		o.allocs = append(o.allocs, name)
	}
	if len(o.allocs) == 0 {
		return o, usagef("-check needs an allocator other than %s, which has no memory", nullName)
	}
	o.files = flags.Args()
	for _, f := range o.files {
		if strings.HasPrefix(f, "-") {
			return o, usagef("flag %s behind the first FILE: flags come first", f)
		}
		if _, err := os.Stat(f); err != nil {
			return o, err
		}
	}
	if len(o.files) == 0 {
		o.files = shipped
	}
	return o, nil
}

// shippedTraces returns the names of the traces that come with galloc.
func shippedTraces() []string {
	files, err := fs.Glob(traces.Files(), "*.trace.gz")
	if err != nil {
		panic("galloc: " + err.Error()) // the pattern is a constant
	}
	for i := range files {
		files[i] = embeddedPrefix + files[i]
	}
	return files
}

func names(files []string) []string {
	var out []string
	for _, f := range files {
		out = append(out, traceName(f))
	}
	return out
}

// traceName returns the name of a trace in the table: its file's, without the endings.
func traceName(file string) string {
	name := strings.TrimSuffix(filepath.Base(strings.TrimPrefix(file, embeddedPrefix)), ".gz")
	return strings.TrimSuffix(name, ".trace")
}

// measureInChild has a child process do one measurement, so that each starts with a fresh
// allocator, and with none registered.
func measureInChild(ctx context.Context, exe string, s spec, bar *bar) (result, error) {
	var r result
	line, err := json.Marshal(s)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, exe, measureCommand, string(line))
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	var failure string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			failure = "the measuring process printed " + strconv.Quote(lines.Text())
			continue
		}
		bar.progress(m.Done)
		failure = cmp.Or(m.Error, failure)
		if m.Result != nil {
			r = *m.Result
		}
	}
	err = cmd.Wait()
	switch {
	case failure != "":
		return r, errors.New(failure)
	case err != nil:
		return r, fmt.Errorf("the measuring process ended: %w\n%s", err, bytes.TrimSpace(errText.Bytes()))
	case r.Trace == "":
		return r, errors.New("the measuring process ended without a result")
	}
	return r, nil
}

func header(w io.Writer, check bool) {
	if check {
		fmt.Fprintf(w, "%-12s %-10s %10s %12s  %s\n", "trace", "allocator", "events", "peak live", "checked")
		return
	}
	fmt.Fprintf(w, "%-12s %-10s %10s %8s %8s %12s %12s %6s %12s\n",
		"trace", "allocator", "events", "ns/op", "min", "peak live", "peak RSS", "/live", "end RSS")
}

func row(w io.Writer, r result) {
	if r.Checked {
		fmt.Fprintf(w, "%-12s %-10s %10s %12s  ok, %s compared\n", r.Trace, r.Alloc, thousands(r.Events), megabytes(int64(r.PeakLive)), megabytes(int64(r.Compared)))
		return
	}
	peak, ratio, end := "-", "-", "-"
	if r.PeakRSS != nil {
		peak, end = megabytes(*r.PeakRSS), megabytes(*r.EndRSS)
	}
	if r.RSSRatio != 0 {
		ratio = strconv.FormatFloat(r.RSSRatio, 'f', 2, 64)
	}
	fmt.Fprintf(w, "%-12s %-10s %10s %8.1f %8.1f %12s %12s %6s %12s\n",
		r.Trace, r.Alloc, thousands(r.Events), r.NsPerOp, r.MinNs, megabytes(int64(r.PeakLive)), peak, ratio, end)
}

func megabytes(n int64) string { return strconv.FormatFloat(float64(n)/1e6, 'f', 2, 64) + " MB" }

// thousands returns n with a comma between each three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func writeJSON(w io.Writer, results []result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Go      string   `json:"go"`
		OS      string   `json:"os"`
		Arch    string   `json:"arch"`
		CPUs    int      `json:"cpus"`
		Results []result `json:"results"`
	}{runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), results})
}

// median returns the middle of the values, or the mean of the two in the middle.
func median(v []int64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return float64(v[(n-1)/2]+v[n/2]) / 2
}
