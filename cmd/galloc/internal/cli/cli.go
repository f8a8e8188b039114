// Package cli is what the commands of galloc share: choosing a command, errors and exit statuses
// (this file), child processes (child.go), a progress bar (bar.go), the form of numbers
// (format.go), the memory of the machine (memory.go), completion in shells (completion.go), and the
// version (version.go).
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Command is one command of galloc.
type Command struct {
	Name  string
	Usage string // the line of galloc help: the arguments, then two spaces, then what it does

	// Run runs the command. With the argument -h it prints the command's help to stdout and returns
	// an error that wraps flag.ErrHelp.
	Run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

	// Child is the hidden command of the process in which Run measures, and Serve is its work.
	Child string
	Serve func(args []string, stdin io.Reader, stdout io.Writer) error
}

// Exit statuses.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitInterrupted = 130
)

// Run runs the command that args name, and returns the exit status.
func Run(ctx context.Context, commands []Command, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage(commands))
		return ExitUsage
	}
	run := find(commands, args[0])
	if run == nil {
		fmt.Fprintf(stderr, "galloc: unknown command %q\n\n%s", args[0], usage(commands))
		return ExitUsage
	}
	err := run(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return ExitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "galloc: interrupted")
		return ExitInterrupted
	case errors.Is(err, ErrReported):
		return ExitFailure
	}
	fmt.Fprintf(stderr, "galloc %s: %v\n", args[0], err)
	if errors.As(err, new(usageError)) {
		return ExitUsage
	}
	return ExitFailure
}

// find returns the function to run for the named command, or nil.
func find(commands []Command, name string) func(context.Context, []string, io.Writer, io.Writer) error {
	switch name {
	case "help", "-h", "-help", "--help":
		return func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			return help(ctx, commands, args, stdout, stderr)
		}
	case "completion":
		return func(ctx context.Context, args []string, stdout, _ io.Writer) error {
			return completion(ctx, commands, args, stdout)
		}
	case "version", "-version", "--version":
		return func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) > 0 {
				return Usagef("%q: version takes no arguments", args[0])
			}
			return version(stdout)
		}
	}
	for _, c := range commands {
		switch name {
		case c.Name:
			return c.Run
		case c.Child:
			return func(_ context.Context, args []string, stdout, _ io.Writer) error {
				return c.Serve(args, os.Stdin, stdout)
			}
		}
	}
	return nil
}

func help(ctx context.Context, commands []Command, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		_, err := fmt.Fprint(stdout, usage(commands))
		return err
	}
	for _, c := range commands {
		if c.Name == args[0] {
			return c.Run(ctx, []string{"-h"}, stdout, stderr)
		}
	}
	if args[0] == "completion" {
		return completion(ctx, commands, []string{"-h"}, stdout)
	}
	return Usagef("unknown command %q: the commands are %s", args[0], names(commands, ", "))
}

func usage(commands []Command) string {
	var b strings.Builder
	b.WriteString("galloc measures memory allocators, and shows where memory is.\n\nusage:\n")
	line := func(call, what string) { fmt.Fprintf(&b, "  galloc %s\n        %s\n", call, what) }
	for _, c := range commands {
		call, what, _ := strings.Cut(c.Usage, "  ")
		line(c.Name+" "+call, what)
	}
	line("completion "+strings.Join(shells, "|"), "print what makes a shell complete the words of galloc")
	line("version", "print the version of galloc, of Go, and the platform")
	line("help ["+names(commands, "|")+"]", "print this text, or the help of a command")
	b.WriteString("\nexit status: 0 success, 1 something failed, 2 wrong usage, 130 interrupted\n")
	return b.String()
}

func names(commands []Command, separator string) string {
	var all []string
	for _, c := range commands {
		all = append(all, c.Name)
	}
	return strings.Join(all, separator)
}

// usageError is an error in the arguments.
type usageError struct{ error }

// Usagef returns an error in the arguments: the exit status is ExitUsage.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// ParseFlags parses the flags of a command. With -h it prints the help to stdout, in which %s is
// where the flags are described, and returns an error that wraps flag.ErrHelp.
func ParseFlags(flags *flag.FlagSet, args []string, help string, stdout io.Writer) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		var defaults strings.Builder
		flags.SetOutput(&defaults)
		flags.PrintDefaults()
		if _, failed := fmt.Fprintf(stdout, help, &defaults); failed != nil {
			return failed
		}
		return err
	case err != nil:
		return Usagef("%w (galloc %s -h lists the flags)", err, flags.Name())
	}
	rest := flags.Args()
	if n := len(args) - len(rest); n > 0 && args[n-1] == "--" {
		return nil // all others are arguments
	}
	for _, arg := range rest {
		if len(arg) > 1 && arg[0] == '-' {
			return Usagef("%s is after an argument: write flags first", arg)
		}
	}
	return nil
}

// ErrReported means that something has failed and stderr says what.
var ErrReported = errors.New("reported already")

// Printed wraps an error of printing results.
func Printed(err error) error {
	if err != nil {
		return fmt.Errorf("cannot print the results: %w", err)
	}
	return nil
}

// AppendNew appends the values that are not in the slice yet.
func AppendNew[T comparable](to []T, values ...T) []T {
next:
	for _, v := range values {
		for _, old := range to {
			if old == v {
				continue next
			}
		}
		to = append(to, v)
	}
	return to
}
