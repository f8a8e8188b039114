// Package opentelemetry reports the figures of galloc's global allocator to OpenTelemetry:
//
//	registration, err := opentelemetry.Register(otel.GetMeterProvider(), opentelemetry.Options{})
//
// They come from package [metrics], and have its names: /memory/live:bytes is the instrument
// galloc.memory.live with the unit By, /memory/live:blocks is galloc.memory.live.blocks, and
// /events/ticks:events, which never falls, is the counter galloc.events.ticks. An exporter for
// Prometheus makes the names of adapters/prometheus of them. The instrument galloc.info has the
// value 1 and the name of the allocator as the attribute galloc.allocator.
package opentelemetry

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/galloc-go/galloc/metrics"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Options configures [Register]. The zero value is a good default.
type Options struct {
	// BySize adds the number of allocated blocks of each size class of the heap, with their usable
	// size in bytes as the attribute galloc.block.size, and 0 for large blocks. There are about 70.
	BySize bool
}

// name of the meter: the path of the package, as OpenTelemetry wants it.
const name = "github.com/galloc-go/galloc/adapters/opentelemetry"

// A figure is a metric of galloc and its instrument: of integers, or of seconds.
type figure struct {
	name     string
	integers metric.Int64Observable
	seconds  metric.Float64Observable
}

// Register makes the instruments, which have a value from then on, until Unregister of the
// [metric.Registration] is called. It fails if the provider does. Safe for concurrent use.
//
// Each collection takes one [metrics.ReadSnapshot], which does not stop the program. Figures that
// the allocator does not report are left out. Levels are up-down counters, so that sums over
// several programs mean something.
func Register(p metric.MeterProvider, o Options) (metric.Registration, error) {
	meter := p.Meter(name)
	info, err := meter.Int64ObservableGauge("galloc.info", metric.WithDescription("The global allocator."))
	if err != nil {
		return nil, fmt.Errorf("galloc/opentelemetry: %w", err)
	}
	var figures []figure
	all := []metric.Observable{info}
	for _, d := range metrics.All() {
		if d.Kind == metrics.KindFloat64Histogram && !o.BySize {
			continue
		}
		f, err := figureOf(meter, d)
		if err != nil {
			return nil, fmt.Errorf("galloc/opentelemetry: %w", err)
		}
		figures = append(figures, f)
		if f.seconds != nil {
			all = append(all, f.seconds)
		} else {
			all = append(all, f.integers)
		}
	}
	r, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		s := metrics.ReadSnapshot()
		to.ObserveInt64(info, 1, metric.WithAttributes(attribute.String("galloc.allocator", s.Allocator)))
		for _, f := range figures {
			f.observe(to, s.Value(f.name))
		}
		return nil
	}, all...)
	if err != nil {
		return nil, fmt.Errorf("galloc/opentelemetry: %w", err)
	}
	return r, nil
}

// figureOf makes the instrument of a metric.
func figureOf(meter metric.Meter, d metrics.Description) (f figure, err error) {
	f.name = d.Name
	name, unit := instrumentOf(d.Name)
	about, in := metric.WithDescription(d.Description), metric.WithUnit(unit)
	switch {
	case d.Kind == metrics.KindFloat64:
		f.seconds, err = meter.Float64ObservableGauge(name, about, in)
	case d.Cumulative:
		f.integers, err = meter.Int64ObservableCounter(name, about, in)
	default:
		f.integers, err = meter.Int64ObservableUpDownCounter(name, about, in)
	}
	return f, err
}

// instrumentOf returns the name and the unit in OpenTelemetry of the metric with a path and a unit.
func instrumentOf(name string) (instrument, unit string) {
	path, unit, _ := strings.Cut(name, ":")
	instrument = "galloc" + strings.NewReplacer("/", ".", "-", "_").Replace(path)
	switch unit {
	case "bytes":
		return instrument, "By"
	case "seconds":
		return instrument, "s"
	case "blocks": // beside an instrument in bytes
		return instrument + ".blocks", "{block}"
	}
	return instrument, "{" + strings.TrimSuffix(unit, "s") + "}"
}

// observe reports the value of f, if it has one.
func (f figure) observe(to metric.Observer, v metrics.Value) {
	switch v.Kind() {
	case metrics.KindUint64:
		to.ObserveInt64(f.integers, int64(v.Uint64()))
	case metrics.KindFloat64:
		to.ObserveFloat64(f.seconds, v.Float64())
	case metrics.KindFloat64Histogram:
		h := v.Float64Histogram()
		for i, n := range h.Counts {
			size := int64(0) // of large blocks
			if end := h.Buckets[i+1]; !math.IsInf(end, 1) {
				size = int64(end) - 1 // all sizes of the bucket have one class
			}
			to.ObserveInt64(f.integers, int64(n), metric.WithAttributes(attribute.Int64("galloc.block.size", size)))
		}
	}
}
