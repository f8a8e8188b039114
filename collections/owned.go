package collections

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// String, Rc and Arc own memory and can be elements of collections, because they contain no Go
// pointers. So they hold an addr, and no allocator: the caller passes it to Free.

// addr is the address of a block off the Go heap, or 0.
type addr uintptr

// pointer returns the address as a pointer.
func (a addr) pointer() unsafe.Pointer {
	// SAFETY: an address and a pointer have the same bits. The collector does not see this value,
	// but it neither moves nor frees memory outside its heap: see hidden.
	return *(*unsafe.Pointer)(unsafe.Pointer(&a))
}

var errCollected = fmt.Errorf("galloc/collections: String, Rc or Arc on galloc.GoHeap, or an allocator made of it, "+
	"where the garbage collector would free it: use another allocator: %w", galloc.ErrUnsupported)

// hidden returns an error if the garbage collector frees the blocks of a.
func hidden(a galloc.Allocator) error {
	if galloc.GarbageCollected(a) {
		return errCollected
	}
	return nil
}
