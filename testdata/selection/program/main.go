// The program whose global allocator is selected in every way: by build tags, which import what selects, by the environment, by
// the linker, and by what the argument says.
package main

import (
	"fmt"
	"os"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

var layout = galloc.Must(galloc.NewLayout(40, 8))

// blocks are what libraries have allocated while they were initialized.
var blocks []func()

func main() {
	for _, arg := range os.Args[1:] {
		switch arg {
		case "name":
			fmt.Println(galloc.DescribeGlobal())
		case "use":
			galloc.Dealloc(galloc.Alloc(layout), layout)
		case "register":
			try(func() { galloc.RegisterGlobal(galloc.AsGlobal(galloc.GoHeap)) })
		case "free":
			for _, free := range blocks {
				free()
			}
			fmt.Println(len(blocks), "freed")
		case "limits":
			fmt.Println(heap.Default().Limits())
		case "fill":
			const mib = 1 << 20
			n := 0
			for ; n < 1000 && galloc.Alloc(galloc.Must(galloc.NewLayout(mib, 8))) != nil; n++ {
			}
			fmt.Println(n < 1000, n, "MiB")
		case "misuse":
			try(func() {
				p, q := galloc.Alloc(layout), galloc.Alloc(layout)
				galloc.Dealloc(p, layout)
				galloc.Dealloc(q, layout)
				galloc.Dealloc(p, layout)
				fmt.Println("not noticed")
			})
		default:
			panic(arg)
		}
	}
}

func try(f func()) {
	defer func() {
		if v := recover(); v != nil {
			fmt.Println(v)
		}
	}()
	f()
}
