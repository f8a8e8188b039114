//go:build cgo && galloc_jemalloc

package jemalloc_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/jemalloc"
)

// BenchmarkPair measures one allocation and its deallocation, compared with System and the heap.
// They take turns every thousand pairs, so that other load on the machine affects all of them, and
// the medians of the turns are reported. Where the library has replaced malloc, System is jemalloc
// too, by malloc and free.
func BenchmarkPair(b *testing.B) {
	const pairs = 1000
	allocators := []struct {
		name string
		a    galloc.GlobalAlloc
	}{{"jemalloc", jemalloc.Allocator}, {"system", galloc.System}, {"heap", heap.Default()}}
	for _, size := range []uintptr{64, 1024, 32 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			l := layout(size, 8)
			turns := make([][]time.Duration, len(allocators))
			for b.Loop() {
				for i, a := range allocators {
					start := time.Now()
					for range pairs {
						a.a.Dealloc(a.a.Alloc(l), l)
					}
					turns[i] = append(turns[i], time.Since(start))
				}
			}
			b.ReportMetric(0, "ns/op") // of a turn of all: says nothing
			for i, a := range allocators {
				slices.Sort(turns[i])
				b.ReportMetric(float64(turns[i][len(turns[i])/2].Nanoseconds())/pairs, a.name+"-ns/pair")
			}
		})
	}
}
