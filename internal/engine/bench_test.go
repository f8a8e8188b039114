package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"unsafe"
)

func BenchmarkPair(b *testing.B) {
	h := &Default
	for b.Loop() {
		p := h.Alloc(64, 8)
		h.Free(p, 64, 8)
	}
}

func BenchmarkBatch(b *testing.B) {
	h := &Default
	var ps [1000]unsafe.Pointer
	for i := 0; i < b.N; i += 1000 {
		for j := range ps {
			ps[j] = h.Alloc(64, 8)
		}
		for j := range ps {
			h.Free(ps[j], 64, 8)
		}
	}
}

func BenchmarkSizes(b *testing.B) {
	h := &Default
	for size := uintptr(8); size <= 1<<20; size *= 2 {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := h.Alloc(size, 8)
				h.Free(p, size, 8)
			}
		})
	}
}

func BenchmarkParallelPair(b *testing.B) {
	h := &Default
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := h.Alloc(64, 8)
			h.Free(p, 64, 8)
		}
	})
}

func BenchmarkParallelLarge(b *testing.B) {
	h := &Default
	const size = 64 << 10
	var s Stats
	h.ReadStats(&s)
	before := s.PageLocks
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := h.Alloc(size, 8)
			h.Free(p, size, 8)
		}
	})
	h.ReadStats(&s)
	b.ReportMetric(float64(s.PageLocks-before)/float64(b.N), "locks/op")
}

func BenchmarkParallelBatch(b *testing.B) {
	h := &Default
	b.RunParallel(func(pb *testing.PB) {
		var ps [1000]unsafe.Pointer
		n := 0
		for pb.Next() {
			ps[n] = h.Alloc(64, 8)
			if n++; n == len(ps) {
				for _, p := range ps {
					h.Free(p, 64, 8)
				}
				n = 0
			}
		}
		for _, p := range ps[:n] {
			h.Free(p, 64, 8)
		}
	})
}

// One goroutine allocates, another frees. Blocks pass in batches through a ring that only these two
// use.
func BenchmarkProducerConsumer(b *testing.B) {
	const batch, ring = 64, 64
	h := &Default
	var blocks [ring][batch]unsafe.Pointer
	var made, freed atomic.Int64 // batches
	rounds := int64(b.N+batch-1) / batch
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := int64(0); i < rounds; i++ {
			for made.Load() <= i {
				runtime.Gosched()
			}
			for _, p := range &blocks[i%ring] {
				h.Free(p, 64, 8)
			}
			freed.Store(i + 1)
		}
	}()
	for i := int64(0); i < rounds; i++ {
		for freed.Load() <= i-ring {
			runtime.Gosched()
		}
		for j := range &blocks[i%ring] {
			blocks[i%ring][j] = h.Alloc(64, 8)
		}
		made.Store(i + 1)
	}
	<-done
}

var sink *[64]byte

func BenchmarkGoNew(b *testing.B) {
	for b.Loop() {
		sink = new([64]byte)
	}
}

func BenchmarkGoNewParallel(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		var mine *[64]byte
		for pb.Next() {
			mine = new([64]byte)
			keep(mine)
		}
	})
}

//go:noinline
func keep(*[64]byte) {}

// BenchmarkGC measures a garbage collection beside many blocks, of the engine or of the Go heap.
func BenchmarkGC(b *testing.B) {
	const many = 10_000_000
	gc := func(b *testing.B) {
		runtime.GC()
		for b.Loop() {
			runtime.GC()
		}
	}
	b.Run("blocks=0", gc)
	b.Run("blocks=10M", func(b *testing.B) {
		h := New(Config{})
		defer h.Close()
		for range many {
			if h.Alloc(64, 8) == nil {
				b.Skip("no memory")
			}
		}
		gc(b)
	})
	b.Run("go=10M", func(b *testing.B) {
		if testing.Short() {
			b.Skip("1 GiB of Go memory")
		}
		type node struct {
			next *node
			_    [56]byte
		}
		var all *node
		for range many {
			all = &node{next: all}
		}
		gc(b)
		runtime.KeepAlive(all)
	})
}

// A cache at the hard limit that evicts a block when it is refused one, and tries again.
func BenchmarkEvictAtTheLimit(b *testing.B) {
	for _, size := range []uintptr{64, 1000, 100 << 10} {
		b.Run(strconv.Itoa(int(size)), func(b *testing.B) {
			h := New(Config{})
			defer h.Close()
			h.SetLimit(0, 64<<20, nil)
			var ps []unsafe.Pointer
			for p := h.Alloc(size, 8); p != nil; p = h.Alloc(size, 8) {
				ps = append(ps, p)
			}
			at := 0
			for b.Loop() {
				p := h.Alloc(size, 8)
				for p == nil {
					h.Free(ps[at], size, 8)
					p = h.Alloc(size, 8)
				}
				ps[at] = p
				at = (at + 7919) % len(ps)
			}
		})
	}
}

// BenchmarkMedium replaces blocks of random sizes, 128 of which are live: the sizes of buffers.
func BenchmarkMedium(b *testing.B) {
	for _, c := range []struct {
		name     string
		from, to int // KiB
	}{{"16-64KiB", 16, 64}, {"32KiB-1MiB", 32, 1024}, {"256KiB-2MiB", 256, 2048}} {
		b.Run(c.name, func(b *testing.B) {
			h := New(Config{})
			defer h.Close()
			r := rand.New(rand.NewPCG(1, 1))
			sizes := make([]uintptr, 1<<12) // with as many blocks from each doubling
			for i := range sizes {
				sizes[i] = uintptr(float64(c.from<<10) * math.Pow(float64(c.to)/float64(c.from), r.Float64()))
			}
			replaceAtRandom(b, h, sizes, 7)
		})
	}
}

// BenchmarkMixed replaces blocks of 16 bytes to 1 MiB at random. One in 20 has 32 KiB or more.
func BenchmarkMixed(b *testing.B) {
	h := New(Config{})
	defer h.Close()
	r := rand.New(rand.NewPCG(1, 1))
	sizes := make([]uintptr, 1<<14) // with as many blocks from each doubling
	for i := range sizes {
		sizes[i] = uintptr(16 * math.Pow(64, r.Float64()))
		if i%20 == 0 {
			sizes[i] = uintptr(32 << 10 * math.Pow(32, r.Float64()))
		}
	}
	replaceAtRandom(b, h, sizes, 12)
}

// replaceAtRandom is a benchmark's loop that replaces one of 1<<lg blocks by a block of the next
// size. The blocks are chosen by multiplicative hashing of the step.
func replaceAtRandom(b *testing.B, h *Heap, sizes []uintptr, lg uint) {
	type buffer struct {
		p    unsafe.Pointer
		size uintptr
	}
	live := make([]buffer, 1<<lg)
	var s Stats
	n := uint32(0)
	for b.Loop() {
		n++
		x := &live[n*2654435761>>(32-lg)]
		if x.p != nil {
			h.Free(x.p, x.size, 8)
		}
		x.size = sizes[n%uint32(len(sizes))]
		x.p = h.Alloc(x.size, 8)
	}
	h.ReadStats(&s)
	b.ReportMetric(float64(s.PageLocks)/float64(b.N), "locks/op")
	b.ReportMetric(float64(s.Footprint)/float64(s.Live), "footprint/live")
}
