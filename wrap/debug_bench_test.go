package wrap_test

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

// BenchmarkDebug is what a pair of Alloc and Dealloc costs, called through an interface: of the heap alone, behind a Debug that passes
// nearly all on, behind one that looks after all, and behind one that guards all.
func BenchmarkDebug(b *testing.B) {
	for _, size := range []uintptr{64, 4096} {
		for _, c := range []struct {
			mode string
			a    galloc.GlobalAlloc
		}{
			{"bare", heap.Default()},
			{"sample=1000000", wrap.Debug(heap.Default(), wrap.Sample(1_000_000))},
			{"sample=10000", wrap.Debug(heap.Default(), wrap.Sample(10_000))},
			{"full", wrap.Debug(heap.Default())},
			{"full,stacks=0", wrap.Debug(heap.Default(), wrap.Stacks(0))},
			{"guard", wrap.Debug(heap.Default(), wrap.Guard(wrap.AtEnd, 0, 0))},
		} {
			b.Run(fmt.Sprintf("size=%d/mode=%s", size, c.mode), func(b *testing.B) {
				l := layout(size, 8)
				for b.Loop() {
					c.a.Dealloc(c.a.Alloc(l), l)
				}
			})
		}
	}
}
