package trace

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Recorder is an allocator that writes a trace of what is asked of it, and passes every
// call on to another allocator. It has the optional methods that have a default, so that the
// other's are used; Owns, Reset and typed memory it does not pass on. To record what goes
// through the global allocator, register it:
//
//	rec := trace.Record(galloc.System, w)
//	galloc.RegisterGlobal(galloc.AsGlobal(rec))
//
// The goroutines are the threads of the trace, in the order of their first call. Calls are
// done one after the other, under a lock, so that the order recorded is one in which they
// can have happened. Calls that fail are not recorded, nor are blocks that were allocated
// before or otherwise than through the Recorder. What the format has no words for is
// written as the nearest thing: AllocateZeroed with an alignment that malloc does not give
// is an aligned allocation, and a Grow or Shrink that needs more alignment than the block
// has is an allocation followed by a free.
//
// A Recorder is safe for concurrent use. It costs some microseconds per call, and memory on
// the Go heap for every live block.
type Recorder struct {
	a       galloc.Allocator
	mu      sync.Mutex
	w       *Writer
	err     error
	born    uint64
	closed  bool
	live    map[uintptr]recorded // by address, as a number: a record keeps no block of the Go heap alive
	empty   []uint64             // live objects of size 0, which have no address of their own
	threads map[uint64]int       // by goroutine
}

// recorded is a live object as recorded: its number, and the alignment that a replay gives it.
type recorded struct {
	id    uint64
	align uint64
}

var (
	_ galloc.ZeroedAllocator = (*Recorder)(nil)
	_ galloc.Grower          = (*Recorder)(nil)
	_ galloc.Shrinker        = (*Recorder)(nil)
	_ galloc.Resizer         = (*Recorder)(nil)
	_ galloc.UsableSizer     = (*Recorder)(nil)
)

// Record returns a Recorder that takes its memory from a and writes the trace to w, which
// must not be used otherwise until the Recorder is closed.
func Record(a galloc.Allocator, w *Writer) *Recorder {
	return &Recorder{a: a, w: w, live: map[uintptr]recorded{}, threads: map[uint64]int{}}
}

// Close ends the recording, closes the Writer, and returns the first error that writing
// has met. The Recorder still passes calls on.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.live, r.empty, r.threads = nil, nil, nil
		if err := r.w.Close(); r.err == nil {
			r.err = err
		}
	}
	return r.err
}

// Allocate allocates from the other allocator.
func (r *Recorder) Allocate(l galloc.Layout) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := r.a.Allocate(l)
	if err == nil {
		r.birth(Op{Kind: Malloc}, b, l)
	}
	return b, err
}

// AllocateZeroed allocates from the other allocator.
func (r *Recorder) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := galloc.AllocateZeroed(r.a, l)
	if err == nil {
		r.birth(Op{Kind: Calloc}, b, l)
	}
	return b, err
}

// Deallocate gives the block back to the other allocator.
func (r *Recorder) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.death(p, l.Size())
	r.a.Deallocate(p, l)
}

// Grow asks the other allocator to grow the block.
func (r *Recorder) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return r.change(galloc.Grow, p, old, new)
}

// GrowZeroed asks the other allocator to grow the block.
func (r *Recorder) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return r.change(galloc.GrowZeroed, p, old, new)
}

// Shrink asks the other allocator to shrink the block.
func (r *Recorder) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return r.change(galloc.Shrink, p, old, new)
}

// Resize asks the other allocator to resize the block where it is.
func (r *Recorder) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !galloc.Resize(r.a, p, l, newSize) {
		return false
	}
	if n, err := galloc.NewLayout(newSize, l.Align()); err == nil && newSize != l.Size() {
		r.rebirth(p, l, unsafe.Slice((*byte)(p), newSize), n)
	}
	return true
}

// UsableSize asks the other allocator.
func (r *Recorder) UsableSize(l galloc.Layout) uintptr { return galloc.UsableSize(r.a, l) }

// String names both.
func (r *Recorder) String() string { return fmt.Sprintf("recorder of %v", r.a) }

func (r *Recorder) change(
	do func(galloc.Allocator, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error),
	p unsafe.Pointer, old, new galloc.Layout,
) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := do(r.a, p, old, new)
	if err == nil {
		r.rebirth(p, old, b, new)
	}
	return b, err
}

// birth records that the block b has been allocated with layout l by op, whose other
// fields it fills in.
func (r *Recorder) birth(op Op, b []byte, l galloc.Layout) {
	if r.closed {
		return
	}
	op.Size = uint64(l.Size())
	_, align := op.Layout()
	if uint64(l.Align()) > align {
		align = uint64(l.Align())
		op.Kind, op.Align = Aligned, align
	}
	r.write(&op)
	r.keep(b, l, recorded{op.ID, align})
}

// rebirth records that the block at p has become b.
func (r *Recorder) rebirth(p unsafe.Pointer, old galloc.Layout, b []byte, new galloc.Layout) {
	if r.closed {
		return
	}
	o, known := r.take(p, old.Size())
	switch {
	case !known:
		r.birth(Op{Kind: Malloc}, b, new)
	case uint64(new.Align()) > o.align: // a realloc keeps the alignment
		r.birth(Op{Kind: Malloc}, b, new)
		r.write(&Op{Kind: Free, ID: o.id})
	default:
		op := Op{Kind: Realloc, Old: o.id, Size: uint64(new.Size())}
		r.write(&op)
		r.keep(b, new, recorded{op.ID, o.align})
	}
}

// death records that the block at p has been freed.
func (r *Recorder) death(p unsafe.Pointer, size uintptr) {
	if r.closed {
		return
	}
	if o, ok := r.take(p, size); ok {
		r.write(&Op{Kind: Free, ID: o.id})
	}
}

// FreeAll records that all live blocks have been freed, in the order that they were allocated in: for who has
// reset the other allocator.
func (r *Recorder) FreeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	ids := r.empty
	for _, o := range r.live {
		ids = append(ids, o.id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		r.write(&Op{Kind: Free, ID: id})
	}
	clear(r.live)
	r.empty = nil
}

func (r *Recorder) keep(b []byte, l galloc.Layout, o recorded) {
	if l.Size() == 0 {
		r.empty = append(r.empty, o.id)
	} else {
		r.live[uintptr(unsafe.Pointer(unsafe.SliceData(b)))] = o
	}
}

// take forgets the object at p, and returns what is known of it. Objects of size 0 are as
// good as one another: the last one is taken.
func (r *Recorder) take(p unsafe.Pointer, size uintptr) (recorded, bool) {
	if size == 0 {
		n := len(r.empty)
		if n == 0 {
			return recorded{}, false
		}
		o := recorded{r.empty[n-1], 8}
		r.empty = r.empty[:n-1]
		return o, true
	}
	o, ok := r.live[uintptr(p)]
	delete(r.live, uintptr(p))
	return o, ok
}

// write writes op, with the number of the thread and, if it gives an object, of that.
func (r *Recorder) write(op *Op) {
	g := goroutine()
	thread, ok := r.threads[g]
	if !ok {
		thread = len(r.threads)
		r.threads[g] = thread
	}
	op.Thread = thread
	if op.Kind != Free {
		r.born++
		op.ID = r.born
	}
	if err := r.w.Write(*op); r.err == nil {
		r.err = err
	}
}

// goroutine returns the number of the calling goroutine. The runtime tells it nowhere but
// in the first line of a stack trace, "goroutine 7 [running]:".
func goroutine() uint64 {
	var buf [64]byte
	line := buf[len("goroutine "):runtime.Stack(buf[:], false)]
	if i := bytes.IndexByte(line, ' '); i > 0 {
		if id, err := strconv.ParseUint(string(line[:i]), 10, 64); err == nil {
			return id
		}
	}
	return 0
}
