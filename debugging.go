package galloc

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/libc"
)

// What GALLOC=debug, or -X with that, puts around the global allocator, whichever that is: the same as wrap.Debug, which is
// documented there.

// debugged is an allocator with a debug.Debugger in front of it.
type debugged struct {
	d        *debug.Debugger
	inner    resolved
	settings debug.Settings
	watched  sync.Once
}

func newDebugged(a GlobalAlloc, s debug.Settings) GlobalAlloc {
	g := &debugged{inner: resolve(a), settings: s}
	s.Abort = libc.Abort
	s.ZeroSize = func(align uintptr) unsafe.Pointer { return newLayout(0, log2(align)).Dangling() }
	g.d = debug.New(beneath{g.inner.alloc}, s.Options)
	return g
}

// Sampling makes it a sampler.
func (g *debugged) Sampling() (*debug.Debugger, any) {
	if !g.d.Sampled() {
		return nil, nil
	}
	return g.d, g.inner.alloc
}

// watch begins what is to be done after a while, when g is in force.
func (g *debugged) watch() { g.watched.Do(func() { g.d.Watch(g.settings, os.Stderr) }) }

// beneath is the allocator as a debug.Inner.
type beneath struct{ a GlobalAlloc }

func (b beneath) Alloc(size, align uintptr) unsafe.Pointer {
	l, err := NewLayout(size, align)
	if err != nil {
		return nil
	}
	return b.a.Alloc(l)
}

func (b beneath) Free(p unsafe.Pointer, size, align uintptr) {
	b.a.Dealloc(p, newLayout(size, log2(align)))
}

func (g *debugged) String() string { return fmt.Sprintf("debug(%v)", g.inner) }

// take returns a block that is looked after, or, if there cannot be one in sampled mode, one that is passed on.
func (g *debugged) take(l Layout) unsafe.Pointer {
	if !g.d.Sampled() {
		return g.d.Alloc(l.size, l.Align())
	}
	if p := g.d.Guarded(l.size, l.Align()); p != nil {
		return p
	}
	return g.inner.alloc.Alloc(l)
}

func (g *debugged) Alloc(l Layout) unsafe.Pointer {
	if !g.d.Picks() {
		return g.inner.alloc.Alloc(l)
	}
	return g.take(l)
}

func (g *debugged) AllocZeroed(l Layout) unsafe.Pointer {
	if !g.d.Picks() {
		return g.inner.zeroed.AllocZeroed(l)
	}
	p := g.take(l)
	if p != nil {
		clear(unsafe.Slice((*byte)(p), l.size))
	}
	return p
}

func (g *debugged) Dealloc(p unsafe.Pointer, l Layout) {
	if g.d.Passes(p) {
		g.inner.alloc.Dealloc(p, l)
		return
	}
	g.d.Free(p, l.size, l.Align())
}

func (g *debugged) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	if g.d.Passes(p) {
		return g.inner.realloc.Realloc(p, l, newSize)
	}
	return g.d.Change(p, l.size, l.Align(), newSize, l.Align())
}

// debuggedHeap is for package global/debug, which selects it.
//
//go:linkname debuggedHeap
func debuggedHeap() GlobalAlloc { return newDebugged(processHeap{}, debug.Settings{}) } //nolint:unused // but by linkname
