package wrap

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// Limited is a wrapper with a limit: see [Limit].
type Limited interface {
	Allocator
	// Used returns the bytes that count against the limit now. It is exact if nobody
	// allocates or frees meanwhile, and never less than 0.
	Used() uintptr
	// Max returns the limit in bytes.
	Max() uintptr
	// SetMax changes it. Below what is used, nothing can be allocated until enough is freed.
	// It stops the world for some 10 µs.
	SetMax(max uintptr)
}

// Limit returns an allocator that takes its memory from inner, and fails with
// galloc.ErrOutOfMemory rather than have more than max bytes in use. That is never exceeded,
// however many goroutines allocate at once, and a call fails only if it would be. A block
// counts for what it occupies, as inner tells by its UsableSize; if it does not, for what was
// asked for. What inner needs besides (metadata, unused parts of pages, both copies of a block
// while it moves) does not count.
//
// Each P takes some of what is left in advance, up to 64 KiB and all together a sixteenth of
// max at most, so as not to meet the others at every call: that costs 4 to 5 ns per call, on
// any number of Ps. The first call that would fail takes that back, which stops the world for
// some 10 µs; then, and with limits below 16 KiB per P, each call changes a common number. A
// nil inner stands for the global allocator. The wrapper is safe for concurrent use if inner
// is.
func Limit(inner galloc.Allocator, max uintptr) Limited {
	w := &limit{}
	w.init(inner, w, true)
	w.open(w.a, &w.sizes)
	w.b.set(max)
	switch has(w.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*limit
		}{limit: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*limit
		}{limit: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*limit
		}{limit: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*limit
		}{limit: w}
	case owns | resets:
		return &struct {
			noTyped
			*limit
		}{limit: w}
	case owns | typed:
		return &struct {
			noReset
			*limit
		}{limit: w}
	case resets | typed:
		return &struct {
			noOwns
			*limit
		}{limit: w}
	case owns | resets | typed:
		return w
	}
}

type limit struct {
	layer
	direct
	b budget
}

func (w *limit) String() string { return fmt.Sprintf("limit %d(%s)", w.Max(), nameOf(w.a)) }

func (w *limit) Used() uintptr { return w.b.used() }

func (w *limit) Max() uintptr { return uintptr(w.b.max.Load()) }

func (w *limit) SetMax(max uintptr) { w.b.set(max) }

// The long way, for what direct.go does not serve: as layer does it, with the hooks written
// out. What is reserved before a block is allocated is released after it was deallocated, so that there is never more than the
// limit.

//go:noinline
//go:nosplit
func (w *limit) allocLong(l galloc.Layout) unsafe.Pointer {
	n := w.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return l.Dangling()
		}
		n = w.sizes.ask(l)
	}
	if !w.b.take(engine.ProcID(), n) && !w.b.reserveSlow(n) {
		return nil
	}
	p := w.alloc.Alloc(l)
	if p == nil {
		w.b.release(n)
	}
	return p
}

//go:noinline
//go:nosplit
func (w *limit) deallocLong(p unsafe.Pointer, l galloc.Layout) {
	n := w.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return
		}
		n = w.sizes.ask(l)
	}
	w.alloc.Dealloc(p, l)
	if !w.b.give(engine.ProcID(), n) {
		w.b.releaseSlow(n)
	}
}

//go:noinline
//go:nosplit
func (w *limit) allocateLong(l galloc.Layout) ([]byte, error) {
	n := w.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return emptyBlock(l), nil
		}
		n = w.sizes.ask(l)
	}
	if !w.b.take(engine.ProcID(), n) && !w.b.reserveSlow(n) {
		return nil, galloc.ErrOutOfMemory
	}
	b, err := w.a.Allocate(l)
	if err != nil {
		w.b.release(n)
		return nil, err
	}
	if uintptr(len(b)) > n {
		b = w.sizes.trim(b, n)
	}
	return b, nil
}

//go:noinline
//go:nosplit
func (w *limit) deallocateLong(p unsafe.Pointer, l galloc.Layout) {
	n := w.sizes.tabled(l)
	if n == 0 {
		if l.Size() == 0 {
			return
		}
		n = w.sizes.ask(l)
	}
	w.a.Deallocate(p, l)
	if !w.b.give(engine.ProcID(), n) {
		w.b.releaseSlow(n)
	}
}

func (w *limit) size(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	return w.sizes.of(l)
}

// A block that grows or shrinks counts for the larger of both sizes until it has.

func (w *limit) admit(old, new galloc.Layout) error {
	o, n := w.size(old), w.size(new)
	if n > o && !w.b.reserve(n-o) {
		return galloc.ErrOutOfMemory
	}
	return nil
}

func (w *limit) done(old, new galloc.Layout) {
	if o, n := w.size(old), w.size(new); n < o {
		w.b.release(o - n)
	}
}

func (w *limit) failed(old, new galloc.Layout, _ bool) {
	if o, n := w.size(old), w.size(new); n > o {
		w.b.release(n - o)
	}
}

func (w *limit) freed(l galloc.Layout) { w.b.release(w.size(l)) }

func (w *limit) forgotten() { w.b.forget() }
