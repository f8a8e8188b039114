package stopwatch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsHoldNearbyValues(t *testing.T) {
	var edges []uint64
	for s := range 64 {
		for _, d := range []uint64{0, 1, 2, 3, 5, 1 << s >> 5, 1 << s >> 4, 1<<s - 1} {
			edges = append(edges, 1<<s+d, 1<<s-d)
		}
	}
	edges = append(edges, 0, math.MaxUint64)
	slices.Sort(edges)
	last := 0
	for _, v := range edges {
		i := bucketOf(v)
		if i < last || i >= buckets {
			t.Fatalf("%d is in bucket %d of %d, and a smaller value in %d", v, i, buckets, last)
		}
		last = i
		m := least(i)
		if bucketOf(m) != i || m > 0 && bucketOf(m-1) != i-1 {
			t.Errorf("bucket %d does not begin at %d", i, m)
		}
		if v < 32 && m != v || m > v || v-m > v/16 {
			t.Errorf("%d represents %d", m, v)
		}
	}
	if last != buckets-1 {
		t.Errorf("the last bucket is %d of %d", last, buckets)
	}
}

func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 999, 1000, 20_000} {
		var parts [3]Histogram
		var sorted []uint64
		for i := range n {
			v := random.Uint64() >> random.IntN(64)
			parts[i%3].Add(v)
			sorted = append(sorted, v)
		}
		slices.Sort(sorted)
		var h Histogram
		for i := range parts {
			h.Merge(&parts[i])
		}
		if h.Count() != uint64(n) || h.Max() != sorted[n-1] {
			t.Errorf("count %d, max %d; want %d, %d", h.Count(), h.Max(), n, sorted[n-1])
		}
		for _, q := range []float64{0, 0.25, 0.5, 0.99, 0.999, 1} {
			want := sorted[max(int(math.Ceil(q*float64(n))), 1)-1]
			if got := h.Quantile(q); got != least(bucketOf(want)) {
				t.Errorf("%d values: quantile %v is %d, want %d", n, q, got, want)
			}
		}
	}
	var none Histogram
	if none.Quantile(0.5) != 0 || none.Max() != 0 || none.Count() != 0 {
		t.Error("an empty histogram has values")
	}
}

func TestSmallValuesAreExact(t *testing.T) {
	var h Histogram
	for v := range uint64(10) {
		h.Add(v)
	}
	for i := 1; i <= 10; i++ {
		if got := h.Quantile(float64(i) / 10); got != uint64(i-1) {
			t.Errorf("the value of rank %d is %d", i, got)
		}
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Add(Now()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A span of time measured in ticks lies between the spans that the clock measures inside and around
// it.
func TestTicksMeasureTime(t *testing.T) {
	NsPerTick()
	outside := time.Now()
	first := Now()
	inside := time.Now()
	for time.Since(inside) < 20*time.Millisecond {
	}
	least := time.Since(inside)
	ticks := Now() - first
	most := time.Since(outside)
	// A calibration that was interrupted can be off by a factor of 2.
	took := float64(ticks) * NsPerTick()
	if took < float64(least)/2 || took > float64(most)*2 {
		t.Errorf("%.0f ns by ticks, between %d and %d by the clock", took, least, most)
	}
	if o := float64(Overhead()) * NsPerTick(); o > 10_000 {
		t.Errorf("reading the clock takes %.0f ns", o)
	}
}
