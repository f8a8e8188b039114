package main

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

	"github.com/galloc-go/galloc/traces"
)

const replayHelp = `usage: galloc replay [flags] [FILE...]

Replays allocation traces through the global allocator, once with each of the
named allocators registered as it, each in a process of its own. FILE is the path
of a trace (malloctrace 1, plain or in gzip) or the name of one that comes with
galloc: %[1]s. Without FILE, all of these are replayed.

The allocators:
%[2]s
null has one block of memory for all, so it is left out of -check and -threads.

The columns:
  events     calls in the trace, one round
  ns/op      median over the rounds of the time per event
  min        the same of the fastest round
  peak live  the most bytes asked for and not yet freed, in the order of the trace
  peak RSS   the most resident memory that the replay has added to the process
  /live      peak RSS divided by peak live
  end RSS    resident memory still added when all objects have been freed
What was not measured is "-". Resident memory is measured on Linux only. 1 MB is
1,000,000 bytes.

If a measurement fails, the others are made all the same, and the exit status is 1.

Flags, which come before the first FILE:
%[3]s
With -json, the report is one object, with the fields
  schema rounds check threads go os arch cpus results
where results has one entry for each trace and allocator, in the order of the table,
with those of the fields
  trace file alloc allocator events objects threads peak_live_bytes
  ns_per_op min_ns_per_op rounds_ns peak_rss_bytes peak_rss_ratio end_rss_bytes
  compared_bytes error
that were measured and are not zero. An entry with error has failed. If it has no
alloc, the trace is faulty and has no other entry. schema is %[4]d; it rises when a
field changes its meaning or goes away.
`

// options is what the user asked for.
type options struct {
	rounds  int
	patient bool // -rounds is given: makes all of them, however long they take
	check   bool
	threads bool
	json    bool
	allocs  []string // names
	traces  []traceFile
}

// patience is after how long, unless -rounds is given, no other round is begun: somebody who
// looks at what there is should not have to wait for the fifth round of the slowest row.
const patience = 3 * time.Second

// A traceFile is a trace to be replayed.
type traceFile struct {
	path    string // as the user wrote it; of a shipped one its name
	shipped bool   // in package traces
	label   string // what it is called in the report
}

// replay is the command. A measurement that fails is reported, and the next one is made.
func replay(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseReplay(args, stdout)
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
	bar := newBar(stderr, len(o.traces)*len(o.allocs))
	failed, err := measureAll(ctx, o, bar, out, stderr)
	err = cmp.Or(err, out.end())
	if err == nil && failed {
		return errReported
	}
	return err
}

// measureAll measures each trace on each allocator. It returns whether one has failed; its
// error is one that forbids to go on.
func measureAll(ctx context.Context, o options, bar *bar, out reporter, stderr io.Writer) (failed bool, err error) {
	for _, t := range o.traces {
		for i, alloc := range o.allocs {
			bar.start(alloc + " " + t.label)
			r, err := measureInChild(ctx, o, t, alloc, bar)
			bar.finish()
			if err != nil {
				return failed, err
			}
			if err := out.add(r); err != nil {
				return failed, err
			}
			if r.Error == "" {
				continue
			}
			failed = true
			if r.Alloc == "" { // the trace is faulty
				fmt.Fprintf(stderr, "galloc replay: %s\n", r.Error)
				bar.skip(len(o.allocs) - i - 1)
				break
			}
			fmt.Fprintf(stderr, "galloc replay: %s on %s: %s\n", t.label, alloc, r.Error)
		}
	}
	return failed, nil
}

func parseReplay(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	allocs := flags.String("alloc", strings.Join(usual(allocatorNames()), ","), "comma-separated `list` of allocators")
	rounds := flags.String("rounds", "", "`number` of times each trace is replayed (default 5, or as many as begin\nwithin "+patience.String()+"; with -check 1)")
	flags.BoolVar(&o.json, "json", false, "print the results as JSON")
	flags.BoolVar(&o.check, "check", false, "write and compare every byte of every object, instead of measuring")
	flags.BoolVar(&o.threads, "threads", false, "replay with one goroutine for each thread of the trace")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, cmp.Or(printReplayHelp(flags, stdout), err)
	} else if err != nil {
		return o, usagef("%w (galloc replay -h lists the flags)", err)
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
		return o, usagef("-rounds %s: give a whole number, at least 1", *rounds)
	}
	if o.allocs, err = parseAllocs(*allocs, o.check || o.threads); err != nil {
		return o, err
	}
	files := flags.Args()
	dashes := len(args) > len(files) && args[len(args)-len(files)-1] == "--"
	for _, f := range files {
		switch {
		case f == "-":
			return o, usagef("- is no FILE: standard input can be read once only, and each measurement reads the trace")
		case strings.HasPrefix(f, "-") && !dashes:
			return o, usagef("%s stands behind a FILE: flags come first (a file of that name is ./%[1]s)", f)
		}
		t, err := findTrace(f)
		if err != nil {
			return o, err
		}
		o.traces = append(o.traces, t)
	}
	if len(files) == 0 {
		for _, name := range shippedTraces() {
			o.traces = append(o.traces, traceFile{path: name, shipped: true})
		}
	}
	giveLabels(o.traces)
	return o, nil
}

// parseAllocs returns the names in the list; without null, where that cannot be used.
func parseAllocs(list string, withoutNull bool) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(allocatorNames(), name) {
			return nil, usagef("-alloc: unknown allocator %q: there are %s", name, strings.Join(allocatorNames(), ", "))
		}
		if withoutNull && name == nullName {
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, usagef("-check and -threads need an allocator other than %s, which has one block of memory for all", nullName)
	}
	return names, nil
}

func printReplayHelp(flags *flag.FlagSet, stdout io.Writer) error {
	var about, defaults bytes.Buffer
	for _, a := range allocators {
		fmt.Fprintf(&about, "  %-10s %s\n", a.name, a.about)
	}
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	_, err := fmt.Fprintf(stdout, replayHelp, strings.Join(shippedTraces(), ", "), &about, &defaults, schema)
	return err
}

const traceEnding = ".trace.gz"

// shippedTraces returns the names of the traces that come with galloc.
func shippedTraces() []string {
	names, err := fs.Glob(traces.Files(), "*"+traceEnding)
	if err != nil {
		panic("galloc: " + err.Error()) // the pattern is a constant
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], traceEnding)
	}
	return names
}

// findTrace finds out now what would go wrong after minutes of measuring.
func findTrace(arg string) (traceFile, error) {
	if slices.Contains(shippedTraces(), arg) {
		return traceFile{path: arg, shipped: true}, nil
	}
	info, err := os.Stat(arg)
	switch {
	case err != nil:
	case info.IsDir():
		return traceFile{}, fmt.Errorf("%s is a directory: name the traces in it", arg)
	case !info.Mode().IsRegular():
		return traceFile{}, fmt.Errorf("%s is not a regular file: each measurement reads the trace anew", arg)
	default:
		var f *os.File
		if f, err = os.Open(arg); err == nil {
			f.Close()
		}
	}
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return traceFile{}, fmt.Errorf("cannot read the trace %s: %w (FILE is a path, or one of %s)",
			cmp.Or(arg, `""`), cause.Err, strings.Join(shippedTraces(), ", "))
	}
	return traceFile{path: arg}, err
}

// giveLabels calls each trace by the name of its file without the endings, or by its path
// where another trace would be called the same.
func giveLabels(all []traceFile) {
	for i, t := range all {
		label := t.name()
		for _, other := range all {
			if other.name() == label && (other.path != t.path || other.shipped != t.shipped) {
				label = t.path
			}
		}
		// A line feed in it would end a line of the table.
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
