package wrap

import (
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/galloc-go/galloc"
)

// Tagged is a wrapper that counts for a purpose: see [Tag].
type Tagged interface {
	Counting
	// Tag returns the name. Snapshot and Region are about all allocators with it.
	Tag() string
}

// Tag returns an allocator that counts what goes through it as [Stats] does, together with all
// others of that tag: so a program sees what its memory is for, by [Tags]. Blocks have no
// header, and know nothing of their tag: what was allocated through one tag must be freed
// through it.
//
// A tag exists from its first use on, for good, and costs 11 KiB of Go memory, and 2 KiB for
// each P that uses it; a wrapper around a [galloc.Resetter] as much again, until it is
// collected. The other costs are those of Stats.
func Tag(inner galloc.Allocator, name string) Tagged {
	t := tagOf(name)
	w := &tagged{tag: t}
	w.c = &t.counters
	w.init(inner, &w.stats, true)
	w.open(w.a, &w.sizes)
	if has(w.a)&resets != 0 {
		// A Reset must know what is this allocator's.
		w.c = new(counters)
		t.mu.Lock()
		t.apart = append(t.apart, w.c)
		t.mu.Unlock()
		runtime.AddCleanup(w, t.retire, w.c)
	}
	switch has(w.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*tagged
		}{tagged: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*tagged
		}{tagged: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*tagged
		}{tagged: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*tagged
		}{tagged: w}
	case owns | resets:
		return &struct {
			noTyped
			*tagged
		}{tagged: w}
	case owns | typed:
		return &struct {
			noReset
			*tagged
		}{tagged: w}
	case resets | typed:
		return &struct {
			noOwns
			*tagged
		}{tagged: w}
	case owns | resets | typed:
		return w
	}
}

type tagged struct {
	stats
	tag *tag
}

func (w *tagged) String() string { return "tag " + w.tag.name + "(" + nameOf(w.a) + ")" }

func (w *tagged) Tag() string { return w.tag.name }

func (w *tagged) Snapshot() Snapshot { return w.tag.snapshot() }

func (w *tagged) Region(f func()) Snapshot { return region(w.Snapshot, f) }

// Tags returns all tags in the order of their names, each with what has been counted for it.
// The peak of a tag whose allocators have a Reset is the sum of the peaks of those.
func Tags() iter.Seq2[string, Snapshot] {
	return func(yield func(string, Snapshot) bool) {
		tags.Lock()
		all := slices.SortedFunc(maps.Values(tags.m), func(a, b *tag) int {
			if a.name < b.name {
				return -1
			}
			return 1
		})
		tags.Unlock()
		for _, t := range all {
			if !yield(t.name, t.snapshot()) {
				return
			}
		}
	}
}

// tag is what the wrappers of one name share. What has been counted for it is the sum of
// counters, apart and retired.
type tag struct {
	name     string
	counters counters

	mu      sync.Mutex
	apart   []*counters // of allocators that can be reset
	retired Snapshot    // of those that are gone
}

var tags struct {
	sync.Mutex
	m map[string]*tag
}

func tagOf(name string) *tag {
	tags.Lock()
	defer tags.Unlock()
	t := tags.m[name]
	if t == nil {
		t = &tag{name: name}
		if tags.m == nil {
			tags.m = map[string]*tag{}
		}
		tags.m[name] = t
	}
	return t
}

func (t *tag) snapshot() Snapshot {
	s := t.counters.snapshot()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.add(&t.retired, 1)
	for _, c := range t.apart {
		o := c.snapshot()
		s.add(&o, 1)
	}
	return s
}

// retire keeps what c has counted, whose allocator is gone, but not c.
func (t *tag) retire(c *counters) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apart = slices.DeleteFunc(t.apart, func(o *counters) bool { return o == c })
	o := c.snapshot()
	t.retired.add(&o, 1)
}
