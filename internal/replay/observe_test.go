package replay

import (
	"math"
	"math/bits"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The block of a realloc that fails must be freed afterwards, and so be found.
func TestAReallocThatFailsLeavesItsBlockWhereItWas(t *testing.T) {
	if bits.UintSize == 32 {
		t.Skip("every size there is may be had")
	}
	l := layoutOf(100, 8)
	code := []instr{
		{layout: l},
		{layout: l, op: opRealloc},
		{layout: layoutOf(math.MaxInt-1<<20, 8), op: opInto},
	}
	table := make([]unsafe.Pointer, 1)
	calls := uint64(0)
	o := observer{func() uint64 { return 0 }, func(uint64) { calls++ }}
	if failed := o.run(code, table, nil, nil); failed != 1 || table[0] == nil || calls != 2 {
		t.Fatalf("failed %d after %d calls, the slot is %v", failed, calls, table[0])
	}
	galloc.Dealloc(table[0], l)
}
