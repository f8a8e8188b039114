// Package named is in place of a binding to jemalloc: it only makes the name known.
package named

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

//go:linkname named_jemalloc github.com/galloc-go/galloc.named_jemalloc
var named_jemalloc = &named

var named = galloc.Selection{
	Path: "github.com/galloc-go/galloc/testdata/selection/named",
	New: func() galloc.GlobalAlloc {
		fmt.Println("New")
		return allocator{}
	},
}

type allocator struct{}

func (allocator) Alloc(l galloc.Layout) unsafe.Pointer      { return galloc.System.Alloc(l) }
func (allocator) Dealloc(p unsafe.Pointer, l galloc.Layout) { galloc.System.Dealloc(p, l) }
