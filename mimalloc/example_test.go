//go:build cgo && galloc_mimalloc

package mimalloc_test

import (
	"fmt"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/mimalloc"
)

// Where an Allocator is taken, Allocator is one. To have it everywhere, register it:
//
//	func init() { galloc.RegisterGlobal(mimalloc.Allocator) }
func Example() {
	s := galloc.Must(galloc.MakeSlice[float64](mimalloc.Allocator, 1000))
	s[999] = 1.5
	s = galloc.Must(galloc.GrowSlice(mimalloc.Allocator, s, 2000))
	fmt.Println(len(s), s[999], mimalloc.Available)
	galloc.FreeSlice(mimalloc.Allocator, s)
	// Output: 2000 1.5 true
}

func ExampleReadProcessInfo() {
	info := mimalloc.ReadProcessInfo()
	fmt.Println(info.PeakRSS > 0, info.PeakCommit > 0)
	// Output: true true
}
