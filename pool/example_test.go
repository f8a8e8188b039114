package pool_test

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/pool"
)

func ExampleNewOf() {
	type point struct{ x, y float64 }
	points, err := pool.NewOf[point](nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer points.Close()
	p := galloc.Must(points.Get())
	p.x = 1
	points.Put(p)
	q := galloc.Must(points.Get())
	fmt.Println(p == q, *q)
	// Output: true {0 0}
}

func ExampleNew() {
	p := pool.New(nil, galloc.LayoutOf[[1500]byte]())
	defer p.Close()
	if err := p.Reserve(100); err != nil { // later calls of Get need no memory from the heap
		fmt.Println(err)
		return
	}
	packet := unsafe.Slice((*byte)(p.Get()), 1500)
	packet[0] = 1
	fmt.Println(p.Stats().LiveBlocks, p.Stats().Capacity)
	p.Put(unsafe.Pointer(&packet[0]))
	fmt.Println(p.Stats().LiveBlocks, p.Stats().Capacity)
	// Output:
	// 1 100
	// 0 100
}

// A layout that does not fit fails, so a wrapper such as Fallback can try another allocator.
func ExamplePool_Allocate() {
	p := pool.New(nil, galloc.LayoutOf[[64]byte]())
	defer p.Close()
	_, err := galloc.MakeSlice[byte](p, 50)
	fmt.Println(err)
	_, err = galloc.MakeSlice[byte](p, 65)
	fmt.Println(err)
	// Output:
	// <nil>
	// galloc: memory allocation of 65 bytes (align 1) failed: size or alignment not supported by this allocator
}
