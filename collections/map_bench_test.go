package collections_test

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc/collections"
)

// mix makes keys of numbers, the same in each run, which no hash finds easy.
func mix(i int) uint64 {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

var sink uint64

// Map against Go's map. Keys come in another order than they were put in.
//
//	go test -run xxx -bench 'Map/' -count 5 ./collections | benchstat -col /impl -
func BenchmarkMap(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 10_000_000} {
		// The two take turns, so that what slows down the machine slows down both.
		name := func(op, impl string) string { return fmt.Sprintf("op=%s/n=%d/impl=%s", op, n, impl) }
		var m *collections.Map[uint64, uint64]
		var g map[uint64]uint64
		fill := func() {
			if m == nil {
				m, g = new(collections.Map[uint64, uint64]), map[uint64]uint64{}
				for i := range n {
					m.Put(mix(i), uint64(i))
					g[mix(i)] = uint64(i)
				}
			}
		}
		b.Run(name("hit", "galloc"), func(b *testing.B) {
			fill()
			for i := 0; b.Loop(); i++ {
				v, _ := m.Get(mix(int(mix(i) % uint64(n))))
				sink += v
			}
		})
		b.Run(name("hit", "go"), func(b *testing.B) {
			fill()
			for i := 0; b.Loop(); i++ {
				v, _ := g[mix(int(mix(i)%uint64(n)))]
				sink += v
			}
		})
		b.Run(name("miss", "galloc"), func(b *testing.B) {
			fill()
			for i := 0; b.Loop(); i++ {
				v, _ := m.Get(mix(int(mix(i)%uint64(n)) + n))
				sink += v
			}
		})
		b.Run(name("miss", "go"), func(b *testing.B) {
			fill()
			for i := 0; b.Loop(); i++ {
				v, _ := g[mix(int(mix(i)%uint64(n))+n)]
				sink += v
			}
		})
		b.Run(name("iterate", "galloc"), func(b *testing.B) {
			fill()
			for b.Loop() {
				for _, v := range m.All() {
					sink += v
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		})
		b.Run(name("iterate", "go"), func(b *testing.B) {
			fill()
			for b.Loop() {
				for _, v := range g {
					sink += v
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		})
		// Deleting and putting back: the number of entries stays.
		b.Run(name("delete", "galloc"), func(b *testing.B) {
			fill()
			for i := 0; b.Loop(); i++ {
				k := mix(int(mix(i) % uint64(n)))
				m.Delete(k)
				m.Put(k, 1)
			}
		})
		b.Run(name("delete", "go"), func(b *testing.B) {
			fill()
			for i := 0; b.Loop(); i++ {
				k := mix(int(mix(i) % uint64(n)))
				delete(g, k)
				g[k] = 1
			}
		})
		if m != nil {
			m.Free()
		}
		m, g = nil, nil
		// A new map, grown to n.
		b.Run(name("insert", "galloc"), func(b *testing.B) {
			for b.Loop() {
				var m collections.Map[uint64, uint64]
				for i := range n {
					m.Put(mix(i), uint64(i))
				}
				m.Free()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		})
		b.Run(name("insert", "go"), func(b *testing.B) {
			for b.Loop() {
				m := map[uint64]uint64{}
				for i := range n {
					m[mix(i)] = uint64(i)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
		})
	}
}
