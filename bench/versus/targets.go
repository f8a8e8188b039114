package main

import (
	"fmt"
	"math"
)

// A target is a limit that the project has set itself for a figure.
type target struct {
	What    string
	Limit   float64
	AtLeast bool // the value must be at least Limit, otherwise at most
	Value   float64
}

func (m target) measured() bool { return !math.IsNaN(m.Value) }

func (m target) reached() bool {
	if m.AtLeast {
		return m.Value >= m.Limit
	}
	return m.Value <= m.Limit
}

// over returns the ratios of two figures for the rows in which both are known.
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
	found := math.NaN()
	for _, x := range v {
		if !(x <= found) {
			found = x
		}
	}
	return found
}

// least returns the least of the values; of none, it is not a number.
func least(v []float64) float64 {
	found := math.NaN()
	for _, x := range v {
		if !(x >= found) {
			found = x
		}
	}
	return found
}

// targets returns the targets with the measured values.
func (f *figures) targets() []target {
	ns := func(alloc string) func(row) float64 { return func(r row) float64 { return f.ns(r, alloc) } }
	peak := func(alloc string) func(row) float64 { return func(r row) float64 { return f.peak(r, alloc) } }
	traces, work := f.in(traceGroup, 1), f.in(workGroup, 0)
	var all []target
	atMost := func(what string, limit, value float64) {
		all = append(all, target{What: what, Limit: limit, Value: value})
	}
	atLeast := func(what string, limit, value float64) {
		all = append(all, target{What: what, Limit: limit, AtLeast: true, Value: value})
	}

	atMost("traces, time: heap / jemalloc", 0.85, geomean(over(traces, ns(heapName), ns("jemalloc"))))
	atMost("traces, time: heap / mimalloc", 1.05, geomean(over(traces, ns(heapName), ns("mimalloc"))))
	best := over(traces, ns(heapName), f.bestNs)
	atMost("traces, time: heap / best native of each", 1.15, geomean(best))
	atMost("the same, the worst trace", 1.5, greatest(best))
	atMost("traces, peak RSS: heap / mimalloc", 0.95, geomean(over(traces, peak(heapName), peak("mimalloc"))))
	best = over(traces, peak(heapName), f.bestPeak)
	atMost("traces, peak RSS: heap / best native of each", 1.08, geomean(best))
	atMost("the same, the worst trace", 1.4, greatest(best))

	pair := f.named(pairGroup, "pair 64", 1)
	atMost("pair of 64 bytes, time: heap / glibc", 1.0, f.ns(pair, heapName)/f.ns(pair, "glibc"))
	atMost("pair of 64 bytes, time: heap / Go's new", 0.25, f.ns(pair, heapName)/f.ns(pair, "new"))
	atMost("pair of 64 bytes, time: heap / cgo-malloc", 0.12, f.ns(pair, heapName)/f.ns(pair, "cgo-malloc"))

	for _, name := range []string{"larson", "xmalloc-test", "mstress", "rptest", "sh6bench"} {
		r := f.named(workGroup, name, 2)
		atLeast(name+" on 2 CPUs, ops/s: heap / best native", 0.9, f.bestNs(r)/f.ns(r, heapName))
	}
	for _, name := range []string{"larson", "glibc-thread"} {
		one, two := f.named(workGroup, name, 1), f.named(workGroup, name, 2)
		atLeast(name+", ops/s: heap on 2 CPUs / on 1", 1.85, f.ns(one, heapName)/f.ns(two, heapName))
	}

	mariadb := f.named(traceGroup, "mariadb", 1)
	atMost("trace mariadb, p99.9: heap / mimalloc", 1.0,
		f.cell(mariadb, heapName).p999/f.cell(mariadb, "mimalloc").p999)

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
