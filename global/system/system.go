// Package system makes the allocator of the platform, galloc.System, the global one, by being imported:
//
//	import _ "github.com/galloc-go/galloc/global/system"
//
// It then is in force before any other package is initialized, whatever the build mode, and GALLOC
// and the linker's flag say. Package main should import it, rather than a library: whoever uses a
// library that selects cannot select another one. Any number of packages may import it.
//
// A program that also imports another package below global, such as global/heap, does not
// link: "duplicated definition of symbol github.com/galloc-go/galloc.multiple_global_allocators",
// from the one and the other. One that calls RegisterGlobal as well panics there. To find out who imports
// it: go mod why github.com/galloc-go/galloc/global/system.
package system

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/system",
	New:  func() galloc.GlobalAlloc { return galloc.System },
}

func init() { selection.Check() }
