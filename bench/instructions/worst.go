package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	worstOperations = 10_000_000
	worstSamples    = 20_000 // of tlsf that takes some minutes: a step is a stop
	worstBar        = 3      // times the median, of tlsf
)

// runWorst steps through samples of the operations of churn, one instruction after the other, and prints how many instructions of galloc's
// an operation took: not on average, but at worst. It fails if tlsf, whose operations are to take a bounded time, needs more than the bar.
// What the Go runtime does is not counted, as it is called by none of them but the heap.
func runWorst(names []string, stdout io.Writer) error {
	if len(names) == 0 {
		names = churned
	}
	dir, err := os.MkdirTemp("", "galloc-instructions-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "instructions")
	if err := build(program); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Instructions of one operation: %d samples of %d random operations.\n\n", worstSamples, worstOperations)
	fmt.Fprintf(stdout, "%-6s %-11s %8s %7s %7s %7s %7s  %s\n", "", "", "samples", "least", "median", "p99.9", "most", "most/median")
	for _, name := range names {
		counts, err := stepThrough(program, churnCommand, name, fmt.Sprint(worstOperations), fmt.Sprint(worstSamples))
		if err != nil {
			return err
		}
		var all []int
		for i, c := range counts {
			row(stdout, name, strings.TrimPrefix(sampled[i], "main.sampled"), c)
			all = append(all, c...)
		}
		if worst := row(stdout, name, "all", all); name == "tlsf" && worst > worstBar {
			return fmt.Errorf("the worst operation of tlsf takes %.2f times the instructions of the median, and may take %d times", worst, worstBar)
		}
	}
	return nil
}

// row prints what there is to say of counts, and returns the most by the median.
func row(w io.Writer, name, what string, counts []int) float64 {
	if len(counts) == 0 {
		return 0
	}
	slices.Sort(counts)
	n := len(counts)
	median, most := counts[n/2], counts[n-1]
	worst := float64(most) / float64(median)
	fmt.Fprintf(w, "%-6s %-11s %8d %7d %7d %7d %7d  %.2f\n", name, what, n, counts[0], median, counts[n*999/1000], most, worst)
	return worst
}
