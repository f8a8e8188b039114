package system_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	_ "github.com/galloc-go/galloc/global/system"
	"github.com/galloc-go/galloc/heap"
)

func TestGlobalKeepsTheContract(t *testing.T) {
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return galloc.Global })
}

func TestTheHeapIsNotUsed(t *testing.T) {
	before := heap.Default().Stats()
	p := galloc.Must(galloc.New[[100]int](nil))
	if after := heap.Default().Stats(); after.LiveBlocks != before.LiveBlocks || after.Footprint != before.Footprint {
		t.Errorf("from %d blocks to %d", before.LiveBlocks, after.LiveBlocks)
	}
	galloc.Free(nil, p)
}

func Example() {
	allocator, why, _ := strings.Cut(galloc.DescribeGlobal(), ", ")
	// In parentheses follows libc malloc, HeapAlloc or OS pages.
	fmt.Println(strings.HasPrefix(allocator, "galloc.System ("), why)
	// Output: true selected by the import of github.com/galloc-go/galloc/global/system
}
