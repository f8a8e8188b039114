package alloctest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/caller"
)

// An Attempt is an allocation in a region where none is allowed: see [NoAlloc]. It is an error, and
// errors.Is(attempt, galloc.ErrOutOfMemory) is true.
type Attempt struct {
	Layout galloc.Layout // the layout asked for

	// The nearest caller outside the packages of galloc.
	Function string
	File     string
	Line     int
}

// Error reports the layout and the caller.
func (a *Attempt) Error() string {
	return fmt.Sprintf("galloc/alloctest: allocation of %d bytes (align %d) where none is allowed, by %s at %s:%d",
		a.Layout.Size(), a.Layout.Align(), a.Function, a.File, a.Line)
}

// Unwrap returns the [galloc.ErrOutOfMemory] for the layout.
func (a *Attempt) Unwrap() error { return galloc.ErrOutOfMemory.For(a.Layout) }

// A Guard is an allocator that refuses to allocate in regions: see [NoAlloc].
type Guard struct {
	gate
	handler func(*Attempt)
	entered atomic.Int64

	mu    sync.Mutex
	first []*Attempt
	count uint64
}

// NoAlloc returns an allocator that takes its memory from inner, and refuses to allocate while the
// program is in a region, to prove that some part of the program does not allocate:
//
//	a := alloctest.NoAlloc(inner, nil)
//	leave := a.Enter()
//	... // must not allocate from a
//	leave()
//
// In a region, allocating and growing fail with an [*Attempt], which names the caller; shrinking
// and freeing are allowed. The Guard records each attempt and passes it to handler, unless that is
// nil. The handler may log, or fail a test, or panic (but not where the Guard is the global
// allocator). It must not allocate from the Guard.
//
// The Guard is safe for concurrent use if inner is. It costs an atomic load for each call; an
// attempt costs a walk of the stack, and Go memory. A nil inner means the global allocator.
func NoAlloc(inner galloc.Allocator, handler func(*Attempt)) *Guard {
	g := &Guard{handler: handler}
	g.gate = newGate(inner, g.admit)
	return g
}

// String names the allocator, as in "noalloc(heap)".
func (g *Guard) String() string { return fmt.Sprintf("noalloc(%v)", block.Name(g.inner)) }

// Enter begins a region in which nothing may be allocated, and returns the function that ends it,
// which must be called once. Regions may nest and overlap. Go does not show which calls belong to
// which goroutine, so a region holds for all goroutines that use this allocator.
func (g *Guard) Enter() (leave func()) {
	g.entered.Add(1)
	var left atomic.Bool
	return func() {
		if left.Swap(true) {
			panic("galloc/alloctest: a region of NoAlloc was left twice: call the function that Enter returns once")
		}
		g.entered.Add(-1)
	}
}

// Attempts returns the first 16 attempts, and the number of all attempts.
func (g *Guard) Attempts() (first []*Attempt, total uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*Attempt(nil), g.first...), g.count
}

// Resize implements [galloc.Resizer]. In a region, a block cannot grow.
func (g *Guard) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || l.Size() == 0 || newSize == 0 || newSize == l.Size() {
		return newSize == l.Size()
	}
	return g.admit(l, n) == nil && galloc.Resize(g.inner, p, l, newSize)
}

func (g *Guard) admit(old, to galloc.Layout) error {
	if g.entered.Load() == 0 || to.Size() < old.Size() {
		return nil
	}
	f := caller.First(caller.Frames())
	a := &Attempt{Layout: to, Function: f.Function, File: f.File, Line: f.Line}
	g.mu.Lock()
	g.count++
	if len(g.first) < 16 {
		g.first = append(g.first, a)
	}
	g.mu.Unlock()
	if g.handler != nil {
		g.handler(a)
	}
	return a
}
