package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"text/tabwriter"
	"time"
)

// cost is the cost of an index.
type cost struct {
	build, free time.Duration
	live        int64 // bytes in use
	// Bytes abandoned by moving: lost until the arena is freed, or garbage.
	left      int64
	held      int64         // bytes allocated from below
	cycles    uint64        // of the garbage collector, while it was built
	collector time.Duration // their CPU time
}

// A moment is the start of a measurement.
type moment struct {
	at     time.Time
	cycles uint64
	cpu    time.Duration
}

// begin starts a measurement after a collection, so that earlier garbage does not count.
func begin() moment {
	runtime.GC()
	cycles, cpu := collector()
	return moment{time.Now(), cycles, cpu}
}

// end returns the elapsed time and the work of the garbage collector.
func (m moment) end() cost {
	d := time.Since(m.at)
	cycles, cpu := collector()
	return cost{build: d, cycles: cycles - m.cycles, collector: cpu - m.cpu}
}

// collector returns the number of finished cycles of the garbage collector, and their CPU time.
func collector() (cycles uint64, cpu time.Duration) {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), time.Duration(s[1].Value.Float64() * float64(time.Second))
}

// onGoHeap builds the index of c on Go's maps and slices. A collection frees it: one is run at
// once, to measure it. It also marks the rest of the heap, which is only the text.
func onGoHeap(c *corpus) cost {
	var before, built, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := begin()
	ix := buildMaps(c.all())
	m := start.end()
	runtime.ReadMemStats(&built)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(ix)
	m.live = int64(after.HeapAlloc) - int64(before.HeapAlloc)
	m.left = int64(built.TotalAlloc-before.TotalAlloc) - m.live
	m.held = int64(built.HeapInuse) - int64(before.HeapInuse)
	at := time.Now()
	runtime.GC() // ix is not used any more
	m.free = time.Since(at)
	return m
}

// row is a line of the table.
type row struct {
	name string
	cost
}

// report prints the table.
func report(w io.Writer, rows []row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "index\tbuild\tlive\tabandoned\theld\tfree all\tGC cycles\tGC CPU\t")
	mb := func(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3g ms", float64(d)/1e6) }
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t\n",
			r.name, ms(r.build), mb(r.live), mb(r.left), mb(r.held), ms(r.free), r.cycles, ms(r.collector))
	}
	t.Flush()
}
