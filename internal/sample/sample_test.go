package sample

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// sampler returns a Sampler with reproducible distances.
func sampler(rate int64) *Sampler {
	s, r := new(Sampler), rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	s.Init(rate, func() uint32 {
		mu.Lock()
		defer mu.Unlock()
		return r.Uint32()
	})
	return s
}

// Allocations of s bytes are sampled with probability 1 - exp(-s/rate), and the weights add up to
// their number, whatever else is allocated in between.
func TestProbability(t *testing.T) {
	const rate, n = 1000, 200_000
	s := sampler(rate)
	sizes := []uintptr{1, 100, 1000, 5000}
	sampled := make([]float64, len(sizes))
	for range n {
		for i, size := range sizes {
			if !s.Skips(size) {
				sampled[i]++
			}
		}
	}
	for i, size := range sizes {
		p := -math.Expm1(-float64(size) / rate)
		deviation := math.Sqrt(n * p * (1 - p))
		if math.Abs(sampled[i]-n*p) > 5*deviation {
			t.Errorf("%.0f of %d allocations of %d bytes were sampled, not %.0f", sampled[i], n, size, n*p)
		}
		if w := s.Weight(size); math.Abs(w*p-1) > 1e-9 {
			t.Errorf("the weight of %d bytes is %v, not %v", size, w, 1/p)
		}
	}
	if got := s.Allocations(); got != n*uint64(len(sizes)) {
		t.Errorf("%d allocations were counted, not %d", got, n*len(sizes))
	}
}

func TestRatesOneAndZero(t *testing.T) {
	s := sampler(1)
	for i := range 100 {
		if s.Skips(uintptr(i + 1)) {
			t.Fatal("rate 1 has skipped an allocation")
		}
	}
	if w := s.Weight(7); w != 1 {
		t.Errorf("the weight is %v, not 1", w)
	}
	s.SetRate(0)
	for range 100 {
		if !s.Skips(math.MaxInt) || !s.Skips(1<<30) {
			t.Fatal("rate 0 has sampled an allocation")
		}
	}
	s.SetRate(1)
	if s.Skips(1) {
		t.Error("rate 1 has skipped an allocation after rate 0")
	}
}

// No allocation is lost if goroutines change Ps all the time.
func TestConcurrentAllocations(t *testing.T) {
	s := sampler(100)
	const goroutines, n = 4, 50_000
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range goroutines {
		wg.Go(func() {
			sampled := 0
			for range n {
				if !s.Skips(10) {
					sampled++
				}
			}
			mu.Lock()
			total += sampled
			mu.Unlock()
		})
	}
	wg.Wait()
	p := -math.Expm1(-0.1)
	if want := goroutines * n * p; math.Abs(float64(total)-want) > 0.05*want {
		t.Errorf("%d allocations were sampled, not about %.0f", total, want)
	}
}
