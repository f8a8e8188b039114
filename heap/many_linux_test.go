package heap_test

import (
	"math/bits"
	"os"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/heap"
)

// mappings returns how many mappings the process has, of which the system allows 65530.
func mappings() int {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	return strings.Count(string(text), "\n")
}

// A process may have many heaps, and after they were closed as many again: a heap takes at most
// five mappings, and a closed one two.
func TestManyHeaps(t *testing.T) {
	needPages(t)
	runChild(t, "many heaps").mustPass(t)
}

func init() {
	children["many heaps"] = func() {
		n := 2500 // the kernel allows some 65,000 mappings, and 7,000 heaps took them all
		if bits.UintSize == 32 {
			n = 300 // 4 MiB of address space each
		}
		l := layout(24, 8)
		first := mappings()
		for round := range 2 {
			var heaps []*heap.Heap
			for i := range n {
				h, err := heap.New(heap.Options{Decay: -1})
				if err != nil {
					die("%v", err)
				}
				p := h.Alloc(l)
				if p == nil {
					die("round %d: no memory in heap %d: %d mappings", round, i, mappings())
				}
				*(*uint64)(p) = 1
				heaps = append(heaps, h)
			}
			if m := mappings() - first; m > n*5+100 {
				die("round %d: %d mappings for %d heaps", round, m, n)
			}
			for _, h := range heaps {
				h.Close()
			}
			if m := mappings() - first; m > 2*n+100 {
				die("round %d: %d mappings after all were closed", round, m)
			}
		}
	}
}
