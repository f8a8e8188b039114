// Package top is the command galloc top.
package top

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/target"
	"github.com/galloc-go/galloc/cmd/galloc/ps"
	"github.com/galloc-go/galloc/procmem"
)

const help = `usage: galloc top [flags] URL|PID

Shows what the resident memory of a process consists of, again and again. In a
terminal the table stays in its place; else each is printed after the one before.
The last column is the change since the table before. Ctrl-C ends it.

` + target.Help + `
Flags, before URL or PID:
%s
Examples:
  galloc top http://localhost:8080
  galloc top -interval 10s -n 6 1234 >minute.txt

The exit status is 0 after Ctrl-C or the last table, 1 if the process cannot be read
or has ended, and 2 if the command line is wrong.
`

// Command is galloc top.
var Command = cli.Command{
	Name:  "top",
	Usage: "[flags] URL|PID  show the same again and again",
	Run:   run,
}

type options struct {
	interval time.Duration
	n        int
}

// minInterval is the least time between two tables: the kernel looks at all pages for each.
const minInterval = 10 * time.Millisecond

func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("top", flag.ContinueOnError)
	flags.DurationVar(&o.interval, "interval", time.Second, "`time` from one table to the next")
	flags.IntVar(&o.n, "n", 0, "`number` of tables; 0 is no limit")
	return flags
}

func run(ctx context.Context, args []string, stdout, _ io.Writer) error {
	var o options
	flags := o.flags()
	if err := cli.ParseFlags(flags, args, help, stdout); err != nil {
		return err
	}
	switch {
	case o.interval < minInterval:
		return cli.Usagef("-interval %v: the least is %v", o.interval, minInterval)
	case o.n < 0:
		return cli.Usagef("-n %d: write the number of tables, or 0 for no limit", o.n)
	}
	t, err := target.Parse(flags.Args())
	if err != nil {
		return err
	}
	return show(ctx, o, t.Read, stdout, cli.IsTerminal(stdout))
}

// Sequences of terminals.
const (
	enter     = "\x1b[?1049h\x1b[?25l" // another screen, without a cursor
	leave     = "\x1b[?25h\x1b[?1049l"
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// show prints tables until ctx is done or o.n have been printed.
func show(
	ctx context.Context, o options, read func(context.Context) (*procmem.Snapshot, error), w io.Writer, terminal bool,
) (err error) {
	var before, now *procmem.Snapshot
	if now, err = read(ctx); err != nil {
		return err
	}
	if terminal {
		if _, err := w.Write([]byte(enter)); err != nil {
			return cli.Printed(err)
		}
		defer func() {
			_, failed := w.Write([]byte(leave))
			if err == nil {
				err = cli.Printed(failed)
			}
		}()
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for i := 1; ; i++ {
		text := table(now, before)
		if terminal {
			text = home + strings.ReplaceAll(text, "\n", clearLine+"\n") + clearRest
		} else if i > 1 {
			text = "\n" + text
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return cli.Printed(err)
		}
		if i == o.n {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		before = now
		if now, err = read(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// table returns the table of a snapshot, with the change since the one before, which may be nil.
func table(now, before *procmem.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%-20s %15s %7s %15s\n", ps.Title(now), "", "bytes", "share", "change")
	line := func(name string, n, was uint64) {
		change, share := "-", 0.0
		if before != nil {
			change = signed(n, was)
		}
		if now.Resident != 0 {
			share = 100 * float64(n) / float64(now.Resident)
		}
		fmt.Fprintf(&b, "%-20s %15s %5.1f %% %15s\n", name, cli.Thousands(int(n)), share, change)
	}
	was := map[string]uint64{}
	var resident uint64
	if before != nil {
		resident = before.Resident
		for _, p := range before.Parts() {
			was[p.Name] = p.Bytes
		}
	}
	for _, p := range now.Parts() {
		if p.Bytes != 0 || was[p.Name] != 0 {
			line(p.Name, p.Bytes, was[p.Name])
		}
	}
	line("resident", now.Resident, resident)
	const maxSites = 10
	if len(now.Sites) > 0 {
		b.WriteString("\nmost of galloc live:\n")
	}
	for _, s := range now.Sites[:min(len(now.Sites), maxSites)] {
		fmt.Fprintf(&b, "%15s  %s\n", cli.Thousands(int(s.Bytes)), s.Place)
	}
	return b.String()
}

// signed returns n - was with its sign.
func signed(n, was uint64) string {
	switch {
	case n > was:
		return "+" + cli.Thousands(int(n-was))
	case n < was:
		return "-" + cli.Thousands(int(was-n))
	}
	return "0"
}
