// Command cache shows how to build a large cache on galloc, and what that is good for: it keeps ten million strings
// in memory, once in Go's map[string]string and once in galloc's collections.TextMap, puts both under the same load, and tells
// how long look-ups took, how much memory was resident, and what the garbage collector did meanwhile.
//
//	go run ./examples/cache                        # 10 million entries: about 3 minutes, up to 7 GB
//	go run ./examples/cache -entries 1_000_000     # a tenth of that
//
// It prints a table, and draws cache.html.
//
// To learn how such a cache is built, read on in this order:
//
//	cache.go      a cache, divided into shards
//	onheap.go     a shard on Go's map
//	offheap.go    the same on collections.TextMap: beside each other, they show what differs
//	load.go       what is done to the cache
//	histogram.go  counts durations, to tell percentiles of them
//	measure.go    resident memory, and what the garbage collector does
//	child.go      each measurement is a process of its own, so that the garbage of one is not the other's
//	table.go      prints what was measured
//	plot.go       draws it
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
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process, whatever it does
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// run is main as a function: it returns the exit status.
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

// options is what the user asked for.
type options struct {
	spec          // the same for all kinds
	kinds  []kind // to be measured
	rounds int    // times each is measured, in turn
	out    string // the file to draw to, or ""
	global string // what galloc's global allocator turned out to be
}

// A kind is one way to keep the entries.
type kind struct {
	name    string // for -only
	label   string // in tables and plots
	goGC    int    // as the environment variable GOGC
	shard   func(capacity int) (shard, error)
	perItem int64 // bytes of memory that an entry of this load takes at most, measured and rounded up
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
	entries := flags.String("entries", "10_000_000", "`number` of entries that the cache keeps")
	flags.Float64Var(&o.Seconds, "seconds", 30, "how long look-ups and insertions are measured, once the cache is full, in `seconds`")
	flags.IntVar(&o.Rate, "rate", 200_000, "look-ups a second, and as many insertions: a `number`")
	flags.IntVar(&o.Garbage, "garbage", 1024, "`bytes` of short-lived Go memory that each look-up comes with, as the handling of a request does")
	flags.Uint64Var(&o.Seed, "seed", 1, "a `number`: the same one makes the same load")
	flags.IntVar(&o.rounds, "rounds", 1, "`times` that each is measured, in turn; the table then has medians")
	only := flags.String("only", names(), "comma-separated `list` of what is measured")
	flags.StringVar(&o.out, "o", "cache.html", "`file` to draw to, .html or .svg; none if empty")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, "usage: cache [flags]\n\nMeasures a cache of strings on Go's map and on galloc's collections.TextMap.\n\nFlags:\n")
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
		return o, fmt.Errorf("%q is not a flag, and there are no other arguments", flags.Arg(0))
	case err != nil || n < 1000 || n > 1_000_000_000:
		return o, fmt.Errorf("-entries is %q: it must be a number from 1000 to a billion, such as 2_000_000", *entries)
	case !(o.Seconds > 0 && o.Seconds <= 3600):
		return o, fmt.Errorf("-seconds is %v: it must be more than 0, and 3600 at most", o.Seconds)
	case o.Rate < 1 || o.Rate > 10_000_000:
		return o, fmt.Errorf("-rate is %d: it must be from 1 to 10,000,000", o.Rate)
	case o.Garbage < 0 || o.Garbage > textSize:
		return o, fmt.Errorf("-garbage is %d: it must be from 0 to %d", o.Garbage, textSize)
	case o.rounds < 1 || o.rounds > 99:
		return o, fmt.Errorf("-rounds is %d: it must be from 1 to 99", o.rounds)
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
			return nil, fmt.Errorf("-only has %q: there are %s", name, names())
		}
	}
	return chosen, nil
}

// checkOut finds out before the measurement, rather than after it, that the file cannot be written.
func checkOut(path string) error {
	if path == "" {
		return nil
	}
	if ext := filepath.Ext(path); ext != ".html" && ext != ".svg" {
		return fmt.Errorf("-o is %q: its name must end in .html or .svg", path)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("-o is %q: there is no such directory", path)
	}
	return nil
}

// compare measures each kind as often as there are rounds, and prints and draws the results.
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

// checkMemory returns an error if one of the kinds needs more than the available bytes; less than 0 is not known.
// It is better to say so than to be killed halfway.
func checkMemory(o options, available int64) error {
	for _, k := range o.kinds {
		need := int64(o.Entries) * k.perItem
		if available < 0 || need <= available {
			continue
		}
		fit := available / k.perItem / 1000 * 1000
		return fmt.Errorf("%s may need %s of memory for %s entries (GOGC=%d lets the Go heap grow beyond what is live), and %s is available: "+
			"try -entries %d, or leave it out with -only", k.label, bytesText(need), numberText(o.Entries), k.goGC, bytesText(available), fit)
	}
	return nil
}

// statusLine is a line on a terminal that is replaced; on anything else, nothing.
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

// duration is how long the load is measured.
func (s spec) duration() time.Duration { return time.Duration(s.Seconds * float64(time.Second)) }
