// Package stat is the command galloc stat.
package stat

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/tracestat"
	"github.com/galloc-go/galloc/cmd/galloc/traces"
)

const help = `usage: galloc stat [flags] TRACE...

Prints what a trace consists of: its calls, the bytes in use, sizes, lifetimes and
threads. TRACE is the path of a trace (malloctrace 1, plain or gzip) or the name of one
that comes with galloc: @traces@. A size is what the program asked for; 1 MB is
1,000,000 bytes. A lifetime is a number of calls, from the one that allocates an object
to the one that ends it. A realloc ends one object and begins another.

Flags, before the first TRACE:
%s
Examples:
  galloc stat sqlite
  galloc stat -json program.trace.gz | jq .[0].peakBytes

The exit status is 1 if a trace cannot be read or is malformed, and 2 if the command
line is wrong.
`

// Command is galloc stat.
var Command = cli.Command{
	Name:  "stat",
	Usage: "[flags] TRACE...  print what a trace consists of",
	Run:   run,
}

// An entry is the statistics of a trace, for -json.
type entry struct {
	Trace string `json:"trace"`
	*tracestat.Stats
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("stat", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print a JSON array with an object for each trace")
	text := strings.ReplaceAll(help, "@traces@", strings.Join(traces.Names(), ", "))
	if err := cli.ParseFlags(flags, args, text, stdout); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return cli.Usagef("which trace? write a path, or one of %s", strings.Join(traces.Names(), ", "))
	}
	bar := cli.NewBar(stderr, flags.NArg())
	var all []entry
	for _, path := range flags.Args() {
		bar.Start("read " + path)
		s, err := read(ctx, path, bar)
		bar.Finish()
		if err != nil {
			return err
		}
		all = append(all, entry{path, s})
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return cli.Printed(e.Encode(all))
	}
	for i, e := range all {
		between := ""
		if i > 0 {
			between = "\n"
		}
		if _, err := fmt.Fprint(stdout, between, e.Trace, "\n", Table(e.Stats)); err != nil {
			return cli.Printed(err)
		}
	}
	return nil
}

func read(ctx context.Context, path string, bar *cli.Bar) (*tracestat.Stats, error) {
	if !slices.Contains(traces.Names(), path) {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil, fmt.Errorf("%s is a directory: name the traces in it", path)
		}
	}
	src, err := traces.Open(path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = fmt.Errorf("cannot read the trace %q: %w (TRACE is a path, or one of %s)",
				path, cause.Err, strings.Join(traces.Names(), ", "))
		}
		return nil, err
	}
	defer func() { _ = src.Close() }()
	return tracestat.Read(src, func(events int) error {
		// The number of events is not known before, so the bar says how many there are.
		bar.Show(fmt.Sprintf("%s events", cli.Thousands(events)))
		return ctx.Err()
	})
}

// Table returns the statistics as text.
func Table(s *tracestat.Stats) string {
	var b strings.Builder
	share := func(n, of int) string { return fmt.Sprintf("%5.1f %%", 100*float64(n)/float64(max(of, 1))) }
	line := func(name string, n int) {
		fmt.Fprintf(&b, "  %-18s %13s %s\n", name, cli.Thousands(n), share(n, s.Events))
	}
	line("events", s.Events)
	line("malloc", s.Mallocs)
	line("calloc", s.Callocs)
	line("aligned", s.Aligned)
	line("realloc", s.Reallocs)
	if s.Reallocs > 0 {
		fmt.Fprintf(&b, "  %-18s %s grow, %s shrink, %s of no object\n", "  of these",
			cli.Thousands(s.ReallocGrown), cli.Thousands(s.ReallocShrunk), cli.Thousands(s.ReallocNew))
	}
	line("free", s.Frees)
	fmt.Fprintf(&b, "\n  %-18s %13s objects %12s, the largest %s, the mean %s\n", "allocated", cli.Thousands(s.Objects),
		cli.Size(s.TotalBytes), cli.Size(s.MaxSize), cli.Size(s.TotalBytes/uint64(max(s.Objects, 1))))
	fmt.Fprintf(&b, "  %-18s %13s objects, %s after %s events\n", "the most in use", cli.Thousands(s.PeakObjects),
		cli.Size(s.PeakBytes), cli.Thousands(s.PeakEvent))
	fmt.Fprintf(&b, "  %-18s %13s objects %12s\n", "in use at the end", cli.Thousands(s.EndObjects), cli.Size(s.EndBytes))
	buckets(&b, "size in bytes", s.Sizes, s.Objects)
	buckets(&b, "lifetime in calls", s.Lifetimes, s.Objects)
	if s.EndObjects > 0 {
		row(&b, "to the end", tracestat.Bucket{Objects: s.EndObjects, Bytes: s.EndBytes}, s.Objects)
	}
	fmt.Fprintf(&b, "\n  %-18s %13s %13s %13s %16s\n", "thread", "events", "begin", "end", "of other threads")
	const maxThreads = 20
	for i, t := range s.Threads[:min(len(s.Threads), maxThreads)] {
		fmt.Fprintf(&b, "  %-18d %13s %13s %13s %16s\n", i, cli.Thousands(t.Events), cli.Thousands(t.Allocs),
			cli.Thousands(t.Ends), cli.Thousands(t.Others))
	}
	if n := len(s.Threads) - maxThreads; n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	return b.String()
}

// buckets prints the buckets that have objects.
func buckets(b *strings.Builder, name string, all []tracestat.Bucket, objects int) {
	fmt.Fprintf(b, "\n  %-25s %13s\n", name, "objects")
	for i, k := range all {
		if k.Objects == 0 {
			continue
		}
		low, high := tracestat.Range(i)
		label := fmt.Sprintf("%d to %d", low, high)
		if low == high {
			label = fmt.Sprint(low)
		}
		row(b, label, k, objects)
	}
}

// row prints a bucket, with a bar of a character for each 2.5 % of all objects.
func row(b *strings.Builder, label string, k tracestat.Bucket, objects int) {
	part := float64(k.Objects) / float64(max(objects, 1))
	line := fmt.Sprintf("  %-25s %13s %5.1f %% %12s %s", label, cli.Thousands(k.Objects), 100*part, cli.Size(k.Bytes),
		strings.Repeat("#", int(40*part+0.5)))
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}
