package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"text/tabwriter"
	"time"
)

// cost is what an index has cost.
type cost struct {
	build, free time.Duration
	live        int64         // bytes that it is in
	left        int64         // bytes that it has left when something grew and moved: lost until the arena goes, or garbage
	held        int64         // bytes taken from below for all that
	cycles      uint64        // of the garbage collector, while it was built
	collector   time.Duration // what they took, of all CPUs together
}

// A moment is where a measurement begins.
type moment struct {
	at     time.Time
	cycles uint64
	cpu    time.Duration
}

// begin begins one: after a collection, so that nobody pays for what was before.
func begin() moment {
	runtime.GC()
	cycles, cpu := collector()
	return moment{time.Now(), cycles, cpu}
}

// end returns the time since, and what the garbage collector has done.
func (m moment) end() cost {
	d := time.Since(m.at)
	cycles, cpu := collector()
	return cost{build: d, cycles: cycles - m.cycles, collector: cpu - m.cpu}
}

// collector returns how many cycles of the garbage collector have ended, and what they took.
func collector() (cycles uint64, cpu time.Duration) {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), time.Duration(s[1].Value.Float64() * float64(time.Second))
}

// onGoHeap builds the index of c on Go's maps and slices. What frees it is a collection, at some time: one is done at once, to see what it
// takes. That it also marks the rest of the heap is little here, as there is nothing but the text.
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
	fmt.Fprintln(t, "index\tbuild\tlive\tleft behind\theld\tfree all\tGC cycles\tGC CPU\t")
	mb := func(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
	ms := func(d time.Duration) string { return fmt.Sprintf("%.3g ms", float64(d)/1e6) }
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t\n", r.name, ms(r.build), mb(r.live), mb(r.left), mb(r.held), ms(r.free), r.cycles, ms(r.collector))
	}
	t.Flush()
}
