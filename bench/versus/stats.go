package main

import (
	"math"
	"slices"
)

// median returns the middle value, or the mean of the two in the middle; of no values, it is not a
// number.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// geomean returns the geometric mean; of no values, it is not a number.
func geomean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// results are the samples of a run, and how they were measured.
type results struct {
	Date     string
	Command  string
	Machine  machine
	Versions []string // of the compilers
	Rows     []row
	Allocs   []*allocator
	Missing  []string // measurements that are missing, and why
	Reps     int
	Samples  []sample
}

// medians returns an answer with the medians of the percentiles and of the memory that stays
// resident.
func medians(answers []answer) (m answer) {
	for _, of := range []func(*answer) **float64{
		func(a *answer) **float64 { return &a.P50 },
		func(a *answer) **float64 { return &a.P99 },
		func(a *answer) **float64 { return &a.P999 },
		func(a *answer) **float64 { return &a.Max },
		func(a *answer) **float64 { return &a.EndRSS },
	} {
		var known []float64
		for i := range answers {
			if v := *of(&answers[i]); v != nil {
				known = append(known, *v)
			}
		}
		if len(known) > 0 {
			v := median(known)
			*of(&m) = &v
		}
	}
	return m
}
