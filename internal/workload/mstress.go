package workload

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

var mstress = Workload{
	Name: "mstress", About: "random calls of threads that exchange blocks, a few of them huge",
	Op: "an allocation or a free",
	Params: []Param{
		{"scale", 10, 1, 1 << 16, "hundreds of allocations of the first thread"},
		{"iterations", 10, 1, maxCount, "number of times that all threads are started"},
	},
	build: func(g *gang, v values) job {
		threads := v.int("threads")
		workers := make([]*stressor, threads)
		for i := range workers {
			allocs := 100 * v.int("scale") * (i%8 + 1)
			workers[i] = &stressor{
				allocs: allocs, retain: allocs / 2,
				data: make([]unsafe.Pointer, allocs), retained: make([]unsafe.Pointer, allocs/2),
			}
			clear(workers[i].data)
			clear(workers[i].retained)
		}
		transfer := make([]unsafe.Pointer, transfers)
		// Thread 0 starts the others and waits for them.
		return job{
			threads: threads + 1, crew: 1,
			run: func(t *thread) {
				main := &stressor{thread: t, x: 43}
				for i, w := range workers {
					w.thread = g.threads[i+1]
				}
				for last := v.u64("iterations") - 1; ; last-- {
					var ends sync.WaitGroup
					for i, w := range workers {
						w.x = uint64(i+1) * 43
						g.side(&ends, func() { w.work(transfer) })
					}
					ends.Wait()
					for i := range transfer {
						if last == 0 || main.chance(50) {
							main.freeItems(atomic.SwapPointer(&transfer[i], nil))
						}
					}
					if last == 0 {
						return
					}
				}
			},
		}
	},
}

const transfers = 1000

// A stressor is one of the threads. Word k of a block of n words is (n-k) ^ mixFactor, so the first
// word has n.
type stressor struct {
	*thread
	x              uint64 // state of the generator
	allocs, retain int
	data, retained []unsafe.Pointer // with capacity for all
	_              [128]byte        // as in thread
}

func (w *stressor) pick(n int) int {
	w.x = mix(w.x)
	return int(w.x % uint64(n))
}

func (w *stressor) chance(percent int) bool { return w.pick(100) < percent }

func (w *stressor) work(transfer []unsafe.Pointer) {
	allocs, retain := w.allocs, w.retain
	data, retained := w.data[:0], w.retained[:0]
	for allocs > 0 || retain > 0 {
		if retain == 0 || w.chance(50) && allocs > 0 {
			allocs--
			data = append(data, w.allocItems(1<<w.pick(5)))
		} else {
			retain--
			retained = append(retained, w.allocItems(1<<w.pick(7)))
		}
		if w.chance(66) && len(data) > 0 {
			i := w.pick(len(data))
			w.freeItems(data[i])
			data[i] = nil
		}
		if w.chance(25) && len(data) > 0 {
			i, j := w.pick(len(data)), w.pick(len(transfer))
			data[i] = atomic.SwapPointer(&transfer[j], data[i])
		}
	}
	for _, blocks := range [][]unsafe.Pointer{data, retained} {
		for i, p := range blocks {
			w.freeItems(p)
			blocks[i] = nil
		}
	}
}

func (w *stressor) allocItems(n uint64) unsafe.Pointer {
	if w.chance(1) {
		switch {
		case w.chance(1):
			n *= 10000
		case w.chance(10):
			n *= 1000
		default:
			n *= 100
		}
	}
	if n == 40 {
		n = 41
	}
	l, _ := galloc.NewLayout(uintptr(8*n), minAlign)
	p := w.get(uintptr(8*n), l)
	words := wordsOf(p, n)
	for k := range words {
		words[k] = (n - uint64(k)) ^ mixFactor
	}
	w.ops++
	return p
}

// freeItems checks the words of a block and frees it. If p is nil, it does nothing.
func (w *stressor) freeItems(p unsafe.Pointer) {
	if p == nil {
		return
	}
	n := wordsOf(p, 1)[0] ^ mixFactor
	if n == 0 || n > 64*10000 {
		panic(failf("the first word of a block at %p is not the word that was written", p))
	}
	for k, word := range wordsOf(p, n) {
		if word != (n-uint64(k))^mixFactor {
			panic(failf("word %d of %d of a block at %p is not the word that was written", k, n, p))
		}
	}
	l, _ := galloc.NewLayout(uintptr(8*n), minAlign)
	w.free(p, l)
	w.ops++
}

// wordsOf returns the first n words of a block.
func wordsOf(p unsafe.Pointer, n uint64) []uint64 {
	// SAFETY: the block has at least n words, and is aligned to 8.
	return unsafe.Slice((*uint64)(p), n)
}
