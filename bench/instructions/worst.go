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
	worstSamples    = 20_000 // takes some minutes for tlsf: each step stops the program
	worstBar        = 3      // for tlsf: times the median
)

// runWorst steps through samples of the operations of churn, one instruction after the other, and
// prints the largest number of galloc's instructions that an operation took. It fails if tlsf,
// whose operations take bounded time, exceeds worstBar. The instructions of the Go runtime are not
// counted: only the heap calls it.
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
	fmt.Fprintf(stdout, "Instructions of one operation: %d samples of %d random operations.\n\n",
		worstSamples, worstOperations)
	fmt.Fprintf(stdout, "%-6s %-11s %8s %7s %7s %7s %7s  %s\n",
		"", "", "samples", "min", "median", "p99.9", "max", "max/median")
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
			return fmt.Errorf("the worst operation of tlsf takes %.2f times the instructions of the median: "+
				"at most %d times is allowed", worst, worstBar)
		}
	}
	return nil
}

// row prints a row about counts, and returns the largest count divided by the median.
func row(w io.Writer, name, what string, counts []int) float64 {
	if len(counts) == 0 {
		return 0
	}
	slices.Sort(counts)
	n := len(counts)
	median, largest := counts[n/2], counts[n-1]
	worst := float64(largest) / float64(median)
	fmt.Fprintf(w, "%-6s %-11s %8d %7d %7d %7d %7d  %.2f\n",
		name, what, n, counts[0], median, counts[n*999/1000], largest, worst)
	return worst
}
