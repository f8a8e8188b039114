package workload

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/stopwatch"
)

// A slot holds a block, or is empty: then p is nil. Slots are Go memory, so that blocks on Go's own
// heap stay alive.
type slot struct {
	p unsafe.Pointer
	l galloc.Layout // of the block in the slot, or of the last one
}

// newSlots returns n empty slots that have been touched.
func newSlots(n int) []slot {
	s := make([]slot, n)
	clear(s) // make leaves fresh memory untouched
	return s
}

// minAlign is the alignment of blocks unless specified otherwise.
const minAlign = 8

// A thread is the state of a goroutine of a workload; in larson, of successive goroutines. It is
// padded, so that no two share a cache line, or a pair of lines that the processor fetches
// together.
type thread struct {
	id     int
	rng    rng
	allocs uint64 // allocations so far
	bytes  uint64 // requested by them
	ops    uint64 // operations while the clock ran
	sum    uint64 // of the bytes read, so that the compiler keeps the reads

	// The calls of the allocator: galloc's functions or, with latency=1 and while the clock runs,
	// functions that time them.
	alloc  func(galloc.Layout) unsafe.Pointer
	zeroed func(galloc.Layout) unsafe.Pointer
	free   func(unsafe.Pointer, galloc.Layout)
	// The layout is of the block; the size is the new one.
	realloc func(unsafe.Pointer, galloc.Layout, uintptr) unsafe.Pointer

	_ [128]byte
}

// get allocates a block of the layout l. Its size is a parameter too, because that makes get cheap
// enough to be inlined. If the allocation fails, it panics with a failure, which ends the workload.
func (t *thread) get(size uintptr, l galloc.Layout) (p unsafe.Pointer) {
	t.allocs++
	t.bytes += uint64(size)
	if p = t.alloc(l); p == nil {
		panic(errOutOfMemory)
	}
	return
}

// getZeroed is like get, but the bytes of the block are zero.
func (t *thread) getZeroed(size uintptr, l galloc.Layout) (p unsafe.Pointer) {
	t.allocs++
	t.bytes += uint64(size)
	if p = t.zeroed(l); p == nil {
		panic(errOutOfMemory)
	}
	return
}

// resize changes the size of the block at p, and counts as an allocation of the new size.
func (t *thread) resize(p unsafe.Pointer, l galloc.Layout, size uintptr) unsafe.Pointer {
	t.allocs++
	t.bytes += uint64(size)
	if p = t.realloc(p, l, size); p == nil {
		panic(errOutOfMemory)
	}
	return p
}

// fill puts a block of size bytes into s. Use it where the cost of a call does not matter.
func (t *thread) fill(s *slot, size uintptr) unsafe.Pointer {
	l, _ := galloc.NewLayout(size, minAlign)
	s.p, s.l = t.get(size, l), l
	return s.p
}

// empty frees the block in s, if any. Use it where the cost of a call does not matter.
func (t *thread) empty(s *slot) {
	if s.p != nil {
		t.free(s.p, s.l)
		s.p = nil
	}
}

// emptyAll empties slots in ascending order.
func (t *thread) emptyAll(slots []slot) {
	for i := range slots { // the body of empty, which is not inlined
		if s := &slots[i]; s.p != nil {
			t.free(s.p, s.l)
			s.p = nil
		}
	}
}

// byteAt returns the byte at an offset in a block.
func byteAt(p unsafe.Pointer, offset uintptr) *byte {
	// SAFETY: the callers stay within the size that the block at p was allocated with.
	return (*byte)(unsafe.Add(p, offset))
}

// bytesOf returns a block as a slice.
func bytesOf(p unsafe.Pointer, size uintptr) []byte {
	// SAFETY: the callers pass at most the size that the block at p was allocated with.
	return unsafe.Slice((*byte)(p), size)
}

// A failure ends a workload: a thread panics with it, and Run returns it.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

var errOutOfMemory = &failure{
	"workload: an allocation failed: out of memory (make the workload smaller, or raise the allocator's limit)",
}

func failf(format string, args ...any) *failure {
	return &failure{fmt.Sprintf("workload: "+format, args...)}
}

// directAlloc and directDealloc are the functions that galloc.Alloc and galloc.Dealloc call when
// the compiler inlines them. It cannot inline them through a variable, and a program that calls
// them by name does not pay for a function in between.
var (
	// SAFETY: the functions of the engine take the three numbers that a Layout consists of, in
	// their order, and Go passes a struct as it passes its fields.
	directAlloc   = *(*func(galloc.Layout) unsafe.Pointer)(unsafe.Pointer(&engine.FastAlloc))
	directDealloc = *(*func(unsafe.Pointer, galloc.Layout))(unsafe.Pointer(&engine.FastFree))
)

// plain sets the calls of t to the functions of the allocator.
func (t *thread) plain(free func(unsafe.Pointer, galloc.Layout)) {
	t.alloc, t.zeroed, t.free, t.realloc = directAlloc, galloc.AllocZeroed, free, galloc.Realloc
}

// timed sets the calls of t to functions that time the allocator by c.
func (t *thread) timed(c *timer) {
	t.alloc, t.zeroed, t.free, t.realloc = c.timeAlloc, c.timeZeroed, c.timeFree, c.timeRealloc
}

// A timer counts the durations of the calls of one thread, in ticks.
type timer struct {
	histogram stopwatch.Histogram
	overhead  uint64
	free      func(unsafe.Pointer, galloc.Layout)
}

func (c *timer) add(start, end uint64) {
	c.histogram.Add(uint64(max(int64(end-start-c.overhead), 0)))
}

func (c *timer) timeAlloc(l galloc.Layout) unsafe.Pointer {
	start := stopwatch.Now()
	p := galloc.Alloc(l)
	c.add(start, stopwatch.Now())
	return p
}

func (c *timer) timeZeroed(l galloc.Layout) unsafe.Pointer {
	start := stopwatch.Now()
	p := galloc.AllocZeroed(l)
	c.add(start, stopwatch.Now())
	return p
}

func (c *timer) timeFree(p unsafe.Pointer, l galloc.Layout) {
	start := stopwatch.Now()
	c.free(p, l)
	c.add(start, stopwatch.Now())
}

func (c *timer) timeRealloc(p unsafe.Pointer, l galloc.Layout, size uintptr) unsafe.Pointer {
	start := stopwatch.Now()
	p = galloc.Realloc(p, l, size)
	c.add(start, stopwatch.Now())
	return p
}
