// Package workload runs the workloads of well-known benchmarks of malloc on the global allocator.
// Each workload is a fixed amount of work on one or several goroutines; its result has the time and
// the memory that it took.
//
// bench/WORKLOADS.md defines each workload, and bench/native does the same work in C: both allocate
// the same blocks and bytes.
//
// The steps of a run: settings.go parses the settings; gang.go sets up the goroutines, starts them
// at once and waits for them; thread.go is the state of a goroutine. The other files are the
// workloads, one or two in each. A workload is a function that returns a job for its settings: the
// functions to run before, while and after the clock runs.
//
// While the clock runs, nothing is allocated on the Go heap, so that the collector has nothing to
// do, except for the goroutines that larson and mstress start. Each block is freed with the layout
// that it was allocated with.
package workload

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/bridge"
)

// A Workload describes a workload.
type Workload struct {
	Name   string
	About  string // in a line
	Op     string // what an operation is
	Params []Param

	check func(values) error // of values that exclude each other; may be nil
	build func(*gang, values) job
}

// A Param is a parameter of a workload.
type Param struct {
	Name     string
	Default  uint64
	Min, Max uint64
	Doc      string
}

// All returns the workloads, in the order of bench/WORKLOADS.md. Their Params do not include the
// common parameters.
func All() []Workload { return slices.Clone(all) }

var all = []Workload{
	larson, xmallocTest, mstress, rptest, sh6bench, cacheScratch, cacheThrash, allocTest, glibcSimple, glibcThread,
	mallocLarge, slots, growth, randomFree, pair, batch,
}

// Common returns the parameters of all workloads.
func Common() []Param { return slices.Clone(common) }

var common = []Param{
	{"threads", 1, 1, 1 << 10, "number of goroutines"},
	{"seed", 4141, 0, 1<<64 - 1, "seed of the random decisions"},
	{"latency", 0, 0, 1, "1: time each call of the allocator, instead of the whole run"},
	{"settle", 0, 0, 3_600_000, "milliseconds to wait at the end before memory is measured"},
}

// A Result is the result of a run, which programs print as JSON. Times are in nanoseconds, memory
// in bytes. A field that was not measured is absent: ns with latency=1, the percentiles otherwise,
// and resident memory on systems other than Linux.
type Result struct {
	Workload string `json:"workload"`
	Threads  int    `json:"threads"`
	Ops      uint64 `json:"ops"` // operations, as the workload defines them, while the clock ran
	Ns       int64  `json:"ns,omitempty"`
	Allocs   uint64 `json:"allocs"` // allocations, including the setup
	Bytes    uint64 `json:"bytes"`  // requested by them

	PeakRSS *int64 `json:"peak_rss,omitempty"` // the most resident memory that the workload added
	// Resident memory after all was freed and the time settle had passed.
	EndRSS *int64 `json:"end_rss,omitempty"`

	Calls uint64  `json:"calls,omitempty"` // timed calls of the allocator
	P50   float64 `json:"p50,omitempty"`
	P99   float64 `json:"p99,omitempty"`
	P999  float64 `json:"p999,omitempty"`
	Max   float64 `json:"max,omitempty"`

	Error string `json:"error"`
}

// Register registers a as the global allocator, as galloc.RegisterGlobal does. For settings that
// free blocks without a layout, it also records whether a has a method Free(unsafe.Pointer), which
// is called then; otherwise galloc.Dealloc is. With a memory checker it is Dealloc too: the blocks
// are the checker's, and a does not know them.
func Register(a galloc.GlobalAlloc) {
	galloc.RegisterGlobal(a) //galloc:ignore fromlibrary programs that measure call it from main
	if bridge.GlobalChecker() != nil {
		return
	}
	switch f := a.(type) {
	case *heap.Heap: // as below, but the compiler can inline Free, as in a program
		freeUnsized = func(p unsafe.Pointer, _ galloc.Layout) { f.Free(p) }
	case interface{ Free(unsafe.Pointer) }:
		freeUnsized = func(p unsafe.Pointer, _ galloc.Layout) { f.Free(p) }
	}
}

var freeUnsized = directDealloc

// Run runs the named workload on the global allocator, with settings of the form "key=value", and
// the defaults for the others. It calls progress, if not nil, now and then with the part that is
// done, from 0 to 1. The Result has the error, too.
//
// If an allocation fails, or the content of a block is wrong, Run returns at once and leaves
// goroutines running and blocks allocated: the process should end. Run must not be called by two
// goroutines at a time.
func Run(name string, settings []string, progress func(done float64)) (Result, error) {
	r := Result{Workload: name}
	err := run(&r, name, settings, progress)
	if err != nil {
		r.Error = err.Error()
	}
	return r, err
}

func run(r *Result, name string, settings []string, progress func(float64)) error {
	w, err := find(name)
	if err != nil {
		return err
	}
	v, err := parse(w, settings)
	if err != nil {
		return err
	}
	if progress == nil {
		progress = func(float64) {}
	}
	r.Threads = v.int("threads")
	return newGang(v, progress).work(r, w)
}

// Check returns the error that Run would return for the name or the settings.
func Check(name string, settings []string) error {
	w, err := find(name)
	if err == nil {
		_, err = parse(w, settings)
	}
	return err
}

func find(name string) (Workload, error) {
	var names []string
	for _, w := range all {
		if w.Name == name {
			return w, nil
		}
		names = append(names, w.Name)
	}
	return Workload{}, fmt.Errorf("workload: unknown workload %q: the workloads are %s",
		name, strings.Join(names, ", "))
}
