// Package debug makes the heap behind a debug allocator the global allocator of the program that imports it, for nothing
// but that:
//
//	import _ "github.com/galloc-go/galloc/global/debug"
//
// Import it from package main, or from a file with a build tag. It does what GALLOC=debug does from outside, and package wrap's
// Debug for any allocator: see there for what it finds and what it costs. Options are for these two. Package wrap's GlobalChecks
// is for what a program wants to ask, such as for leaks at its end.
//
// A program that also imports another package below global does not link; one that calls RegisterGlobal as well panics there.
package debug

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/debug",
	New:  func() galloc.GlobalAlloc { return debuggedHeap() },
}

// debuggedHeap is a function of package galloc.
//
//go:linkname debuggedHeap github.com/galloc-go/galloc.debuggedHeap
func debuggedHeap() galloc.GlobalAlloc

func init() { selection.Check() }
