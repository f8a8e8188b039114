package tlsf_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/tlsf"
)

// BenchmarkChurn frees and allocates blocks of 16 bytes to 4 KiB at random. Each power of two is
// equally frequent, and 4000 blocks are in use, about 3 MB. An operation is one free and one
// allocation.
func BenchmarkChurn(b *testing.B) {
	a, err := tlsf.New(nil, 8<<20, tlsf.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	for _, c := range []struct {
		name string
		a    galloc.Allocator
	}{{"tlsf", a}, {"heap", heap.Default()}, {"system", galloc.System}} {
		b.Run("impl="+c.name, func(b *testing.B) {
			type block struct {
				p unsafe.Pointer
				l galloc.Layout
			}
			r := rand.New(rand.NewPCG(1, 2))
			var layouts [1 << 12]galloc.Layout
			var slots [1 << 14]uint16
			var blocks [4000]block
			for i := range layouts {
				layouts[i] = galloc.Must(galloc.NewLayout(uintptr(16*math.Exp2(8*r.Float64())), 8))
			}
			for i := range slots {
				slots[i] = uint16(r.IntN(len(blocks)))
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s := &blocks[slots[n%len(slots)]]
				if s.p != nil {
					c.a.Deallocate(s.p, s.l)
				}
				s.l = layouts[n%len(layouts)]
				m, err := c.a.Allocate(s.l)
				if err != nil {
					b.Fatal(err)
				}
				s.p = unsafe.Pointer(unsafe.SliceData(m))
				n++
			}
			for _, s := range blocks {
				if s.p != nil {
					c.a.Deallocate(s.p, s.l)
				}
			}
		})
	}
}
