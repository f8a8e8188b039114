package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"unicode/utf8"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
)

// schema is the version of report. It rises when a field changes its meaning or is removed; fields
// may be added at any time.
const schema = 1

// A report is the output of -json. Its entries are in the order of the table: by trace, then by
// allocator, both as on the command line. After an interruption it has the complete entries.
type report struct {
	Schema  int      `json:"schema"`
	Rounds  int      `json:"rounds"`  // of each trace on each allocator, at most
	Check   bool     `json:"check"`   // -check
	Threads bool     `json:"threads"` // -threads
	Go      string   `json:"go"`      // version
	OS      string   `json:"os"`
	Arch    string   `json:"arch"`
	CPUs    int      `json:"cpus"`
	Results []result `json:"results"`
}

// A result is one row of the table, or one entry of the report: a trace on an allocator. A field
// that is zero or was not measured is absent.
//
// A result that failed has Error. If it has no Alloc, the trace cannot be read or is faulty, and
// has no other result.
type result struct {
	// The name of the file without endings, or File if two would be the same.
	Trace string `json:"trace"`
	// Path, as on the command line; absent for traces that come with galloc.
	File  string `json:"file,omitempty"`
	Alloc string `json:"alloc,omitempty"` // as on the command line
	Error string `json:"error,omitempty"` // may have several lines

	Allocator string `json:"allocator,omitempty"` // the allocator's String
	Events    int    `json:"events,omitempty"`    // in the trace
	Objects   int    `json:"objects,omitempty"`   // in the trace
	// In the trace, whether or not they were used.
	Threads int `json:"threads,omitempty"`
	// The most bytes of live objects, in the order of the trace.
	PeakLive uint64 `json:"peak_live_bytes,omitempty"`

	// Without -check.
	NsPerOp  float64 `json:"ns_per_op,omitempty"`     // time per event, median over the rounds
	MinNs    float64 `json:"min_ns_per_op,omitempty"` // time per event of the fastest round
	RoundsNs []int64 `json:"rounds_ns,omitempty"`     // time of each round
	// Resident memory that the replay added, at most; Linux only.
	PeakRSS  *int64  `json:"peak_rss_bytes,omitempty"`
	RSSRatio float64 `json:"peak_rss_ratio,omitempty"` // peak_rss_bytes / peak_live_bytes
	// Resident memory still added after all was freed; Linux only.
	EndRSS *int64 `json:"end_rss_bytes,omitempty"`

	// With -check.
	Compared uint64 `json:"compared_bytes,omitempty"`

	observed *observed // for -html
}

// A reporter prints results: a begin, any number of results, an end.
type reporter interface {
	begin() error
	add(result) error
	end() error
}

// newJSON returns the reporter of -json. It prints at the end, so that the output is always one
// complete document.
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
	return cli.Printed(e.Encode(j.report))
}

// table prints each result as soon as it is known.
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

// Formats of the columns after the first two. With the shipped traces, a line fits in 80.
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
	_, err := fmt.Fprintf(t.w, "%s, %s/%s, %d CPUs; %s\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), how)
	if err != nil {
		return cli.Printed(err)
	}
	if t.o.check {
		return t.line("trace", "allocator", fmt.Sprintf(checkedColumns, "events", "peak live", "checked"))
	}
	return t.line("trace",
		"allocator", fmt.Sprintf(timedColumns, "events", "ns/op", "min", "peak live", "peak RSS", "/live", "end RSS"))
}

func (t *table) add(r result) error {
	switch {
	case r.Error != "" && r.Alloc == "":
		return t.line(r.Trace, "-", " failed")
	case r.Error != "":
		return t.line(r.Trace, r.Alloc, " failed")
	case t.o.check:
		return t.line(
			r.Trace,
			r.Alloc,
			fmt.Sprintf(checkedColumns, cli.Thousands(r.Events), cli.Size(r.PeakLive),
				"ok, "+cli.Size(r.Compared)+" compared"),
		)
	}
	peak, end := "-", "-"
	if r.PeakRSS != nil && r.EndRSS != nil {
		peak, end = cli.Size(uint64(*r.PeakRSS)), cli.Size(uint64(*r.EndRSS))
	}
	return t.line(r.Trace, r.Alloc, fmt.Sprintf(timedColumns, cli.Thousands(r.Events), cli.Decimals(r.NsPerOp, 1),
		cli.Decimals(r.MinNs, 1), cli.Size(r.PeakLive), peak, cli.Decimals(r.RSSRatio, 2), end))
}

func (t *table) line(trace, alloc, rest string) error {
	_, err := fmt.Fprintf(t.w, t.columns+"%s\n", trace, alloc, rest)
	return cli.Printed(err)
}

func (t *table) end() error { return nil }
