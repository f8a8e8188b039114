package wrap

import (
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/galloc-go/galloc"
)

// Tag returns a Counter, as [Stats] does, that counts together with all other Counters of the same
// tag. So a program whose parts each have a tag can see, with [Tags], what its memory is used for.
//
// A block has no header and does not know its tag: it must be freed through the tag that allocated
// it. A tag exists from its first use until the program ends, and takes 11 KiB of Go memory, and 2
// KiB for each P that uses it. A Counter whose inner allocator can be reset takes as much again,
// until it is garbage. Otherwise it costs the same as Stats. A nil inner means the global
// allocator.
func Tag(inner galloc.Allocator, name string) *Counter {
	t := tagOf(name)
	if _, ok := Find[galloc.Resetter](inner); !ok {
		return newCounter(inner, &t.counters, t)
	}
	// AfterReset must know which blocks are this allocator's.
	c := new(counters)
	w := newCounter(inner, c, t)
	t.mu.Lock()
	t.apart = append(t.apart, c)
	t.mu.Unlock()
	runtime.AddCleanup(w, t.retire, c)
	return w
}

// Tag returns the tag, or "" if the Counter was made by [Stats].
func (w *Counter) Tag() string {
	if w.tag == nil {
		return ""
	}
	return w.tag.name
}

// Tags returns an iterator over all tags, in the order of their names, and what has been counted
// for each. The peak of a tag with allocators that can be reset is the sum of their peaks.
func Tags() iter.Seq2[string, Snapshot] {
	return func(yield func(string, Snapshot) bool) {
		tags.Lock()
		all := slices.SortedFunc(maps.Values(tags.m), func(a, b *tag) int { return strings.Compare(a.name, b.name) })
		tags.Unlock()
		for _, t := range all {
			if !yield(t.name, t.snapshot()) {
				return
			}
		}
	}
}

// tag is the shared part of the Counters with one tag. Its counts are the sum of counters, apart
// and retired.
type tag struct {
	name     string
	counters counters

	mu      sync.Mutex
	apart   []*counters // of allocators that can be reset
	retired Snapshot    // of allocators that could be reset and are garbage now
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

// retire keeps the counts of c, whose allocator is garbage, but not c itself.
func (t *tag) retire(c *counters) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.apart = slices.DeleteFunc(t.apart, func(o *counters) bool { return o == c })
	o := c.snapshot()
	t.retired.add(&o, 1)
}
