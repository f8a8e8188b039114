package main

import (
	"fmt"
	"slices"
	"strings"
)

// disagreements returns a line for each row whose runs with the same settings did not allocate the
// same blocks. Then a workload differs in C and in Go, or a run went wrong, and the times must not
// be compared.
func (r *results) disagreements() []string {
	type work struct{ row, settings string }
	type count struct{ allocs, bytes uint64 }
	who := map[work]map[count][]string{}
	var order []work
	for _, s := range r.Samples {
		if s.Answer.Error != "" || strings.HasPrefix(s.Alloc, sinkName) { // it allocates nothing
			continue
		}
		w := work{s.Row, strings.Join(s.Settings, " ")}
		if who[w] == nil {
			who[w] = map[count][]string{}
			order = append(order, w)
		}
		c := count{s.Answer.Allocs, s.Answer.Bytes}
		if !slices.Contains(who[w][c], s.Alloc) {
			who[w][c] = append(who[w][c], s.Alloc)
		}
	}
	var lines []string
	for _, w := range order {
		if len(who[w]) < 2 {
			continue
		}
		var parts []string
		for c, names := range who[w] {
			parts = append(parts,
				fmt.Sprintf("%s: %d blocks of %d bytes in all", strings.Join(names, ", "), c.allocs, c.bytes))
		}
		slices.Sort(parts)
		lines = append(lines, w.row+": "+strings.Join(parts, "; "))
	}
	return lines
}
