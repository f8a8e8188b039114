package procmem

import (
	"cmp"
	"fmt"
	"math/bits"
	"runtime/metrics"
	"slices"

	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// counters are what the Go runtime and the global allocator report. Sizes are in bytes, whether or
// not the memory is resident.
type counters struct {
	goInUse, goStacks, goFree uint64 // of the arenas
	goOwn                     uint64 // elsewhere
	live, cached              uint64
	profile                   *heapprof.Profile // or nil
}

func readCounters() (c counters) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/metadata/mcache/free:bytes"},
		{Name: "/memory/classes/metadata/mcache/inuse:bytes"},
		{Name: "/memory/classes/metadata/mspan/free:bytes"},
		{Name: "/memory/classes/metadata/mspan/inuse:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/memory/classes/os-stacks:bytes"},
		{Name: "/memory/classes/other:bytes"},
		{Name: "/memory/classes/profiling/buckets:bytes"},
	}
	metrics.Read(samples)
	for i := range samples {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			continue
		}
		n := samples[i].Value.Uint64()
		switch i {
		case 0, 1:
			c.goInUse += n
		case 2:
			c.goStacks = n
		case 3:
			c.goFree = n
		default:
			c.goOwn += n
		}
	}
	if h, _ := bridge.GlobalHeap().(*engine.Heap); h != nil && !vm.GoMemory {
		var e engine.Stats
		h.ReadStats(&e)
		c.live, c.cached = uint64(e.Live), uint64(e.Cached)
		bridge.AnyGlobalPart(func(a any) bool {
			p, ok := a.(*heapprof.Profiler)
			if ok {
				c.profile = p.Profile()
			}
			return ok
		})
	}
	return c
}

// sites returns the sites of the profile, such that they sum to at most live bytes.
func (c *counters) sites(live uint64) (all []Site) {
	if c.profile == nil {
		return nil
	}
	var sum float64
	for i := range c.profile.Sites {
		sum += float64(max(c.profile.Sites[i].InUseBytes, 0))
	}
	scale := min(1, float64(live)/max(sum, 1))
	for i := range c.profile.Sites {
		p := &c.profile.Sites[i]
		n := uint64(float64(max(p.InUseBytes, 0)) * scale)
		if n = min(n, live); n == 0 {
			continue
		}
		live -= n
		place := "without a stack"
		if f := p.Place(); f.Function != "" {
			place = fmt.Sprintf("%s %s:%d", f.Function, f.File, f.Line)
		}
		all = append(all, Site{place, n, p.Stack})
	}
	slices.SortStableFunc(all, func(a, b Site) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Place, b.Place)) })
	return all
}

// A region is a range of addresses of galloc.
type region struct {
	start, end uint64
	kind       regionKind
}

type regionKind uint8

const (
	globalHeap regionKind = iota
	otherHeap
	metadata
	regionKinds
)

// findRegions returns the regions of galloc's heaps.
func findRegions() (all []region) {
	if vm.GoMemory {
		return nil
	}
	h, _ := bridge.GlobalHeap().(*engine.Heap)
	for _, r := range pages.Regions() {
		kind := otherHeap
		if h != nil && h.Owns(&r) {
			kind = globalHeap
		}
		all = append(all, region{uint64(r.Base), uint64(r.Base) + uint64(r.Size), kind})
		all = append(all, region{uint64(r.Meta), uint64(r.Meta) + uint64(r.MetaSize), metadata})
	}
	return all
}

// divide sets all parts of s. object is the address of an object of the Go heap. resident counts
// the resident bytes between two addresses, if it can.
func (s *Snapshot) divide(
	all []mapping, regions []region, object uint64, c *counters, resident func(start, end uint64) (uint64, bool),
) {
	of := groups(all)
	var inRegions [regionKinds]uint64
	arenas := arenasAround(all, of, object)
	var heap, unknown, named uint64
	for i := range all {
		m := &all[i]
		s.Resident += m.rss
		left := m.rss
		if of[i] == anonymous && left > 0 {
			for _, r := range regions {
				n := m.within(&r, resident)
				n = min(n, left)
				inRegions[r.kind] += n
				left -= n
			}
		}
		switch {
		case of[i] == code:
			s.Code += left
		case of[i] == files:
			s.MappedFiles += left
		case of[i] == rest:
			s.Other += left
		case arenas[i]:
			heap += left
		case of[i] == goNamed:
			named += left
		default:
			unknown += left
		}
	}
	s.GallocOther, s.GallocMetadata = inRegions[otherHeap], inRegions[metadata]
	global := inRegions[globalHeap]
	s.GallocLive = take(&global, c.live)
	s.GallocCached = take(&global, c.cached)
	s.GallocFree = global

	if bits.UintSize == 32 { // arenas are small there, and anywhere
		heap += take(&unknown, less(c.goInUse+c.goStacks+c.goFree, heap))
	}
	s.GoHeapInUse = take(&heap, c.goInUse)
	s.GoStacks = take(&heap, c.goStacks)
	s.GoHeapFree = heap
	s.GoRuntime = named + take(&unknown, less(c.goOwn, named))
	s.Other += unknown
}

// divideByNames sets the parts of s that the names of mappings show.
func (s *Snapshot) divideByNames(all []mapping) {
	of := groups(all)
	for i := range all {
		m := &all[i]
		s.Resident += m.rss
		switch of[i] {
		case code:
			s.Code += m.rss
		case files:
			s.MappedFiles += m.rss
		case rest:
			s.Other += m.rss
		case goNamed:
			if m.file == "[anon: Go: heap]" {
				s.GoHeapInUse += m.rss
			} else {
				s.GoRuntime += m.rss
			}
		default:
			s.Anonymous += m.rss
		}
	}
}

// arenasAround returns the mappings of the Go heap: the row of adjacent mappings around one
// of its objects, and the mappings that the Go runtime has named so.
func arenasAround(all []mapping, of []group, object uint64) []bool {
	in := make([]bool, len(all))
	for i := range all {
		if all[i].file == "[anon: Go: heap]" {
			in[i] = true
		}
		if object < all[i].start || object >= all[i].end {
			continue
		}
		in[i] = true
		same := func(j int) bool { return of[j] == anonymous || of[j] == goNamed }
		for j := i; j > 0 && all[j-1].end == all[j].start && same(j-1); j-- {
			in[j-1] = true
		}
		for j := i; j+1 < len(all) && all[j].end == all[j+1].start && same(j+1); j++ {
			in[j+1] = true
		}
	}
	return in
}

// within returns the resident bytes of m that are in r. The kernel may have joined a mapping of r
// with a neighbor; then the pages are counted, or if that is not possible, estimated.
func (m *mapping) within(r *region, resident func(start, end uint64) (uint64, bool)) uint64 {
	start, end := max(m.start, r.start), min(m.end, r.end)
	switch {
	case start >= end:
		return 0
	case start == m.start && end == m.end:
		return m.rss
	}
	if n, ok := resident(start, end); ok {
		return n
	}
	return uint64(float64(m.rss) * float64(end-start) / float64(m.end-m.start))
}

// less returns a - b, or 0 if that is negative.
func less(a, b uint64) uint64 { return a - min(a, b) }
