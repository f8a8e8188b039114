package wrap

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// Counting is a wrapper that counts: see [Stats].
type Counting interface {
	Allocator
	// Snapshot returns what has been counted so far. It agrees with itself: no block is freed
	// that was not allocated, and the numbers of blocks are the sums of those by size. What
	// other goroutines do at the same time may be in it or not, or its block and not yet its
	// bytes; what has happened before is in it. It stops nobody.
	Snapshot() Snapshot
	// Region calls f, and returns what was counted meanwhile, by all goroutines.
	Region(f func()) Snapshot
}

// Stats returns an allocator that counts what goes through it: allocations, frees and
// reallocations, with their bytes and by size, failures apart, and the peak. It allocates
// nothing itself, but 11 KiB of Go memory, and 2 KiB for each P that uses it.
//
// Each P counts for itself, without atomics or locks: that costs 4 to 5 ns per call, and no more
// with many Ps. The blocks and errors are those of inner, where nil stands for the
// global allocator. It is safe for concurrent use if inner is.
func Stats(inner galloc.Allocator) Counting {
	s := newStats(inner, new(counters))
	switch has(s.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*stats
		}{stats: s}
	case owns:
		return &struct {
			noReset
			noTyped
			*stats
		}{stats: s}
	case resets:
		return &struct {
			noOwns
			noTyped
			*stats
		}{stats: s}
	case typed:
		return &struct {
			noOwns
			noReset
			*stats
		}{stats: s}
	case owns | resets:
		return &struct {
			noTyped
			*stats
		}{stats: s}
	case owns | typed:
		return &struct {
			noReset
			*stats
		}{stats: s}
	case resets | typed:
		return &struct {
			noOwns
			*stats
		}{stats: s}
	case owns | resets | typed:
		return s
	}
}

type stats struct {
	layer
	direct
	c *counters
}

func newStats(a galloc.Allocator, c *counters) *stats {
	s := &stats{c: c}
	s.init(a, s, true)
	s.open(s.a, &s.sizes)
	return s
}

func (s *stats) String() string { return "stats(" + nameOf(s.a) + ")" }

func (s *stats) Snapshot() Snapshot { return s.c.snapshot() }

func (s *stats) Region(f func()) Snapshot { return region(s.Snapshot, f) }

func region(snapshot func() Snapshot, f func()) Snapshot {
	before := snapshot()
	f()
	return snapshot().Sub(before)
}

// The long way, for what direct.go does not serve: as layer does it, with the hooks written
// out. Sections are in functions that are marked go:nosplit and not inlined: see package shard. What must be kept in memory across
// the two calls, of inner and for the number of the P, is little if the size is found first,
// and if a block is counted as freed after it was: the peak may be too high by a block for
// each P thereby.

//go:noinline
//go:nosplit
func (s *stats) allocLong(l galloc.Layout) unsafe.Pointer {
	n := s.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return l.Dangling()
		}
		n = s.sizes.ask(l)
	}
	p := s.alloc.Alloc(l)
	if p == nil {
		s.c.count(event{})
		return nil
	}
	k := s.c.table.Of(engine.ProcID())
	if k == nil {
		s.c.count(event{new: n})
		return p
	}
	if k.add(n) {
		s.c.flush(k)
	}
	return p
}

//go:noinline
//go:nosplit
func (s *stats) deallocLong(p unsafe.Pointer, l galloc.Layout) {
	n := s.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return
		}
		n = s.sizes.ask(l)
	}
	s.alloc.Dealloc(p, l)
	k := s.c.table.Of(engine.ProcID())
	if k == nil {
		s.c.count(event{old: n})
		return
	}
	if k.sub(n) {
		s.c.flush(k)
	}
}

//go:noinline
//go:nosplit
func (s *stats) allocateLong(l galloc.Layout) ([]byte, error) {
	n := s.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return emptyBlock(l), nil
		}
		n = s.sizes.ask(l)
	}
	b, err := s.a.Allocate(l)
	if err != nil {
		s.c.count(event{})
		return nil, err
	}
	if uintptr(len(b)) > n {
		b = s.sizes.trim(b, n)
	}
	k := s.c.table.Of(engine.ProcID())
	if k == nil {
		s.c.count(event{new: n})
		return b, nil
	}
	if k.add(n) {
		s.c.flush(k)
	}
	return b, nil
}

//go:noinline
//go:nosplit
func (s *stats) deallocateLong(p unsafe.Pointer, l galloc.Layout) {
	n := s.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return
		}
		n = s.sizes.ask(l)
	}
	s.a.Deallocate(p, l)
	k := s.c.table.Of(engine.ProcID())
	if k == nil {
		s.c.count(event{old: n})
		return
	}
	if k.sub(n) {
		s.c.flush(k)
	}
}

func (s *stats) admit(_, _ galloc.Layout) error { return nil }

func (s *stats) done(old, new galloc.Layout) {
	e := event{new: s.sizes.of(new)}
	if old.Size() != 0 {
		e.old = s.sizes.of(old)
	}
	s.c.count(e)
}

func (s *stats) failed(_, _ galloc.Layout, resize bool) {
	if !resize {
		s.c.count(event{})
	}
}

func (s *stats) freed(l galloc.Layout) { s.c.count(event{old: s.sizes.of(l)}) }

func (s *stats) forgotten() { s.c.forget() }
