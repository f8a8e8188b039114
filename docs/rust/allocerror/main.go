// Command allocerror runs out of memory: first that is an error, then it ends the program.
package main

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// AtMost is the maximum number of bytes of a block.
type AtMost uintptr

// Alloc returns nil for a larger size.
func (m AtMost) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() > uintptr(m) {
		return nil
	}
	return galloc.System.Alloc(l)
}

// Dealloc is called by galloc.Dealloc.
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
