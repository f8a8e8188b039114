package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// report writes results down as Markdown.
func report(r *results) string {
	t := newTable(r)
	w := &page{}
	w.line("# Benchmarks\n")
	w.line("galloc's heap against other allocators: in C, where each preloads `malloc`, and in Go. This page was written by")
	w.line("`make versus`, from measurements made on %s; do not edit it.", r.Date)
	w.gap()
	w.faults(t)
	w.summary(t)
	w.reading(t)
	w.marks(t)
	w.traces(t)
	w.workloads(t)
	w.sizes(t)
	w.means(t)
	w.latency(t)
	w.memory(t)
	w.loop(t)
	w.losses(t)
	w.setting(t)
	w.figures(t)
	return strings.TrimRight(w.String(), "\n") + "\n"
}

// faults says what went wrong, above all else.
func (w *page) faults(t table) {
	if lines := t.disagreements(); len(lines) > 0 {
		w.line("**Not all have allocated the same blocks, so these rows cannot be compared:**")
		w.gap()
		for _, s := range lines {
			w.line("- %s", s)
		}
		w.gap()
	}
	var failed []string
	for _, r := range t.Rows {
		for _, a := range t.Allocs {
			for _, e := range slices.Compact(t.cell(r, a.Name).errors) {
				failed = append(failed, fmt.Sprintf("%s, %s: %s", a.Name, r.id(), oneLine(e)))
			}
		}
	}
	if len(failed) > 0 {
		w.line("These runs failed; their cells say so or are empty:")
		w.gap()
		for _, s := range failed {
			w.line("- %s", s)
		}
		w.gap()
	}
}

func (w *page) summary(t table) {
	reached, measured := 0, 0
	marks := t.marks()
	for _, m := range marks {
		if m.measured() {
			measured++
			if m.reached() {
				reached++
			}
		}
	}
	lost, compared := 0, 0
	for _, r := range t.Rows {
		switch loses, known := t.loses(r); {
		case !known:
		case loses:
			lost++
			fallthrough
		default:
			compared++
		}
	}
	w.line("Of %d bars that the project has set itself, %d were measured and %d of these are reached. Of %d rows that were measured", len(marks), measured, reached, compared)
	w.line("natively too, the heap is behind the fastest native allocator in %d.", lost)
	w.gap()
}

// revision is what the version of jemalloc ends with, too long for a table.
var revision = regexp.MustCompile(`-\d+-g[0-9a-f]{16,}`)

func (w *page) reading(t table) {
	w.heading("How to read it")
	w.line("Each figure comes from a process of its own, which does one workload on one allocator; [bench/WORKLOADS.md](bench/WORKLOADS.md)")
	w.line("says what the workloads do. The same work is done by a program in C and one in Go, which must have allocated the same number")
	w.line("of blocks and bytes: this is checked. So a figure contains the loop of its language, what the memory costs to touch, and the calls.")
	w.gap()
	w.line("Repetitions: %d. In each, all allocators take turns on one row, then on the next. What is slow beside the rest takes part in every", t.Reps)
	w.line("other one, with fewer operations where that makes no difference, and what takes more than %d s in the first only.", patience/time.Second)
	w.line("Times are ns per operation, medians; in brackets, what")
	w.line("that is times the heap's: above 1, the heap is faster. With two threads, it is the time that passes divided by")
	w.line("the operations of both. A row marked with \\* is one in which the fastest native allocator is faster than the heap.")
	w.line("1 thread has one CPU, several threads have two. The spread stands [at the end](#every-figure).")
	w.gap()
	w.table([]string{"allocator", "what it is", "version"}, "lll")
	for _, a := range t.Allocs {
		name := ""
		for _, r := range t.Rows {
			if name = t.cell(r, a.Name).name; name != "" {
				break
			}
		}
		w.cells(a.Name, a.About, revision.ReplaceAllString(name, ""))
	}
	w.gap()
	for _, s := range t.Missing {
		w.line("- %s", s)
	}
	w.gap()
}

func (w *page) marks(t table) {
	w.heading("The bars")
	w.line("Means are geometric, and those of traces are over the traces in the order in which they were recorded.")
	w.gap()
	w.table([]string{"what", "bar", "measured", ""}, "lrrl")
	for _, m := range t.marks() {
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
	w.gap()
}

func (w *page) traces(t table) {
	if len(t.in(traceGroup, 0)) == 0 {
		return
	}
	w.heading("Traces")
	w.line("What real programs allocated, replayed on one thread in the order in which it was recorded.")
	w.gap()
	w.times(t, t.in(traceGroup, 1))
	if threaded := t.in(traceGroup, 2); len(threaded) > 0 {
		w.line("The same with a thread for each that the program had, on two CPUs:")
		w.gap()
		w.times(t, threaded)
	}
}

func (w *page) workloads(t table) {
	for _, n := range []int{1, 2} {
		rows := t.in(workGroup, n)
		if len(rows) == 0 {
			continue
		}
		if n == 1 {
			w.heading("Workloads on one CPU")
		} else {
			w.heading("Workloads on two CPUs")
		}
		w.times(t, rows)
	}
}

func (w *page) sizes(t table) {
	for _, g := range []struct{ group, title, about string }{
		{pairGroup, "Pairs", "Allocate a block, write its first byte, free it: the least that an allocator can cost, by size."},
		{batchGroup, "Batches", "Allocate 1000 blocks, then free them in the same order."},
	} {
		if rows := t.in(g.group, 0); len(rows) > 0 {
			w.heading(g.title)
			w.line("%s", g.about)
			w.gap()
			w.times(t, rows)
		}
	}
}

// means is one table of all groups.
func (w *page) means(t table) {
	w.heading("Means")
	w.line("The time of each allocator divided by the heap's, geometric means: above 1, the heap is faster.")
	w.gap()
	groups := []struct {
		title string
		rows  []row
	}{
		{"traces", t.in(traceGroup, 1)},
		{"traces, threads", t.in(traceGroup, 2)},
		{"workloads, 1 CPU", t.in(workGroup, 1)},
		{"workloads, 2 CPUs", t.in(workGroup, 2)},
		{"pairs", t.in(pairGroup, 0)},
		{"batches", t.in(batchGroup, 0)},
	}
	head := []string{"allocator"}
	groups = slices.DeleteFunc(groups, func(g struct {
		title string
		rows  []row
	},
	) bool {
		return len(g.rows) == 0
	})
	for _, g := range groups {
		head = append(head, g.title)
	}
	w.table(head, "l"+strings.Repeat("r", len(groups)))
	for _, a := range t.Allocs {
		if a.Name == heapName || a.Single == replay {
			continue
		}
		line := []string{a.Name}
		for _, g := range groups {
			line = append(line, ratio(geomean(over(g.rows, func(r row) float64 { return t.ns(r, a.Name) }, func(r row) float64 { return t.ns(r, heapName) }))))
		}
		w.cells(line...)
	}
	w.gap()
}
