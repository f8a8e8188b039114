// Package ps is the command galloc ps.
package ps

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/target"
	"github.com/galloc-go/galloc/procmem"
)

const help = `usage: galloc ps [flags] URL|PID

Prints what the resident memory of a process consists of. The parts sum to what the
kernel reports. 1 MB is 1,000,000 bytes.

` + target.Help + `
Flags, before URL or PID:
%s
Examples:
  galloc ps http://localhost:8080
  galloc ps -json 1234 | jq .resident
  galloc ps -pprof memory.pb.gz http://localhost:8080 && go tool pprof -top memory.pb.gz

The exit status is 1 if the process cannot be read, and 2 if the command line is wrong.
`

// Command is galloc ps.
var Command = cli.Command{
	Name:  "ps",
	Usage: "[flags] URL|PID  print what the resident memory of a process consists of",
	Run:   run,
}

type options struct {
	json  bool
	pprof string
}

func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("ps", flag.ContinueOnError)
	flags.BoolVar(&o.json, "json", false, "print JSON, with the fields of procmem.Snapshot; sizes are in bytes")
	flags.StringVar(&o.pprof, "pprof", "", "write a profile for go tool pprof to `FILE` as well")
	return flags
}

func run(ctx context.Context, args []string, stdout, _ io.Writer) error {
	var o options
	flags := o.flags()
	if err := cli.ParseFlags(flags, args, help, stdout); err != nil {
		return err
	}
	t, err := target.Parse(flags.Args())
	if err != nil {
		return err
	}
	s, err := t.Read(ctx)
	if err != nil {
		return err
	}
	if o.pprof != "" {
		if err := writeProfile(s, o.pprof); err != nil {
			return err
		}
	}
	if o.json {
		_, err := s.WriteTo(stdout)
		return cli.Printed(err)
	}
	_, err = fmt.Fprint(stdout, Title(s), "\n\n", s)
	return cli.Printed(err)
}

func writeProfile(s *procmem.Snapshot, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = s.WriteProfile(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Title returns the line above the table of s.
func Title(s *procmem.Snapshot) string {
	title := fmt.Sprintf("process %d, %s", s.PID, s.Time.Format("2006-01-02 15:04:05 MST"))
	if s.Allocator != "" {
		title += ", " + s.Allocator
	}
	return title
}
