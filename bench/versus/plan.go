package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// An allocator is a column of the report.
type allocator struct {
	Name   string
	About  string
	Native bool   // in C: bench/native, with Library preloaded
	C      bool   // measured in C, but not an allocator to compare with: the loop
	Single string // it takes part only where rows have this property: see applies
	Brief  bool   // slow beside the others, so it gets half the repetitions
	Quick  bool   // part of -quick
	Listen bool   // part of the runs for latency and for what stays resident

	library string // file to be preloaded; "" is libc's own malloc
	program string // of gobench: there are two
	missing string // why it cannot be measured
}

const (
	heapName = "heap"
	// What Single can be.
	oneSize = "one size" // blocks of one size only
	direct  = "pair, batch"
	replay  = "trace"
)

// allocators returns all columns in the order of the report.
func allocators() []*allocator {
	return []*allocator{
		{Name: heapName, About: "galloc's heap, in Go, the allocator that all this is about", Quick: true, Listen: true},
		{Name: "glibc", About: "malloc of libc, from C", Native: true, Quick: true, Listen: true},
		{Name: "jemalloc", About: "from C", Native: true, Quick: true, Listen: true},
		{Name: "mimalloc", About: "from C", Native: true, Quick: true, Listen: true},
		{Name: "tcmalloc", About: "from C, the one of gperftools, without its profiler", Native: true, Quick: true, Listen: true},
		{Name: "go", About: "make on Go's own heap, as a galloc allocator; its garbage collector runs", Brief: true, Listen: true},
		{Name: "system", About: "galloc.System: malloc through cgo, as galloc does it", Brief: true},
		{Name: "cgo-malloc", About: "malloc through cgo, as any Go program would call it", Brief: true, Quick: true},
		{Name: "cgo-jemalloc", About: "jemalloc's mallocx and sdallocx through cgo", Brief: true, Quick: true},
		{Name: "modernc", About: "modernc.org/memory, in Go, behind a mutex", Brief: true, Quick: true, Listen: true},
		{Name: "arrow", About: "the Mallocator of Apache Arrow, through cgo", Brief: true},
		{Name: "syncpool", About: "a sync.Pool of blocks of one size", Single: oneSize, Brief: true},
		{Name: "new", About: "Go's new in the words of the language, never freed, collected", Single: direct, Brief: true, Quick: true},
		{Name: "null", About: "one block for everything: what the loop costs in Go", Single: replay, Quick: true},
		{Name: "null-c", About: "the same in C", C: true, Single: replay, Quick: true},
	}
}

// A row is what all allocators are measured on: a workload with its settings.
type row struct {
	Group    string // one of the groups below
	Name     string // "larson", "sqlite", "pair 64"
	Workload string
	Settings []string
	Slow     []string `json:",omitempty"` // the settings for brief allocators, nil if they are the same
	CPUs     int      // also how many threads, but for traces
	Threads  int
	Latency  bool // a run for latency, and for what stays resident, is made too

	program string // of a trace
}

const (
	traceGroup = "traces"
	workGroup  = "workloads"
	pairGroup  = "pair"
	batchGroup = "batch"
)

// id is the row's name in full.
func (r row) id() string {
	switch r.Group {
	case pairGroup, batchGroup:
		return r.Name
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

// applies says whether the allocator is measured on the row.
func (a *allocator) applies(r row) bool {
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

// A work is one of the workloads of bench/WORKLOADS.md, besides those that are groups of their own.
type work struct {
	name     string
	workload string
	settings []string
	quick    []string // settings with -quick, nil if it is not part of that
	slow     []string // settings for brief allocators, nil if they are the same; what is resident must not depend on what they change
	latency  bool
}

// The defaults of bench/WORKLOADS.md are for trying things out: some take a hundredth of a second. Here each is to take the heap 0.2
// to 0.5 s on the machine that this was found out on, and half of that with -quick.
var works = []work{
	{"larson", "larson", []string{"generations=200"}, []string{"generations=50"}, []string{"generations=50"}, true},
	{"larson-sized", "larson", []string{"sized=1", "generations=200"}, nil, []string{"sized=1", "generations=50"}, false},
	{"xmalloc-test", "xmalloc-test", []string{"batches=3000"}, []string{"batches=1000"}, []string{"batches=1000"}, true},
	{"mstress", "mstress", []string{"scale=50", "iterations=200"}, []string{"scale=50", "iterations=60"}, []string{"scale=50", "iterations=60"}, true},
	{"rptest", "rptest", []string{"iterations=1000"}, []string{"iterations=120"}, []string{"iterations=200"}, true},
	{"sh6bench", "sh6bench", []string{"calls=1500"}, []string{"calls=500"}, nil, false},
	{"cache-scratch", "cache-scratch", []string{"writes=2000000"}, nil, nil, false},
	{"cache-thrash", "cache-thrash", []string{"writes=2000000"}, nil, nil, false},
	{"alloc-test", "alloc-test", []string{"iterations=4000000"}, nil, nil, true},
	{"glibc-simple", "glibc-simple", []string{"total=2000000"}, nil, []string{"total=1000000"}, false},
	{"glibc-thread", "glibc-thread", []string{"iterations=8000000"}, []string{"iterations=2000000"}, []string{"iterations=2000000"}, true},
	{"malloc-large", "malloc-large", []string{"replacements=40"}, nil, nil, false},
}

var sizes = []int{8, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576}

// rows returns all rows but those of traces, on a machine with so many CPUs.
func rows(cpus int, quick bool) []row {
	var all []row
	for _, n := range []int{1, 2} {
		for _, w := range works {
			settings, slow := w.settings, w.slow
			if quick {
				settings, slow = w.quick, nil
				if w.quick == nil || n == 1 && w.name != "larson" && w.name != "glibc-thread" {
					continue // one CPU is there for the two whose gain from the second is asked for
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
				Settings: []string{"size=" + s, "iterations=" + fast}, Slow: []string{"size=" + s, "iterations=" + slow},
			})
		}
	}
	return all
}

// iterations returns how many there are of pair or batch for blocks of a size, and how many for slow allocators: what these
// take ten times as long for, or a hundred, says no more when it is repeated as often.
func iterations(group string, size int) (fast, slow string) {
	switch {
	case group == pairGroup && size < 65536:
		return "40000000", "5000000"
	case group == pairGroup:
		return "20000000", "5000000"
	case size < 4096:
		return "15000000", "5000000"
	}
	return "1000000", "500000" // some take fresh pages for each block
}

// traceRow returns the row of a trace made into a program for so many threads.
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
	return slices.DeleteFunc(rows, func(r row) bool { return !which.MatchString(r.id()) && !which.MatchString(r.Group) })
}
