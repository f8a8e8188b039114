// Command galloc measures allocators, and shows where the memory of a process is.
//
//	galloc replay      replays the allocations of real programs on one or several allocators
//	galloc bench       runs the workloads of well-known benchmarks of allocators
//	galloc soak        puts an allocator under mixed load, and checks contents and memory
//	galloc stat        prints what a trace consists of
//	galloc convert     translates a recording of another tool to a trace
//	galloc ps          prints what the resident memory of a process consists of
//	galloc top         shows the same again and again
//	galloc completion  prints what makes a shell complete the words of galloc
//	galloc version     prints the version
//	galloc help        prints the help of a command
//
// Each command is a package here. Some measure in a child process, which is the same executable
// with a hidden command: see package internal/cli. The exit status is 0 for success, 1 if something
// failed, 2 for wrong usage, and 130 after an interruption.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/galloc-go/galloc/cmd/galloc/bench"
	"github.com/galloc-go/galloc/cmd/galloc/convert"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/ps"
	"github.com/galloc-go/galloc/cmd/galloc/replay"
	"github.com/galloc-go/galloc/cmd/galloc/soak"
	"github.com/galloc-go/galloc/cmd/galloc/stat"
	"github.com/galloc-go/galloc/cmd/galloc/top"
)

var commands = []cli.Command{
	replay.Command, bench.Command, soak.Command, stat.Command, convert.Command, ps.Command, top.Command,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	os.Exit(cli.Run(ctx, commands, os.Args[1:], os.Stdout, os.Stderr))
}
