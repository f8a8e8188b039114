// Package lazy uses the global allocator in a test only.
package lazy

import (
	"testing"

	"github.com/galloc-go/galloc"
)

var layout = galloc.LayoutOf[int]()

func Test(t *testing.T) {
	p := galloc.Alloc(layout)
	if p == nil {
		t.Fatal("out of memory")
	}
	galloc.Dealloc(p, layout)
}
