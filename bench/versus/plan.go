package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An allocator is a column of the report.
type allocator struct {
	Name   string
	About  string
	Native bool   // in C: bench/native, with Library preloaded
	C      bool   // measured in C, but only to measure the loop
	Single string // takes part only in rows with this property: see applies
	Brief  bool   // slow, so it gets half the repetitions
	Quick  bool   // part of -quick
	Listen bool   // part of the runs for latency and for the memory that stays resident

	library string // file to preload; "" is libc's malloc
	program string // gobench, or gobench with jemalloc
	missing string // why it cannot be measured
}

const (
	heapName = "heap"
	sinkName = "sink"
	// Values of Single.
	oneSize = "one size" // blocks of one size only
	direct  = "pair, batch"
	replay  = "trace"
)

// nativeOf returns the column of a library that replaces malloc, given as NAME=PATH.
func nativeOf(given string) (*allocator, error) {
	name, path, ok := strings.Cut(given, "=")
	if !ok || name == "" || !exists(path) {
		return nil, errors.New("write NAME=PATH, with the path of a shared library that replaces malloc")
	}
	if slices.ContainsFunc(allocators(), func(a *allocator) bool { return a.Name == name }) {
		return nil, fmt.Errorf("there is an allocator of that name: choose another, such as %s-3", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return &allocator{
		Name: name, About: "from C, " + filepath.Base(path) + ", given by -native", Native: true, Quick: true,
		Listen: true, library: path,
	}, nil
}

// allocators returns all columns in the order of the report.
func allocators() []*allocator {
	return []*allocator{
		{Name: heapName, About: "galloc's heap, in Go", Quick: true, Listen: true},
		{Name: "glibc", About: "malloc of libc, from C", Native: true, Quick: true, Listen: true},
		{Name: "jemalloc", About: "from C", Native: true, Quick: true, Listen: true},
		{Name: "mimalloc", About: "from C", Native: true, Quick: true, Listen: true},
		{
			Name: "tcmalloc", About: "from C, of gperftools, without its profiler", Native: true, Quick: true,
			Listen: true,
		},
		{
			Name: "go", About: "make on Go's own heap, as a galloc allocator; its garbage collector runs",
			Brief: true, Listen: true,
		},
		{Name: "system", About: "galloc.System: malloc through cgo, called by galloc", Brief: true},
		{Name: "cgo-malloc", About: "malloc through cgo, called as in any Go program", Brief: true, Quick: true},
		{Name: "cgo-jemalloc", About: "jemalloc's mallocx and sdallocx through cgo", Brief: true, Quick: true},
		{Name: "modernc", About: "modernc.org/memory, in Go, with a mutex", Brief: true, Quick: true, Listen: true},
		{Name: "arrow", About: "the Mallocator of Apache Arrow, through cgo", Brief: true},
		{Name: "syncpool", About: "a sync.Pool of blocks of one size", Single: oneSize, Brief: true},
		{Name: "new", About: "new(T) of the language, collected", Single: direct, Brief: true, Quick: true},
		{Name: sinkName, About: "one block for everything: the cost of the loop in Go", Single: replay, Quick: true},
		{Name: sinkName + "-c", About: "the same in C", C: true, Single: replay, Quick: true},
	}
}

// A row is a workload with its settings, on which all allocators are measured.
type row struct {
	Group    string // one of the groups below
	Name     string // "larson", "sqlite", "pair 64"
	Workload string
	Settings []string
	// The settings of brief allocators, nil if they are the same.
	Slow []string `json:",omitempty"`
	// Settings of the Go programs only, which say what functions they call.
	Face    []string `json:",omitempty"`
	CPUs    int      // also the number of threads, except for traces
	Threads int
	Latency bool // there are runs for latency and for the memory that stays resident, too

	program string // of a trace
}

const (
	traceGroup = "traces"
	// The same traces with one thread, where Go calls other functions than in traces.
	runTimeGroup = "sizes at run time"
	sliceGroup   = "slices"
	workGroup    = "workloads"
	pairGroup    = "pair"
	batchGroup   = "batch"
)

// id returns the full name of the row.
func (r row) id() string {
	switch r.Group {
	case pairGroup, batchGroup:
		return r.Name
	case runTimeGroup, sliceGroup:
		return r.Name + ", " + r.Group
	case traceGroup:
		if r.Threads == 1 {
			return r.Name
		}
	}
	if r.Threads == 1 {
		return r.Name + ", 1 thread"
	}
	return fmt.Sprintf("%s, %d threads", r.Name, r.Threads)
}

// applies reports whether the allocator is measured on the row.
func (a *allocator) applies(r row) bool {
	if r.Group == runTimeGroup || r.Group == sliceGroup {
		return a.Native || a.Name == heapName // the others are no faster than by static layouts
	}
	switch a.Single {
	case oneSize:
		return r.Group == pairGroup || r.Group == batchGroup || r.Workload == "xmalloc-test"
	case direct:
		return r.Group == pairGroup || r.Group == batchGroup
	case replay:
		return r.Group == traceGroup && r.Threads == 1 // threads would write to the same block
	}
	return true
}

// A work is a workload of bench/WORKLOADS.md that is not a group itself.
type work struct {
	name     string
	workload string
	settings []string
	quick    []string // settings with -quick, nil if it is not part of it
	// Settings of brief allocators, nil if they are the same; they must not change the resident
	// memory.
	slow    []string
	latency bool
}

// The defaults of bench/WORKLOADS.md are small: some take 10 ms. With these settings, each workload
// takes the heap 0.2 to 0.5 s on the machine of BENCHMARKS.md, and half of that with -quick.
var works = []work{
	{"larson", "larson", []string{"generations=200"}, []string{"generations=50"}, []string{"generations=50"}, true},
	{
		"larson-sized", "larson",
		[]string{"sized=1", "generations=200"},
		nil,
		[]string{"sized=1", "generations=50"},
		false,
	},
	{
		"xmalloc-test", "xmalloc-test",
		[]string{"batches=3000"},
		[]string{"batches=1000"},
		[]string{"batches=1000"},
		true,
	},
	{
		"mstress", "mstress",
		[]string{"scale=50", "iterations=200"},
		[]string{"scale=50", "iterations=60"},
		[]string{"scale=50", "iterations=60"},
		true,
	},
	{"rptest", "rptest", []string{"iterations=1000"}, []string{"iterations=120"}, []string{"iterations=200"}, true},
	{"sh6bench", "sh6bench", []string{"calls=1500"}, []string{"calls=500"}, nil, false},
	{"cache-scratch", "cache-scratch", []string{"writes=2000000"}, nil, nil, false},
	{"cache-thrash", "cache-thrash", []string{"writes=2000000"}, nil, nil, false},
	{"alloc-test", "alloc-test", []string{"iterations=4000000"}, nil, nil, true},
	{"glibc-simple", "glibc-simple", []string{"total=2000000"}, nil, []string{"total=1000000"}, false},
	{
		"glibc-thread", "glibc-thread",
		[]string{"iterations=8000000"},
		[]string{"iterations=2000000"},
		[]string{"iterations=2000000"},
		true,
	},
	{"malloc-large", "malloc-large", []string{"replacements=40"}, nil, nil, false},
	{"slots", "slots", []string{"iterations=6000000"}, nil, []string{"iterations=2000000"}, false},
	{
		"slots-across", "slots",
		[]string{"across=1", "iterations=4000000"},
		nil,
		[]string{"across=1", "iterations=2000000"},
		false,
	},
	{
		"medium", "slots",
		[]string{"slots=64", "min=16384", "max=2097152", "iterations=400000"},
		nil,
		[]string{"slots=64", "min=16384", "max=2097152", "iterations=200000"},
		true,
	},
	{"growth", "growth", []string{"iterations=2000000"}, nil, []string{"iterations=1000000"}, false},
	{"random-free", "random-free", []string{"rounds=2"}, nil, nil, false},
}

var sizes = []int{8, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576}

// rows returns all rows except traces, on a machine with the given number of CPUs.
func rows(cpus int, quick bool) []row {
	var all []row
	for _, n := range []int{1, 2} {
		for _, w := range works {
			settings, slow := w.settings, w.slow
			if quick {
				settings, slow = w.quick, nil
				if w.quick == nil || n == 1 && w.name != "larson" && w.name != "glibc-thread" {
					continue // only these two are compared on one and two CPUs
				}
			}
			if n <= cpus {
				all = append(all, row{
					Group: workGroup, Name: w.name, Workload: w.workload, Settings: settings, Slow: slow,
					CPUs: n, Threads: n, Latency: w.latency && n == 2 && !quick,
				})
			}
		}
	}
	for _, group := range []string{pairGroup, batchGroup} {
		for _, size := range sizes {
			if quick && size != 64 && size != 4096 {
				continue
			}
			s := strconv.Itoa(size)
			fast, slow := iterations(group, size)
			all = append(all, row{
				Group: group, Name: group + " " + s, Workload: group, CPUs: 1, Threads: 1,
				Settings: []string{
					"size=" + s, "iterations=" + fast,
				}, Slow: []string{"size=" + s, "iterations=" + slow},
			})
		}
	}
	return all
}

// iterations returns the iterations of pair or batch for blocks of a size, for fast and for slow
// allocators. Slow ones take 10 to 100 times as long, and fewer iterations are as precise.
func iterations(group string, size int) (fast, slow string) {
	switch {
	case group == pairGroup && size < 65536:
		return "40000000", "5000000"
	case group == pairGroup:
		return "20000000", "5000000"
	case size < 4096:
		return "15000000", "5000000"
	}
	return "1000000", "500000" // some allocators map new pages for each block
}

// faceRows returns the rows of a trace of one thread in which Go calls other functions.
func (r row) faceRows() []row {
	runTime, slices := r, r
	runTime.Group, runTime.Face, runTime.Latency = runTimeGroup, []string{"face=1"}, false
	slices.Group, slices.Face, slices.Latency = sliceGroup, []string{"face=2"}, false
	return []row{runTime, slices}
}

// traceRow returns the row of a trace that was compiled for the given number of threads.
func traceRow(name, program string, threads, cpus int, quick bool) row {
	rounds := "rounds=5"
	if quick {
		rounds = "rounds=3"
	}
	return row{
		Group: traceGroup, Name: name, Workload: "trace", Settings: []string{rounds},
		CPUs: min(threads, cpus, 2), Threads: threads, Latency: true, program: program,
	}
}

// choose returns the rows whose id or group matches.
func choose(rows []row, which *regexp.Regexp) []row {
	return slices.DeleteFunc(rows,
		func(r row) bool { return !which.MatchString(r.id()) && !which.MatchString(r.Group) })
}
