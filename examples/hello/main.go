// Command hello allocates memory off the Go heap, uses it, and frees it.
//
//	go run ./examples/hello
package main

import (
	"fmt"

	"github.com/galloc-go/galloc"
)

type point struct{ x, y int }

func main() {
	// One value. nil means the global allocator.
	p, err := galloc.New[point](nil)
	if err != nil {
		fmt.Println(err) // out of memory is an error
		return
	}
	p.x, p.y = 3, 4
	fmt.Println(*p)
	galloc.Free(nil, p)

	// Many values: a slice whose memory is zeroed, and no garbage.
	s, err := galloc.MakeSlice[float64](nil, 1_000_000)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer galloc.FreeSlice(nil, s)
	s[999_999] = 0.5
	fmt.Println(len(s), s[0], s[999_999])

	// Memory without a type, of a size and an alignment.
	l, err := galloc.NewLayout(4096, 64)
	if err != nil {
		fmt.Println(err)
		return
	}
	block := galloc.Alloc(l)
	if block == nil {
		galloc.HandleAllocError(l) // ends the program
	}
	defer galloc.Dealloc(block, l) // with the layout that it was allocated with
	fmt.Println(l.Size(), uintptr(block)%64)
}
