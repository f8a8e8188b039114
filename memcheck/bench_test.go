package memcheck_test

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
)

// BenchmarkChecker measures a pair of Alloc and Dealloc, called through an interface: of the heap
// alone, and in Checkers that pass nearly all blocks on, that check all blocks, and that guard all
// blocks.
func BenchmarkChecker(b *testing.B) {
	for _, size := range []uintptr{64, 4096} {
		for _, c := range []struct {
			mode string
			a    galloc.GlobalAlloc
		}{
			{"bare", heap.Default()},
			{"sample=1000000", memcheck.New(heap.Default(), memcheck.Options{Sample: 1_000_000})},
			{"sample=10000", memcheck.New(heap.Default(), memcheck.Options{Sample: 10_000})},
			{"full", memcheck.New(heap.Default(), memcheck.Options{})},
			{"full,stackdepth=0", memcheck.New(heap.Default(), memcheck.Options{StackDepth: -1})},
			{"guard", memcheck.New(heap.Default(), memcheck.Options{Guard: memcheck.GuardEnd})},
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
