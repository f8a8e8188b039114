package fixed_test

import (
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/fixed"
)

// Each round allocates 1000 blocks of 24 bytes and then resets. Times are per block.
func BenchmarkAllocate24(b *testing.B) {
	l, _ := galloc.NewLayout(24, 8)
	mem := make([]byte, 24_000)
	run := func(allocate func(galloc.Layout) ([]byte, error), reset func()) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				for range 1000 {
					_, _ = allocate(l)
				}
				reset()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/block")
			b.ReportMetric(0, "ns/op")
		}
	}
	f, s := fixed.New(mem), fixed.NewShared(mem)
	b.Run("impl=buffer", run(f.Allocate, f.Reset))
	b.Run("impl=shared", run(s.Allocate, s.Reset))
}
