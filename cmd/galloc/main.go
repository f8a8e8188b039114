// Command galloc measures allocators.
//
//	galloc replay    replays the allocations of real programs on one or several allocators
//	galloc help      tells more
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
	defer stop()
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
  galloc help                       print this

galloc replay -h lists the flags of replay.
`

// run is main as a function: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	var err error
	switch args[0] {
	case "replay":
		err = replay(ctx, args[1:], stdout, stderr)
	case measureCommand:
		err = measure(args[1:], stdout)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "galloc: unknown command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	var u usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "galloc: interrupted")
		return exitInterrupted
	case errors.As(err, &u):
		fmt.Fprintf(stderr, "galloc %s: %v\n", args[0], err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "galloc %s: %v\n", args[0], err)
		return exitFailure
	}
}

// usageError is an error in how the command was called.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
