package main

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most a 32nd of their durations wide. It takes
// 15 KB for any number of durations, and adding one takes some nanoseconds and no memory. Durations
// below 64 ns have a bucket each, and each power of two above has 32 buckets. It is for one
// goroutine. The zero value is empty.
//
//	bucket of d = 32*e + d>>e    where e = max(bits in d - 6, 0), so that d>>e < 64
type histogram struct {
	counts [32*(63-6) + 64]uint64
	n      uint64
	sum    time.Duration
	max    time.Duration
}

// add counts d, a negative d as 0.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.n++
	h.sum += d
	h.max = max(h.max, d)
}

func bucketOf(d time.Duration) int {
	e := max(bits.Len64(uint64(d))-6, 0)
	return 32*e + int(d>>e)
}

// last returns the longest duration of a bucket.
func last(bucket int) time.Duration {
	if bucket < 64 {
		return time.Duration(bucket)
	}
	e := bucket/32 - 1
	return time.Duration(bucket-32*e+1)<<e - 1
}

// quantile returns the q-quantile of the durations, q from 0 to 1: the longest duration in the
// bucket of rank ⌈q·n⌉. Without durations it returns 0.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(max(math.Ceil(q*float64(h.n)), 1))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(last(i), h.max)
		}
	}
	return h.max
}

// mean returns the mean.
func (h *histogram) mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return h.sum / time.Duration(h.n)
}

// A latency is the summary of a histogram.
type latency struct {
	N     uint64          `json:"n"`
	Mean  time.Duration   `json:"mean_ns"`
	P50   time.Duration   `json:"p50_ns"`
	P99   time.Duration   `json:"p99_ns"`
	P999  time.Duration   `json:"p99.9_ns"`
	Max   time.Duration   `json:"max_ns"`
	Curve []time.Duration `json:"curve_ns"` // at curveShare(0), curveShare(1) and so on
}

func (h *histogram) latency() latency {
	l := latency{N: h.n, Mean: h.mean(), P50: h.quantile(.5), P99: h.quantile(.99), P999: h.quantile(.999), Max: h.max}
	for i := range curvePoints {
		l.Curve = append(l.Curve, h.quantile(curveShare(i)))
	}
	return l
}

// The curve goes from all durations to the longest in a million, in equal steps on a logarithmic
// axis.
const (
	curveDecades = 6
	curveSteps   = 8 // for each decade
	curvePoints  = curveDecades*curveSteps + 1
)

// curveShare returns the quantile of point i of the curve: 0, ... 0.9, ... 0.99 and so on.
func curveShare(i int) float64 { return 1 - math.Pow(10, -float64(i)/curveSteps) }
