package wrap

import (
	"bytes"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/trace"
)

// A Tracer is an allocator that records a trace of its calls: see [Trace].
type Tracer struct {
	inner
	mu     sync.Mutex
	w      *trace.Writer
	err    error // the first that writing returned
	closed bool
	born   uint64 // the number of objects so far

	live    map[uintptr]object // by address, a number, so that it keeps no block alive
	empty   []uint64           // live objects of size 0, which have no address that is theirs alone
	threads map[uint64]int     // by goroutine
}

// object is a live object of the trace: its number, and the alignment of it in a replay.
type object struct {
	id    uint64
	align uint64
}

// Trace returns an allocator that takes its memory from inner, and writes its calls to out as a
// trace, which package trace reads and the command "galloc replay" runs. End the trace with Close.
// To record the use of the global allocator, register a Tracer that has another allocator inside:
//
//	tracer := wrap.Trace(galloc.System, file)
//	galloc.RegisterGlobal(tracer)
//
// Goroutines are the threads of the trace, in the order of their first calls. The Tracer makes one
// call at a time, so that the recorded order is one in which they can have happened. It does not
// record
//
//   - calls that fail,
//   - blocks that were allocated before, or otherwise than through the Tracer,
//   - memory for typed values, and blocks of size 0 of the [galloc.GlobalAlloc] methods.
//
// Where the format has no word for a call, the trace has the nearest thing: AllocateZeroed with a
// larger alignment than malloc guarantees is an aligned allocation; a Grow or Shrink to a larger
// alignment than the block has is an allocation followed by a free; a Reset is a free of each
// block.
//
// A Tracer is safe for concurrent use. It costs some microseconds for each call, and Go memory for
// each live block. A nil inner means the global allocator.
func Trace(inner galloc.Allocator, out io.Writer) *Tracer {
	return &Tracer{
		inner: resolve(inner), w: trace.NewWriter(out),
		live: map[uintptr]object{}, threads: map[uint64]int{},
	}
}

// Close ends the trace and returns the first error of writing it. The allocator can still be used.
func (t *Tracer) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		t.live, t.empty, t.threads = nil, nil, nil
		if err := t.w.Close(); t.err == nil {
			t.err = err
		}
	}
	return t.err
}

// String names the allocator, as in "trace(heap)".
func (t *Tracer) String() string { return "trace(" + block.Name(t.a) + ")" }

// Alloc is part of [galloc.GlobalAlloc].
func (t *Tracer) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return address(t.Allocate(l))
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (t *Tracer) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return address(t.AllocateZeroed(l))
}

// Realloc implements [galloc.GlobalRealloc].
func (t *Tracer) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	to, err := galloc.NewLayout(newSize, l.Align())
	switch {
	case err != nil:
		return nil
	case l.Size() == 0:
		return t.Alloc(to)
	case newSize == 0:
		t.Dealloc(p, l)
		return to.Dangling()
	case newSize < l.Size():
		return address(t.Shrink(p, l, to))
	}
	return address(t.Grow(p, l, to))
}

// Dealloc is part of [galloc.GlobalAlloc].
func (t *Tracer) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		t.Deallocate(p, l)
	}
}

// Allocate is part of [galloc.Allocator].
func (t *Tracer) Allocate(l galloc.Layout) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := t.a.Allocate(l)
	if err == nil {
		t.birth(trace.Op{Kind: trace.Malloc}, b, l)
	}
	return b, err
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (t *Tracer) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := galloc.AllocateZeroed(t.a, l)
	if err == nil {
		t.birth(trace.Op{Kind: trace.Calloc}, b, l)
	}
	return b, err
}

// Deallocate is part of [galloc.Allocator].
func (t *Tracer) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.death(p, l.Size())
	t.a.Deallocate(p, l)
}

// Grow is part of [galloc.Grower].
func (t *Tracer) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/wrap", old.Size(), to.Size())
	return t.change(galloc.Grow, p, old, to)
}

// GrowZeroed is part of [galloc.Grower].
func (t *Tracer) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/wrap", old.Size(), to.Size())
	return t.change(galloc.GrowZeroed, p, old, to)
}

// Shrink implements [galloc.Shrinker].
func (t *Tracer) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/wrap", old.Size(), to.Size())
	return t.change(galloc.Shrink, p, old, to)
}

func (t *Tracer) change(do changeFunc, p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := do(t.a, p, old, to)
	if err == nil {
		t.rebirth(p, old, b, to)
	}
	return b, err
}

// Resize implements [galloc.Resizer].
func (t *Tracer) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !galloc.Resize(t.a, p, l, newSize) {
		return false
	}
	if to, err := galloc.NewLayout(newSize, l.Align()); err == nil && newSize != l.Size() {
		t.rebirth(p, l, block.Bytes(p, newSize), to)
	}
	return true
}

// UsableSize implements [galloc.UsableSizer].
func (t *Tracer) UsableSize(l galloc.Layout) uintptr { return galloc.UsableSize(t.a, l) }

// Owns reports whether p is the address of a block of the allocator inside: see [galloc.Owns].
func (t *Tracer) Owns(p unsafe.Pointer) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return galloc.Owns(t.a, p)
}

// AllocateTyped implements [galloc.TypedAllocator], if the allocator inside does: see
// [galloc.HoldsPointers].
func (t *Tracer) AllocateTyped(typ reflect.Type, n int) (unsafe.Pointer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return galloc.AllocateTyped(t.a, typ, n)
}

// AfterReset records a free of each live block, in the order of their allocation. [galloc.Reset]
// calls it, after it has reset the allocator inside.
func (t *Tracer) AfterReset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	ids := t.empty
	for _, o := range t.live {
		ids = append(ids, o.id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		t.write(&trace.Op{Kind: trace.Free, ID: id})
	}
	clear(t.live)
	t.empty = nil
}

// birth records that block b was allocated with layout l by op. It sets the other fields of op.
func (t *Tracer) birth(op trace.Op, b []byte, l galloc.Layout) {
	if t.closed {
		return
	}
	op.Size = uint64(l.Size())
	_, align := op.Layout()
	if uint64(l.Align()) > align {
		align = uint64(l.Align())
		op.Kind, op.Align = trace.Aligned, align
	}
	t.write(&op)
	t.keep(b, l, object{op.ID, align})
}

// rebirth records that the block at p has become b.
func (t *Tracer) rebirth(p unsafe.Pointer, old galloc.Layout, b []byte, to galloc.Layout) {
	if t.closed {
		return
	}
	o, known := t.take(p, old.Size())
	switch {
	case !known:
		t.birth(trace.Op{Kind: trace.Malloc}, b, to)
	case uint64(to.Align()) > o.align: // a realloc of the format keeps the alignment
		t.birth(trace.Op{Kind: trace.Malloc}, b, to)
		t.write(&trace.Op{Kind: trace.Free, ID: o.id})
	default:
		op := trace.Op{Kind: trace.Realloc, Old: o.id, Size: uint64(to.Size())}
		t.write(&op)
		t.keep(b, to, object{op.ID, o.align})
	}
}

// death records that the block at p was freed.
func (t *Tracer) death(p unsafe.Pointer, size uintptr) {
	if t.closed {
		return
	}
	if o, ok := t.take(p, size); ok {
		t.write(&trace.Op{Kind: trace.Free, ID: o.id})
	}
}

func (t *Tracer) keep(b []byte, l galloc.Layout, o object) {
	if l.Size() == 0 {
		t.empty = append(t.empty, o.id)
	} else {
		t.live[uintptr(unsafe.Pointer(unsafe.SliceData(b)))] = o
	}
}

// take removes the object at p and returns it. Objects of size 0 are all alike: it takes the last.
func (t *Tracer) take(p unsafe.Pointer, size uintptr) (object, bool) {
	if size == 0 {
		n := len(t.empty)
		if n == 0 {
			return object{}, false
		}
		o := object{t.empty[n-1], 8}
		t.empty = t.empty[:n-1]
		return o, true
	}
	o, ok := t.live[uintptr(p)]
	delete(t.live, uintptr(p))
	return o, ok
}

// write writes op, after it has set the thread and, unless op is a free, the number of the object.
func (t *Tracer) write(op *trace.Op) {
	g := goroutine()
	thread, ok := t.threads[g]
	if !ok {
		thread = len(t.threads)
		t.threads[g] = thread
	}
	op.Thread = thread
	if op.Kind != trace.Free {
		t.born++
		op.ID = t.born
	}
	if err := t.w.Write(*op); t.err == nil {
		t.err = err
	}
}

// goroutine returns the number of the calling goroutine. The runtime shows it only in the first
// line of a stack trace, "goroutine 7 [running]:".
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

func address(b []byte, err error) unsafe.Pointer {
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}
