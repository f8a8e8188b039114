package collections

import (
	"fmt"
	"iter"
)

// maxFormat bounds the number of elements that a collection prints, for example to a log.
const maxFormat = 100

// formatValues prints n values as fmt prints a slice: the verb and the flags of f apply to each. It
// prints at most maxFormat values, and then the number of the others.
func formatValues[V any](f fmt.State, verb rune, n int, values iter.Seq[V]) {
	formatSeq(f, verb, "[", n, func(format string, next func() bool) {
		for v := range values {
			if !next() {
				return
			}
			fmt.Fprintf(f, format, v)
		}
	})
}

// formatPairs prints n keys and values as fmt prints a map, under the rules of formatValues.
func formatPairs[K, V any](f fmt.State, verb rune, n int, pairs iter.Seq2[K, V]) {
	formatSeq(f, verb, "map[", n, func(format string, next func() bool) {
		for k, v := range pairs {
			if !next() {
				return
			}
			fmt.Fprintf(f, format, k)
			fmt.Fprint(f, ":")
			fmt.Fprintf(f, format, v)
		}
	})
}

// formatSeq prints open, n elements by write, and a closing bracket. write must call next before
// each element: next prints the separator, and returns false if no more elements must be printed.
func formatSeq(f fmt.State, verb rune, open string, n int, write func(format string, next func() bool)) {
	fmt.Fprint(f, open)
	printed := 0
	write(fmt.FormatString(f, verb), func() bool {
		if printed == maxFormat {
			fmt.Fprintf(f, " ...%d more", n-printed)
			return false
		}
		if printed > 0 {
			fmt.Fprint(f, " ")
		}
		printed++
		return true
	})
	fmt.Fprint(f, "]")
}
