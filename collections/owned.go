package collections

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The types String, Rc and Arc own memory, and yet are elements like numbers: there is no Go pointer in
// them. So they keep an addr, and cannot keep their allocator, which they are given again to be freed.

// addr is the address of a block off the Go heap, or 0.
type addr uintptr

// pointer returns the address as a pointer.
func (a addr) pointer() unsafe.Pointer {
	// SAFETY: the bits of an address are those of the pointer. The collector does not know this value
	// as a pointer, but neither does it move or free what is outside of its heap: see hidden.
	return *(*unsafe.Pointer)(unsafe.Pointer(&a))
}

// errCollected is what hidden returns.
var errCollected = fmt.Errorf("galloc/collections: the garbage collector frees what String, Rc and Arc refer to "+
	"on an allocator of its own memory: use another than galloc.GoHeap: %w", galloc.ErrUnsupported)

// hidden returns an error if a's blocks live only as long as Go pointers lead to them.
func hidden(a galloc.Allocator) error {
	if _, ok := a.(galloc.TypedAllocator); ok {
		return errCollected
	}
	return nil
}
