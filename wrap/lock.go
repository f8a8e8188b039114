package wrap

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Lock returns an allocator that takes its memory from inner, one call at a time: what makes
// an allocator for one goroutine one for all. Its methods must not be called by inner itself.
// It costs a mutex, uncontended some 10 ns per call. Blocks, errors and size 0 are as inner
// has them. A nil inner stands for the global allocator, which does not need it.
func Lock(inner galloc.Allocator) Allocator {
	w := &lock{inner: resolve(inner)}
	switch has(w.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*lock
		}{lock: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*lock
		}{lock: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*lock
		}{lock: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*lock
		}{lock: w}
	case owns | resets:
		return &struct {
			noTyped
			*lock
		}{lock: w}
	case owns | typed:
		return &struct {
			noReset
			*lock
		}{lock: w}
	case resets | typed:
		return &struct {
			noOwns
			*lock
		}{lock: w}
	case owns | resets | typed:
		return w
	}
}

type lock struct {
	inner
	mu sync.Mutex
}

func (w *lock) countsAsked() bool {
	in, ok := w.a.(asked)
	return ok && in.countsAsked()
}

func (w *lock) String() string { return "lock(" + nameOf(w.a) + ")" }

// The methods are documented at Allocator and in package galloc. They unlock also if inner
// panics, as it does for a caller's bug.

func (w *lock) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alloc.Alloc(l)
}

func (w *lock) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.zeroed.AllocZeroed(l)
}

func (w *lock) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
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
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.realloc.Realloc(p, l, newSize)
}

func (w *lock) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.alloc.Dealloc(p, l)
	}
}

func (w *lock) Allocate(l galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.a.Allocate(l)
}

func (w *lock) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.AllocateZeroed(w.a, l)
}

func (w *lock) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.a.Deallocate(p, l)
}

func (w *lock) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Grow(w.a, p, old, new)
}

func (w *lock) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.GrowZeroed(w.a, p, old, new)
}

func (w *lock) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Shrink(w.a, p, old, new)
}

func (w *lock) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Resize(w.a, p, l, newSize)
}

func (w *lock) UsableSize(l galloc.Layout) uintptr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.UsableSize(w.a, l)
}

func (w *lock) Owns(p unsafe.Pointer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inner.Owns(p)
}

func (w *lock) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inner.Reset()
}

func (w *lock) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inner.AllocateTyped(t, n)
}
