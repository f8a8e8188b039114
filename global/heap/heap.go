// Package heap makes galloc's own heap the global allocator, by being imported:
//
//	import _ "github.com/galloc-go/galloc/global/heap"
//
// It then is in force before any other package is initialized, whatever the build mode, and GALLOC
// and the linker's flag say. Package main should import it, rather than a library: whoever uses a
// library that selects cannot select another one. Any number of packages may import it.
//
// A program that also imports another package below global, such as global/system, does not
// link: "duplicated definition of symbol github.com/galloc-go/galloc.multiple_global_allocators",
// from the one and the other. One that calls RegisterGlobal as well panics there. To find out who imports
// it: go mod why github.com/galloc-go/galloc/global/heap.
//
// The heap is that of heap.Default, which is the default of executables anyway. To import this is of use in
// what is built by -buildmode=c-shared or c-archive, or in a program that wants to be sure.
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
