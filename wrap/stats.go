package wrap

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/percpu"
)

// A Counter is an allocator that counts the calls and bytes that go through it: see [Stats] and
// [Tag].
type Counter struct {
	account
	tag *tag // nil if it was made by Stats
}

// Stats returns an allocator that takes its memory from inner and counts what goes through it:
// allocations, frees and reallocations, with their bytes and by size; failures; and the peak.
//
// Each P counts for itself, without atomic operations or locks, so a call costs the same on any
// number of Ps: almost nothing around a heap, and some 5 ns around other allocators. A Counter
// takes 11 KiB of Go memory, and 2 KiB for each P that uses it. It is safe for concurrent use if
// inner is. A nil inner means the global allocator.
func Stats(inner galloc.Allocator) *Counter { return newCounter(inner, new(counters), nil) }

func newCounter(inner galloc.Allocator, c *counters, t *tag) *Counter {
	w := &Counter{tag: t}
	w.counters = c
	w.init(inner)
	return w
}

// String names the allocator, as in "stats(heap)" or "tag cache(heap)".
func (w *Counter) String() string {
	if w.tag != nil {
		return "tag " + w.tag.name + "(" + block.Name(w.a) + ")"
	}
	return "stats(" + block.Name(w.a) + ")"
}

// Snapshot returns the counts so far; of a Counter with a tag, the counts of all allocators with
// that tag. A snapshot agrees with itself: no block is freed that was not allocated, and the
// numbers of blocks are the sums of the numbers by size. It contains all calls that returned before
// Snapshot was called. Calls that run at the same time may be in it or not, or may be counted with
// their block and without their bytes. It does not block other calls.
func (w *Counter) Snapshot() Snapshot {
	if w.tag != nil {
		return w.tag.snapshot()
	}
	return w.counters.snapshot()
}

// ReadStats implements [galloc.StatsReader] by the counts. The footprint is the footprint of the
// allocator inside, if that reports one.
func (w *Counter) ReadStats() galloc.Stats {
	s := w.Snapshot()
	stats := galloc.Stats{Live: uintptr(max(s.LiveBytes(), 0)), LiveBlocks: uint64(max(s.Live(), 0))}
	if r, ok := Find[galloc.StatsReader](w.a); ok {
		stats.Footprint = r.ReadStats().Footprint
	}
	return stats
}

// During calls f and returns the difference of the counts before and after, which includes the
// calls of other goroutines.
func (w *Counter) During(f func()) Snapshot {
	before := w.Snapshot()
	f()
	return w.Snapshot().Sub(before)
}

// AfterReset counts all live blocks as freed. [galloc.Reset] calls it, after it has reset the
// allocator inside.
func (w *Counter) AfterReset() { w.counters.forget() }

// The methods below have a section: see package percpu. A P with a number of percpu.Limit() or more
// has no cache, so Pop and Push fail there.

// Alloc is part of [galloc.GlobalAlloc].
//
//go:noinline
//go:nosplit
func (w *Counter) Alloc(l galloc.Layout) unsafe.Pointer {
	if c := uint8(l.SizeClass()); c != 0 && w.heap != nil {
		id := percpu.ID()
		if k := w.counters.table.At(id); k != nil {
			if p := w.heap.Enter(id).Pop(c); p != nil {
				if k.addTo(w.info[c]) {
					w.counters.flush(k)
				}
				return p
			}
		}
	}
	return w.allocSlow(l)
}

// Dealloc is part of [galloc.GlobalAlloc].
//
//go:noinline
//go:nosplit
func (w *Counter) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if c := uint8(l.SizeClass()); c != 0 && w.heap != nil {
		id := percpu.ID()
		if k := w.counters.table.At(id); k != nil && w.heap.Enter(id).Push(c, p) {
			if k.subFrom(w.info[c]) {
				w.counters.flush(k)
			}
			return
		}
	}
	w.deallocSlow(p, l)
}

// Allocate is part of [galloc.Allocator].
//
//go:noinline
//go:nosplit
func (w *Counter) Allocate(l galloc.Layout) ([]byte, error) {
	if c := uint8(l.SizeClass()); c != 0 && w.heap != nil {
		id := percpu.ID()
		if k := w.counters.table.At(id); k != nil {
			if p := w.heap.Enter(id).Pop(c); p != nil {
				if k.addTo(w.info[c]) {
					w.counters.flush(k)
				}
				return w.bytes(p, c), nil
			}
		}
	}
	return w.allocateSlow(l)
}

// Deallocate is part of [galloc.Allocator].
func (w *Counter) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if w.heap != nil {
		w.Dealloc(p, l) // both interfaces of a heap have the same blocks
		return
	}
	w.deallocateSlow(p, l)
}
