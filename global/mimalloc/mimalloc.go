// Package mimalloc makes mimalloc the global allocator of programs that import it:
//
//	import _ "github.com/galloc-go/galloc/global/mimalloc"
//
// The program must be built with cgo and -tags galloc_mimalloc, on a machine with the library;
// otherwise it panics at its first allocation. To choose when the program is started, import
// package mimalloc instead, and set GALLOC=mimalloc.
//
// It takes effect before any other package is initialized, in all build modes, and overrides GALLOC
// and the linker's flag. Import it from package main, not from a library: users of a library that
// selects cannot select another allocator. Any number of packages may import it.
//
// A program that imports two packages below global does not link ("duplicated definition of symbol
// github.com/galloc-go/galloc.multiple_global_allocators"), and a call of RegisterGlobal panics. To
// find the importer: go mod why github.com/galloc-go/galloc/global/mimalloc.
package mimalloc

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/mimalloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/mimalloc",
	New:  func() galloc.GlobalAlloc { return mimalloc.Allocator },
}

func init() { selection.Check() }
