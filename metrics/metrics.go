// Package metrics reads the figures of the global allocator: as one typed value, a [Snapshot],
// which can be encoded in JSON; or one by one under stable names, in the way of package
// runtime/metrics:
//
//	sample := []metrics.Sample{{Name: "/memory/live:bytes"}}
//	metrics.Read(sample)
//	fmt.Println(sample[0].Value.Uint64())
//
// [All] lists the names. A figure that the global allocator does not report has [KindBad]. If the
// global allocator is a heap, or contains one, it reports all of them.
package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Description describes a metric.
type Description struct {
	// Name is a path and a unit, as in "/memory/live:bytes".
	Name string
	// Description is a sentence in English.
	Description string
	// Kind is the kind of the value, if the allocator reports the metric.
	Kind ValueKind
	// Cumulative means that the value never falls.
	Cumulative bool
}

// A ValueKind is the kind of a [Value].
type ValueKind int

// The kinds, with the numbers that package runtime/metrics has for them.
const (
	KindBad              ValueKind = iota // there is no value
	KindUint64                            // see Value.Uint64
	KindFloat64                           // see Value.Float64
	KindFloat64Histogram                  // see Value.Float64Histogram
)

// A Value is the value of a metric. Its zero value has KindBad.
type Value struct {
	kind      ValueKind
	scalar    uint64 // or the bits of a float64
	histogram *Float64Histogram
}

// Kind returns the kind of v.
func (v Value) Kind() ValueKind { return v.kind }

// Uint64 returns the value. It panics if v has another kind.
func (v Value) Uint64() uint64 {
	v.must(KindUint64)
	return v.scalar
}

// Float64 returns the value. It panics if v has another kind.
func (v Value) Float64() float64 {
	v.must(KindFloat64)
	return math.Float64frombits(v.scalar)
}

// Float64Histogram returns the value. It panics if v has another kind.
func (v Value) Float64Histogram() *Float64Histogram {
	v.must(KindFloat64Histogram)
	return v.histogram
}

func (v Value) must(kind ValueKind) {
	if v.kind != kind {
		panic(fmt.Sprintf("galloc/metrics: the value has kind %d, not %d: look at Kind", v.kind, kind))
	}
}

// A Float64Histogram is a distribution: Counts[i] is the number of values in [Buckets[i],
// Buckets[i+1]).
type Float64Histogram struct {
	Counts  []uint64
	Buckets []float64
}

// A Sample is a metric that is read.
type Sample struct {
	Name  string
	Value Value
}

// All returns the descriptions of all metrics, sorted by name.
func All() []Description {
	all := make([]Description, len(table))
	for i := range table {
		all[i] = table[i].Description
	}
	return all
}

// Read sets the value of each sample. The value of an unknown name, and of a metric that the global
// allocator does not report, has KindBad. All values come from one [ReadSnapshot]; see there for
// the cost.
func Read(samples []Sample) {
	s := ReadSnapshot()
	for i := range samples {
		samples[i].Value = s.Value(samples[i].Name)
	}
}

// Value returns the value of the metric with that name in s.
func (s *Snapshot) Value(name string) Value {
	i, ok := slices.BinarySearchFunc(table, name, func(m metric, name string) int { return strings.Compare(m.Name, name) })
	if !ok {
		return Value{}
	}
	return table[i].read(s)
}

// A metric is a description, and the function that reads the value.
type metric struct {
	Description
	read func(*Snapshot) Value
}

func integer(n uint64) Value { return Value{kind: KindUint64, scalar: n} }

// ofHeap returns a metric of a Heap.
func ofHeap(name, description string, cumulative bool, f func(*Heap) uint64) metric {
	return metric{Description{name, description, KindUint64, cumulative}, func(s *Snapshot) Value {
		if s.Heap == nil {
			return Value{}
		}
		return integer(f(s.Heap))
	}}
}

// ofAny returns a metric of any allocator that has a galloc.Stats.
func ofAny(name, description string, f func(*Snapshot) uint64) metric {
	return metric{Description{name, description, KindUint64, false}, func(s *Snapshot) Value {
		if n := f(s); s.Known {
			return integer(n)
		}
		return Value{}
	}}
}

// bySize returns a histogram over the usable sizes of blocks.
func bySize(name, description string, large func(*Heap) uint64, f func(*Class) uint64) metric {
	return metric{Description{name, description, KindFloat64Histogram, false}, func(s *Snapshot) Value {
		if s.Heap == nil {
			return Value{}
		}
		h := &Float64Histogram{Buckets: []float64{1}}
		for i := range s.Heap.Classes {
			c := &s.Heap.Classes[i]
			h.Counts = append(h.Counts, f(c))
			h.Buckets = append(h.Buckets, float64(c.Size+1))
		}
		h.Counts = append(h.Counts, large(s.Heap))
		h.Buckets = append(h.Buckets, math.Inf(1))
		return Value{kind: KindFloat64Histogram, histogram: h}
	}}
}
