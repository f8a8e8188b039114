package heapprof_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
)

// BenchmarkProfiler prints the nanoseconds of a pair of allocation and free of 64 bytes, and the
// ratio to a wrapper that only passes calls on. It measures in turn and prints medians.
func BenchmarkProfiler(b *testing.B) {
	h, err := heap.New(heap.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	const rounds, n = 201, 4000
	l := layout(64, 8)
	rows := []struct {
		name string
		g    galloc.GlobalAlloc
	}{
		{"one more call", passed{h}},
		{"off", heapprof.New(h, heapprof.Options{Rate: -1})},
		{"one sample in 512 KiB", heapprof.New(h, heapprof.Options{})},
		{"one sample in 64 KiB", heapprof.New(h, heapprof.Options{Rate: 64 << 10})},
	}
	times := make([][]time.Duration, len(rows))
	for b.Loop() {
		for range rounds {
			for i, r := range rows {
				start := time.Now()
				for range n {
					r.g.Dealloc(r.g.Alloc(l), l)
				}
				times[i] = append(times[i], time.Since(start))
			}
		}
	}
	var first time.Duration
	for i, r := range rows {
		slices.Sort(times[i])
		median := times[i][len(times[i])/2]
		if i == 0 {
			first = median
		}
		fmt.Printf("%-22s %6.2f ns  %.2f\n", r.name, float64(median)/n, float64(median)/float64(first))
	}
}

// passed is a minimal wrapper.
type passed struct{ g galloc.GlobalAlloc }

func (p passed) Alloc(l galloc.Layout) unsafe.Pointer      { return p.g.Alloc(l) }
func (p passed) Dealloc(q unsafe.Pointer, l galloc.Layout) { p.g.Dealloc(q, l) }
