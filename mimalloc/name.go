//go:build cgo && galloc_mimalloc

package mimalloc

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
)

// named_mimalloc makes the name known to package galloc before any code runs, for GALLOC=mimalloc
// and the linker's flag.
//
//go:linkname named_mimalloc github.com/galloc-go/galloc.named_mimalloc
var named_mimalloc = &named

var named = galloc.Selection{
	Path: "github.com/galloc-go/galloc/mimalloc",
	New:  func() galloc.GlobalAlloc { return Allocator },
}
