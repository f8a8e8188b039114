// Command galloc measures allocators.
//
//	galloc replay    replays the allocations of real programs on one or several allocators
//	galloc bench     runs the workloads of well-known benchmarks of allocators
//	galloc soak      puts an allocator under mixed load, and checks contents and memory
//	galloc version   prints the version
//	galloc help      prints the help of a command
//
// Each command is a package here. Each measures in a child process, which is the same executable
// with a hidden command: see package internal/cli.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/galloc-go/galloc/cmd/galloc/bench"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/replay"
	"github.com/galloc-go/galloc/cmd/galloc/soak"
)

var commands = []cli.Command{replay.Command, bench.Command, soak.Command}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	os.Exit(cli.Run(ctx, commands, os.Args[1:], os.Stdout, os.Stderr))
}
