// Package workload does to the global allocator what the well-known benchmarks of allocators do to malloc: each workload is a
// fixed amount of work, on one or several goroutines, and its result says how long that took, and how much memory.
//
// bench/WORKLOADS.md says exactly what each does, and bench/native does the same in C: blocks and bytes allocated are equal.
//
// The way of a run: settings.go understands the settings, gang.go readies the goroutines, releases them at once and waits for
// them, thread.go is what each of them has in its hands. The other files are the workloads, one or two in each. A workload
// is a function that makes a job of its settings: what is done before, while and after the clock runs.
//
// While the clock runs nothing is allocated on the Go heap, so that the collector has nothing to do, except for the goroutines
// that larson and mstress start. Blocks are used as the functions of package galloc give them: each is freed with the layout it
// was allocated with.
package workload

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

// A Workload is what there is to say about one.
type Workload struct {
	Name   string
	About  string // in a line
	Op     string // what an operation is
	Params []Param

	check func(values) error // of values that do not go together; may be nil
	build func(*gang, values) job
}

// A Param is a number that a workload depends on.
type Param struct {
	Name     string
	Default  uint64
	Min, Max uint64
	Doc      string
}

// All returns the workloads, in the order of bench/WORKLOADS.md. Params are those of each, without those that all have: Common.
func All() []Workload { return slices.Clone(all) }

var all = []Workload{
	larson, xmallocTest, mstress, rptest, sh6bench, cacheScratch, cacheThrash, allocTest, glibcSimple, glibcThread, mallocLarge, pair, batch,
}

// Common returns the parameters that all workloads have.
func Common() []Param { return slices.Clone(common) }

var common = []Param{
	{"threads", 1, 1, 1 << 10, "goroutines that work at the same time"},
	{"seed", 4141, 0, 1<<64 - 1, "what the random decisions follow from"},
	{"latency", 0, 0, 1, "1: time each call of the allocator, instead of the whole"},
	{"settle", 0, 0, 3_600_000, "milliseconds to wait at the end before memory is looked at"},
}

// A Result is what a run has measured, and what the programs that run workloads print as JSON. Times are in nanoseconds, memory in
// bytes. What was not measured is absent: ns where latency was, latency otherwise, and resident memory where the system does not
// tell it.
type Result struct {
	Workload string `json:"workload"`
	Threads  int    `json:"threads"`
	Ops      uint64 `json:"ops"` // operations, as the workload defines them, while the clock ran
	Ns       int64  `json:"ns,omitempty"`
	Allocs   uint64 `json:"allocs"` // allocations, those of the setup too
	Bytes    uint64 `json:"bytes"`  // asked for by them

	PeakRSS *int64 `json:"peak_rss,omitempty"` // resident memory that the workload added, at most
	EndRSS  *int64 `json:"end_rss,omitempty"`  // the same when all was freed and settle was over

	Calls uint64  `json:"calls,omitempty"` // of the allocator, that were timed
	P50   float64 `json:"p50,omitempty"`
	P99   float64 `json:"p99,omitempty"`
	P999  float64 `json:"p999,omitempty"`
	Max   float64 `json:"max,omitempty"`

	Error string `json:"error"`
}

// Register makes a the global allocator, as galloc.RegisterGlobal does. It also remembers it, for settings with which blocks are freed
// without a layout: if a has a method Free(unsafe.Pointer), that is called then, and galloc.Dealloc otherwise.
func Register(a galloc.GlobalAlloc) {
	galloc.RegisterGlobal(a)
	switch f := a.(type) {
	case *heap.Heap: // as below, but here the compiler can inline Free, as it can in a program
		freeUnsized = func(p unsafe.Pointer, _ galloc.Layout) { f.Free(p) }
	case interface{ Free(unsafe.Pointer) }:
		freeUnsized = func(p unsafe.Pointer, _ galloc.Layout) { f.Free(p) }
	}
}

var freeUnsized = directDealloc

// Run runs the named workload on the global allocator, with settings of the form "key=value", and the defaults for the others.
// progress, if it is not nil, is told now and then how much is done, from 0 to 1. The Result has the error in it, too.
//
// If an allocation fails, or a block has not the content it should have, Run returns at once and leaves goroutines and blocks
// behind: the process had better end. Run is not to be called twice at the same time.
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
	return Workload{}, fmt.Errorf("workload: there is no workload %q: there are %s", name, strings.Join(names, ", "))
}
