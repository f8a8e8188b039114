package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsAreNarrowAndWithoutGaps(t *testing.T) {
	h := new(histogram)
	previous := time.Duration(-1)
	for i := range h.counts {
		longest := last(i)
		if bucketOf(longest) != i || bucketOf(previous+1) != i || longest <= previous {
			t.Fatalf("bucket %d is from %d to %d, but these are in %d and %d",
				i, previous+1, longest, bucketOf(previous+1), bucketOf(longest))
		}
		if width := longest - previous; width > 1 && width > longest/32 {
			t.Fatalf("bucket %d is from %d to %d", i, previous+1, longest)
		}
		previous = longest
	}
	if previous != math.MaxInt64 {
		t.Errorf("the last bucket ends at %d", previous)
	}
}

func TestQuantilesAreThoseOfTheSortedDurations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 10, 999, 1000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := new(histogram)
			all := make([]time.Duration, n)
			var sum time.Duration
			for i := range all {
				all[i] = time.Duration(random.Uint64() >> (24 + random.IntN(40)))
				h.add(all[i])
				sum += all[i]
			}
			slices.Sort(all)
			if n == 0 {
				all = append(all, 0)
			}
			for _, q := range []float64{0, .001, .25, .5, .9, .99, .999, .9999, 1} {
				want := all[max(int(math.Ceil(q*float64(n))), 1)-1]
				if got := h.quantile(q); got < want || got > want+want/31 {
					t.Errorf("at %v, %d in place of %d", q, got, want)
				}
			}
			l := h.latency()
			if l.N != uint64(n) || l.Max != all[len(all)-1] || l.Mean != sum/time.Duration(max(n, 1)) {
				t.Errorf("%+v of %d, the longest %d, sum %d", l, n, all[len(all)-1], sum)
			}
			if len(l.Curve) != curvePoints || !slices.IsSorted(l.Curve) || l.Curve[curveSteps] != h.quantile(.9) {
				t.Errorf("curve %v", l.Curve)
			}
		})
	}
}

func TestNegativeDurationsAreNone(t *testing.T) {
	h := new(histogram)
	h.add(-5)
	if h.quantile(.5) != 0 || h.n != 1 || h.sum != 0 {
		t.Error(h.quantile(.5), h.n, h.sum)
	}
}

func TestAddingTakesNoMemory(t *testing.T) {
	h := new(histogram)
	if n := testing.AllocsPerRun(100, func() { h.add(12345); h.quantile(.5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
