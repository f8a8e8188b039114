//go:build cgo && galloc_jemalloc

package jemalloc_test

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
)

// Allocator can be passed to any function that takes an Allocator. To use it everywhere, register
// it:
//
//	func init() { galloc.RegisterGlobal(jemalloc.Allocator) }
func Example() {
	s := galloc.Must(galloc.MakeSlice[float64](jemalloc.Allocator, 1000))
	s[999] = 1.5
	s = galloc.Must(galloc.GrowSlice(jemalloc.Allocator, s, 2000))
	fmt.Println(len(s), s[999], jemalloc.Available)
	galloc.FreeSlice(jemalloc.Allocator, s)
	// Output: 2000 1.5 true
}

func ExampleReadStats() {
	l := galloc.LayoutOf[[256 << 20]byte]()
	before, err := jemalloc.ReadStats()
	if err != nil {
		fmt.Println(err)
		return
	}
	p := jemalloc.Allocator.Alloc(l)
	after, err := jemalloc.ReadStats()
	// Other threads may free at the same time.
	fmt.Println(after.Allocated-before.Allocated > 128<<20, err)
	jemalloc.Allocator.Dealloc(p, l)
	// Output: true <nil>
}

func ExampleReadControl() {
	page, err := jemalloc.ReadControl[uintptr]("arenas.page") // a size_t
	fmt.Println(page >= 4096, err)
	_, err = jemalloc.ReadControl[uintptr]("arenas.pages")
	fmt.Println(errors.Is(err, syscall.ENOENT))
	fmt.Println(err)
	// Output:
	// true <nil>
	// true
	// galloc/jemalloc: arenas.pages: jemalloc has no such control, or was built or started without what it needs (no such file or directory)
}
