package memlimit

import (
	"errors"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/engine"
)

// sources are what a Governor reads and changes. Tests replace them.
type sources struct {
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
	run   func(func()) // in another goroutine

	limit     func() (n uint64, source string, err error)
	goFigures func(*figures)
	offHeap   func() (heap, extra uint64)
	used      func() (uint64, error) // see system.used
	stalled   func() (us uint64, ok bool, err error)

	memoryLimit func(int64) int64 // debug.SetMemoryLimit
	heapLimits  func(soft, hard uint64, exceeded func())
	collect     func()
	trim        func() uint64
}

// realSources returns the sources of the process.
func realSources(o Options) (sources, error) {
	sys, err := realSystem()
	if err != nil && o.Provider == nil {
		return sources{}, err
	}
	s := sources{
		now: time.Now, after: time.After, run: func(f func()) { go f() },
		used: sys.used, stalled: sys.stalled,
		goFigures: newGoReader(), offHeap: func() (uint64, uint64) { return footprint(), 0 },
		memoryLimit: debug.SetMemoryLimit, collect: debug.FreeOSMemory,
		heapLimits: func(uint64, uint64, func()) {}, trim: func() uint64 { return 0 },
	}
	if o.OffHeap != nil {
		s.offHeap = func() (uint64, uint64) { return footprint(), o.OffHeap() }
	}
	s.limit = func() (uint64, string, error) { return leastLimit(sys, o) }
	if h, _ := bridge.GlobalHeap().(*engine.Heap); h != nil {
		s.trim = func() uint64 { return uint64(h.Trim()) }
		s.heapLimits = (&heapLimits{h: h}).set
	}
	return s, nil
}

// leastLimit returns the least of Options.Limit and the limit of the provider, and its source.
func leastLimit(sys *system, o Options) (n uint64, source string, err error) {
	n, source, err = sys.limit() // with another provider too: system.used depends on it
	if o.Provider != nil {
		n, err = o.Provider()
		source = "Options.Provider"
	}
	if o.Limit != 0 && (errors.Is(err, errNoLimit) || err == nil && o.Limit < n) {
		return o.Limit, "Options.Limit", nil
	}
	return n, source, err
}

// heapLimits are the limits of the global heap, if the program has set none.
type heapLimits struct {
	h          *engine.Heap
	soft, hard uintptr // as set, or 0
}

// set sets the limits, and what to call when the heap exceeds the soft one. 0 is no limit.
func (l *heapLimits) set(soft, hard uint64, exceeded func()) {
	if s, h := l.h.Limit(); s != l.soft || h != l.hard {
		l.soft, l.hard = 0, 0 // the limits are the program's
		return
	}
	if soft == 0 && l.soft == 0 {
		return
	}
	const most = uint64(^uintptr(0) >> 1)
	l.soft, l.hard = uintptr(min(soft, most)), uintptr(min(hard, most))
	if soft == 0 {
		l.h.SetLimit(0, 0, nil)
		return
	}
	l.h.SetLimit(l.soft, l.hard, func(uintptr) { exceeded() })
}

// footprint returns the memory that the global allocator holds. If it does not know that, the
// blocks count; and if it does not know these, 0: then the memory is among the rest.
func footprint() uint64 {
	s, err := galloc.ReadStats()
	if err != nil {
		return 0
	}
	if s.Footprint == 0 {
		return uint64(s.Live)
	}
	return uint64(s.Footprint)
}

// newGoReader returns a function that reads the figures of the Go runtime. Calls must not overlap.
func newGoReader() func(*figures) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	return func(f *figures) {
		metrics.Read(samples)
		n := func(i int) uint64 {
			if samples[i].Value.Kind() != metrics.KindUint64 {
				return 0
			}
			return samples[i].Value.Uint64()
		}
		f.goTotal = less(n(0), n(1))
		f.goBase = less(f.goTotal, n(2)+n(3)+n(4))
		f.goLive = n(5)
		f.cycles = n(6)
	}
}

// SystemLimit returns the memory limit of the process in bytes: the least of its control groups,
// with their ancestors, and the memory of the machine. It fails if a file with a limit is malformed
// or none can be read, as on systems other than Linux.
func SystemLimit() (uint64, error) {
	sys, err := realSystem()
	if err != nil {
		return 0, err
	}
	n, _, err := sys.limit()
	return n, err
}

// Available returns the part of [SystemLimit] that is left for the Go runtime, in bytes, after the
// footprint of the global allocator and other resident memory that is not Go's. It is a use of the
// global allocator. It is for programs that set GOMEMLIMIT by other means than a Governor, and must
// be called again as the off-heap memory changes. It fails as SystemLimit does.
func Available() (uint64, error) {
	sys, err := realSystem()
	if err != nil {
		return 0, err
	}
	return available(sys, footprint(), newGoReader())
}

func available(sys *system, heap uint64, read func(*figures)) (uint64, error) {
	n, _, err := sys.limit()
	if err != nil {
		return 0, err
	}
	used, err := sys.used()
	if err != nil {
		return 0, err
	}
	var f figures
	read(&f)
	return less(n, heap+less(used, f.goTotal+heap)), nil
}
