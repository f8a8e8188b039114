package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

const soakHelp = `usage: galloc soak [flags]

Puts an allocator under mixed load for some time, as the global one and in a process
of its own, to see whether all contents are right and resident memory stays flat.

Goroutines allocate, allocate zeroed, grow, shrink, resize in place and free blocks
of 1 byte to 1 MiB, mostly small, a few of up to 16 MiB, at alignments of 1 to 4096;
and they exchange blocks, so that many are freed on another P. Where -live is little,
the largest blocks are smaller.

The load comes in waves of 3 s or more, or in %[1]d shorter ones: it rises from %[2]d %% to
100 %% of -live and falls back, and the last part of a wave is quiet. At the end all
is freed, and memory has up to two seconds to go back to the system.

What is in a block is compared before it is freed, and around each change of its
size: all of it up to 8 KiB, otherwise both ends and a word of each page.

The allocators:
%[3]s
The report:
  operations  calls, without the freeing of all at the end; a second is one without
              the quiet parts of the waves
  compared    bytes compared with what had been written
  peak live   the most bytes asked for and not yet freed
  peak RSS    the most resident memory that the soak has added to the process
  trough RSS  the same at the end of each wave, where the load is low
  end RSS     the same when all has been freed
  end heap    statistics of the heap at that time
Resident memory is measured on Linux only, and not in a program built with -race. 1 MB
is 1,000,000 bytes. On a terminal, a line shows meanwhile: the time, operations per
second, MB live, MB resident now and at most.

The exit status is 1 if something in a block was wrong, if an allocation failed, or
if resident memory grows: by more than a tenth of peak live and 8 MiB, from the first
trough to the last. Ctrl-C ends the soak early with a report, and exit status 130.

Flags:
%[4]s
With -json, the report is one object, with the fields
  schema go os arch cpus
  alloc time_ns goroutines procs live_bytes seed
  allocator elapsed_ns busy_ns operations ops_per_second interrupted
  allocated zeroed reallocated resize_tried resized exchanged freed compared_bytes
  peak_live_bytes peak_rss_bytes trough_rss_bytes end_rss_bytes
  heap error ok grown judged
where those from allocator to error are absent if zero or not measured. The second
line is what was asked for. heap has the fields, in bytes or numbers of calls,
  live footprint in_use cached dirty metadata go_memory
  purges purged_bytes moved grown_in_place misuses
ok says that there is no error and that memory has not grown; judged, whether that
could be told. schema is %[5]d; it rises when a field changes its meaning or goes away.
`

// soak is the command.
func soak(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	spec, asJSON, err := parseSoak(args, stdout)
	if err != nil {
		return err
	}
	if !asJSON {
		if _, err := io.WriteString(stdout, soakHead(spec)); err != nil {
			return printed(err)
		}
	}
	bar := newBar(stderr, 1)
	result, err := soakInChild(ctx, spec, bar)
	bar.finish()
	if err != nil {
		return err
	}
	r := newSoakReport(spec, result)
	if asJSON {
		err = r.printJSON(stdout)
	} else {
		err = r.print(stdout)
	}
	if err != nil {
		return err
	}
	if why := r.failure(); why != "" {
		fmt.Fprintf(stderr, "galloc soak: %s: %s\n", spec.Alloc, why)
		return cmp.Or(ctx.Err(), errReported)
	}
	return ctx.Err()
}

// soakInChild has a child process do the soak. What goes wrong with it is in the Error of the
// result. When ctx is done, be it before the start, the child is told to end by the end of its
// standard input, and has some time for that.
func soakInChild(ctx context.Context, spec soakSpec, bar *bar) (soakResult, error) {
	told, err := json.Marshal(spec)
	if err != nil {
		return soakResult{}, err
	}
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	child, err := newChild(alive, soakingCommand, string(told))
	if err != nil {
		return soakResult{}, err
	}
	stdin, err := child.StdinPipe()
	if err != nil {
		return soakResult{}, noProcess(err)
	}
	stop := context.AfterFunc(ctx, func() {
		stdin.Close()
		time.AfterFunc(hangTime+4*decayPeriod, kill)
	})
	defer stop()
	last, failure, err := converse(child, func(m soakMessage) {
		if m.Now != nil {
			bar.showSoak(*m.Now)
		}
	})
	switch {
	case err != nil:
		return soakResult{}, err
	case last.Result != nil:
		return *last.Result, nil
	}
	return soakResult{Error: "the soaking process failed: " + failure, Interrupted: ctx.Err() != nil}, nil
}

// showSoak shows how a soak is doing.
func (b *bar) showSoak(n soakNow) {
	const mega = 1e6
	line := fmt.Sprintf("%3.0fs %.2fM/s live %.0f RSS %.0f/%.0f MB", n.At.Seconds(), n.Rate/mega,
		float64(n.Live)/mega, float64(n.RSS)/mega, float64(n.PeakRSS)/mega)
	b.show(line[:min(len(line), barWidth)])
}

// soakNames returns the allocators that can be soaked, and benchmarked. null gives all the same block.
func soakNames() []string {
	return slices.DeleteFunc(allocatorNames(), func(name string) bool { return name == nullName })
}

func parseSoak(args []string, stdout io.Writer) (spec soakSpec, asJSON bool, err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&spec.Alloc, "alloc", heapName, "the `allocator`")
	length := flags.String("time", "10s", "how `long`, such as 10s or 5m")
	goroutines := flags.String("goroutines", "", "`number` of goroutines (default two for each P)")
	procs := flags.String("procs", strconv.Itoa(runtime.GOMAXPROCS(0)), "`number` of Ps: GOMAXPROCS")
	live := flags.String("live", "256MB", "`bytes` live at the top of a wave, as 300000, 64MB or 2GB")
	seed := flags.String("seed", "1", "`number` that the random decisions follow from")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return spec, false, cmp.Or(printSoakHelp(flags, stdout), err)
	} else if err != nil {
		return spec, false, usagef("%w (galloc soak -h lists the flags)", err)
	}
	if flags.NArg() > 0 {
		return spec, false, usagef("%q is no flag: soak takes nothing else", flags.Arg(0))
	}
	if !slices.Contains(soakNames(), spec.Alloc) {
		why := "unknown allocator"
		if spec.Alloc == nullName {
			why = "all blocks are the same with"
		}
		return spec, false, usagef("-alloc: %s %q: there are %s", why, spec.Alloc, strings.Join(soakNames(), ", "))
	}
	if spec.Time, err = time.ParseDuration(*length); err != nil {
		return spec, false, usagef("-time %s: give a duration, such as 10s or 5m", *length)
	}
	if spec.Procs, err = strconv.Atoi(*procs); err != nil {
		return spec, false, usagef("-procs %s: give a whole number", *procs)
	}
	if *goroutines == "" {
		spec.Goroutines = 2 * spec.Procs
	} else if spec.Goroutines, err = strconv.Atoi(*goroutines); err != nil {
		return spec, false, usagef("-goroutines %s: give a whole number", *goroutines)
	}
	if spec.Seed, err = strconv.ParseUint(*seed, 10, 64); err != nil {
		return spec, false, usagef("-seed %s: give a whole number, at least 0", *seed)
	}
	if spec.Live, err = parseBytes(*live); err != nil {
		return spec, false, usagef("-live %s: %w", *live, err)
	}
	return spec, asJSON, checkSoak(spec)
}

// Limits of what can be asked for.
const (
	minSoak    = 10 * time.Millisecond
	maxProcs   = 1 << 10
	maxWorkers = 1 << 16
	minShare   = 100_000 // bytes of a goroutine
)

// checkSoak returns a usageError if the numbers are not possible.
func checkSoak(s soakSpec) error {
	switch {
	case s.Time < minSoak:
		return usagef("-time %v: give %v or more", s.Time, minSoak)
	case s.Procs < 1 || s.Procs > maxProcs:
		return usagef("-procs %d: give a number from 1 to %d", s.Procs, maxProcs)
	case s.Goroutines < 1 || s.Goroutines > maxWorkers:
		return usagef("-goroutines %d: give a number from 1 to %d", s.Goroutines, maxWorkers)
	case s.Live/s.Goroutines < minShare:
		return usagef("-live %d: give %d or more for each of the %d goroutines", s.Live, minShare, s.Goroutines)
	}
	return nil
}

// parseBytes understands whole numbers of bytes, with or without a unit.
func parseBytes(s string) (int, error) {
	digits := strings.TrimRight(s, "kKMGTiB")
	unit, ok := map[string]uint64{
		"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || !ok {
		return 0, errors.New("give bytes, as 300000, 64MB, 64MiB or 2GB")
	}
	if err != nil || n > math.MaxInt/unit {
		return 0, errors.New("that is more than there can be")
	}
	return int(n * unit), nil
}

func printSoakHelp(flags *flag.FlagSet, stdout io.Writer) error {
	var about, defaults bytes.Buffer
	for _, a := range allocators {
		if a.name != nullName {
			fmt.Fprintf(&about, "  %-10s %s\n", a.name, a.about)
		}
	}
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	_, err := fmt.Fprintf(stdout, soakHelp, minWaves, int(low*100), &about, &defaults, soakSchema)
	return err
}
