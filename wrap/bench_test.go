package wrap_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

// pairs allocates and frees n blocks of 64 bytes on each goroutine, through one interface of a, and
// returns the time.
func pairs(a galloc.Allocator, global bool, goroutines, n int) time.Duration {
	l := layout(64, 8)
	g := a.(galloc.GlobalAlloc)
	var wg sync.WaitGroup
	start := time.Now()
	for range goroutines {
		wg.Go(func() {
			if global {
				for range n {
					g.Dealloc(g.Alloc(l), l)
				}
				return
			}
			for range n {
				b, _ := a.Allocate(l)
				a.Deallocate(unsafe.Pointer(unsafe.SliceData(b)), l)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// passed is a minimal wrapper: it passes each call on.
type passed struct {
	galloc.Allocator
	g galloc.GlobalAlloc
}

func (p passed) Alloc(l galloc.Layout) unsafe.Pointer      { return p.g.Alloc(l) }
func (p passed) Dealloc(q unsafe.Pointer, l galloc.Layout) { p.g.Dealloc(q, l) }

// BenchmarkComposition prints the cost of each wrapper: the nanoseconds of a pair of allocation and
// free of 64 bytes, on one P and on two (the time divided by the pairs of both), each with the
// ratio to the bare heap, and the ratio of the two. It measures all wrappers in turn and prints
// medians, so that a disturbance of the machine affects all of them.
func BenchmarkComposition(b *testing.B) {
	h, err := heap.New(heap.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	const (
		rounds, n = 501, 4000
		// A round is so long that the start of the second goroutine does not matter.
		allRounds, allN = 41, 100_000
	)
	rows := []struct {
		name string
		a    galloc.Allocator
		slow int // it makes fewer calls by this factor
	}{
		{"bare", h, 1},
		{"one more call", passed{h, h}, 1},
		{"Stats", wrap.Stats(h), 1},
		{"Limit", wrap.Limit(h, 1<<30), 1},
		{"Stats(Limit)", wrap.Stats(wrap.Limit(h, 1<<30)), 1},
		{"Tag", wrap.Tag(h, "benchmark"), 1},
		{"Fail", alloctest.Fail(h), 1},
		{"NoAlloc", alloctest.NoAlloc(h, nil), 1},
		{"Lock", wrap.Lock(h), 1},
		{"Debug sampled", memcheck.New(h, memcheck.Options{Sample: 100_000}), 1},
		{"Debug full", memcheck.New(h, memcheck.Options{}), 100},
	}
	maxProcs := runtime.GOMAXPROCS(0)
	procs := min(2, maxProcs)
	for b.Loop() {
		for _, face := range []string{"Alloc", "Allocate"} {
			one, all := make([][]float64, len(rows)), make([][]float64, len(rows))
			runtime.GOMAXPROCS(1)
			for range rounds {
				for i, r := range rows {
					n := n / r.slow
					one[i] = append(one[i], float64(pairs(r.a, face == "Alloc", 1, n).Nanoseconds())/float64(n))
				}
			}
			runtime.GOMAXPROCS(maxProcs)
			for range allRounds {
				for i, r := range rows {
					n := allN / r.slow
					elapsed := pairs(r.a, face == "Alloc", procs, n)
					all[i] = append(all[i], float64(elapsed.Nanoseconds())/float64(n*procs))
				}
			}
			fmt.Printf("\n%-14s %8s %7s   %8s %7s %9s\n",
				face, "1 P, ns", "ratio", fmt.Sprint(procs, " P, ns"), "ratio", "1 P/all")
			for i, r := range rows {
				s, p := median(one[i]), median(all[i])
				fmt.Printf("%-14s %8.1f %7.2f   %8.1f %7.2f %9.2f\n",
					r.name, s, s/median(one[0]), p, p/median(all[0]), s/p)
			}
		}
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
