//go:build cgo && galloc_jemalloc

package jemalloc_test

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/jemalloc"
)

// BenchmarkPair is one allocation and its deallocation, beside those of System and of the heap. Where the library has replaced
// malloc, System is jemalloc too, by malloc and free.
func BenchmarkPair(b *testing.B) {
	for _, size := range []uintptr{64, 1024, 32 << 10} {
		l := layout(size, 8)
		for _, a := range []struct {
			name string
			a    galloc.GlobalAlloc
		}{{"jemalloc", jemalloc.Allocator}, {"System", galloc.System}, {"heap", heap.Default()}} {
			b.Run(fmt.Sprintf("impl=%s/size=%d", a.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					a.a.Dealloc(a.a.Alloc(l), l)
				}
			})
		}
		b.Run(fmt.Sprintf("impl=jemalloc.Allocate/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := jemalloc.Allocator.Allocate(l)
				if err != nil {
					b.Fatal(err)
				}
				jemalloc.Allocator.Deallocate(unsafe.Pointer(&m[0]), l)
			}
		})
	}
}
