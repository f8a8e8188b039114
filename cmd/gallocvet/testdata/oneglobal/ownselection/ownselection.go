// Program ownselection has a Selection and imports another.
package main

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/system"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{ // want "a second global allocator, at ownselection/ownselection.go:14: the program has another at system/system.go:"
	Path: "example.com/vet/oneglobal/ownselection",
	New:  func() galloc.GlobalAlloc { return galloc.System },
}

func init() { selection.Check() }

func main() {}
