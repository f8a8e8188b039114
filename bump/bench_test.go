package bump_test

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/heap"
)

var l24, _ = galloc.NewLayout(24, 8)

type node struct{ a, b, c uint64 }

// Each round allocates 1000 blocks of 24 bytes and then frees them all. Times are per block.
const blocks = 1000

func perBlock(b *testing.B, f func(n int)) {
	b.Helper()
	for b.Loop() {
		f(blocks)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/blocks, "ns/block")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkAlloc24(b *testing.B) {
	a := bump.New(nil)
	defer a.Close()
	b.Run("impl=arena", func(b *testing.B) {
		perBlock(b, func(n int) {
			for range n {
				a.Alloc(l24)
			}
			a.Reset()
		})
	})
	b.Run("impl=arena/Allocate", func(b *testing.B) {
		perBlock(b, func(n int) {
			for range n {
				_, _ = a.Allocate(l24)
			}
			a.Reset()
		})
	})
	b.Run("impl=arena/interface", func(b *testing.B) {
		perBlock(b, func(n int) {
			viaInterface(a, n)
			a.Reset()
		})
	})
	b.Run("impl=arena/New", func(b *testing.B) {
		perBlock(b, func(n int) {
			for range n {
				_, _ = galloc.New[node](a)
			}
			a.Reset()
		})
	})
	h := heap.Default()
	var all [blocks]unsafe.Pointer
	b.Run("impl=heap", func(b *testing.B) { // including Dealloc
		perBlock(b, func(n int) {
			for i := range n {
				all[i] = galloc.Alloc(l24)
			}
			for i := range n {
				galloc.Dealloc(all[i], l24)
			}
		})
	})
	b.Run("impl=heap/New", func(b *testing.B) {
		perBlock(b, func(n int) {
			for i := range n {
				p, _ := galloc.New[node](h)
				all[i] = unsafe.Pointer(p)
			}
			for i := range n {
				galloc.Free(h, (*node)(all[i]))
			}
		})
	})
	b.Run("impl=new", func(b *testing.B) { // including garbage collection
		perBlock(b, func(n int) {
			for i := range n {
				all[i] = unsafe.Pointer(new(node))
			}
		})
	})
}

//go:noinline
func viaInterface(a galloc.Allocator, n int) {
	for range n {
		_, _ = a.Allocate(l24)
	}
}
