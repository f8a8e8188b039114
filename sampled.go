package galloc

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/engine"
)

// A sampler is an allocator with a debug.Debugger in front of it that is in sampled mode: debugged, or what Debug of package wrap returns.
type sampler interface {
	GlobalAlloc
	// Sampling returns the two, or nil if it is not in that mode.
	Sampling() (d *debug.Debugger, inner any)
}

// sampledHeap is a sampler whose inner allocator is a heap, as it is put in force as the global one. Whatever stands in front of a heap
// costs it its fast path, which is most of what it is fast by. So this stands behind it:
//
//	alloc   the fast path serves from the cache, and knows nothing. Where the cache is empty, Alloc below decides whether the block
//	        is to be looked after, with a chance for all of the blocks that the cache would get now
//	free    blocks that are looked after are in a range of their own, which a second form of the fast path leaves alone: see
//	        engine.Apart. Those come to Dealloc below, and all others go the way they always go
//
// A program that frees a block whenever it allocates one may never find a cache empty. So after each detourPause the next operation
// of each P is sent here, and its block is picked.
type sampledHeap struct {
	as       sampler // to the outside
	d        *debug.Debugger
	heap     *engine.Heap
	detour   *time.Timer // calls heap.Divert, and sets diverted
	diverted atomic.Bool // the detour is not set again yet
}

// detourPause is from the first operation here after a detour until the next detour, so that a program that does nothing is not woken. At 5 µs for a
// block with pages of its own it costs 0.05 % of a P.
const detourPause = 10 * time.Millisecond

// leastSample is the Sample from which on chance may be that inexact. With a lower one, which is for tests, each allocation is weighed.
const leastSample = 4096

// sampledHeapOf returns what a is to be replaced by, or nil. Where the fast path is not what it is elsewhere, as with the race detector, every
// allocation may as well be weighed.
func sampledHeapOf(a GlobalAlloc) *sampledHeap {
	s, ok := a.(sampler)
	if !ok || engine.SectionLimit() == 0 {
		return nil
	}
	d, inner := s.Sampling()
	if d == nil || d.SampleRate() < leastSample {
		return nil
	}
	h, ok := inner.(interface{ Engine() *engine.Heap })
	if !ok {
		return nil
	}
	return &sampledHeap{as: s, d: d, heap: engineOf(h)}
}

// enter puts s in force.
func (s *sampledHeap) enter() {
	if base, size := s.d.PoolRange(); size != 0 {
		engine.Apart(base, size)
		s.detour = time.AfterFunc(detourPause, func() {
			s.diverted.Store(true) // first: who is diverted then sets the detour again
			s.heap.Divert()
		})
	}
	s.heap.PutInForce()
}

func (s *sampledHeap) String() string { return allocatorName(s.as) }

// resumes ends the detour of the P that we are on, and reports whether there was one. Whichever P comes by first sets the next; one does, since
// without a cache in sight all operations lead here.
func (s *sampledHeap) resumes() bool {
	if s.diverted.Load() && s.diverted.CompareAndSwap(true, false) {
		s.detour.Reset(detourPause)
	}
	return s.heap.Resume()
}

// pick returns a block that is looked after, if this is to be one.
func (s *sampledHeap) pick(l Layout) unsafe.Pointer {
	if s.resumes() || s.d.PicksFor(engine.MaxRefill, func() int { return s.heap.RefillSize(uint8(l.class)) }) {
		return s.d.Guarded(l.size, l.Align())
	}
	return nil
}

// Alloc is called where the cache has no block.
func (s *sampledHeap) Alloc(l Layout) unsafe.Pointer {
	if p := s.pick(l); p != nil {
		return p
	}
	return s.heap.AllocSlow(l.size, l.Align())
}

// Dealloc is called where the cache has no room, and with blocks that are looked after.
func (s *sampledHeap) Dealloc(p unsafe.Pointer, l Layout) {
	s.resumes()
	if s.d.Passes(p) {
		s.heap.FreeSlow(p, l.size, l.Align())
		return
	}
	s.d.Free(p, l.size, l.Align())
}

// AllocZeroed is for blocks that have no class. The others are Alloc's, and then cleared.
func (s *sampledHeap) AllocZeroed(l Layout) unsafe.Pointer {
	if p := s.pick(l); p != nil {
		clear(unsafe.Slice((*byte)(p), l.size))
		return p
	}
	return s.heap.AllocZeroed(l.size, l.Align())
}

// Realloc is for blocks that are looked after, and for those that will have no class. What the package function does with the others is
// as if the heap were in force alone.
func (s *sampledHeap) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	switch {
	case !s.d.Passes(p):
		return s.d.Change(p, l.size, l.Align(), newSize, l.Align())
	case l.class != 0:
		return DefaultRealloc(freeFunctions{}, p, l, newSize)
	}
	return s.heap.Realloc(p, l.size, l.Align(), newSize)
}

// resize is GlobalResize.
func (s *sampledHeap) resize(p unsafe.Pointer, l Layout, newSize uintptr) bool {
	if s.d.Passes(p) {
		return s.heap.Resize(p, l.size, l.Align(), newSize)
	}
	return s.d.Check(debug.OpRealloc, p, l.size, l.Align()) && newSize == l.size
}
