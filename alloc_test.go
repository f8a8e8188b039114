package galloc_test

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Small blocks are cleared by the fast path, and larger ones by the slow path. Neither may clear
// what is beyond the block.
func TestAllocZeroedClearsTheBlockAndNothingElse(t *testing.T) {
	var blocks [3]unsafe.Pointer
	bytesOf := func(p unsafe.Pointer, size uintptr) []byte { return unsafe.Slice((*byte)(p), size) }
	for size := uintptr(1); size <= 600; size++ {
		for _, align := range []uintptr{1, 8, 16} {
			l := layout(t, size, align)
			whole := layout(t, galloc.Global.GoodSize(l), align) // of the same class
			for i := range blocks {
				blocks[i] = galloc.Alloc(whole)
				copy(bytesOf(blocks[i], whole.Size()), bytes.Repeat([]byte{0xa5}, int(whole.Size())))
			}
			galloc.Dealloc(blocks[1], whole)
			blocks[1] = galloc.AllocZeroed(l)
			if len(bytes.Trim(bytesOf(blocks[1], size), "\x00")) != 0 {
				t.Errorf("%v: not zero: %x", l, bytesOf(blocks[1], size))
			}
			for _, i := range []int{0, 2} {
				if len(bytes.Trim(bytesOf(blocks[i], whole.Size()), "\xa5")) != 0 {
					t.Errorf("%v: another block was cleared", l)
				}
				galloc.Dealloc(blocks[i], whole)
			}
			galloc.Dealloc(blocks[1], l)
		}
	}
}
