package wrap

import (
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

// An account is the common part of a Counter and a Limiter: an allocator whose blocks each count
// for a number of bytes (see sizes), which it enters in the books of the one or the other. Every
// method does the same:
//
//  1. It handles size 0, and panics for a misuse of sizes, before it touches the books.
//  2. It reserves what the call may need. If the budget does not have that much, the call fails.
//  3. It calls the allocator inside.
//  4. It settles: the call is entered as done or as failed.
//
// Counter and Limiter have shorter ways to allocate and free blocks of a heap: see fast.
type account struct {
	inner
	fast
	sizes sizes

	// One of these is nil.
	counters *counters // of a Counter
	budget   *budget   // of a Limiter
}

func (w *account) init(a galloc.Allocator) {
	w.inner = resolve(a)
	w.sizes.init(&w.inner)
	w.fast.init(w.a, &w.sizes)
}

// reserve sets aside the bytes that a block needs to grow from old to size bytes, and reports
// whether the budget had that many. A block that grows or shrinks counts for the larger of both
// sizes until it has done so.
func (w *account) reserve(old, size uintptr) bool {
	return w.budget == nil || size <= old || w.budget.reserve(size-old)
}

// done enters that a block of old bytes has become one of size bytes. Either may be 0: then the
// block was allocated or freed.
func (w *account) done(old, size uintptr) {
	if w.counters != nil {
		w.counters.count(event{old, size})
	} else if size < old {
		w.budget.release(old - size)
	}
}

// failed enters that a call has failed, and takes back what reserve has set aside for it.
func (w *account) failed(old, size uintptr) {
	if w.counters != nil {
		w.counters.count(event{})
	}
	if w.budget != nil {
		w.budget.refused.Store(false)
	}
	w.cancel(old, size)
}

// cancel takes back what reserve has set aside.
func (w *account) cancel(old, size uintptr) {
	if w.budget != nil && size > old {
		w.budget.release(size - old)
	}
}

func (w *account) settle(old, size uintptr, ok bool) {
	if ok {
		w.done(old, size)
	} else {
		w.failed(old, size)
	}
}

func (w *account) countsAsked() bool { return w.sizes.u == nil }

// allocated is done(0, n), inlined.
func (w *account) allocated(n uintptr) {
	if w.counters != nil {
		w.counters.add(n)
	}
}

// allocSlow is Alloc in every case.
func (w *account) allocSlow(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	n := w.sizes.tabled(l) // sizes.of, of which this part is inlined
	if n == 0 {
		n = w.sizes.ask(l)
	}
	if w.budget != nil && !w.budget.reserve(n) {
		return nil
	}
	p := w.alloc.Alloc(l)
	if p == nil {
		w.failed(0, n)
		return nil
	}
	w.allocated(n)
	return p
}

// deallocSlow is Dealloc in every case.
func (w *account) deallocSlow(p unsafe.Pointer, l galloc.Layout) {
	n := w.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return
		}
		n = w.sizes.ask(l)
	}
	w.alloc.Dealloc(p, l)
	if w.counters != nil {
		w.counters.sub(n)
	} else {
		w.budget.release(n)
	}
}

// allocateSlow is Allocate in every case.
func (w *account) allocateSlow(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	n := w.sizes.tabled(l) // sizes.of, of which this part is inlined
	if n == 0 {
		n = w.sizes.ask(l)
	}
	if w.budget != nil && !w.budget.reserve(n) {
		return nil, galloc.ErrLimit
	}
	b, err := w.a.Allocate(l)
	if err != nil {
		w.failed(0, n)
		return nil, err
	}
	w.allocated(n)
	return w.sizes.trim(b, n), nil
}

// deallocateSlow is Deallocate in every case.
func (w *account) deallocateSlow(p unsafe.Pointer, l galloc.Layout) {
	n := w.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return
		}
		n = w.sizes.ask(l)
	}
	w.a.Deallocate(p, l)
	if w.counters != nil {
		w.counters.sub(n)
	} else {
		w.budget.release(n)
	}
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (w *account) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	n := w.sizes.of(l)
	if !w.reserve(0, n) {
		return nil
	}
	p := w.zeroed.AllocZeroed(l)
	w.settle(0, n, p != nil)
	return p
}

// Realloc implements [galloc.GlobalRealloc].
func (w *account) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	to, err := galloc.NewLayout(newSize, l.Align())
	switch {
	case err != nil:
		w.failed(0, 0)
		return nil
	case l.Size() == 0:
		return w.allocSlow(to)
	case newSize == 0:
		w.deallocSlow(p, l)
		return to.Dangling()
	}
	old, n := w.sizes.of(l), w.sizes.of(to)
	if !w.reserve(old, n) {
		return nil
	}
	q := w.realloc.Realloc(p, l, newSize)
	w.settle(old, n, q != nil)
	return q
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (w *account) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	n := w.sizes.of(l)
	if !w.reserve(0, n) {
		return nil, galloc.ErrLimit
	}
	b, err := galloc.AllocateZeroed(w.a, l)
	w.settle(0, n, err == nil)
	return w.sizes.trim(b, n), err
}

// Grow is part of [galloc.Grower].
func (w *account) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/wrap", old.Size(), to.Size())
	if old.Size() == 0 {
		return w.allocateSlow(to)
	}
	return w.change(galloc.Grow, p, old, to)
}

// GrowZeroed is part of [galloc.Grower].
func (w *account) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/wrap", old.Size(), to.Size())
	if old.Size() == 0 {
		return w.AllocateZeroed(to)
	}
	b, err := w.change(galloc.GrowZeroed, p, old, to)
	if err == nil && w.sizes.trimmed.Load() {
		// The inner allocator may have kept bytes that the caller never had.
		block.ClearBytes(b[old.Size():])
	}
	return b, err
}

// Shrink implements [galloc.Shrinker].
func (w *account) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/wrap", old.Size(), to.Size())
	if to.Size() == 0 {
		w.deallocateSlow(p, old)
		return emptyBlock(to), nil
	}
	return w.change(galloc.Shrink, p, old, to)
}

func (w *account) change(do changeFunc, p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	m, n := w.sizes.of(old), w.sizes.of(to)
	if !w.reserve(m, n) {
		return nil, galloc.ErrLimit
	}
	b, err := do(w.a, p, old, to)
	w.settle(m, n, err == nil)
	return w.sizes.trim(b, n), err
}

// Resize implements [galloc.Resizer].
func (w *account) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	to, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || l.Size() == 0 || newSize == 0 || newSize == l.Size() {
		return newSize == l.Size()
	}
	old, n := w.sizes.of(l), w.sizes.of(to)
	if !w.reserve(old, n) {
		return false
	}
	if !galloc.Resize(w.a, p, l, newSize) {
		w.cancel(old, n) // this is no failure
		return false
	}
	w.done(old, n)
	return true
}

// UsableSize implements [galloc.UsableSizer]: it returns the number of bytes that a block of layout
// l counts for, which is also its length. A block of the global allocator has l.Size() bytes.
func (w *account) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	return w.sizes.length(l)
}

// AllocateTyped implements [galloc.TypedAllocator], if the allocator inside does: see
// [galloc.HoldsPointers].
func (w *account) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	var size uintptr
	l, err := typedLayout(t, n)
	if err == nil && l.Size() != 0 {
		size = w.sizes.of(l)
	}
	if !w.reserve(0, size) {
		return nil, galloc.ErrLimit
	}
	p, err := galloc.AllocateTyped(w.a, t, n)
	if size != 0 || err != nil {
		w.settle(0, size, err == nil)
	}
	return p, err
}

// fast is the shorter way to the blocks of a heap. A Counter or Limiter changes its data of the P
// in a section, and the heap changes its cache of the P in another, after two calls of methods.
// Where the allocator inside is a heap, the wrapper does both in one section, without those calls,
// which halves its cost. Where the P has no data yet, or its cache cannot serve, the wrapper goes
// the slow way.
type fast struct {
	heap *engine.Heap // nil if there is no shorter way: then use no other field
	info *[256]classInfo
}

// classInfo is what the blocks of a class count for: sizes.of and bucketOf of them.
type classInfo struct {
	size   uint64
	bucket int
}

// init finds the shorter way, if a is a heap whose blocks count for the size of their class.
func (f *fast) init(a galloc.Allocator, s *sizes) {
	h, ok := a.(interface{ Engine() *engine.Heap })
	if !ok || percpu.Limit() == 0 {
		return
	}
	var info [256]classInfo
	for c := uint32(1); pages.ClassSize(c) != 0; c++ {
		n := pages.ClassSize(c)
		if s.of(layoutOf(n, 8)) != n {
			return
		}
		info[c] = classInfo{uint64(n), bucketOf(n)}
	}
	f.heap, f.info = h.Engine(), &info
}

// bytes returns the block of class c at p.
//
//go:nosplit
func (f *fast) bytes(p unsafe.Pointer, c uint8) []byte {
	// SAFETY: all blocks of the class have that many bytes.
	return unsafe.Slice((*byte)(p), f.info[c].size)
}
