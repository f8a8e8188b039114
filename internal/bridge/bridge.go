// Package bridge lets packages of this module reach the root package where it exports no function.
// Its variables are set when the root package is initialized, before any Selection is used.
package bridge

import "github.com/galloc-go/galloc/internal/memcheck"

// GlobalChecker returns the memory checker of the global allocator, or nil if it has none. To call
// it is a use of the global allocator.
var GlobalChecker func() *memcheck.Checker

// SettledChecker is GlobalChecker if the global allocator is in use already. It does not settle
// which allocator that is.
var SettledChecker func() (c *memcheck.Checker, settled bool)

// GlobalHeap returns the *engine.Heap that is the global allocator or inside it, or a nil one. To
// call it is a use of the global allocator.
var GlobalHeap func() any

// AnyGlobalPart calls f with the global allocator and with the allocators inside it, from the outer
// to the inner, until f returns true, and reports whether it has. To call it is a use of the global
// allocator.
var AnyGlobalPart func(f func(a any) bool) bool

// CheckedHeap returns a galloc.GlobalAlloc: the default heap with a memory checker in front of it.
var CheckedHeap func() any

// Flaw says why a, a galloc.Allocator that is not nil, cannot allocate: it is a nil pointer or a
// zero heap.Heap. It returns "" if it can.
var Flaw func(a any) string

// Refusal returns the error of an allocation of a, a galloc.Allocator or galloc.GlobalAlloc, that
// has just failed: galloc.ErrLimit, galloc.ErrSystem, or else galloc.ErrOutOfMemory.
var Refusal func(a any) error

// CheckAllocator panics if a, which is not nil, has a flaw, since its methods would crash at their
// first use. The message begins with pkg, the package that takes its memory from a, as in
// "galloc/bump". It does not look at the allocators inside a: a wrapper has checked them. It takes
// about 15 ns.
func CheckAllocator(pkg string, a any) {
	if f := Flaw(a); f != "" {
		panic(pkg + ": the allocator is " + f)
	}
}
