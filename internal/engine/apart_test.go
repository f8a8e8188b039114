package engine

import (
	"testing"
	"unsafe"
)

// FastFree leaves the blocks that are apart to the slow path, and no others.
func TestApart(t *testing.T) {
	fast, alloc, free := FastFree, slowAlloc, slowFree
	defer func() {
		FastFree, apart.base, apart.size = fast, 0, 0
		slowAlloc, slowFree = alloc, free
	}()
	var slow []unsafe.Pointer
	Slow(nil, func(p unsafe.Pointer, _ uintptr, _, _ uint32) { slow = append(slow, p) })
	var area [100]byte
	at := func(i int) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(&area), i) }
	Apart(at(10), 50)
	for _, form := range []func(unsafe.Pointer, uintptr, uint32, uint32){FastFree, fastFreeApart} {
		for _, i := range []int{10, 11, 59} {
			slow = nil
			form(at(i), 24, 3, 3)
			if len(slow) != 1 || slow[0] != at(i) {
				t.Errorf("block at %d: the slow path got %v", i, slow)
			}
		}
	}
}
