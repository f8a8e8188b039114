//go:build cgo && unix && !galloc_pages

package galloc_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/libc/direct"
)

// underSystem registers System, and reports whether that could still be done.
var underSystem = sync.OnceValue(func() (ok bool) {
	defer func() { ok = recover() == nil }()
	galloc.RegisterGlobal(galloc.System)
	return
})

// BenchmarkOverDirect measures what the global allocator costs on top of a bare call of libc's
// malloc and free through cgo, if System is registered. Both take turns every thousand pairs, so
// that noise hits both. It reports the medians of the turns.
func BenchmarkOverDirect(b *testing.B) {
	if !underSystem() {
		b.Skip("the global allocator is in use already: run this benchmark alone, with -run '^$' -bench OverDirect")
	}
	const pairs = 1000
	l := testLayout(64, 8)
	var ours, bare []time.Duration
	for b.Loop() {
		start := time.Now()
		for range pairs {
			direct.Free(direct.Malloc(64))
		}
		between := time.Now()
		for range pairs {
			galloc.Dealloc(galloc.Alloc(l), l)
		}
		bare, ours = append(bare, between.Sub(start)), append(ours, time.Since(between))
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / pairs
	}
	b.ReportMetric(0, "ns/op") // of a turn: says nothing
	b.ReportMetric(median(bare), "direct-ns/pair")
	b.ReportMetric(median(ours), "galloc-ns/pair")
	b.ReportMetric(median(ours)-median(bare), "over-ns/pair")
}
