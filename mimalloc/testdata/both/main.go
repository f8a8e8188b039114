// Both has jemalloc and mimalloc in one process.
package main

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
	"github.com/galloc-go/galloc/mimalloc"
)

func main() {
	allocators := []galloc.Allocator{jemalloc.Allocator, mimalloc.Allocator, galloc.System}
	before, err := jemalloc.ReadStats()
	var blocks [3][1000][]byte
	for i := range blocks[0] {
		l, _ := galloc.NewLayout(uintptr(100+300*i), 8)
		for a := range allocators {
			blocks[a][i] = galloc.Must(allocators[a].Allocate(l))
			for n := range blocks[a][i] {
				blocks[a][i][n] = byte(a)
			}
		}
		if i == 499 { // half of jemalloc's, to be seen in its statistics, and no more
			after, err2 := jemalloc.ReadStats()
			fmt.Println("jemalloc's own:", err, err2, after.Allocated-before.Allocated > 30<<20)
		}
	}
	for i := range blocks[0] {
		l, _ := galloc.NewLayout(uintptr(100+300*i), 8)
		for a := range allocators {
			for n := range blocks[a][i] {
				if blocks[a][i][n] != byte(a) {
					panic(fmt.Sprint("a block of ", allocators[a], " was changed"))
				}
			}
			allocators[a].Deallocate(unsafe.Pointer(&blocks[a][i][0]), l)
		}
	}
	fmt.Println("done")
}
