package cache

import (
	"container/list"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/galloc-go/galloc/internal/percpu"
)

// lru is a simple cache of n keys, in the order of their use.
type lru struct {
	n     int
	order *list.List
	keys  map[int]*list.Element
}

func newLRU(n int) *lru { return &lru{n, list.New(), map[int]*list.Element{}} }

// get reports whether k is present, and adds it if it is not.
func (l *lru) get(k int) bool {
	if e := l.keys[k]; e != nil {
		l.order.MoveToFront(e)
		return true
	}
	if l.order.Len() == l.n {
		delete(l.keys, l.order.Remove(l.order.Back()).(int))
	}
	l.keys[k] = l.order.PushFront(k)
	return false
}

// zipf returns a generator of numbers below n, of which i has a frequency of about 1/(i+1)^s. It is
// the inverse of the integral, for s != 1.
func zipf(r *rand.Rand, s float64, n int) func() int {
	top := math.Pow(float64(n)+1, 1-s) - 1
	return func() int {
		return min(n-1, int(math.Pow(1+r.Float64()*top, 1/(1-s)))-1)
	}
}

// traces are generated sequences of keys, for a cache of 1000 entries.
var traces = map[string]func(r *rand.Rand) func() int{
	"zipf 0.8": func(r *rand.Rand) func() int { return zipf(r, 0.8, 50_000) },
	"zipf 1.1": func(r *rand.Rand) func() int { return zipf(r, 1.1, 50_000) },
	"zipf and scans": func(r *rand.Rand) func() int {
		z, i, next := zipf(r, 0.9, 20_000), 0, 1_000_000
		return func() int {
			if i++; i%8000 < 3000 { // a scan of 3000 keys, each once
				next++
				return next
			}
			return z()
		}
	},
	"zipf and one-hit wonders": func(r *rand.Rand) func() int {
		z, next := zipf(r, 0.9, 20_000), 1_000_000
		return func() int {
			if r.IntN(2) == 0 {
				next++
				return next
			}
			return z()
		}
	},
	"loop": func(*rand.Rand) func() int {
		i := 0
		return func() int { i++; return i % 1200 }
	},
	"loop and zipf": func(r *rand.Rand) func() int {
		z, i := zipf(r, 0.9, 20_000), 0
		return func() int {
			if r.IntN(2) == 0 {
				i++
				return 1_000_000 + i%1500
			}
			return z()
		}
	},
	"shifting zipf": func(r *rand.Rand) func() int {
		z, i := zipf(r, 0.9, 20_000), 0
		return func() int { i++; return z() + i/20_000*500 }
	},
}

// The policy is compared with LRU, with as many entries. The seeds are fixed, but the hashes are
// not, which changes a ratio by less than 0.002.
func TestHitRatio(t *testing.T) {
	if percpu.Race {
		t.Skip("it is long, and has one goroutine")
	}
	const size, calls = 1000, 200_000
	least := map[string]float64{ // the advantage
		"zipf 0.8": 0.03, "zipf 1.1": 0.005, "zipf and scans": 0.03, "zipf and one-hit wonders": 0.08,
		"loop": -0.01, "loop and zipf": 0.03, "shifting zipf": 0.01,
	}
	for name, make := range traces {
		c := open(t, Options{MaxBytes: 4 << 20, MaxEntries: size}, 1)
		l := newLRU(size)
		next := make(rand.New(rand.NewPCG(1, 2)))
		hits, lruHits := 0, 0
		for range calls {
			k := next()
			if l.get(k) {
				lruHits++
			}
			key := fmt.Sprint(k)
			if _, ok := c.Get(nil, key); ok {
				hits++
			} else if err := c.Set(key, nil); err != nil {
				t.Fatal(err)
			}
		}
		a, b := float64(hits)/calls, float64(lruHits)/calls
		t.Logf("%-26s %.4f, LRU %.4f", name, a, b)
		if a-b < least[name] {
			t.Errorf("%s: the hit ratio is %.4f, and %.4f of LRU", name, a, b)
		}
	}
}
