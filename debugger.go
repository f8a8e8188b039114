package galloc

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc/internal/debug"
)

// debuggerInForce returns what looks after the blocks of the global allocator, or nil if nothing does: of GALLOC=debug, of the import of
// global/debug, or of a wrap.Debug that is registered, in wrappers or not. It is for package wrap, and a use of the global allocator.
//
//go:linkname debuggerInForce
func debuggerInForce() *debug.Debugger { return current().debugger } //nolint:unused // but by linkname

// debuggerOf returns what looks after the blocks of a, or nil.
func debuggerOf(a any) *debug.Debugger {
	for {
		switch w := a.(type) {
		case interface{ Debugger() *debug.Debugger }:
			return w.Debugger()
		case interface{ Unwrap() Allocator }:
			a = w.Unwrap()
		default:
			return nil
		}
	}
}

// Debugger is for debuggerOf.
func (g *debugged) Debugger() *debug.Debugger { return g.d }

// Debugger is for debuggerOf.
func (s *sampledHeap) Debugger() *debug.Debugger { return s.d }
