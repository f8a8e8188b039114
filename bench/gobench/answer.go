package main

import (
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/workload"
)

// answer is the output of a run: see bench/WORKLOADS.md. Its percentiles replace the Result's: they
// are present whenever calls were timed, even if they are 0.
type answer struct {
	Allocator string `json:"allocator"`
	workload.Result
	Rounds []int64  `json:"rounds,omitempty"` // of the workload trace, in ns
	P50    *float64 `json:"p50,omitempty"`
	P99    *float64 `json:"p99,omitempty"`
	P999   *float64 `json:"p999,omitempty"`
	Max    *float64 `json:"max,omitempty"`
}

// answerOf returns the answer of a run on the registered allocator.
func answerOf(r workload.Result, rounds []int64) answer {
	a := answer{Result: r, Rounds: rounds}
	a.Allocator, _, _ = strings.Cut(galloc.DescribeGlobal(), ", registered at ")
	if r.Calls > 0 {
		a.P50, a.P99, a.P999, a.Max = &r.P50, &r.P99, &r.P999, &r.Max
	}
	return a
}
