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
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

// pairs allocates and frees n blocks of 64 bytes on each of some goroutines, through one face
// of a, and returns the time that it took.
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

// passed is the least that a wrapper can be: it passes each call on.
type passed struct {
	galloc.Allocator
	g galloc.GlobalAlloc
}

func (p passed) Alloc(l galloc.Layout) unsafe.Pointer      { return p.g.Alloc(l) }
func (p passed) Dealloc(q unsafe.Pointer, l galloc.Layout) { p.g.Dealloc(q, l) }

// BenchmarkComposition prints what each wrapper costs: a pair of allocation and free, of 64
// bytes, on a heap of its own, in nanoseconds on one P, and on two together (the time divided
// by the pairs of both), each with the ratio to the bare heap; and how many times as many
// pairs two Ps do. All are measured in turn, and the figures are medians: what disturbs the
// machine disturbs all of them.
func BenchmarkComposition(b *testing.B) {
	h, err := heap.New(heap.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	const (
		rounds, n       = 501, 4000
		allRounds, allN = 41, 100_000 // long enough that it does not matter when the second goroutine starts
	)
	rows := []struct {
		name string
		a    galloc.Allocator
		slow int // it does that much less
	}{
		{"bare", h, 1},
		{"one more call", passed{h, h}, 1},
		{"Stats", wrap.Stats(h), 1},
		{"Limit", wrap.Limit(h, 1<<30), 1},
		{"Stats(Limit)", wrap.Stats(wrap.Limit(h, 1<<30)), 1},
		{"Tag", wrap.Tag(h, "benchmark"), 1},
		{"Fail", wrap.Fail(h), 1},
		{"NoAlloc", wrap.NoAlloc(h, nil), 1},
		{"Lock", wrap.Lock(h), 1},
		{"Debug sampled", wrap.Debug(h, wrap.Sample(100_000)), 1},
		{"Debug full", wrap.Debug(h), 100},
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
					all[i] = append(all[i], float64(pairs(r.a, face == "Alloc", procs, n).Nanoseconds())/float64(n*procs))
				}
			}
			fmt.Printf("\n%-14s %8s %7s   %8s %7s %9s\n", face, "1 P, ns", "ratio", fmt.Sprint(procs, " P, ns"), "ratio", "1 P/all")
			for i, r := range rows {
				s, p := median(one[i]), median(all[i])
				fmt.Printf("%-14s %8.1f %7.2f   %8.1f %7.2f %9.2f\n", r.name, s, s/median(one[0]), p, p/median(all[0]), s/p)
			}
		}
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
