// Package early uses the global allocator before the tests begin.
package early

import (
	"testing"

	"github.com/galloc-go/galloc"
)

var (
	layout = galloc.LayoutOf[int]()
	early  = galloc.Alloc(layout)
)

func Test(t *testing.T) {
	if early == nil {
		t.Fatal("out of memory")
	}
	galloc.Dealloc(early, layout)
}
