package wrap

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// A Locker is an allocator that makes one call at a time: see [Lock].
type Locker struct {
	inner
	mu sync.Mutex
}

// Lock returns an allocator that takes its memory from inner, one call at a time, so it is safe for
// concurrent use even if inner is not. Inner must not call the Locker. It costs a mutex: some 10 ns
// a call if no other goroutine waits. Blocks, errors and sizes come from inner unchanged. A nil
// inner means the global allocator, which does not need a Locker.
func Lock(inner galloc.Allocator) *Locker { return &Locker{inner: resolve(inner)} }

// String names the allocator, as in "lock(heap)".
func (w *Locker) String() string { return "lock(" + block.Name(w.a) + ")" }

// The methods unlock even if the allocator inside panics, as it does for a caller's misuse.

// Alloc is part of [galloc.GlobalAlloc].
func (w *Locker) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alloc.Alloc(l)
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (w *Locker) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.zeroed.AllocZeroed(l)
}

// Realloc implements [galloc.GlobalRealloc].
func (w *Locker) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
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

// Dealloc is part of [galloc.GlobalAlloc].
func (w *Locker) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.alloc.Dealloc(p, l)
	}
}

// Allocate is part of [galloc.Allocator].
func (w *Locker) Allocate(l galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.a.Allocate(l)
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (w *Locker) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.AllocateZeroed(w.a, l)
}

// Deallocate is part of [galloc.Allocator].
func (w *Locker) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.a.Deallocate(p, l)
}

// Grow is part of [galloc.Grower].
func (w *Locker) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Grow(w.a, p, old, to)
}

// GrowZeroed is part of [galloc.Grower].
func (w *Locker) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.GrowZeroed(w.a, p, old, to)
}

// Shrink implements [galloc.Shrinker].
func (w *Locker) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Shrink(w.a, p, old, to)
}

// Resize implements [galloc.Resizer].
func (w *Locker) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Resize(w.a, p, l, newSize)
}

// UsableSize implements [galloc.UsableSizer].
func (w *Locker) UsableSize(l galloc.Layout) uintptr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.UsableSize(w.a, l)
}

// Owns reports whether p is the address of a block of the allocator inside: see [galloc.Owns].
func (w *Locker) Owns(p unsafe.Pointer) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.Owns(w.a, p)
}

// AllocateTyped implements [galloc.TypedAllocator], if the allocator inside does: see
// [galloc.HoldsPointers].
func (w *Locker) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return galloc.AllocateTyped(w.a, t, n)
}
