// Package chosen selects its global allocator by an import.
package chosen

import (
	"testing"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/system"
)

var layout = galloc.LayoutOf[int]()

func Test(t *testing.T) {
	p := galloc.Alloc(layout)
	if p == nil {
		t.Fatal("out of memory")
	}
	galloc.Dealloc(p, layout)
}
