package freelist_test

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/freelist"
)

func ExampleNew() {
	// Buffers of 1 to 4 KiB, of which up to 64 stay here when they are freed.
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
	fmt.Println(f.Trim(), "bytes given back")
	// Output:
	// {Kept:1 Bytes:4096 Reused:2 Fetched:1}
	// 4096 bytes given back
}
