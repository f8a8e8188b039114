package main

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// link returns the address of a file beside the CSV file, as the page refers to it.
type link func(name string) string

// report returns the page, which shows the charts of [figures.charts].
func report(f *figures, data string, to link) string {
	w := &page{}
	w.line("# Benchmarks\n")
	w.text(
		"galloc's heap beside other allocators: in C, where each replaces `malloc`, and in Go. `make versus` wrote this page " +
			"from the figures in [" + data + "](" + to(
			data,
		) + "), measured on " + f.Date + "; `go -C bench run ./versus -from " + to(data) +
			"` writes it again.",
	)
	w.faults(f)
	w.summary(f)
	w.losses(f)
	w.times(f, to)
	w.memory(f, to)
	w.latency(f)
	w.reading(f)
	w.setting(f)
	return strings.TrimRight(w.String(), "\n") + "\n"
}

// brief returns the report for a terminal: tables instead of charts.
func brief(f *figures) string {
	w := &page{}
	w.faults(f)
	w.summary(f)
	for _, g := range f.groups() {
		w.heading(g.title)
		w.grids(f, g.rows)
	}
	w.losses(f)
	for _, s := range f.Missing {
		w.line("- %s", s)
	}
	return strings.TrimRight(w.String(), "\n") + "\n"
}

// A group is rows that are shown together.
type group struct {
	title string
	file  string // the chart
	about string
	rows  []row
}

// groups returns the groups that have rows.
func (f *figures) groups() []group {
	all := []group{
		{
			"traces", "traces.svg",
			"The allocations of real programs, replayed on one thread in the order in which they were recorded.",
			f.in(traceGroup, 1),
		},
		{
			"traces, sizes at run time", "runtime.svg",
			"The same blocks, where Go makes a Layout in each call, as malloc finds its class in each call.",
			f.in(runTimeGroup, 0),
		},
		{
			"traces, slices", "slices.svg",
			"The same blocks, where Go calls MakeSlice[byte], which clears them, GrowSlice and FreeSlice.",
			f.in(sliceGroup, 0),
		},
		{
			"traces with threads", "threads.svg",
			"The same with the program's threads, on two CPUs.",
			f.in(traceGroup, 2),
		},
		{
			"workloads on one CPU", "workloads-1.svg",
			"The well-known benchmarks of allocators, as bench/WORKLOADS.md defines them, with one thread.",
			f.in(workGroup, 1),
		},
		{
			"workloads on two CPUs", "workloads-2.svg",
			"The same with two threads.",
			f.in(workGroup, 2),
		},
		{
			"pairs", "pairs.svg",
			"Allocate a block, write its first byte, free it, by size in bytes: the least that is possible.",
			f.in(pairGroup, 0),
		},
		{
			"batches", "batches.svg",
			"Allocate 1000 blocks, then free them in the same order, by size in bytes.",
			f.in(batchGroup, 0),
		},
	}
	return slices.DeleteFunc(all, func(g group) bool { return len(g.rows) == 0 })
}

// faults lists failures, before everything else.
func (w *page) faults(f *figures) {
	if len(f.Faults) > 0 {
		w.text("**Not all have allocated the same blocks, so these rows cannot be compared:**")
		for _, s := range f.Faults {
			w.line("- %s", s)
		}
		w.gap()
	}
	var failed []string
	for _, r := range f.Rows {
		for _, a := range f.Allocs {
			if e := f.cell(r, a.Name).err; e != "" {
				failed = append(failed, fmt.Sprintf("%s, %s: %s", a.Name, r.id(), e))
			}
		}
	}
	if len(failed) > 0 {
		w.text("These runs failed:")
		for _, s := range failed {
			w.line("- %s", s)
		}
		w.gap()
	}
}

func (w *page) summary(f *figures) {
	w.heading("Summary")
	var ahead, level, behind int
	for _, r := range f.Rows {
		switch c := f.against(r); {
		case math.IsNaN(c.ratio):
		case c.level():
			level++
		case c.ratio < 1:
			ahead++
		default:
			behind++
		}
	}
	if n := ahead + level + behind; n > 0 {
		w.text(fmt.Sprintf(
			"Of %d rows that were measured in C too, the heap is the fastest in %d, level with the fastest native "+
				"allocator in %d, as the times of their runs overlap, and slower in %d: see the next section. Time per "+
				"operation divided by the heap's, geometric means (above 1, the heap is faster), and peak memory:",
			n, ahead, level, behind,
		))
	}
	w.means(f)
	var after []string
	mariadb := f.named(traceGroup, "mariadb", 1)
	for _, a := range f.Allocs {
		if v := f.cell(mariadb, a.Name).end; !math.IsNaN(v) {
			after = append(after, a.Name+" "+megabytes(v))
		}
	}
	if len(after) > 0 {
		w.text(fmt.Sprintf("Still resident %d s after everything of the trace mariadb was freed, in MB: %s.",
			settleMs/1000, strings.Join(after, ", ")))
	}
	w.gap()
}

// means writes the geometric means of the allocators that are drawn.
func (w *page) means(f *figures) {
	groups := f.groups()
	head := []string{"times the heap's"}
	for _, g := range groups {
		head = append(head, g.title)
	}
	w.table(append(head, "peak memory, traces"), "l"+strings.Repeat("r", len(groups)+1))
	mean := func(rows []row, of func(row, string) float64, alloc string) string {
		return ratio(
			geomean(
				over(rows, func(r row) float64 { return of(r, alloc) }, func(r row) float64 { return of(r, heapName) })),
		)
	}
	for _, a := range f.Allocs {
		if !slices.Contains(drawn, a.Name) {
			continue
		}
		line := []string{a.Name}
		for _, g := range groups {
			line = append(line, mean(g.rows, f.ns, a.Name))
		}
		w.cells(append(line, mean(f.in(traceGroup, 1), f.peak, a.Name))...)
	}
	w.gap()
}

// losses lists the rows in which the heap is slower, or needs more memory.
func (w *page) losses(f *figures) {
	type loss struct {
		cells []string
		ratio float64
	}
	rows := func(all []loss) {
		slices.SortStableFunc(all, func(a, b loss) int { return cmp.Compare(b.ratio, a.ratio) })
		for _, l := range all {
			w.cells(l.cells...)
		}
		w.gap()
	}
	w.heading("Where galloc loses")
	var slow []loss
	level := 0
	for _, r := range f.Rows {
		switch c := f.against(r); {
		case c.level() && c.ratio > 1:
			level++
		case c.ratio > 1 && !c.level() && !math.IsInf(c.ratio, 0):
			slow = append(slow, loss{[]string{
				r.id(), number(f.ns(r, heapName)), c.name, number(c.best), ratio(c.ratio),
				ratio(c.low) + " to " + ratio(c.high),
			}, c.ratio})
		}
	}
	if len(slow) == 0 {
		w.text("No native allocator is faster in any row that was measured in C too.")
	} else {
		w.text(fmt.Sprintf(
			"Rows in which each run of the fastest native allocator was faster than each run of the heap, the worst "+
				"first, with the range of the ratios of any two runs. In %d other rows its median is lower, but the "+
				"runs overlap.", level,
		))
		w.table([]string{"row", "heap, ns/op", "best native", "ns/op", "heap / best", "range"}, "lrlrrr")
		rows(slow)
	}
	const noticed, small = 1.2, 1e6
	var big []loss
	for _, r := range f.heavy() {
		best, name := f.best(func(a string) float64 { return f.peak(r, a) })
		if of := f.peak(r, heapName); of > small && of/best > noticed && !math.IsInf(of/best, 0) {
			big = append(big, loss{
				[]string{r.id(), megabytes(of), name, megabytes(best), ratio(of / best)},
				of / best,
			})
		}
	}
	if len(big) > 0 {
		w.text("Rows whose peak memory exceeds 1 MB and the leanest native allocator's by more than 20 %:")
		w.table([]string{"row", "heap, MB", "best native", "MB", "heap / best"}, "lrlrr")
		rows(big)
	}
}

// times has the charts of times.
func (w *page) times(f *figures, to link) {
	w.heading("Time")
	w.text("Each bar is the time of an allocator divided by the heap's: it points right where the heap is faster. " +
		"The number under the name of a row is the heap's time per operation. Allocators that are not drawn are in the CSV file.")
	for _, g := range f.groups() {
		w.line("### %s\n", strings.ToUpper(g.title[:1])+g.title[1:])
		w.text(g.about)
		w.line("![%s: times relative to the heap](%s)\n", g.title, to(g.file))
	}
	f.loop(w)
}

// loop writes the cost of the replay itself.
func (f *figures) loop(w *page) {
	var parts []string
	for _, r := range f.in(traceGroup, 1) {
		in, c := f.ns(r, sinkName), f.ns(r, sinkName+"-c")
		if !math.IsNaN(in) && !math.IsNaN(c) {
			parts = append(parts, fmt.Sprintf("%s %s and %s", r.id(), number(in), number(c)))
		}
	}
	if len(parts) > 0 {
		w.text(
			"The times of traces include the loop of the replay and touching the memory. With an allocator that returns one block " +
				"for everything, that is, in Go and in C, in ns: " + strings.Join(
				parts,
				", ",
			) + ".",
		)
	}
}

const memoryFile = "memory.svg"

func (w *page) memory(f *figures, to link) {
	w.heading("Memory")
	w.text("The most resident memory, beyond what was resident before the first allocation, divided by the heap's. " +
		"Rows in which the heap needs less than 1 MB are left out.")
	w.line("![peak memory relative to the heap](%s)\n", to(memoryFile))
	var rows []row
	for _, r := range f.heavy() {
		if !math.IsNaN(f.cell(r, heapName).end) {
			rows = append(rows, r)
		}
	}
	if len(rows) > 0 {
		w.text(
			fmt.Sprintf("Memory that is still resident %d s after everything was freed, in MB of 10^6 bytes:",
				settleMs/1000),
		)
		w.grid(f, "MB", rows, func(a *allocator) bool { return a.Listen }, func(r row, a string) string {
			return megabytes(f.cell(r, a).end)
		})
	}
}

func (w *page) latency(f *figures) {
	var rows []row
	for _, r := range f.Rows {
		if !math.IsNaN(f.cell(r, heapName).p999) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return
	}
	w.heading("Latency")
	w.text(
		fmt.Sprintf(
			"The time that 999 of 1000 calls of the allocator do not exceed, in ns, each call timed by itself in separate "+
				"runs; medians of up to %d runs. The CSV file has other percentiles, and the longest call, which is as likely to be "+
				"the machine's doing as the allocator's.",
			latencyRuns,
		),
	)
	w.grid(f, "ns", rows, func(a *allocator) bool { return a.Listen }, func(r row, a string) string {
		return number(f.cell(r, a).p999)
	})
}

// revision is the end of jemalloc's version, too long for a table.
var revision = regexp.MustCompile(`-\d+-g[0-9a-f]{16,}`)

func (w *page) reading(f *figures) {
	w.heading("How to read it")
	w.text("Each figure comes from a process that does one workload on one allocator; " +
		"[bench/WORKLOADS.md](bench/WORKLOADS.md) defines the workloads. A program in C and one in Go do the same work: " +
		"it is checked that both allocate the same number of blocks and bytes. So a figure contains the loop of its language, " +
		"the cost of touching the memory, and the calls.")
	w.text(
		fmt.Sprintf(
			"There were %d repetitions. In each, all allocators take turns on one row, then on the next. Slow allocators "+
				"take part in every other repetition, with fewer operations where that makes no difference, and a run that takes more "+
				"than %d s is not repeated; rows that take little time may have more runs (the CSV file has the number). Times are medians, in ns per operation; means over rows are geometric. With two threads, "+
				"the time is the elapsed time divided by the operations of both. One thread has one CPU, several have two.",
			f.Reps,
			patience/time.Second,
		),
	)
	w.table([]string{"allocator", "what it is", "version"}, "lll")
	for _, a := range f.Allocs {
		w.cells(a.Name, a.About, revision.ReplaceAllString(f.Calls[a.Name], ""))
	}
	w.gap()
}

// setting writes where and how the figures were measured.
func (w *page) setting(f *figures) {
	w.heading("Where and how it was measured")
	w.table([]string{"", ""}, "ll")
	w.cells("processor", fmt.Sprintf("%s, %d CPUs", f.Machine.CPU, f.Machine.CPUs))
	w.cells("memory", f.Machine.Memory)
	w.cells("system", f.Machine.System)
	if len(f.Versions) > 0 {
		w.cells("compilers", strings.Join(f.Versions, "; "))
	}
	w.cells("date", f.Date)
	w.cells("command", "`"+f.Command+"`")
	for _, s := range f.Missing {
		w.cells("missing", s)
	}
	for _, s := range f.Notes {
		w.cells("note", s)
	}
	w.gap()
}

// targetsText returns the project's targets as a table: -targets.
func targetsText(f *figures) string {
	w := &page{}
	w.table([]string{"what", "target", "measured", ""}, "lrrl")
	for _, m := range f.targets() {
		sign, verdict := "≤", "not reached"
		if m.AtLeast {
			sign = "≥"
		}
		if m.reached() {
			verdict = "reached"
		}
		if !m.measured() {
			verdict = "not measured"
		}
		w.cells(m.What, fmt.Sprintf("%s %.2f", sign, m.Limit), ratio(m.Value), verdict)
	}
	return w.String()
}
