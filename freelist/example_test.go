package freelist_test

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/freelist"
)

func ExampleNew() {
	// Buffers of 1 to 4 KiB. The list keeps up to 64 freed ones.
	f, err := freelist.New(galloc.System, freelist.Options{Min: 1 << 10, Max: 4 << 10, Keep: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	l := galloc.Must(galloc.NewLayout(3000, 8))
	for range 3 {
		b, err := f.Allocate(l)
		if err != nil {
			fmt.Println(err)
			return
		}
		f.Deallocate(unsafe.Pointer(&b[0]), l)
	}
	fmt.Printf("%+v\n", f.Stats())
	fmt.Println(f.Trim(), "bytes released")
	// Output:
	// {Kept:4096 KeptBlocks:1 Reused:2 Fetched:1}
	// 4096 bytes released
}
