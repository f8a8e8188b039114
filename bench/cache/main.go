// Command cache compares a large cache on Go's map[string]string with one on galloc's
// collections.TextMap. It keeps ten million strings in each, puts both under the same load, and
// reports the times of look-ups, the resident memory, and the work of the garbage collector.
//
//	go -C bench run ./cache                        # 10 million entries: about 3 minutes, up to 7 GB
//	go -C bench run ./cache -entries 1_000_000     # a tenth of that
//
// It prints a table, and draws cache.html.
//
// To learn how such a cache is built, read in this order:
//
//	cache.go      a cache, divided into shards
//	onheap.go     a shard on Go's map
//	offheap.go    the same on collections.TextMap; compare the two
//	load.go       the load of the cache
//	histogram.go  counts durations, for their percentiles
//	measure.go    measures resident memory and the garbage collector
//	child.go      runs each measurement in a new process
//	table.go      prints the results
//	plot.go       draws them
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// run is main without os.Exit: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 2 && args[0] == childFlag {
		return child(args[1], os.Stdin, stdout, stderr)
	}
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "cache: %v (-h lists the flags)\n", err)
		return exitUsage
	}
	err = compare(ctx, o, stdout, stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "cache: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "cache: %v\n", err)
		return exitFailure
	}
	return exitOK
}

// options are the flags.
type options struct {
	spec          // the same for all kinds
	kinds  []kind // to measure
	rounds int    // measurements of each kind, in turn
	out    string // the file to draw to, or ""
	global string // the name of galloc's global allocator
}

// A kind is one way to keep the entries.
type kind struct {
	name    string // for -only
	label   string // in tables and plots
	goGC    int    // as the environment variable GOGC
	shard   func(capacity int) (shard, error)
	perItem int64 // upper bound of the bytes per entry of this load, measured
}

var kinds = []kind{
	{"map", "map[string]string", 100, newMapShard, 720},
	{"map-gogc25", "the same, GOGC=25", 25, newMapShard, 420},
	{"textmap", "collections.TextMap", 100, newGlobalTextShard, 260},
}

func parse(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("cache", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	entries := flags.String("entries", "10_000_000", "`number` of entries in the cache")
	flags.Float64Var(&o.Seconds, "seconds", 30, "time of the measurement, after the cache is full, in `seconds`")
	flags.IntVar(&o.Rate, "rate", 200_000, "`number` of look-ups per second, and of insertions")
	flags.IntVar(&o.Garbage, "garbage", 1024,
		"`bytes` of short-lived Go memory per look-up, as a request handler allocates")
	flags.Uint64Var(&o.Seed, "seed", 1, "`number` that determines the load")
	flags.IntVar(&o.rounds, "rounds", 1, "`number` of measurements of each kind, in turn; the table has medians")
	only := flags.String("only", names(), "comma-separated `list` of the kinds to measure")
	flags.StringVar(&o.out, "o", "cache.html", "`file` to draw to, .html or .svg; none if empty")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout,
			"usage: cache [flags]\n\nMeasures a cache of strings on Go's map and on galloc's collections.TextMap.\n\nFlags:\n")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return o, err
	} else if err != nil {
		return o, err
	}
	n, err := strconv.ParseInt(*entries, 0, strconv.IntSize)
	o.Entries = int(n)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag: there are no other arguments", flags.Arg(0))
	case err != nil || n < 1000 || n > 1_000_000_000:
		return o, fmt.Errorf("-entries %s: write a number from 1000 to a billion, such as 2_000_000", *entries)
	case !(o.Seconds > 0 && o.Seconds <= 3600):
		return o, fmt.Errorf("-seconds %v: write a number greater than 0, and at most 3600", o.Seconds)
	case o.Rate < 1 || o.Rate > 10_000_000:
		return o, fmt.Errorf("-rate %d: write a number from 1 to 10,000,000", o.Rate)
	case o.Garbage < 0 || o.Garbage > textSize:
		return o, fmt.Errorf("-garbage %d: write a number from 0 to %d", o.Garbage, textSize)
	case o.rounds < 1 || o.rounds > 99:
		return o, fmt.Errorf("-rounds %d: write a number from 1 to 99", o.rounds)
	}
	if o.kinds, err = parseKinds(*only); err != nil {
		return o, err
	}
	return o, checkOut(o.out)
}

func names() string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.name)
	}
	return strings.Join(list, ",")
}

// parseKinds returns the kinds with the names in a list, in the order of kinds.
func parseKinds(list string) (chosen []kind, err error) {
	wanted := strings.Split(list, ",")
	for _, k := range kinds {
		if slices.Contains(wanted, k.name) {
			chosen = append(chosen, k)
		}
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name }) {
			return nil, fmt.Errorf("-only: unknown kind %q: the kinds are %s", name, names())
		}
	}
	return chosen, nil
}

// checkOut checks that the file can be written, before minutes of measuring.
func checkOut(path string) error {
	if path == "" {
		return nil
	}
	if ext := filepath.Ext(path); ext != ".html" && ext != ".svg" {
		return fmt.Errorf("-o %q: the name must end in .html or .svg", path)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("-o %q: its directory does not exist", path)
	}
	return nil
}

// compare measures each kind once per round, and prints and draws the results.
func compare(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if err := checkMemory(o, availableMemory()); err != nil {
		return err
	}
	line := newStatusLine(stderr)
	all := make([][]result, len(o.kinds)) // by kind and round
	for round := range o.rounds {
		for i, k := range o.kinds {
			r, err := measureInChild(ctx, k, o.spec, func(what string) {
				line.show(fmt.Sprintf("round %d of %d, %s: %s", round+1, o.rounds, k.label, what))
			})
			line.show("")
			if err != nil {
				return fmt.Errorf("%s: %w", k.label, err)
			}
			all[i] = append(all[i], r)
			o.global = r.Global
		}
	}
	rows := tabulate(all)
	if err := printTable(stdout, o, rows); err != nil {
		return err
	}
	if o.out == "" {
		return nil
	}
	if err := os.WriteFile(o.out, []byte(draw(o, all, rows)), 0o666); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "\ndrawn: %s\n", o.out)
	return err
}

// checkMemory returns an error if a kind needs more than the available bytes, so that the program
// is not killed halfway. A negative number means unknown.
func checkMemory(o options, available int64) error {
	for _, k := range o.kinds {
		need := int64(o.Entries) * k.perItem
		if available < 0 || need <= available {
			continue
		}
		fit := available / k.perItem / 1000 * 1000
		return fmt.Errorf("%s may need %s of memory for %s entries (with GOGC=%d), but only %s is available: "+
			"try -entries %d, or leave it out with -only",
			k.label, bytesText(need), numberText(o.Entries), k.goGC, bytesText(available), fit)
	}
	return nil
}

// statusLine is a line on a terminal that can be replaced. On anything else it does nothing.
type statusLine struct {
	w    io.Writer
	last int // characters on it
}

func newStatusLine(w io.Writer) *statusLine {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return &statusLine{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &statusLine{}
	}
	return &statusLine{w: w}
}

func (l *statusLine) show(text string) {
	if l.w == nil {
		return
	}
	text = text[:min(len(text), 78)]
	fmt.Fprintf(l.w, "\r%-*s\r%s", l.last, "", text)
	l.last = len(text)
}

// duration returns the time of the measurement.
func (s spec) duration() time.Duration { return time.Duration(s.Seconds * float64(time.Second)) }
