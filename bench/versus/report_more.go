package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

func (w *page) latency(t table) {
	type figure struct {
		name string
		of   func(answer) *float64
	}
	var rows []row
	for _, r := range t.Rows {
		if t.cell(r, heapName).latency.P50 != nil {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return
	}
	w.heading("Latency")
	w.line("Each call of the allocator timed by itself, in runs for this; ns, without what reading the clock costs; medians of up to %d runs. The", latencyRuns)
	w.line("greatest value is as likely to be the machine's doing as the allocator's.")
	w.gap()
	for _, f := range []figure{
		{"half of the calls take at most", func(a answer) *float64 { return a.P50 }},
		{"99 of 100", func(a answer) *float64 { return a.P99 }},
		{"999 of 1000", func(a answer) *float64 { return a.P999 }},
		{"the longest", func(a answer) *float64 { return a.Max }},
	} {
		w.grid(t, f.name, rows, func(a *allocator) bool { return a.Listen }, func(r row, a string) string {
			return number(of(f.of(t.cell(r, a).latency)))
		})
	}
}

func (w *page) memory(t table) {
	w.heading("Memory")
	w.line("The most that was resident, in MB of 10^6 bytes beyond what was before the first allocation; medians.")
	w.gap()
	for _, columns := range t.columns() {
		w.grid(t, "peak", t.heavy(), columns, func(r row, a string) string { return megabytes(t.peak(r, a)) })
	}
	var rows []row
	for _, r := range t.heavy() {
		if t.cell(r, heapName).latency.EndRSS != nil {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return
	}
	w.line("What is still resident %d s after everything has been freed:", settleMs/1000)
	w.gap()
	w.grid(t, "afterwards", rows, func(a *allocator) bool { return a.Listen }, func(r row, a string) string {
		return megabytes(of(t.cell(r, a).latency.EndRSS))
	})
}

// heavy returns the rows that need memory worth speaking of.
func (t table) heavy() []row {
	return slices.DeleteFunc(slices.Clone(t.Rows), func(r row) bool { return r.Group == pairGroup || r.Group == batchGroup })
}

// loop says what the replay costs by itself.
func (w *page) loop(t table) {
	rows := t.in(traceGroup, 1)
	if len(rows) == 0 || t.alloc("null") == nil && t.alloc("null-c") == nil {
		return
	}
	w.heading("What the loop costs")
	w.line("The traces with one block for everything: the loop, the table, and touching memory that is always in the cache. What the figures of")
	w.line("an allocator are beyond this is its own doing, and that of the memory it gives.")
	w.gap()
	w.grid(t, "ns/op", rows, func(a *allocator) bool {
		return a.Name == heapName || a.Native || a.Name == "null" || a.Name == "null-c"
	}, func(r row, a string) string { return number(t.ns(r, a)) })
}

// loses says whether a native allocator is faster on the row, and whether that is known.
func (t table) loses(r row) (loses, known bool) {
	q := t.ns(r, heapName) / t.bestNs(r)
	return q > 1, !math.IsNaN(q)
}

// losses lists the rows in which the heap is behind.
func (w *page) losses(t table) {
	type loss struct {
		row   row
		best  string
		ratio float64
	}
	var all []loss
	for _, r := range t.Rows {
		if loses, _ := t.loses(r); loses {
			least, name := t.best(func(a string) float64 { return t.ns(r, a) })
			all = append(all, loss{r, name, t.ns(r, heapName) / least})
		}
	}
	w.heading("Where galloc loses")
	if len(all) == 0 {
		w.line("In no row that was measured natively too.")
		w.gap()
		return
	}
	w.line("The rows in which the fastest native allocator is faster than the heap, the worst first:")
	w.gap()
	slices.SortStableFunc(all, func(a, b loss) int { return cmp.Compare(b.ratio, a.ratio) })
	w.table([]string{"row", "heap, ns/op", "fastest native", "ns/op", "heap / that"}, "lrlrr")
	for _, l := range all {
		w.cells(l.row.id(), number(t.ns(l.row, heapName)), l.best, number(t.ns(l.row, l.best)), ratio(l.ratio))
	}
	w.gap()
}

// setting says where and how all this was measured.
func (w *page) setting(t table) {
	w.heading("Where and how it was measured")
	w.table([]string{"", ""}, "ll")
	w.cells("processor", fmt.Sprintf("%s, %d CPUs", t.Machine.CPU, t.Machine.CPUs))
	w.cells("memory", t.Machine.Memory)
	w.cells("system", t.Machine.System)
	for _, v := range t.Versions {
		w.cells("compiler", v)
	}
	w.cells("date", t.Date)
	w.cells("command", "`"+t.Command+"`")
	w.gap()
}

// figures is the appendix: the spread of every cell.
func (w *page) figures(t table) {
	w.heading("Every figure")
	w.line("ns per operation: the median, the least and the greatest of n runs.")
	w.gap()
	w.table([]string{"row", "allocator", "median", "least", "greatest", "n"}, "llrrrr")
	for _, r := range t.Rows {
		for _, a := range t.Allocs {
			if c := t.cell(r, a.Name); len(c.ns) > 0 {
				w.cells(r.id(), a.Name, number(c.median()), number(slices.Min(c.ns)), number(slices.Max(c.ns)), fmt.Sprint(len(c.ns)))
			}
		}
	}
	w.gap()
}
