package heapprof

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/galloc-go/galloc/internal/pprof"
	"github.com/galloc-go/galloc/internal/stacks"
)

// A Profile is the state of a [Profiler] at a moment, or the difference of two states.
type Profile struct {
	Time     time.Time     // when it was taken
	Duration time.Duration // since the Profiler was made, or since the earlier of two profiles
	Rate     int           // mean number of bytes from one sample to the next
	Sites    []Site        // most bytes in use first, then most bytes allocated
}

// A Site is the estimates of the allocations with one stack. All are rounded to a whole number. In
// a difference, the figures in use may be negative.
type Site struct {
	Stack        []uintptr // the latest call first, as [runtime.Callers] returns it
	Samples      int64     // on which the first two figures are based; in Leaks, all
	AllocObjects int64     // number of blocks allocated
	AllocBytes   int64
	InUseObjects int64 // number of blocks allocated and not freed
	InUseBytes   int64
}

// Place returns the latest call in the program itself: not in galloc, and not in Go's standard
// library. If there is none, it returns the latest call, or the zero Frame if no stack was kept.
func (s *Site) Place() runtime.Frame { return stacks.Stack(s.Stack).Place() }

// Profile returns the estimates of all allocations so far.
func (p *Profiler) Profile() *Profile {
	return p.view(func(s *site) Site {
		return Site{
			Samples:      int64(s.samples),
			AllocObjects: round(s.allocObjects), AllocBytes: round(s.allocBytes),
			InUseObjects: round(s.allocObjects - s.freedObjects), InUseBytes: round(s.allocBytes - s.freedBytes),
		}
	})
}

// Peak returns the blocks in use at the moment when most bytes were, as InUseObjects and
// InUseBytes. The other figures are 0.
func (p *Profiler) Peak() *Profile {
	return p.view(func(s *site) Site {
		if s.epoch == p.epoch {
			return Site{InUseObjects: round(s.peakObjects), InUseBytes: round(s.peakBytes)}
		}
		return Site{InUseObjects: round(s.allocObjects - s.freedObjects), InUseBytes: round(s.allocBytes - s.freedBytes)}
	})
}

// Temporary returns the blocks that were freed before n others were allocated, as AllocObjects and
// AllocBytes; with n = 1, before any other was. The figures in use are 0. n is rounded down to a
// power of two.
func (p *Profiler) Temporary(n uint64) *Profile {
	return p.view(func(s *site) Site {
		var sum life
		for _, l := range s.lives[:min(len(s.lives), bits.Len64(n))] {
			sum.samples += l.samples
			sum.objects += l.objects
			sum.bytes += l.bytes
		}
		return Site{Samples: int64(sum.samples), AllocObjects: round(sum.objects), AllocBytes: round(sum.bytes)}
	})
}

// Mark returns the number of the last sample, for Leaks.
func (p *Profiler) Mark() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.number
}

// Leaks returns the blocks that were allocated since the given Mark, or ever if that is 0, and are
// still allocated. The figures of allocations are the same as the figures in use.
func (p *Profiler) Leaks(mark uint64) *Profile {
	type sum struct {
		samples        int64
		objects, bytes float64
	}
	sums := map[*site]sum{}
	return p.viewAfter(func() {
		for _, r := range p.records {
			if r.number > mark {
				s := sums[r.site]
				sums[r.site] = sum{s.samples + 1, s.objects + r.weight, s.bytes + r.weight*float64(r.bytes)}
			}
		}
	}, func(s *site) Site {
		t := sums[s]
		objects, bytes := round(t.objects), round(t.bytes)
		return Site{
			Samples: t.samples, AllocObjects: objects, AllocBytes: bytes, InUseObjects: objects, InUseBytes: bytes,
		}
	})
}

func round(x float64) int64 { return int64(math.Round(x)) }

// view returns the profile of what f returns for each site. p is locked while f is called.
func (p *Profiler) view(f func(*site) Site) *Profile { return p.viewAfter(func() {}, f) }

// viewAfter is view that calls first before f, while p is locked.
func (p *Profiler) viewAfter(first func(), f func(*site) Site) *Profile {
	now := time.Now()
	profile := &Profile{Time: now, Duration: now.Sub(p.began), Rate: p.Rate()}
	var ids []stacks.ID
	p.mu.Lock()
	first()
	for id, s := range p.sites {
		if v := f(s); !v.empty() {
			profile.Sites = append(profile.Sites, v)
			ids = append(ids, id)
		}
	}
	p.mu.Unlock()
	for i, id := range ids {
		profile.Sites[i].Stack = p.stacks.Get(id)
	}
	profile.sort()
	return profile
}

// empty reports whether all figures are 0.
func (s *Site) empty() bool {
	return s.AllocObjects == 0 && s.AllocBytes == 0 && s.InUseObjects == 0 && s.InUseBytes == 0
}

func (p *Profile) sort() {
	slices.SortStableFunc(p.Sites, func(a, b Site) int {
		return cmp.Or(cmp.Compare(b.InUseBytes, a.InUseBytes), cmp.Compare(b.AllocBytes, a.AllocBytes),
			slices.Compare(a.Stack, b.Stack))
	})
}

// Sub returns the growth from an earlier Profile of the same Profiler to p. Sites without a change
// are left out.
func (p *Profile) Sub(earlier *Profile) *Profile {
	was := map[string]*Site{}
	key := func(s *Site) string { return fmt.Sprint(s.Stack) }
	for i := range earlier.Sites {
		s := &earlier.Sites[i]
		was[key(s)] = s
	}
	d := &Profile{Time: p.Time, Duration: p.Time.Sub(earlier.Time), Rate: p.Rate}
	add := func(s Site) {
		if !s.empty() {
			d.Sites = append(d.Sites, s)
		}
	}
	for _, s := range p.Sites {
		k := key(&s)
		if w := was[k]; w != nil {
			s.subtract(w)
			delete(was, k)
		}
		add(s)
	}
	for _, w := range was { // which p does not have, since all figures are 0
		s := Site{Stack: w.Stack}
		s.subtract(w)
		add(s)
	}
	d.sort()
	return d
}

func (s *Site) subtract(o *Site) {
	s.Samples -= o.Samples
	s.AllocObjects -= o.AllocObjects
	s.AllocBytes -= o.AllocBytes
	s.InUseObjects -= o.InUseObjects
	s.InUseBytes -= o.InUseBytes
}

// String returns a table with a line for each site: the figures, and the place in the program.
func (p *Profile) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%14s %12s %14s %12s  one sample in %d bytes\n", "in use: bytes", "objects", "alloc: bytes", "objects", p.Rate)
	for i := range p.Sites {
		s := &p.Sites[i]
		place := "without a stack"
		if f := s.Place(); f.Function != "" {
			place = fmt.Sprintf("%s %s:%d", f.Function, f.File, f.Line)
		}
		fmt.Fprintf(&b, "%14d %12d %14d %12d  %s\n", s.InUseBytes, s.InUseObjects, s.AllocBytes, s.AllocObjects, place)
	}
	return b.String()
}

// WriteTo writes p in the format of go tool pprof: a gzipped protocol buffer. It has the names of
// functions, files and lines, so that the tool does not need the program; and on Linux the mappings
// of the program with their build IDs.
func (p *Profile) WriteTo(w io.Writer) (int64, error) {
	e := pprof.Profile{
		Types: [][2]string{
			{"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"}, {"inuse_space", "bytes"},
		},
		Default: "inuse_space", Time: p.Time, Duration: p.Duration, Period: p.Rate,
		Samples: make([]pprof.Sample, len(p.Sites)),
	}
	for i := range p.Sites {
		s := &p.Sites[i]
		e.Samples[i] = pprof.Sample{
			Stack: s.Stack, Values: []int64{s.AllocObjects, s.AllocBytes, s.InUseObjects, s.InUseBytes},
		}
	}
	return e.WriteTo(w)
}
