// Package debug makes the default heap with a memory checker in front of it the global allocator of
// a program. The program only has to import it:
//
//	import _ "github.com/galloc-go/galloc/global/debug"
//
// Import it from package main, or from a file with a build tag. It checks what GALLOC=debug checks,
// and GALLOC=debug can set options; see package memcheck for what is found and what it costs.
// memcheck.Global returns the checker, for a program that lists its leaks when it ends.
//
// A program that also imports another package below global does not link. A program that also calls
// RegisterGlobal panics there.
package debug

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/debug",
	New:  func() galloc.GlobalAlloc { return bridge.CheckedHeap().(galloc.GlobalAlloc) },
}

func init() { selection.Check() }
