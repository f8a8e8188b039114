// Package prometheus exports the figures of galloc's global allocator to Prometheus:
//
//	prometheus.MustRegister(galloc.NewCollector(galloc.Options{}))
//
// They come from package [metrics], and have its names: /memory/live:bytes is
// galloc_memory_live_bytes, and /events/ticks:events, which never falls, is
// galloc_events_ticks_total. The units bytes, seconds and blocks are part of a name, other ones are
// not. The metric galloc_info has the value 1 and the name of the allocator as a label.
package prometheus

import (
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configures a [Collector]. The zero value is a good default.
type Options struct {
	// BySize adds a series for each size class of the heap: the number of allocated blocks, by
	// their usable size in bytes, with the size "+Inf" for large blocks. There are about 70.
	BySize bool
}

// A Collector collects the figures of the global allocator. It implements
// [prometheus.Collector] and is safe for concurrent use.
//
// A scrape takes one [metrics.ReadSnapshot], which does not stop the program. Figures that the
// allocator does not report are left out.
type Collector struct {
	info    *prometheus.Desc
	figures []figure
}

// A figure is a metric of galloc and its form in Prometheus.
type figure struct {
	name string
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// NewCollector returns a new collector. It reads nothing yet.
func NewCollector(o Options) *Collector {
	c := &Collector{info: prometheus.NewDesc("galloc_info", "The global allocator.", []string{"allocator"}, nil)}
	for _, d := range metrics.All() {
		f := figure{name: d.Name, kind: prometheus.GaugeValue}
		var labels []string
		if d.Kind == metrics.KindFloat64Histogram {
			if !o.BySize {
				continue
			}
			labels = []string{"size"}
		}
		name := nameOf(d.Name)
		if d.Cumulative {
			f.kind = prometheus.CounterValue
			name += "_total"
		}
		f.desc = prometheus.NewDesc(name, d.Description, labels, nil)
		c.figures = append(c.figures, f)
	}
	return c
}

// nameOf returns the name in Prometheus of the metric with a path and a unit.
func nameOf(name string) string {
	path, unit, _ := strings.Cut(name, ":")
	name = "galloc" + strings.NewReplacer("/", "_", "-", "_").Replace(path)
	switch unit {
	case "bytes", "seconds", "blocks":
		name += "_" + unit
	}
	return name
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	to <- c.info
	for _, f := range c.figures {
		to <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := metrics.ReadSnapshot()
	to <- prometheus.MustNewConstMetric(c.info, prometheus.GaugeValue, 1, s.Allocator)
	for _, f := range c.figures {
		switch v := s.Value(f.name); v.Kind() {
		case metrics.KindUint64:
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(v.Uint64()))
		case metrics.KindFloat64:
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, v.Float64())
		case metrics.KindFloat64Histogram:
			h := v.Float64Histogram()
			for i, n := range h.Counts {
				// All sizes from Buckets[i] on and below Buckets[i+1] have one class.
				size := strconv.FormatFloat(h.Buckets[i+1]-1, 'f', -1, 64)
				to <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(n), size)
			}
		}
	}
}
