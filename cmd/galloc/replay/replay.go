// Package replay is the command galloc replay.
//
// replay.go reads the command line and goes through traces and allocators. child.go starts a
// process for each measurement, which measure.go makes; report.go prints the results. With -html,
// observe.go measures more, html.go fills the page in page.html, and chart.go draws.
package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/traces"
)

const replayHelp = `usage: galloc replay [flags] [FILE...]

Replays allocation traces through the global allocator, once with each of the named
allocators registered, each in a separate process. FILE is the path of a trace
(malloctrace 1, plain or gzip) or the name of a trace that comes with galloc:
%[1]s. Without FILE, all of these are replayed.

The allocators:
%[2]s
sink has one block for everything, so -check and -threads leave it out.

The columns:
  events     calls in the trace, one round
  ns/op      time per event, median over the rounds
  min        time per event of the fastest round
  peak live  the most bytes requested and not yet freed, in the order of the trace
  peak RSS   the most resident memory that the replay added to the process
  /live      peak RSS divided by peak live
  end RSS    resident memory still added after all objects were freed
"-" means not measured. Resident memory is measured on Linux only. 1 MB is
1,000,000 bytes.

If a measurement fails, the others are still made, and the exit status is 1.

With -html, a page is written as well, which needs no other file and no network. It shows
for each trace the bytes in use and the resident memory over time, on each allocator; the
time that calls take; and the sizes and lifetimes of objects. For this, each allocator
replays the trace once more, in another process, with each call timed.

Flags, before the first FILE:
%[3]s
With -json, the report is one object, with the fields
  schema rounds check threads go os arch cpus results
where results has one entry for each trace and allocator, in the order of the table.
An entry has the fields
  trace file alloc allocator events objects threads peak_live_bytes
  ns_per_op min_ns_per_op rounds_ns peak_rss_bytes peak_rss_ratio end_rss_bytes
  compared_bytes error
without the fields that are zero or were not measured. An entry with error has
failed. If it has no alloc, the trace is faulty and has no other entry. schema is
%[4]d; it rises when a field changes its meaning or is removed.

Examples:
  galloc replay
  galloc replay -alloc heap,system -html report.html sqlite program.trace.gz
  galloc replay -check -threads program.trace.gz
`

// Command is galloc replay.
var Command = cli.Command{
	Name:  "replay",
	Usage: "[flags] [FILE...]  replay the allocations of real programs",
	Run:   run, Child: childCommand, Serve: serve,
}

// options are the flags and arguments.
type options struct {
	rounds  int
	patient bool // -rounds is set: make all rounds, however long they take
	check   bool
	threads bool
	json    bool
	html    string   // the file of the page, or ""
	allocs  []string // names
	traces  []traceFile
}

// patience is the time after which no further round begins, unless -rounds is set: the table should
// not wait for the fifth round of the slowest row.
const patience = 3 * time.Second

// A traceFile is a trace to be replayed.
type traceFile struct {
	path    string // as on the command line; the name of a shipped trace
	shipped bool   // in package traces
	label   string // its name in the report
}

// run is the command. If a measurement fails, it reports that and goes on with the next.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	var out reporter = newTable(stdout, o)
	if o.json {
		out = newJSON(stdout, o)
	}
	if err := out.begin(); err != nil {
		return err
	}
	cells := len(o.traces) * len(o.allocs)
	var p *page
	if o.html != "" {
		cells *= 2
		if p, err = newPage(o.html); err != nil {
			return err
		}
	}
	bar := cli.NewBar(stderr, cells)
	failed, err := measureAll(ctx, o, bar, out, p, stderr)
	err = cmp.Or(err, out.end())
	if p != nil {
		err = p.close(o, err)
	}
	if err == nil && failed {
		return cli.ErrReported
	}
	return err
}

// measureAll measures each trace on each allocator, and reports whether a measurement failed. An
// error means that no other measurement can succeed either.
func measureAll(
	ctx context.Context, o options, bar *cli.Bar, out reporter, p *page, stderr io.Writer,
) (failed bool, err error) {
	for _, t := range o.traces {
		for i, alloc := range o.allocs {
			bar.Start(alloc + " " + t.label)
			r, err := measureInChild(ctx, o, t, alloc, bar)
			bar.Finish()
			if err != nil {
				return failed, err
			}
			if err := out.add(r); err != nil {
				return failed, err
			}
			if p != nil && r.Alloc != "" {
				if err := p.add(ctx, t, r, bar); err != nil {
					return failed, err
				}
			}
			if r.Error == "" {
				continue
			}
			failed = true
			if r.Alloc == "" { // the trace is faulty
				fmt.Fprintf(stderr, "galloc replay: %s\n", r.Error)
				left := len(o.allocs) - i - 1
				if p != nil {
					left = 2*left + 1
				}
				bar.Skip(left)
				break
			}
			fmt.Fprintf(stderr, "galloc replay: %s on %s: %s\n", t.label, alloc, r.Error)
		}
	}
	return failed, nil
}

func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	allocs := flags.String("alloc", strings.Join(allocators.Usual(allocators.Names()), ","),
		"comma-separated `list` of allocators")
	rounds := flags.String("rounds", "", "`number` of times each trace is replayed "+
		"(default 5, or fewer if they take more\nthan "+patience.String()+"; 1 with -check)")
	flags.BoolVar(&o.json, "json", false, "print the results as JSON")
	flags.StringVar(&o.html, "html", "", "write a page with charts to `FILE` as well")
	flags.BoolVar(&o.check, "check", false, "check every byte of every object, instead of measuring")
	flags.BoolVar(&o.threads, "threads", false, "replay with a goroutine for each thread of the trace")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, cmp.Or(printHelp(flags, stdout), err)
	} else if err != nil {
		return o, cli.Usagef("%w (galloc replay -h lists the flags)", err)
	}
	if o.html != "" && (o.check || o.threads) {
		return o, cli.Usagef("-html has no -check and no -threads: write the page without them")
	}
	o.patient = *rounds != ""
	if !o.patient {
		*rounds = "5"
		if o.check {
			*rounds = "1"
		}
	}
	var err error
	if o.rounds, err = strconv.Atoi(*rounds); err != nil || o.rounds < 1 {
		return o, cli.Usagef("-rounds %s: write a whole number, at least 1", *rounds)
	}
	if o.allocs, err = parseAllocs(*allocs, o.check || o.threads); err != nil {
		return o, err
	}
	files := flags.Args()
	dashes := len(args) > len(files) && args[len(args)-len(files)-1] == "--"
	for _, f := range files {
		switch {
		case f == "-":
			return o, cli.Usagef(
				"- is no FILE: each measurement reads the trace, and standard input can be read only once")
		case strings.HasPrefix(f, "-") && !dashes:
			return o, cli.Usagef("%s is after a FILE: write flags first (a file of that name is ./%[1]s)", f)
		}
		t, err := findTrace(f)
		if err != nil {
			return o, err
		}
		o.traces = append(o.traces, t)
	}
	if len(files) == 0 {
		for _, name := range traces.Names() {
			o.traces = append(o.traces, traceFile{path: name, shipped: true})
		}
	}
	setLabels(o.traces)
	return o, nil
}

// parseAllocs returns the names in the list, without sink if it cannot be used.
func parseAllocs(list string, withoutSink bool) ([]string, error) {
	names, err := allocators.Parse(list, allocators.Names())
	if err != nil {
		return nil, err
	}
	if withoutSink {
		names = slices.DeleteFunc(names, func(name string) bool { return name == allocators.Sink })
	}
	if len(names) == 0 {
		return nil, cli.Usagef(
			"-check and -threads need an allocator other than %s, which has one block for everything",
			allocators.Sink)
	}
	return names, nil
}

func printHelp(flags *flag.FlagSet, stdout io.Writer) error {
	var defaults bytes.Buffer
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	_, err := fmt.Fprintf(stdout, replayHelp, strings.Join(traces.Names(), ", "),
		allocators.Help(allocators.Names()), &defaults, schema)
	return err
}

// findTrace checks that the trace can be opened: otherwise its measurement would fail minutes
// later.
func findTrace(arg string) (traceFile, error) {
	if slices.Contains(traces.Names(), arg) {
		return traceFile{path: arg, shipped: true}, nil
	}
	info, err := os.Stat(arg)
	switch {
	case err != nil:
	case info.IsDir():
		return traceFile{}, fmt.Errorf("%s is a directory: name the traces in it", arg)
	case !info.Mode().IsRegular():
		return traceFile{}, fmt.Errorf("%s is not a regular file: each measurement reads the trace again", arg)
	default:
		var f *os.File
		if f, err = os.Open(arg); err == nil {
			f.Close()
		}
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return traceFile{}, fmt.Errorf("cannot read the trace %s: %w (FILE is a path, or one of %s)",
			cmp.Or(arg, `""`), cause.Err, strings.Join(traces.Names(), ", "))
	}
	return traceFile{path: arg}, err
}

// setLabels labels each trace with the name of its file without the endings, or with its path if
// another trace would have the same label.
func setLabels(all []traceFile) {
	for i, t := range all {
		label := t.name()
		for _, other := range all {
			if other.name() == label && (other.path != t.path || other.shipped != t.shipped) {
				label = t.path
			}
		}
		// A line feed would end a line of the table.
		if !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl) {
			label = strconv.Quote(label)
		}
		all[i].label = label
	}
}

func (t traceFile) name() string {
	base := filepath.Base(t.path)
	return cmp.Or(strings.TrimSuffix(strings.TrimSuffix(base, ".gz"), ".trace"), base)
}
