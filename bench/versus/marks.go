package main

import (
	"fmt"
	"math"
)

// A mark is a figure that the project has set itself.
type mark struct {
	What    string
	Limit   float64
	AtLeast bool // the value is to be at least Limit, otherwise at most
	Value   float64
}

func (m mark) measured() bool { return !math.IsNaN(m.Value) }

func (m mark) reached() bool {
	if m.AtLeast {
		return m.Value >= m.Limit
	}
	return m.Value <= m.Limit
}

// table answers questions about results.
type table struct {
	*results
	cells map[[2]string]cell
}

func newTable(r *results) table { return table{r, r.cells()} }

func (t table) cell(r row, alloc string) cell { return t.cells[[2]string{r.id(), alloc}] }

// ns is the median time of an operation; not a number, if it was not measured.
func (t table) ns(r row, alloc string) float64 { return t.cell(r, alloc).median() }

func (t table) peak(r row, alloc string) float64 { return median(t.cell(r, alloc).peak) }

// best returns the least value among the native allocators, and whose it is.
func (t table) best(value func(alloc string) float64) (least float64, name string) {
	least = math.NaN()
	for _, a := range t.Allocs {
		if v := value(a.Name); a.Native && !math.IsNaN(v) && !(v >= least) {
			least, name = v, a.Name
		}
	}
	return least, name
}

func (t table) bestNs(r row) float64 {
	v, _ := t.best(func(a string) float64 { return t.ns(r, a) })
	return v
}

func (t table) bestPeak(r row) float64 {
	v, _ := t.best(func(a string) float64 { return t.peak(r, a) })
	return v
}

// in returns the rows of a group that are run on one thread, or on several, or with 0 both.
func (t table) in(group string, threads int) []row {
	var rows []row
	for _, r := range t.Rows {
		if r.Group == group && (threads == 0 || threads == 1 && r.Threads == 1 || threads > 1 && r.Threads > 1) {
			rows = append(rows, r)
		}
	}
	return rows
}

// named returns the row of that group, name and kind, or one that nothing is known of.
func (t table) named(group, name string, threads int) row {
	for _, r := range t.in(group, threads) {
		if r.Name == name {
			return r
		}
	}
	return row{Group: group, Name: name, Threads: threads}
}

// over returns the ratios of two figures over the rows for which both are known.
func over(rows []row, a, b func(row) float64) []float64 {
	var ratios []float64
	for _, r := range rows {
		if q := a(r) / b(r); !math.IsNaN(q) && !math.IsInf(q, 0) && q > 0 {
			ratios = append(ratios, q)
		}
	}
	return ratios
}

// greatest returns the greatest of the values; of none, it is not a number.
func greatest(v []float64) float64 {
	most := math.NaN()
	for _, x := range v {
		if !(x <= most) {
			most = x
		}
	}
	return most
}

func least(v []float64) float64 {
	few := math.NaN()
	for _, x := range v {
		if !(x >= few) {
			few = x
		}
	}
	return few
}

// marks returns the bars with what was measured.
func (t table) marks() []mark {
	ns := func(alloc string) func(row) float64 { return func(r row) float64 { return t.ns(r, alloc) } }
	peak := func(alloc string) func(row) float64 { return func(r row) float64 { return t.peak(r, alloc) } }
	traces, work := t.in(traceGroup, 1), t.in(workGroup, 0)
	var all []mark
	most := func(what string, limit, value float64) {
		all = append(all, mark{What: what, Limit: limit, Value: value})
	}
	atLeast := func(what string, limit, value float64) {
		all = append(all, mark{What: what, Limit: limit, AtLeast: true, Value: value})
	}

	most("traces, time: heap / jemalloc", 0.85, geomean(over(traces, ns(heapName), ns("jemalloc"))))
	most("traces, time: heap / mimalloc", 1.05, geomean(over(traces, ns(heapName), ns("mimalloc"))))
	best := over(traces, ns(heapName), t.bestNs)
	most("traces, time: heap / best native of each", 1.15, geomean(best))
	most("the same, the worst trace", 1.5, greatest(best))
	most("traces, peak RSS: heap / mimalloc", 0.95, geomean(over(traces, peak(heapName), peak("mimalloc"))))
	best = over(traces, peak(heapName), t.bestPeak)
	most("traces, peak RSS: heap / best native of each", 1.08, geomean(best))
	most("the same, the worst trace", 1.4, greatest(best))

	pair := t.named(pairGroup, "pair 64", 1)
	most("pair of 64 bytes, time: heap / glibc", 1.0, t.ns(pair, heapName)/t.ns(pair, "glibc"))
	most("pair of 64 bytes, time: heap / Go's new", 0.25, t.ns(pair, heapName)/t.ns(pair, "new"))
	most("pair of 64 bytes, time: heap / cgo-malloc", 0.12, t.ns(pair, heapName)/t.ns(pair, "cgo-malloc"))

	for _, name := range []string{"larson", "xmalloc-test", "mstress", "rptest", "sh6bench"} {
		r := t.named(workGroup, name, 2)
		atLeast(name+" on 2 CPUs, ops/s: heap / best native", 0.9, t.bestNs(r)/t.ns(r, heapName))
	}
	for _, name := range []string{"larson", "glibc-thread"} {
		one, two := t.named(workGroup, name, 1), t.named(workGroup, name, 2)
		atLeast(name+", ops/s: heap on 2 CPUs / on 1", 1.85, t.ns(one, heapName)/t.ns(two, heapName))
	}

	mariadb := t.named(traceGroup, "mariadb", 1)
	most("trace mariadb, p99.9: heap / mimalloc", 1.0, of(t.cell(mariadb, heapName).latency.P999)/of(t.cell(mariadb, "mimalloc").latency.P999))

	for _, bar := range []struct {
		alloc string
		limit float64
	}{{"modernc", 3}, {"cgo-jemalloc", 4}} {
		ratios := over(work, ns(bar.alloc), ns(heapName))
		atLeast(fmt.Sprintf("workloads, time: %s / heap", bar.alloc), bar.limit, geomean(ratios))
		atLeast("the same, the worst workload", 1, least(ratios))
	}
	return all
}

// of returns the value, or what is not a number.
func of(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}
