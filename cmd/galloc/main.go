// Command galloc measures allocators.
//
//	galloc replay    replays the allocations of real programs on one or several allocators
//	galloc bench     runs the workloads of well-known benchmarks of allocators
//	galloc soak      puts an allocator under mixed load, and watches contents and memory
//	galloc help      tells more
//
// The way of a replay through the files: replay.go understands the command line and goes
// through traces and allocators; child.go starts a process for each measurement, which is
// measure.go in the same executable; report.go prints what comes back. That of a benchmark is
// the same: bench.go understands the command line, bench_child.go is the process, and
// bench_report.go prints. That of a soak: soak.go understands the command line; soak_child.go is
// the process that it starts, and soak_wave.go how the load comes and goes there;
// soak_worker.go, soak_steps.go and soak_block.go are what a goroutine does; soak_report.go judges
// and prints what comes back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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

const usage = `galloc measures memory allocators.

usage:
  galloc replay [flags] [FILE...]   replay the allocations of real programs
  galloc bench [flags] NAME... [KEY=VALUE...]
                                    run workloads of well-known benchmarks
  galloc soak [flags]               put an allocator under mixed load for some time
  galloc help [replay|bench|soak]   print this, or what there is to a command

exit status: 0 success, 1 something failed, 2 wrong usage, 130 interrupted
`

// run is main as a function: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	command, rest := args[0], args[1:]
	var err error
	switch command {
	case "replay":
		err = replay(ctx, rest, stdout, stderr)
	case "bench":
		err = bench(ctx, rest, stdout, stderr)
	case "soak":
		err = soak(ctx, rest, stdout, stderr)
	case benchingCommand:
		err = benchProcess(rest, stdout)
	case soakingCommand:
		err = soakProcess(rest, os.Stdin, stdout)
	case measureCommand:
		err = measure(rest, stdout)
	case "help", "-h", "-help", "--help":
		err = help(rest, stdout)
	default:
		fmt.Fprintf(stderr, "galloc: unknown command %q\n\n%s", command, usage)
		return exitUsage
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "galloc: interrupted")
		return exitInterrupted
	case errors.Is(err, errReported):
		return exitFailure
	}
	fmt.Fprintf(stderr, "galloc %s: %v\n", command, err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailure
}

func help(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		_, err := fmt.Fprint(stdout, usage)
		return err
	}
	var err error
	switch args[0] {
	case "replay":
		_, err = parseReplay([]string{"-h"}, stdout)
	case "bench":
		_, err = parseBench([]string{"-h"}, stdout)
	case "soak":
		_, _, err = parseSoak([]string{"-h"}, stdout)
	default:
		return usagef("unknown command %q: there are replay, bench and soak", args[0])
	}
	return err
}

// usageError is an error in how the command was called.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported says that something has failed and that stderr tells what.
var errReported = errors.New("reported already")
