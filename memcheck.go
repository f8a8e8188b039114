package galloc

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/alarm"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/libc"
	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/percpu"
)

// This file puts the memory checker around the global allocator: for GALLOC=debug, for package
// global/debug, and for a Checker of package memcheck that is registered.

// checked is an allocator with a memory checker in front of it.
type checked struct {
	c        *memcheck.Checker
	inner    resolved
	settings memcheck.Settings
	watched  sync.Once
}

func newChecked(a GlobalAlloc, s memcheck.Settings) *checked {
	g := &checked{inner: resolve(a), settings: s}
	s.Abort = libc.Abort
	s.ZeroSize = func(align uintptr) unsafe.Pointer { return newLayout(0, block.Log2(align)).Dangling() }
	g.c = memcheck.New(sized{&g.inner}, s.Options)
	return g
}

// MemoryChecker returns the checker of g, and the allocator inside.
func (g *checked) MemoryChecker() (*memcheck.Checker, any) { return g.c, g.inner.alloc }

// watch starts the reports at intervals, if the settings ask for them. It writes to standard error
// what the settings ask for and the system refuses.
func (g *checked) watch() {
	g.watched.Do(func() {
		if why := g.c.Shortage(); why != "" {
			fmt.Fprintf(os.Stderr, "galloc: memcheck: %s\n", why)
		}
		g.c.Watch(g.settings, os.Stderr)
	})
}

func (g *checked) String() string { return fmt.Sprintf("memcheck(%v)", g.inner) }

func (g *checked) Alloc(l Layout) unsafe.Pointer       { return g.c.Alloc(l.size, l.Align()) }
func (g *checked) AllocZeroed(l Layout) unsafe.Pointer { return g.c.AllocZeroed(l.size, l.Align()) }
func (g *checked) Dealloc(p unsafe.Pointer, l Layout)  { g.c.Free(p, l.size, l.Align()) }

func (g *checked) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return g.c.Realloc(p, l.size, l.Align(), newSize, l.Align())
}

// sized is an allocator as a memcheck.Inner.
type sized struct{ a *resolved }

func (s sized) Alloc(size, align uintptr) unsafe.Pointer {
	l, err := NewLayout(size, align)
	if err != nil {
		return nil
	}
	return s.a.alloc.Alloc(l)
}

func (s sized) AllocZeroed(size, align uintptr) unsafe.Pointer {
	return s.a.zeroed.AllocZeroed(newLayout(size, block.Log2(align)))
}

func (s sized) Free(p unsafe.Pointer, size, align uintptr) {
	s.a.alloc.Dealloc(p, newLayout(size, block.Log2(align)))
}

func (s sized) Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	return s.a.realloc.Realloc(p, newLayout(size, block.Log2(align)), newSize)
}

// checkerOf returns the checker of a, or of the first allocator inside of a that has one, or nil.
func checkerOf(a any) *memcheck.Checker {
	for {
		switch w := a.(type) {
		case checker:
			c, _ := w.MemoryChecker()
			return c
		case *sampledHeap:
			return w.c
		case interface{ Unwrap() Allocator }:
			a = w.Unwrap()
		default:
			return nil
		}
	}
}

// A checker is an allocator with a memory checker in front of it: checked, or a Checker of package
// memcheck.
type checker interface {
	// MemoryChecker returns the checker and the allocator inside.
	MemoryChecker() (c *memcheck.Checker, inner any)
}

// The bridge is set before any init function runs: a Selection may need it then.
var _ = setBridge()

func setBridge() struct{} {
	bridge.GlobalChecker = func() *memcheck.Checker { return current().checker }
	bridge.SettledChecker = func() (*memcheck.Checker, bool) {
		if r := settled.Load(); r != nil {
			return r.checker, true
		}
		return nil, false
	}
	bridge.GlobalHeap = func() any { return globalHeap() }
	bridge.AnyGlobalPart = func(f func(a any) bool) bool { return anyPart(current().alloc, f) }
	bridge.CheckedHeap = func() any { return newChecked(defaultHeap{}, memcheck.Settings{}) }
	bridge.Flaw = ownFlaw
	bridge.Refusal = refusalOf
	return struct{}{}
}

// sampledHeap is a checked heap in sampled mode, in force as the global allocator. A checker in
// front of a heap would cost the heap its fast path, which is most of its speed. So sampledHeap
// stands on the slow path:
//
//   - The fast path allocates from the cache, without a check. When the cache is empty, Alloc below
//     decides whether to check the block, with the chance of all the blocks that would refill the
//     cache.
//   - Checked blocks are in an address range that the fast path of a free leaves to the slow path:
//     see engine.SetForeignRange. Dealloc below receives them, and all other blocks are freed as
//     usual.
//
// If a program frees a block whenever it allocates one, its caches may never be empty. So after
// each detourPause, the next operation of each P takes the slow path, and its block is checked.
type sampledHeap struct {
	as       GlobalAlloc // the allocator that was registered
	c        *memcheck.Checker
	heap     *engine.Heap
	detour   *alarm.Alarm // calls heap.LeaveFastPath, and sets diverted
	diverted atomic.Bool  // the alarm has rung, and is not set again yet
}

// detourPause is the time from the first operation on the slow path after a detour to the next
// detour: an idle program is not woken. A guarded block takes 5 µs, so a detour costs 0.05 % of a
// P.
const detourPause = 10 * time.Millisecond

// minSample is the least Options.Sample for which the chance may be so inexact. Below it, which is
// for tests, each allocation is drawn.
const minSample = 4096

// sampledHeapOf returns the sampledHeap to put in force in place of a, or nil. Where the heap has
// no fast path, as with the race detector, there is none: every allocation can be drawn.
func sampledHeapOf(a GlobalAlloc) *sampledHeap {
	s, ok := a.(checker)
	if !ok || percpu.Limit() == 0 {
		return nil
	}
	c, inner := s.MemoryChecker()
	if c == nil || c.SampleRate() < minSample {
		return nil
	}
	h, ok := inner.(engine.Holder)
	if !ok {
		return nil
	}
	return &sampledHeap{as: a, c: c, heap: h.Engine()}
}

// enter puts s in force.
func (s *sampledHeap) enter() {
	if base, size := s.c.PoolRange(); size != 0 {
		engine.SetForeignRange(base, size)
		s.detour = alarm.New(func() {
			s.diverted.Store(true) // first: an operation off the fast path sets the alarm again
			s.heap.LeaveFastPath()
		})
		s.detour.Reset(detourPause)
	}
}

func (s *sampledHeap) String() string { return block.Name(s.as) }

// resumes ends the detour of this P, and reports whether there was one. The first P to call it sets
// the alarm again. One does, since during a detour all operations take the slow path.
func (s *sampledHeap) resumes() bool {
	if s.diverted.Load() && s.diverted.CompareAndSwap(true, false) {
		s.detour.Reset(detourPause)
	}
	return s.heap.ResumeFastPath()
}

// pick returns a checked block, or nil if this block need not be checked.
func (s *sampledHeap) pick(l Layout) unsafe.Pointer {
	if s.resumes() || s.c.PicksFor(engine.MaxRefill, func() int { return s.heap.RefillSize(uint8(l.class)) }) {
		return s.c.AllocGuarded(l.size, l.Align())
	}
	return nil
}

// Alloc is called if the cache is empty.
func (s *sampledHeap) Alloc(l Layout) unsafe.Pointer {
	if p := s.pick(l); p != nil {
		return p
	}
	return s.heap.AllocSlow(l.size, l.Align())
}

// Dealloc is called if the cache is full, and for checked blocks.
func (s *sampledHeap) Dealloc(p unsafe.Pointer, l Layout) {
	s.resumes()
	if s.c.Passes(p) {
		s.heap.FreeSlow(p, l.size, l.Align())
		return
	}
	s.c.Free(p, l.size, l.Align())
}

// AllocZeroed is called for blocks that are not small. For the others, the package function calls
// Alloc and clears the block.
func (s *sampledHeap) AllocZeroed(l Layout) unsafe.Pointer {
	if p := s.pick(l); p != nil {
		block.Clear(p, l.size)
		return p
	}
	return s.heap.AllocZeroed(l.size, l.Align())
}

// Realloc is called for checked blocks, and if the new block is not small. Otherwise the package
// function treats the heap as if it were in force alone.
func (s *sampledHeap) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	switch {
	case !s.c.Passes(p):
		return s.c.Realloc(p, l.size, l.Align(), newSize, l.Align())
	case l.isSmall():
		return DefaultRealloc(freeFunctions{}, p, l, newSize)
	}
	return s.heap.Realloc(p, l.size, l.Align(), newSize)
}

// resize implements the Resize method of Global.
func (s *sampledHeap) resize(p unsafe.Pointer, l Layout, newSize uintptr) bool {
	if s.c.Passes(p) {
		return s.heap.Resize(p, l.size, l.Align(), newSize)
	}
	return s.c.Resize(p, l.size, l.Align(), newSize)
}
