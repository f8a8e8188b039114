// Package heap makes the heap of the process, heap.Default, the global allocator of programs that
// import it:
//
//	import _ "github.com/galloc-go/galloc/global/heap"
//
// The heap is the default of executables anyway. The import makes it the choice of libraries too,
// and excludes others.
//
// It takes effect before any other package is initialized, in all build modes, and overrides GALLOC
// and the linker's flag. Import it from package main, not from a library: users of a library that
// selects cannot select another allocator. Any number of packages may import it.
//
// A program that imports two packages below global does not link ("duplicated definition of symbol
// github.com/galloc-go/galloc.multiple_global_allocators"), and a call of RegisterGlobal panics. To
// find the importer: go mod why github.com/galloc-go/galloc/global/heap.
package heap

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/heap",
	New:  func() galloc.GlobalAlloc { return heap.Default() },
}

func init() { selection.Check() }
