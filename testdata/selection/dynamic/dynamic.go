// Package dynamic makes the mistake that the linker does not see: its variable is set at run time.
package dynamic

import (
	"os"
	_ "unsafe"

	"github.com/galloc-go/galloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = find()

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/testdata/selection/dynamic",
	New:  func() galloc.GlobalAlloc { return galloc.System },
}

func find() *galloc.Selection {
	if len(os.Args) == 0 {
		return nil
	}
	return &selection
}

func init() { selection.Check() }
