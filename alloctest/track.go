package alloctest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
)

// A Tracker is an allocator that records which blocks are live and which calls of Deallocate were
// wrong: see [Track].
type Tracker struct {
	inner galloc.Allocator

	mu      sync.Mutex
	calls   int
	live    map[unsafe.Pointer]galloc.Layout
	misuses []string
}

// Track returns an allocator that takes its memory from inner and tracks its blocks, to find leaks
// and misuses of the code that uses it:
//
//	a := alloctest.Track(galloc.System)
//	f(a)
//	if len(a.Live()) > 0 || len(a.Misuses()) > 0 { ... }
//
// A Tracker has none of the optional methods, so every growth is an allocation. It is safe for
// concurrent use, and costs a lock and Go memory for each block. A nil inner means the global
// allocator.
func Track(inner galloc.Allocator) *Tracker {
	if inner == nil {
		inner = galloc.Global
	}
	bridge.CheckAllocator("galloc/alloctest", inner)
	return &Tracker{inner: inner, live: map[unsafe.Pointer]galloc.Layout{}}
}

// Allocate allocates a block from the inner allocator.
func (t *Tracker) Allocate(l galloc.Layout) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.Size() == 0 {
		return t.inner.Allocate(l)
	}
	t.calls++
	b, err := t.inner.Allocate(l)
	if err == nil {
		t.live[unsafe.Pointer(&b[0])] = l
	}
	return b, err
}

// Deallocate returns a block to the inner allocator. If p is not a live block of the Tracker, or l
// is not the layout that it was allocated with, Deallocate only records the misuse.
func (t *Tracker) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.Size() == 0 {
		return
	}
	was, ok := t.live[p]
	switch {
	case !ok:
		t.misuses = append(t.misuses, fmt.Sprintf("Deallocate of %p, which is not a live block, from\n%s", p, stack()))
	case was != l:
		t.misuses = append(t.misuses,
			fmt.Sprintf("Deallocate of %p with %v, but it has %v, from\n%s", p, l, was, stack()))
	default:
		delete(t.live, p)
		t.inner.Deallocate(p, l)
	}
}

// GarbageCollected implements [galloc.CollectedAllocator].
func (t *Tracker) GarbageCollected() bool { return galloc.GarbageCollected(t.inner) }

// Calls returns the number of calls of Allocate with a size other than 0.
func (t *Tracker) Calls() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}

// Live returns the layouts of the live blocks, smallest first.
func (t *Tracker) Live() []galloc.Layout {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ls []galloc.Layout
	for _, l := range t.live {
		ls = append(ls, l)
	}
	slices.SortFunc(ls, func(a, b galloc.Layout) int { return int(a.Size()) - int(b.Size()) })
	return ls
}

// Misuses describes the calls of Deallocate that were wrong, each with its stack.
func (t *Tracker) Misuses() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.misuses)
}

// stack returns the callers of the Tracker's method.
func stack() string {
	var pcs [16]uintptr
	runtime.Callers(3, pcs[:])
	return frames(pcs[:])
}
