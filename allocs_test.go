package galloc_test

import (
	"math"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// The free functions, and the methods of Global, take no Go memory once they have been called
// before, for any size, and also if they fail.
func TestFreeFunctionsTakeNoGoMemory(t *testing.T) {
	if engine.Invariants {
		t.Skip("the checks take Go memory")
	}
	var blocks [1000]unsafe.Pointer
	for _, size := range []uintptr{0, 1, 64, 1000, 32 << 10, 40_000, 1 << 20} {
		for _, align := range []uintptr{1, 8, 64, 8192} {
			l, longer := layout(t, size, align), layout(t, 3*size+1, align)
			batch := blocks[:max(1, min(1000, 1<<20/(size+align)))]
			for what, f := range map[string]func(){
				"Alloc":       func() { galloc.Dealloc(galloc.Alloc(l), l) },
				"AllocZeroed": func() { galloc.Dealloc(galloc.AllocZeroed(l), l) },
				"Realloc": func() {
					p := galloc.Realloc(galloc.Alloc(l), l, longer.Size())
					galloc.Dealloc(galloc.Realloc(p, longer, l.Size()), l)
				},
				"Realloc to the same size": func() { galloc.Dealloc(galloc.Realloc(galloc.Alloc(l), l, size), l) },
				"many": func() {
					for i := range batch {
						batch[i] = galloc.Alloc(l)
					}
					for _, p := range batch {
						galloc.Dealloc(p, l)
					}
				},
				"Realloc that fails": func() {
					p := galloc.Alloc(l)
					if galloc.Realloc(p, l, math.MaxInt) != nil {
						t.Error("it has not failed")
					}
					galloc.Dealloc(p, l)
				},
				"Global": func() {
					p := galloc.Global.Realloc(galloc.Global.AllocZeroed(l), l, longer.Size())
					galloc.Global.Dealloc(p, longer)
				},
			} {
				f()
				if n := testing.AllocsPerRun(5, f); n != 0 {
					t.Errorf("%s, %v: %v allocations of Go memory", what, l, n)
				}
			}
		}
	}
}
