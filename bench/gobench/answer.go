package main

import (
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/workload"
)

// answer is what is printed of a run, as bench/WORKLOADS.md says. The latencies take the place of those of the Result: they are there
// whenever calls were timed, even if half of them took no time beyond that of the clock.
type answer struct {
	Allocator string `json:"allocator"`
	workload.Result
	Rounds []int64  `json:"rounds,omitempty"` // of trace, in ns
	P50    *float64 `json:"p50,omitempty"`
	P99    *float64 `json:"p99,omitempty"`
	P999   *float64 `json:"p999,omitempty"`
	Max    *float64 `json:"max,omitempty"`
}

// answerOf returns the answer for what the registered allocator has done.
func answerOf(r workload.Result, rounds []int64) answer {
	a := answer{Result: r, Rounds: rounds}
	a.Allocator, _, _ = strings.Cut(galloc.GlobalName(), ", registered at ")
	if r.Calls > 0 {
		a.P50, a.P99, a.P999, a.Max = &r.P50, &r.P99, &r.P999, &r.Max
	}
	return a
}
