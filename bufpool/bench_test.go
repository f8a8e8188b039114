package bufpool_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/galloc-go/galloc/bufpool"
	"github.com/galloc-go/galloc/internal/rss"
)

// goPool is what programs have without this package: a sync.Pool of []byte for each power of two.
type goPool [25]sync.Pool

func (p *goPool) get(n int) *[]byte {
	c := powerOf(n)
	if b, ok := p[c].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<c)
	return &b
}

func (p *goPool) put(b *[]byte) { p[powerOf(cap(*b))].Put(b) }

func powerOf(n int) int { return bits.Len(uint(n - 1)) }

// A warm pair: Get returns the buffer that was put back before.
func BenchmarkPair(b *testing.B) {
	for _, n := range []int{100, 4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d/impl=bufpool", n), func(b *testing.B) {
			for b.Loop() {
				bufpool.Put(bufpool.Get(n))
			}
		})
		b.Run(fmt.Sprintf("size=%d/impl=Slices", n), func(b *testing.B) {
			p := bufpool.NewSlices(nil)
			for b.Loop() {
				p.Put(p.Get(n))
			}
		})
		b.Run(fmt.Sprintf("size=%d/impl=sync.Pool", n), func(b *testing.B) {
			var p goPool
			for b.Loop() {
				p.put(p.get(n))
			}
		})
	}
}

// A mix of sizes from 1 KiB to 1 MiB, small ones more often, of which each goroutine has 16 in use.
// A byte of each page is written. With garbage, the program makes as many bytes of garbage for each
// buffer, so that the garbage collector runs. MB-RSS is the peak of the resident memory, on Linux;
// it means something if the process runs one sub-benchmark only.
func BenchmarkMix(b *testing.B) {
	for _, garbage := range []int{0, 1024} {
		b.Run(fmt.Sprintf("garbage=%d/impl=bufpool", garbage), func(b *testing.B) {
			mix(b, garbage, bufpool.Get, (*bufpool.Buffer).Bytes, bufpool.Put)
		})
		b.Run(fmt.Sprintf("garbage=%d/impl=sync.Pool", garbage), func(b *testing.B) {
			var p goPool
			mix(b, garbage, p.get, func(s *[]byte) []byte { return *s }, p.put)
		})
	}
}

func mix[B comparable](b *testing.B, garbage int, get func(int) B, bytes func(B) []byte, put func(B)) {
	const inUse = 16
	sizes := make([]int, 1<<12)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range sizes {
		sizes[i] = min(1<<10+r.IntN(1<<(10+r.IntN(11))), 1<<20)
	}
	var next atomic.Uint32
	rss.Start()
	b.RunParallel(func(pb *testing.PB) {
		var none B
		var held [inUse]B
		var sink []byte
		for i := int(next.Add(977)); pb.Next(); i++ {
			if h := held[i%inUse]; h != none {
				put(h)
			}
			h := get(sizes[i%len(sizes)])
			for s := bytes(h); len(s) > 0; s = s[min(len(s), 4096):] {
				s[0] = 1
			}
			held[i%inUse] = h
			if garbage > 0 {
				sink = make([]byte, garbage)
			}
		}
		runtime.KeepAlive(sink)
		for _, h := range held {
			if h != none {
				put(h)
			}
		}
	})
	if peak, _ := rss.Peak(); peak > 0 {
		b.ReportMetric(float64(peak)/1e6, "MB-RSS")
	}
}
