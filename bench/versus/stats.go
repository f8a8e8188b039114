package main

import (
	"math"
	"slices"
)

// median returns the middle of the values, or the mean of the two in the middle; of none, it is not a number.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// geomean returns the geometric mean; of none, it is not a number.
func geomean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// results is all that is known, and what the report is written from.
type results struct {
	Date     string
	Command  string
	Quick    bool `json:",omitempty"`
	Machine  machine
	Versions []string // of what is not in the answers
	Rows     []row
	Allocs   []*allocator
	Missing  []string // what could not be measured, and why
	Reps     int
	Samples  []sample
}

// cell is what is known of one allocator on one row.
type cell struct {
	ns      []float64 // per operation, of each repetition
	peak    []float64 // bytes
	latency answer    // of the runs for latency, the medians
	errors  []string
	name    string // of the allocator, in its own words
}

func (c cell) median() float64 { return median(c.ns) }

// cells returns the cells by row and allocator.
func (r *results) cells() map[[2]string]cell {
	all := map[[2]string]cell{}
	listened := map[[2]string][]answer{}
	for _, s := range r.Samples {
		key := [2]string{s.Row, s.Alloc}
		c := all[key]
		a := s.Answer
		if a.Allocator != "" {
			c.name = a.Allocator
		}
		switch {
		case a.Error != "":
			c.errors = append(c.errors, a.Error)
		case s.Latency:
			listened[key] = append(listened[key], a)
		case a.Ops > 0:
			c.ns = append(c.ns, a.Ns/float64(a.Ops))
			if a.PeakRSS != nil {
				c.peak = append(c.peak, max(*a.PeakRSS, 0))
			}
		default:
			c.errors = append(c.errors, "it did nothing: no operations in its answer")
		}
		all[key] = c
	}
	for key, answers := range listened {
		c := all[key]
		c.latency = medians(answers)
		all[key] = c
	}
	return all
}

// medians returns an answer with the median of each figure about latency, and of what stays resident, among the answers that have it.
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

// alloc returns the allocator of that name, or nil.
func (r *results) alloc(name string) *allocator {
	for _, a := range r.Allocs {
		if a.Name == name {
			return a
		}
	}
	return nil
}
