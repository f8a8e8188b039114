// Program goodselection has its own Selection.
package main

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "example.com/vet/oneglobal/goodselection",
	New:  func() galloc.GlobalAlloc { return galloc.System },
}

func init() { selection.Check() }

func main() {}
