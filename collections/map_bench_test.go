package collections_test

import (
	"fmt"
	stdmaps "maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/heap"
)

// Hash tables against Go's maps. The two take turns of thousands of operations, so that a slow
// machine slows down both. The benchmarks report the medians of the turns and their ratio.
//
//	go test -run xxx -bench 'Maps|StringMaps' -benchtime 31x ./collections

// against reports the time of n operations on both.
func against(b *testing.B, n int, ours, gos func(turn int)) {
	var a, g []float64
	turn := 0
	time1 := func(f func(int)) float64 {
		start := time.Now()
		f(turn)
		return float64(time.Since(start).Nanoseconds()) / float64(n)
	}
	for b.Loop() {
		a, g = append(a, time1(ours)), append(g, time1(gos))
		turn++
	}
	slices.Sort(a)
	slices.Sort(g)
	x, y := a[len(a)/2], g[len(g)/2]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(x, "galloc-ns")
	b.ReportMetric(y, "go-ns")
	b.ReportMetric(x/y, "ratio")
}

// mix returns a key for i, the same in each run. The keys are irregular.
func mix(i int) uint64 {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

var sink uint64

const batch = 20_000

// maps has the maps and keys for the benchmarks of one size and kind of key.
type maps[K comparable] struct {
	n                int
	key              func(i int) K
	copy             func(k K) K // for looking up: other memory than Go's map has
	get              func(k K) uint64
	put              func(k K, v uint64)
	remove           func(k K)
	sum              func() uint64
	free             func()
	build            func()
	gos              map[K]uint64
	present, missing []K // in random order
}

func (m *maps[K]) run(b *testing.B) {
	part := func(keys []K, turn int) []K {
		from := turn * batch % (len(keys) - batch + 1)
		return keys[from : from+batch]
	}
	fill := func() {
		if m.gos != nil {
			return
		}
		m.gos = map[K]uint64{}
		for i := range m.n {
			m.put(m.key(i), uint64(i))
			m.gos[m.key(i)] = uint64(i)
		}
		for i := range 32 * batch {
			m.present = append(m.present, m.copy(m.key(int(mix(i)%uint64(m.n)))))
			m.missing = append(m.missing, m.copy(m.key(m.n+int(mix(i)%uint64(m.n)))))
		}
	}
	look := func(keys *[]K) func(b *testing.B) {
		return func(b *testing.B) {
			fill()
			against(b, batch, func(turn int) {
				for _, k := range part(*keys, turn) {
					sink += m.get(k)
				}
			}, func(turn int) {
				for _, k := range part(*keys, turn) {
					sink += m.gos[k]
				}
			})
		}
	}
	b.Run("hit", look(&m.present))
	b.Run("miss", look(&m.missing))
	b.Run("delete", func(b *testing.B) { // and put back
		fill()
		against(b, batch, func(turn int) {
			for _, k := range part(m.present, turn) {
				m.remove(k)
				m.put(k, 1)
			}
		}, func(turn int) {
			for _, k := range part(m.present, turn) {
				delete(m.gos, k)
				m.gos[k] = 1
			}
		})
	})
	b.Run("iterate", func(b *testing.B) {
		fill()
		rounds := max(1, batch/m.n)
		against(b, rounds*m.n, func(int) {
			for range rounds {
				sink += m.sum()
			}
		}, func(int) {
			for range rounds {
				for _, v := range m.gos {
					sink += v
				}
			}
		})
	})
	m.free()
	m.gos = nil
	b.Run("insert", func(b *testing.B) { // into a map that grows
		rounds := max(1, batch/m.n)
		against(b, rounds*m.n, func(int) {
			for range rounds {
				m.build()
			}
		}, func(int) {
			for range rounds {
				g := map[K]uint64{}
				for i := range m.n {
					g[m.key(i)] = uint64(i)
				}
			}
		})
	})
}

func BenchmarkMaps(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 10_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var m collections.Map[uint64, uint64]
			defer m.Free()
			(&maps[uint64]{
				n: n, key: mix, copy: func(k uint64) uint64 { return k },
				get:    func(k uint64) uint64 { v, _ := m.Get(k); return v },
				put:    m.Put,
				remove: func(k uint64) { m.Delete(k) },
				free:   m.Free,
				sum: func() (s uint64) {
					for _, v := range m.All() {
						s += v
					}
					return s
				},
				build: func() {
					var m collections.Map[uint64, uint64]
					for i := range n {
						m.Put(mix(i), uint64(i))
					}
					m.Free()
				},
			}).run(b)
		})
	}
}

// The keys are strings of 12 bytes. Go's map keeps the strings; StringMap copies them.
func BenchmarkStringMaps(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 10_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var keys []string
			key := func(i int) string {
				if keys == nil {
					keys = make([]string, 2*n)
					for i := range keys {
						keys[i] = fmt.Sprintf("key-%08x", uint32(mix(i)))
					}
				}
				return keys[i]
			}
			key(0)
			var m collections.StringMap[uint64]
			defer m.Free()
			(&maps[string]{
				n: n, key: key, copy: strings.Clone,
				get:    func(k string) uint64 { v, _ := m.Get(k); return v },
				put:    m.Put,
				remove: func(k string) { m.Delete(k) },
				free:   m.Free,
				sum: func() (s uint64) {
					for k, v := range m.All() {
						s += v + uint64(len(k))
					}
					return s
				},
				build: func() {
					var m collections.StringMap[uint64]
					for i := range n {
						m.Put(key(i), uint64(i))
					}
					m.Free()
				},
			}).run(b)
		})
	}
}

// counting counts the bytes of blocks.
type counting struct{ live, peak uintptr }

func (c *counting) Allocate(l galloc.Layout) ([]byte, error) {
	c.live += l.Size()
	c.peak = max(c.peak, c.live)
	return galloc.AllocateZeroed(nil, l)
}

func (c *counting) AllocateZeroed(l galloc.Layout) ([]byte, error) { return c.Allocate(l) }

func (c *counting) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	c.live -= l.Size()
	galloc.Global.Deallocate(p, l)
}

func heapInUse() float64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}

const many = 10_000_000

// For 10 M entries: bytes an entry, the longest time of one Put, and the time of a runtime.GC
// afterwards. Go's strings are allocated one by one, as in programs.
//
//	go test -run xxx -bench MapMemory -benchtime 1x ./collections
func BenchmarkMapMemory(b *testing.B) {
	var c counting
	report := func(b *testing.B, put func(i int)) {
		worst := time.Duration(0)
		before := heapInUse()
		for i := range many {
			start := time.Now()
			put(i)
			worst = max(worst, time.Since(start))
		}
		after := heapInUse()
		start := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(start).Microseconds())/1e3, "gc-ms")
		b.ReportMetric((after-before+float64(c.live))/many, "B/entry")
		b.ReportMetric(float64(c.peak)/many, "peak-B/entry")
		b.ReportMetric(float64(worst.Microseconds())/1e3, "worst-ms")
	}
	b.Run("map[uint64]uint64", func(b *testing.B) {
		c = counting{}
		m := map[uint64]uint64{}
		report(b, func(i int) { m[mix(i)] = 1 })
		runtime.KeepAlive(m)
	})
	b.Run("Map[uint64,uint64]", func(b *testing.B) {
		c = counting{}
		m := collections.NewMap[uint64, uint64](&c)
		defer m.Free()
		report(b, func(i int) { m.Put(mix(i), 1) })
	})
	buf := make([]byte, 0, 64)
	make12 := func(i int) []byte { return fmt.Appendf(buf[:0], "key-%08x", uint32(mix(i))) }
	b.Run("map[string]uint64", func(b *testing.B) {
		c = counting{}
		m := map[string]uint64{}
		report(b, func(i int) { m[string(make12(i))] = 1 })
		runtime.KeepAlive(m)
	})
	b.Run("StringMap[uint64]", func(b *testing.B) {
		c = counting{}
		m := collections.NewStringMap[uint64](&c)
		defer m.Free()
		report(b, func(i int) { m.PutBytes(make12(i), 1) })
	})
	b.Run("map[string]string", func(b *testing.B) {
		c = counting{}
		m := map[string]string{}
		report(b, func(i int) { s := string(make12(i)); m[s] = strings.Clone(s) })
		runtime.KeepAlive(m)
	})
	b.Run("TextMap", func(b *testing.B) {
		c = counting{}
		m := collections.NewTextMap(&c)
		defer m.Free()
		report(b, func(i int) { s := make12(i); m.PutBytes(s, s) })
	})
}

// The steps by which a map grows to 10 M entries, without what the system needs for fresh memory
// and what other programs do: the map grows several times in the same memory. It does each step at
// the same number of entries, so the least time of the Put that adds entry i is its own.
//
//	go test -run xxx -bench GrowthSteps -benchtime 1x ./collections
func BenchmarkGrowthSteps(b *testing.B) {
	h, err := heap.New(heap.Options{Decay: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	least := map[int]float64{}
	for range 4 {
		m := collections.NewMap[uint64, uint64](h)
		for i := range many {
			start, limit := time.Time{}, m.Cap()
			if i == limit {
				start = time.Now()
			}
			m.Put(mix(i), 1)
			if i == limit {
				us := float64(time.Since(start).Nanoseconds()) / 1e3
				if was, ok := least[i]; !ok || us < was {
					least[i] = us
				}
			}
		}
		m.Free()
	}
	steps := slices.Sorted(stdmaps.Values(least))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(steps)), "steps")
	b.ReportMetric(steps[len(steps)-1], "longest-us")
	b.ReportMetric(steps[len(steps)*99/100], "p99-us")
	b.ReportMetric(steps[len(steps)/2], "median-us")
}
