package tlsf_test

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/tlsf"
)

func ExampleNew() {
	a, err := tlsf.New(nil, 1<<20, tlsf.Options{Touch: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	l := galloc.Must(galloc.NewLayout(10_000, 8))
	b, err := a.Allocate(l)
	fmt.Println(len(b), err)
	fmt.Println(galloc.Resize(a, unsafe.Pointer(&b[0]), l, 60_000)) // into the free block after it
	s := a.Stats()
	fmt.Println(s.Live, s.Free, s.LiveBlocks, s.Table)
	// Output:
	// 10000 <nil>
	// true
	// 60000 988576 1 262152
}
