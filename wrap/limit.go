package wrap

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/percpu"
)

// A Limiter is an allocator that limits the bytes in use: see [Limit].
type Limiter struct {
	account
	b budget
}

// Limit returns an allocator that takes its memory from inner and fails with
// [galloc.ErrLimit] rather than have more than limit bytes in use. A limit of 0 means none.
// The limit is exact: it is never exceeded, however many goroutines allocate at once, and a call
// fails only if it would be exceeded.
//
// A block counts for the bytes that it occupies, as inner reports by UsableSize, or for the bytes
// asked for if inner has no such method. A block of the global allocator counts for the bytes that
// Global.GoodSize returns. Other memory that inner needs does not count: metadata, unused parts of
// pages, and the second copy of a block that moves.
//
// Each P takes up to 64 KiB of the rest in advance, and all Ps together up to a sixteenth of the
// limit, so that most calls share no data between Ps: a call costs almost nothing around a heap,
// and some 5 ns around other allocators. The first call that would fail takes those bytes back,
// which stops the world for some 10 µs; for the next 4096 calls, and under limits below 16 KiB for
// each P, every call changes one shared number.
//
// The HardLimit of a heap is the other way to bound memory:
//
//	             Limit                             heap.Options.HardLimit
//	bounds       the blocks of one part            all that a heap takes from the system
//	counts       bytes in use                      pages with memory: in use, free, for metadata
//	freed bytes  can be allocated again at once    count until their pages are returned
//	at the limit fails                             returns unused pages, calls OnSoftLimit, fails
//	set it for   a cache, a tenant, a request      the process, below the limit of its container
//
// A program may have both: a hard limit, so that the system does not kill it, and limits for the
// parts that can do with less.
//
// A Limiter is safe for concurrent use if inner is. A nil inner means the global allocator.
func Limit(inner galloc.Allocator, limit uintptr) *Limiter {
	w := &Limiter{}
	w.budget = &w.b
	w.init(inner)
	w.b.set(limit)
	return w
}

// String names the allocator, as in "limit 1048576(heap)".
func (w *Limiter) String() string { return fmt.Sprintf("limit %d(%s)", w.Limit(), block.Name(w.a)) }

// Used returns the number of bytes in use, which is never negative. It is exact if no other
// goroutine uses the allocator at the same time.
func (w *Limiter) Used() uintptr { return w.b.used() }

// Limit returns the limit in bytes, 0 if there is none.
func (w *Limiter) Limit() uintptr { return w.b.get() }

// SetLimit sets the limit in bytes, 0 for none. If more is in use, allocations fail until enough is
// freed. It stops the world for some 10 µs.
func (w *Limiter) SetLimit(limit uintptr) { w.b.set(limit) }

// Refusal returns the error of the allocation that failed last: [galloc.ErrLimit] if the limit
// would have been exceeded, and otherwise what the allocator inside says. See
// [galloc.GlobalRefusal].
func (w *Limiter) Refusal() error {
	if w.b.refused.Load() {
		return galloc.ErrLimit
	}
	return bridge.Refusal(w.a)
}

// AfterReset makes the whole limit available again. [galloc.Reset] calls it, after it has reset the
// allocator inside.
func (w *Limiter) AfterReset() { w.b.forget() }

// The methods below have a section: see package percpu. They pay for a block out of the credit of
// the P: before it is taken out of the cache there must be enough credit, and after it is put
// there, it is credit again.

// Alloc is part of [galloc.GlobalAlloc].
//
//go:noinline
//go:nosplit
func (w *Limiter) Alloc(l galloc.Layout) unsafe.Pointer {
	if c := uint8(l.SizeClass()); c != 0 && w.heap != nil {
		id := percpu.ID()
		if k := w.b.table.At(id); k != nil && k.left >= w.info[c].size {
			if p := w.heap.Enter(id).Pop(c); p != nil {
				k.left -= w.info[c].size
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
func (w *Limiter) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if c := uint8(l.SizeClass()); c != 0 && w.heap != nil {
		id := percpu.ID()
		if k := w.b.table.At(id); k != nil && k.left+w.info[c].size <= k.max && w.heap.Enter(id).Push(c, p) {
			k.left += w.info[c].size
			return
		}
	}
	w.deallocSlow(p, l)
}

// Allocate is part of [galloc.Allocator].
//
//go:noinline
//go:nosplit
func (w *Limiter) Allocate(l galloc.Layout) ([]byte, error) {
	if c := uint8(l.SizeClass()); c != 0 && w.heap != nil {
		id := percpu.ID()
		if k := w.b.table.At(id); k != nil && k.left >= w.info[c].size {
			if p := w.heap.Enter(id).Pop(c); p != nil {
				k.left -= w.info[c].size
				return w.bytes(p, c), nil
			}
		}
	}
	return w.allocateSlow(l)
}

// Deallocate is part of [galloc.Allocator].
func (w *Limiter) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if w.heap != nil {
		w.Dealloc(p, l) // both interfaces of a heap have the same blocks
		return
	}
	w.deallocateSlow(p, l)
}
