// Package jemalloc makes jemalloc the global allocator, by being imported:
//
//	import _ "github.com/galloc-go/galloc/global/jemalloc"
//
// The program must be built with cgo and -tags galloc_jemalloc, where the library is; otherwise it
// panics when it first allocates. jemalloc then is in force before any other package is initialized, whatever the build
// mode, and GALLOC and the linker's flag say. Package main should import it, rather than a library: whoever uses a
// library that selects cannot select another one. Any number of packages may import it. To have
// the choice when the program is started, import package jemalloc instead, and set GALLOC=jemalloc.
//
// A program that also imports another package below global, such as global/system, does not
// link: "duplicated definition of symbol github.com/galloc-go/galloc.multiple_global_allocators",
// from the one and the other. One that calls RegisterGlobal as well panics there. To find out who imports
// it: go mod why github.com/galloc-go/galloc/global/jemalloc.
package jemalloc

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/jemalloc",
	New:  func() galloc.GlobalAlloc { return jemalloc.Allocator },
}

func init() { selection.Check() }
