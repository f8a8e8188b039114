// Package soak is the command galloc soak.
//
// soak.go reads the command line, child.go starts the process that does the work, and report.go
// judges and prints what it measured. In the process, load.go is the soak as a whole and wave.go
// how its load rises and falls; worker.go, steps.go and block.go are what a goroutine does.
package soak

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
	"strconv"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/internal/setting"
)

// Command is galloc soak.
var Command = cli.Command{
	Name:  "soak",
	Usage: "[flags]  put an allocator under mixed load for some time",
	Run:   run, Child: childCommand, Serve: serve,
}

const help = `usage: galloc soak [flags]

Puts an allocator under mixed load for some time, registered as the global allocator of
a separate process, and checks that all contents are right and that resident memory
stays flat.

Goroutines allocate, allocate zeroed, grow, shrink, resize in place and free blocks
of 1 byte to 1 MiB, mostly small, a few of up to 16 MiB, at alignments of 1 to 4096;
and they exchange blocks, so that many are freed on another P. If -live is small, the
largest blocks are smaller.

The load comes in waves of 3 s or more, or in %[1]d shorter ones: it rises from %[2]d %% to
100 %% of -live and falls back, and the last part of a wave is quiet. When that begins,
the quarantine of a memory checker, if there is one, is emptied. At the end all is freed, and the allocator has up to two seconds to release memory to the system.

The content of a block is compared before it is freed, and before and after each change
of its size: all bytes up to 8 KiB, otherwise both ends and a word of each page.

The allocators:
%[3]s
The report:
  operations  calls, without freeing all at the end; the rate is without the quiet
              parts of the waves
  compared    bytes compared with the bytes that were written
  peak live   the most bytes requested and not yet freed
  peak RSS    the most resident memory that the soak added to the process
  trough RSS  resident memory at the end of each wave, where the load is low
  end RSS     resident memory after all was freed
  end heap    statistics of the heap at that time
Resident memory is measured on Linux only, and not in a program built with -race. 1 MB
is 1,000,000 bytes. On a terminal, a line shows the progress: the time, operations per
second, MB live, MB resident now and at most.

The exit status is 1 if the content of a block was wrong, if an allocation failed, or if
resident memory grew from the first trough to the last by more than a tenth of peak live
plus 8 MiB. Ctrl-C ends the soak early with a report, and exit status 130.

Flags:
%[4]s
With -json, the report is one object, with the fields
  schema go os arch cpus
  alloc time_ns goroutines procs live_bytes seed
  allocator elapsed_ns busy_ns operations ops_per_second interrupted
  allocated zeroed reallocated resize_tried resized exchanged freed compared_bytes
  peak_live_bytes peak_rss_bytes trough_rss_bytes end_rss_bytes
  heap error ok grown judged
The second line has the flags. The fields from allocator to error are absent if zero or
not measured. heap has the fields, in bytes or numbers of calls,
  live footprint in_use cached dirty metadata go_memory
  purges purged_bytes moved grown_in_place misuses
ok is true if there is no error and memory has not grown, and judged if the latter could
be determined. schema is %[5]d; it rises when a field changes its meaning or is removed.
`

// run is the command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, asJSON, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if !asJSON {
		if _, err := io.WriteString(stdout, head(o)); err != nil {
			return cli.Printed(err)
		}
	}
	bar := cli.NewBar(stderr, 1)
	found, err := runInChild(ctx, o, bar)
	bar.Finish()
	if err != nil {
		return err
	}
	r := newReport(o, found)
	if asJSON {
		err = r.printJSON(stdout)
	} else {
		err = r.print(stdout)
	}
	if err != nil {
		return err
	}
	if why := r.failure(); why != "" {
		fmt.Fprintf(stderr, "galloc soak: %s: %s\n", o.Alloc, why)
		return cmp.Or(ctx.Err(), cli.ErrReported)
	}
	return ctx.Err()
}

func parse(args []string, stdout io.Writer) (o options, asJSON bool, err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.Alloc, "alloc", allocators.Heap, "the `allocator`")
	length := flags.String("time", "10s", "`duration`, such as 10s or 5m")
	goroutines := flags.String("goroutines", "", "`number` of goroutines (default two for each P)")
	procs := flags.String("procs", strconv.Itoa(runtime.GOMAXPROCS(0)), "`number` of Ps: GOMAXPROCS")
	live := flags.String("live", "256MiB", "`bytes` live at the top of a wave, as 300000, 64MiB or 2GiB")
	seed := flags.String("seed", "1", "`number` that seeds the random decisions")
	flags.BoolVar(&asJSON, "json", false, "print the report as JSON")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, false, cmp.Or(printHelp(flags, stdout), err)
	} else if err != nil {
		return o, false, cli.Usagef("%w (galloc soak -h lists the flags)", err)
	}
	if flags.NArg() > 0 {
		return o, false, cli.Usagef("%q is not a flag: soak takes only flags", flags.Arg(0))
	}
	if err := allocators.Check(o.Alloc, allocators.RealNames()); err != nil {
		return o, false, err
	}
	if o.Time, err = time.ParseDuration(*length); err != nil {
		return o, false, cli.Usagef("-time %s: write a duration, such as 10s or 5m", *length)
	}
	if o.Procs, err = strconv.Atoi(*procs); err != nil {
		return o, false, cli.Usagef("-procs %s: write a whole number", *procs)
	}
	if *goroutines == "" {
		o.Goroutines = 2 * o.Procs
	} else if o.Goroutines, err = strconv.Atoi(*goroutines); err != nil {
		return o, false, cli.Usagef("-goroutines %s: write a whole number", *goroutines)
	}
	if o.Seed, err = strconv.ParseUint(*seed, 10, 64); err != nil {
		return o, false, cli.Usagef("-seed %s: write a whole number, at least 0", *seed)
	}
	if err = setting.Size(&o.Live, 0)(*live); err != nil {
		return o, false, cli.Usagef("-live %s: %w", *live, err)
	}
	if err := o.check(); err != nil {
		return o, asJSON, err
	}
	return o, asJSON, cli.CheckMemory(fmt.Sprintf("-live %s", *live), uint64(o.Live))
}

// Limits of the flags.
const (
	minSoak    = 10 * time.Millisecond
	maxProcs   = 1 << 10
	maxWorkers = 1 << 16
	minShare   = 100_000                 // bytes per goroutine
	maxLive    = min(1<<44, math.MaxInt) // bytes
)

// check returns a usage error if a number is out of range.
func (o options) check() error {
	switch {
	case o.Time < minSoak:
		return cli.Usagef("-time %v: write at least %v", o.Time, minSoak)
	case o.Procs < 1 || o.Procs > maxProcs:
		return cli.Usagef("-procs %d: write a number from 1 to %d", o.Procs, maxProcs)
	case o.Goroutines < 1 || o.Goroutines > maxWorkers:
		return cli.Usagef("-goroutines %d: write a number from 1 to %d", o.Goroutines, maxWorkers)
	case o.Live/o.Goroutines < minShare:
		return cli.Usagef("-live %d: write at least %d for each of the %d goroutines", o.Live, minShare, o.Goroutines)
	case o.Live > maxLive:
		return cli.Usagef("-live %d: write at most %d", o.Live, uint64(maxLive))
	}
	return nil
}

func printHelp(flags *flag.FlagSet, stdout io.Writer) error {
	var defaults bytes.Buffer
	flags.SetOutput(&defaults)
	flags.PrintDefaults()
	_, err := fmt.Fprintf(stdout, help, minWaves, int(low*100),
		allocators.Help(allocators.RealNames()), &defaults, schema)
	return err
}
