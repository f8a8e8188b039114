// Command allocerror runs out of memory: first that is an error, then it is the end.
package main

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// AtMost is how many bytes a block can have.
type AtMost uintptr

// Alloc returns nil for more than that.
func (m AtMost) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() > uintptr(m) {
		return nil
	}
	return galloc.System.Alloc(l)
}

// Dealloc is what galloc.Dealloc calls.
func (AtMost) Dealloc(p unsafe.Pointer, l galloc.Layout) { galloc.System.Dealloc(p, l) }

func init() { galloc.RegisterGlobal(AtMost(1 << 20)) }

func main() {
	var v collections.Vec[byte]
	fmt.Printf("half of it: error %v\n", v.TryReserveExact(1<<19) != nil)
	fmt.Printf("too much: error %v\n", v.TryReserveExact(1<<21) != nil)
	fmt.Printf("still there: %d\n", v.Cap())
	v.ReserveExact(1 << 21) // ends here
	fmt.Printf("never reached: %d\n", v.Cap())
}
