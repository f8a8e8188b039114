package stats_test

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/global/stats"
)

// first is allocated when this package is initialized.
var first = galloc.Must(galloc.New[[100]int64](nil))

func TestGlobalKeepsTheContract(t *testing.T) {
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return galloc.Global })
}

func TestTheFirstBlockIsCounted(t *testing.T) {
	change := stats.During(func() { galloc.Free(nil, first) })
	if change.Frees != 1 || change.Allocs != 0 || change.LiveBytes() > -800 {
		t.Errorf("freeing 800 bytes: %v", change)
	}
	if s := stats.Snapshot(); s.Live() < 0 || s.Allocs < s.Frees || s.Allocs == 0 {
		t.Errorf("in all: %v", s)
	}
}

func Example() {
	change := stats.During(func() {
		s := galloc.Must(galloc.MakeSlice[int64](nil, 1000))
		galloc.FreeSlice(nil, s)
	})
	fmt.Println(change.Allocs, "allocated,", change.Frees, "freed,", change.Live(), "live")
	// Output: 1 allocated, 1 freed, 0 live
}
