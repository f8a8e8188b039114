package wrap

import (
	"io"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

// Tracing is a wrapper that records a trace: see [Trace].
type Tracing interface {
	Allocator
	// Close ends the trace, and returns the first error that writing it has met. What goes
	// through the allocator afterwards is not recorded.
	Close() error
}

// Trace returns an allocator that writes what goes through it to out as a trace: "galloc
// replay" can run it, and package trace read it. It is a [trace.Recorder], and costs what that
// costs: some microseconds per call, one call at a time, and Go memory for every live block.
// In addition, a Reset is recorded as what it is, a free of all. Memory for typed values is
// passed on, but not recorded. A nil inner stands for the global allocator; registered as the
// global allocator itself, it must have another one in it.
func Trace(inner galloc.Allocator, out io.Writer) Tracing {
	w := &tracing{inner: resolve(inner)}
	w.rec = trace.Record(w.a, trace.NewWriter(out))
	w.to = resolve(w.rec)
	switch has(w.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*tracing
		}{tracing: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*tracing
		}{tracing: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*tracing
		}{tracing: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*tracing
		}{tracing: w}
	case owns | resets:
		return &struct {
			noTyped
			*tracing
		}{tracing: w}
	case owns | typed:
		return &struct {
			noReset
			*tracing
		}{tracing: w}
	case resets | typed:
		return &struct {
			noOwns
			*tracing
		}{tracing: w}
	case owns | resets | typed:
		return w
	}
}

type tracing struct {
	inner // what is traced
	rec   *trace.Recorder
	to    inner // the recorder
}

func (w *tracing) countsAsked() bool {
	in, ok := w.a.(asked)
	return ok && in.countsAsked()
}

func (w *tracing) Close() error { return w.rec.Close() }

func (w *tracing) String() string { return "trace(" + nameOf(w.a) + ")" }

// The methods are documented at Allocator and in package galloc. The recorder has those of the
// one face; size 0 is not recorded by the other.

func (w *tracing) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return w.to.alloc.Alloc(l)
}

func (w *tracing) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return w.to.zeroed.AllocZeroed(l)
}

func (w *tracing) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(newSize, l.Align())
	switch {
	case err != nil:
		return nil
	case l.Size() == 0:
		return w.Alloc(n)
	case newSize == 0:
		w.Dealloc(p, l)
		return n.Dangling()
	}
	return w.to.realloc.Realloc(p, l, newSize)
}

func (w *tracing) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.to.alloc.Dealloc(p, l)
	}
}

func (w *tracing) Allocate(l galloc.Layout) ([]byte, error) { return w.rec.Allocate(l) }

func (w *tracing) AllocateZeroed(l galloc.Layout) ([]byte, error) { return w.rec.AllocateZeroed(l) }

func (w *tracing) Deallocate(p unsafe.Pointer, l galloc.Layout) { w.rec.Deallocate(p, l) }

func (w *tracing) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	return w.rec.Grow(p, old, new)
}

func (w *tracing) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	return w.rec.GrowZeroed(p, old, new)
}

func (w *tracing) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkShrink(old, new)
	return w.rec.Shrink(p, old, new)
}

func (w *tracing) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return w.rec.Resize(p, l, newSize)
}

func (w *tracing) UsableSize(l galloc.Layout) uintptr { return w.rec.UsableSize(l) }

func (w *tracing) Reset() {
	w.inner.Reset()
	w.rec.FreeAll()
}

func (w *tracing) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	return w.inner.AllocateTyped(t, n)
}
