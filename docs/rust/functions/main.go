// Command functions computes layouts, and allocates blocks of them by the free functions.
package main

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
)

func main() {
	header := galloc.LayoutOf[uint32]()
	items := galloc.Must(galloc.ArrayLayout[uint16](5))
	both, offset, err := header.Extend(items)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d + %d = %d bytes, items at %d\n", header.Size(), items.Size(), both.Size(), offset)
	fmt.Printf("padded: %d bytes, aligned to %d\n", both.PadToAlign().Size(), both.Align())
	_, err = galloc.NewLayout(100, 24)
	fmt.Printf("aligned to 24: error %v\n", err != nil)

	layout := galloc.Must(galloc.NewLayout(100, 64))
	p := galloc.Alloc(layout)
	if p == nil {
		galloc.HandleAllocError(layout)
	}
	fmt.Printf("%d bytes at a multiple of 64: %v\n", layout.Size(), uintptr(p)%64 == 0)
	// SAFETY: p is a block of layout, and only this code uses it.
	b := unsafe.Slice((*byte)(p), layout.Size())
	for i := range b {
		b[i] = 7
	}

	p = galloc.Realloc(p, layout, 200) // by now it is a block of another layout
	layout = galloc.Must(galloc.NewLayout(200, layout.Align()))
	if p == nil {
		galloc.HandleAllocError(layout)
	}
	// SAFETY: as above.
	b = unsafe.Slice((*byte)(p), layout.Size())
	fmt.Printf("%d bytes, still %d and %d\n", layout.Size(), b[0], b[99])
	galloc.Dealloc(p, layout)

	p = galloc.AllocZeroed(both)
	if p == nil {
		galloc.HandleAllocError(both)
	}
	// SAFETY: as above.
	b = unsafe.Slice((*byte)(p), both.Size())
	fmt.Printf("zeroed: %v\n", !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }))
	galloc.Dealloc(p, both)
}
