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
	defer a.Release()
	l := galloc.Must(galloc.NewLayout(10_000, 8))
	b, err := a.Allocate(l)
	fmt.Println(len(b), err)
	fmt.Println(galloc.Resize(a, unsafe.Pointer(&b[0]), l, 60_000)) // into what is free behind it
	s := a.Stats()
	fmt.Println(s.Used, s.Free, s.UsedBlocks, s.Table)
	// Output:
	// 10000 <nil>
	// true
	// 60000 988576 1 262152
}
