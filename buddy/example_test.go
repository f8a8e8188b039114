package buddy_test

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/buddy"
)

func ExampleNew() {
	a, err := buddy.New(nil, 1<<20, buddy.Options{MinBlock: 4096})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	l := galloc.Must(galloc.NewLayout(10_000, 8))
	b, err := a.Allocate(l)
	fmt.Println(len(b), err, a.Stats().LargestFree)
	fmt.Println(galloc.Resize(a, unsafe.Pointer(&b[0]), l, 60_000)) // into its free buddies
	s := a.Stats()
	fmt.Println(s.Live, s.FreeBlocks[:9])
	// Output:
	// 16384 <nil> 524288
	// true
	// 65536 [0 0 0 0 1 1 1 1 0]
}
