package main

import (
	"math"
	"slices"
)

// figures are what the report is written from: one cell per row and allocator. They come from the
// samples of a run, or from the CSV file of an earlier one.
type figures struct {
	Date     string // such as 2 January 2006
	Command  string
	Reps     int
	Machine  machine
	Versions []string // of compilers
	Missing  []string // what could not be measured, and why
	Faults   []string // see disagreements
	Notes    []string // about the figures

	Rows   []row             // Group, Name and Threads are set
	Allocs []*allocator      // the columns, in the order of the report
	Calls  map[string]string // what each allocator calls itself
	cells  map[[2]string]cell
}

// cell is what is known of one allocator on one row. A figure that was not measured is not a
// number.
type cell struct {
	runs                    int
	median, least, greatest float64 // ns per operation
	peak                    float64 // resident bytes
	p50, p99, p999, longest float64 // ns per call
	end                     float64 // bytes still resident after everything was freed
	err                     string  // the first failure
}

func unknown() cell {
	n := math.NaN()
	return cell{median: n, least: n, greatest: n, peak: n, p50: n, p99: n, p999: n, longest: n, end: n}
}

func (f *figures) cell(r row, alloc string) cell {
	if c, ok := f.cells[[2]string{r.id(), alloc}]; ok {
		return c
	}
	return unknown()
}

// ns is the median time of an operation.
func (f *figures) ns(r row, alloc string) float64 { return f.cell(r, alloc).median }

func (f *figures) peak(r row, alloc string) float64 { return f.cell(r, alloc).peak }

// best returns the least value among the native allocators, and the allocator.
func (f *figures) best(value func(alloc string) float64) (least float64, name string) {
	least = math.NaN()
	for _, a := range f.Allocs {
		if v := value(a.Name); a.Native && !math.IsNaN(v) && !(v >= least) {
			least, name = v, a.Name
		}
	}
	return least, name
}

func (f *figures) bestNs(r row) float64 {
	v, _ := f.best(func(a string) float64 { return f.ns(r, a) })
	return v
}

// against compares the heap with the fastest native allocator: the ratio of the median times, and
// the range of the ratios of any two runs. If the range contains 1, it is not known which of the
// two is faster: they are level. The fewer runs a row has, the less a narrow range means.
func (f *figures) against(r row) (c comparison) {
	heap := f.cell(r, heapName)
	_, c.name = f.best(func(a string) float64 { return f.ns(r, a) })
	best := f.cell(r, c.name)
	c.best, c.ratio = best.median, heap.median/best.median
	c.low, c.high = heap.least/best.greatest, heap.greatest/best.least
	return c
}

// A comparison is the result of against. Its figures are no numbers if one was not measured.
type comparison struct {
	name             string // of the native allocator
	best             float64
	ratio, low, high float64
}

func (c comparison) level() bool { return c.low <= 1 && 1 <= c.high }

func (f *figures) bestPeak(r row) float64 {
	v, _ := f.best(func(a string) float64 { return f.peak(r, a) })
	return v
}

// in returns the rows of a group that are run on one thread, on several, or with 0 both.
func (f *figures) in(group string, threads int) []row {
	var rows []row
	for _, r := range f.Rows {
		if r.Group == group && (threads == 0 || threads == 1 && r.Threads == 1 || threads > 1 && r.Threads > 1) {
			rows = append(rows, r)
		}
	}
	return rows
}

// named returns the row of that group, name and kind, or one of which nothing is known.
func (f *figures) named(group, name string, threads int) row {
	for _, r := range f.in(group, threads) {
		if r.Name == name {
			return r
		}
	}
	return row{Group: group, Name: name, Threads: threads}
}

// heavy returns the rows whose memory is worth comparing. The blocks of a trace take the same
// through each face.
func (f *figures) heavy() []row {
	return slices.DeleteFunc(slices.Clone(f.Rows), func(r row) bool {
		return slices.Contains([]string{pairGroup, batchGroup, runTimeGroup, sliceGroup}, r.Group)
	})
}

// figures computes the figures of a run.
func (r *results) figures() *figures {
	f := &figures{
		Date: r.Date, Command: r.Command, Reps: r.Reps, Machine: r.Machine, Versions: r.Versions,
		Missing: r.Missing, Faults: r.disagreements(), Rows: r.Rows, Allocs: r.Allocs,
		Calls: map[string]string{}, cells: map[[2]string]cell{},
	}
	type measured struct {
		ns, peak []float64
		latency  []answer
		err      string
	}
	all := map[[2]string]*measured{}
	for _, s := range r.Samples {
		key := [2]string{s.Row, s.Alloc}
		m := all[key]
		if m == nil {
			m = &measured{}
			all[key] = m
		}
		a := s.Answer
		if a.Allocator != "" && f.Calls[s.Alloc] == "" {
			f.Calls[s.Alloc] = a.Allocator
		}
		switch {
		case a.Error != "" && m.err == "":
			m.err = a.Error
		case a.Error != "":
		case s.Latency:
			m.latency = append(m.latency, a)
		case a.Ops > 0:
			m.ns = append(m.ns, a.Ns/float64(a.Ops))
			if a.PeakRSS != nil {
				m.peak = append(m.peak, max(*a.PeakRSS, 0))
			}
		default:
			m.err = "it did nothing: no operations in its answer"
		}
	}
	for key, m := range all {
		c := unknown()
		c.runs, c.err = len(m.ns), oneLine(m.err)
		c.median, c.peak = median(m.ns), median(m.peak)
		c.least, c.greatest = least(m.ns), greatest(m.ns)
		l := medians(m.latency)
		c.p50, c.p99, c.p999, c.longest, c.end = of(l.P50), of(l.P99), of(l.P999), of(l.Max), of(l.EndRSS)
		f.cells[key] = c
	}
	return f
}

// of returns the value, or not a number.
func of(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}
