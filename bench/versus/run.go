package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/galloc-go/galloc/bench/internal/cpus"
)

// An answer is the output of native and gobench: see bench/WORKLOADS.md.
type answer struct {
	Allocator string   `json:"allocator,omitempty"`
	Workload  string   `json:"workload,omitempty"`
	Threads   int      `json:"threads,omitempty"`
	Ops       uint64   `json:"ops,omitempty"`
	Ns        float64  `json:"ns,omitempty"`
	Allocs    uint64   `json:"allocs,omitempty"`
	Bytes     uint64   `json:"bytes,omitempty"`
	PeakRSS   *float64 `json:"peak_rss,omitempty"`
	EndRSS    *float64 `json:"end_rss,omitempty"`
	P50       *float64 `json:"p50,omitempty"`
	P99       *float64 `json:"p99,omitempty"`
	P999      *float64 `json:"p999,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	Error     string   `json:"error,omitempty"`
}

// A job is one run of one of the programs.
type job struct {
	row     row
	alloc   *allocator
	latency bool // a run for latency, not for time and peak
	settle  bool // also for the memory that stays resident
}

// A sample is the result of a job.
type sample struct {
	Row      string
	Alloc    string
	Latency  bool `json:",omitempty"`
	Settings []string
	Seconds  float64 // of the whole process
	Answer   answer
}

func (j job) String() string {
	if j.latency {
		return j.alloc.Name + " " + j.row.id() + " latency"
	}
	return j.alloc.Name + " " + j.row.id()
}

// settleMs is the time that the programs wait before they measure the memory that stays resident.
// Allocators that release memory by themselves do so within about a second.
const settleMs = 2000

// settings returns the settings that determine the blocks to allocate.
func (j job) settings() []string {
	s := slices.Clone(j.row.Settings)
	if j.alloc.Brief && j.row.Slow != nil {
		s = slices.Clone(j.row.Slow)
	}
	if j.alloc.Name == "go" && j.row.program != "" {
		s = append(s, "rounds=1") // with the collector, a round takes many times as long
		s = slices.DeleteFunc(s, func(s string) bool { return strings.HasPrefix(s, "rounds=") && s != "rounds=1" })
	}
	return s
}

// command returns the program that does the job, its arguments, and additions to its environment.
func (j job) command(native string) (args, env []string) {
	if j.alloc.Native || j.alloc.C {
		args = []string{native, j.row.Workload}
		if j.alloc.library != "" {
			env = append(env, "LD_PRELOAD="+j.alloc.library)
		}
		if j.alloc.C {
			args = append(args, "sink=1")
		}
	} else {
		args = []string{j.alloc.program, j.alloc.Name, j.row.Workload, "cpus=" + strconv.Itoa(j.row.CPUs)}
		args = append(args, j.row.Face...)
	}
	if j.row.program != "" {
		args = append(args, "program="+j.row.program) // the file has the number of threads
	} else {
		args = append(args, "threads="+strconv.Itoa(j.row.Threads))
	}
	args = append(args, j.settings()...)
	if j.latency {
		args = append(args, "latency=1")
	}
	if j.settle {
		args = append(args, "settle="+strconv.Itoa(settleMs))
	}
	return args, env
}

// runner does jobs by starting processes.
type runner struct {
	native  string // the program
	timeout time.Duration
}

// run does a job. If that fails, the answer has an Error.
func (r runner) run(ctx context.Context, j job) sample {
	start := time.Now()
	a, err := r.ask(ctx, j)
	if err != nil {
		a.Error = err.Error()
	}
	if !j.settle {
		a.EndRSS = nil
	}
	return sample{
		Row: j.row.id(), Alloc: j.alloc.Name, Latency: j.latency, Settings: j.settings(),
		Seconds: time.Since(start).Seconds(), Answer: a,
	}
}

func (r runner) ask(ctx context.Context, j job) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	args, env := j.command(r.native)
	child := exec.CommandContext(ctx, args[0], args[1:]...)
	child.Env = append(plain(os.Environ()), env...)
	var out, crash bytes.Buffer
	child.Stdout, child.Stderr = &out, &crash
	err := cpus.While(j.row.CPUs, child.Start)
	if errors.Is(err, cpus.ErrUnsupported) {
		return answer{}, errors.New("make versus needs Linux: on other systems, use galloc bench")
	}
	var ended error
	if err == nil {
		ended = child.Wait()
	}
	switch {
	case ctx.Err() == context.DeadlineExceeded: // before or after the start
		return answer{}, fmt.Errorf("not done after %v (-timeout)", r.timeout)
	case err != nil:
		return answer{}, err
	}
	return parse(out.Bytes(), crash.Bytes(), ended)
}

// plain returns the environment without the variables that configure allocators and the runtime.
func plain(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return slices.Contains([]string{
			"LD_PRELOAD", "MALLOC_CONF", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG",
		}, name) || strings.HasPrefix(name, "MIMALLOC_") || strings.HasPrefix(name, "TCMALLOC_") ||
			strings.HasPrefix(name, "MALLOC_")
	})
}

// parse reads the output of a program, whose Wait returned ended.
func parse(out, crash []byte, ended error) (answer, error) {
	var a answer
	err := json.Unmarshal(out, &a)
	var exit *exec.ExitError
	switch {
	case err == nil && a.Error != "":
		return a, errors.New(a.Error)
	case ended != nil && errors.As(ended, &exit):
		text := exit.Error()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			text = "ended by a signal: " + status.Signal().String()
		}
		if line, _, _ := strings.Cut(strings.TrimSpace(string(crash)), "\n"); line != "" {
			text += ": " + line
		}
		return answer{}, errors.New(text)
	case ended != nil:
		return answer{}, ended
	case err != nil:
		return answer{}, fmt.Errorf("its answer cannot be parsed: %w", err)
	}
	return a, nil
}
