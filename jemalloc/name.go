//go:build cgo && galloc_jemalloc

package jemalloc

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
)

// named_jemalloc makes the name known to package galloc before any code runs, for GALLOC=jemalloc
// and the linker's flag.
//
//go:linkname named_jemalloc github.com/galloc-go/galloc.named_jemalloc
var named_jemalloc = &named

var named = galloc.Selection{
	Path: "github.com/galloc-go/galloc/jemalloc",
	New:  func() galloc.GlobalAlloc { return Allocator },
}
