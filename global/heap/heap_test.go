package heap_test

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	_ "github.com/galloc-go/galloc/global/heap"
	"github.com/galloc-go/galloc/heap"
)

// first is allocated when this package is initialized.
var first = galloc.Must(galloc.New[int](nil))

func TestGlobalKeepsTheContract(t *testing.T) {
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return galloc.Global })
}

func TestTheFirstBlockIsOfTheHeap(t *testing.T) {
	before := heap.Default().Stats().LiveBlocks
	galloc.Free(nil, first)
	if after := heap.Default().Stats().LiveBlocks; after != before-1 {
		t.Errorf("from %d blocks to %d", before, after)
	}
}

func Example() {
	fmt.Println(galloc.DescribeGlobal()) // and what is not obeyed, if GALLOC is set
	// Output: galloc heap, selected by the import of github.com/galloc-go/galloc/global/heap
}
