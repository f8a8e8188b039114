package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// schema is the version of report. It rises when a field changes its meaning or goes away;
// fields may be added at any time.
const schema = 1

// A report is what -json prints. Its entries are in the order of the table: by trace, then
// by allocator, both as on the command line. After an interruption it has the entries that
// were complete.
type report struct {
	Schema  int      `json:"schema"`
	Rounds  int      `json:"rounds"`  // how often each trace was replayed on each allocator, at most
	Check   bool     `json:"check"`   // -check
	Threads bool     `json:"threads"` // -threads
	Go      string   `json:"go"`      // version
	OS      string   `json:"os"`
	Arch    string   `json:"arch"`
	CPUs    int      `json:"cpus"`
	Results []result `json:"results"`
}

// A result is one row of the table, or one entry of the report: a trace on an allocator. A
// field that is zero or was not measured is absent.
//
// One that failed has Error. If it has no Alloc, the trace cannot be read or is faulty; it
// is the only one of its trace then.
type result struct {
	Trace string `json:"trace"`           // the name of the file without endings, or File where two would be the same
	File  string `json:"file,omitempty"`  // path, as on the command line; absent for traces that come with galloc
	Alloc string `json:"alloc,omitempty"` // as on the command line
	Error string `json:"error,omitempty"` // may have several lines

	Allocator string `json:"allocator,omitempty"`       // what the allocator calls itself
	Events    int    `json:"events,omitempty"`          // in the trace
	Objects   int    `json:"objects,omitempty"`         // in the trace
	Threads   int    `json:"threads,omitempty"`         // in the trace, whether or not they were used
	PeakLive  uint64 `json:"peak_live_bytes,omitempty"` // the most bytes of live objects, in the order of the trace

	// Without -check.
	NsPerOp  float64 `json:"ns_per_op,omitempty"`      // median over the rounds of the time per event
	MinNs    float64 `json:"min_ns_per_op,omitempty"`  // the same of the fastest round
	RoundsNs []int64 `json:"rounds_ns,omitempty"`      // how long each round took
	PeakRSS  *int64  `json:"peak_rss_bytes,omitempty"` // resident memory that the replay added, at most; Linux only
	RSSRatio float64 `json:"peak_rss_ratio,omitempty"` // of that to peak_live_bytes
	EndRSS   *int64  `json:"end_rss_bytes,omitempty"`  // resident memory still added when all was freed; Linux only

	// With -check.
	Compared uint64 `json:"compared_bytes,omitempty"`
}

// A reporter prints results: a begin, any number of results, an end.
type reporter interface {
	begin() error
	add(result) error
	end() error
}

// newJSON returns the reporter of -json. It prints at the end, so that the whole is one
// document whatever happens.
func newJSON(w io.Writer, o options) reporter {
	return &jsonReporter{w, report{
		Schema: schema, Rounds: o.rounds, Check: o.check, Threads: o.threads,
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		Results: []result{},
	}}
}

type jsonReporter struct {
	w io.Writer
	report
}

func (j *jsonReporter) begin() error { return nil }

func (j *jsonReporter) add(r result) error {
	j.Results = append(j.Results, r)
	return nil
}

func (j *jsonReporter) end() error {
	e := json.NewEncoder(j.w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return printed(e.Encode(j.report))
}

// table prints each result when it is known.
type table struct {
	w       io.Writer
	o       options
	columns string // format of the first two
}

func newTable(w io.Writer, o options) *table {
	trace, alloc := len("trace"), len("allocator")
	for _, t := range o.traces {
		trace = max(trace, utf8.RuneCountInString(t.label))
	}
	for _, a := range o.allocs {
		alloc = max(alloc, len(a))
	}
	return &table{w, o, fmt.Sprintf("%%-%ds  %%-%ds", trace, alloc)}
}

// Formats of the columns behind the first two. With the shipped traces, a line fits in 80.
const (
	timedColumns   = " %9s %6s %6s %9s %9s %5s %9s"
	checkedColumns = " %9s %9s  %s"
)

func (t *table) begin() error {
	how := "1 round"
	if t.o.rounds > 1 {
		how = strconv.Itoa(t.o.rounds) + " rounds"
	}
	if !t.o.patient && !t.o.check {
		how = "up to " + how
	}
	if t.o.threads {
		how += ", a goroutine for each recorded thread"
	}
	if _, err := fmt.Fprintf(t.w, "%s, %s/%s, %d CPUs; %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), how); err != nil {
		return printed(err)
	}
	if t.o.check {
		return t.line("trace", "allocator", fmt.Sprintf(checkedColumns, "events", "peak live", "checked"))
	}
	return t.line("trace", "allocator", fmt.Sprintf(timedColumns, "events", "ns/op", "min", "peak live", "peak RSS", "/live", "end RSS"))
}

func (t *table) add(r result) error {
	switch {
	case r.Error != "" && r.Alloc == "":
		return t.line(r.Trace, "-", " failed")
	case r.Error != "":
		return t.line(r.Trace, r.Alloc, " failed")
	case t.o.check:
		return t.line(r.Trace, r.Alloc, fmt.Sprintf(checkedColumns, thousands(r.Events), size(r.PeakLive), "ok, "+size(r.Compared)+" compared"))
	}
	peak, end := "-", "-"
	if r.PeakRSS != nil && r.EndRSS != nil {
		peak, end = size(uint64(*r.PeakRSS)), size(uint64(*r.EndRSS))
	}
	return t.line(r.Trace, r.Alloc, fmt.Sprintf(timedColumns,
		thousands(r.Events), decimals(r.NsPerOp, 1), decimals(r.MinNs, 1), size(r.PeakLive), peak, decimals(r.RSSRatio, 2), end))
}

func (t *table) line(trace, alloc, rest string) error {
	_, err := fmt.Fprintf(t.w, t.columns+"%s\n", trace, alloc, rest)
	return printed(err)
}

func (t *table) end() error { return nil }

// printed says of an error in printing what it means.
func printed(err error) error {
	if err != nil {
		return fmt.Errorf("cannot print the results: %w", err)
	}
	return nil
}

// decimals returns v with n decimals, with none from 1000 on, or "-" for what was not
// measured.
func decimals(v float64, n int) string {
	switch {
	case v == 0:
		return "-"
	case v >= 1000:
		n = 0
	}
	return strconv.FormatFloat(v, 'f', n, 64)
}

// size returns n bytes in the unit that suits them.
func size(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, units := float64(n)/1000, "kMGTPE"
	for v >= 1000 {
		v, units = v/1000, units[1:]
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " " + units[:1] + "B"
}

// thousands returns n with a comma between each three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	var groups []string
	for ; len(s) > 3; s = s[:len(s)-3] {
		groups = append([]string{s[len(s)-3:]}, groups...)
	}
	return strings.Join(append([]string{s}, groups...), ",")
}
