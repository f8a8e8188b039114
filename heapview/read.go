package heapview

import (
	"math"
	"runtime/metrics"
	"slices"

	"github.com/galloc-go/galloc/memlimit"
	gallocmetrics "github.com/galloc-go/galloc/metrics"
)

// A reading is the figures of a moment.
type reading struct {
	snapshot    gallocmetrics.Snapshot
	goHeap      uint64 // the spans of the Go heap that have objects
	goLimit     uint64 // GOMEMLIMIT, or 0 if there is none
	systemLimit uint64 // of the control groups or the machine, or 0 if it is unknown
}

// readFigures reads the figures of this process, without the size classes that are not in use.
func readFigures() reading {
	r := reading{snapshot: gallocmetrics.ReadSnapshot()}
	if h := r.snapshot.Heap; h != nil {
		h.Classes = slices.DeleteFunc(h.Classes, func(c gallocmetrics.Class) bool { return c.Blocks == 0 })
	}
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	r.goHeap = value(0) + value(1)
	if l := value(2); l < math.MaxInt64 {
		r.goLimit = l
	}
	if l, err := memlimit.SystemLimit(); err == nil {
		r.systemLimit = l
	}
	return r
}

// point returns the point of the history for r.
func (r *reading) point() point {
	s := &r.snapshot
	p := point{at: s.Time.UnixMilli()}
	v := &p.values
	v[live], v[footprint], v[resident] = s.Live, s.Footprint, s.Resident
	v[goHeap], v[systemLimit] = r.goHeap, r.systemLimit
	left := s.Footprint
	take := func(n uint64) uint64 {
		n = min(n, left)
		left -= n
		return n
	}
	// The figures are of slightly different moments, so the last part is the rest.
	v[partLive] = take(s.Live)
	if h := s.Heap; h != nil {
		v[partMetadata] = take(h.Metadata)
		v[partRetained] = take(h.Retained)
		v[partPurged] = take(h.Held)
		v[partCached] = take(h.Cached + h.Stashed)
		v[heapLimit] = h.HardLimit
		if h.SoftLimit != 0 && (h.HardLimit == 0 || h.SoftLimit < h.HardLimit) {
			v[heapLimit] = h.SoftLimit
		}
	}
	v[partFree] = left
	return p
}
