// Package stats makes the heap with wrap.Stats around it the global allocator of the program that
// imports it, and returns the counts:
//
//	import "github.com/galloc-go/galloc/global/stats"
//
//	fmt.Println(stats.Snapshot())
//
// The allocator is in force before any other package is initialized, so every allocation is
// counted. Package main should import it, not a library, since a program can select only one
// allocator. Its cost is the cost of wrap.Stats; the heap also loses its fastest path.
//
// A program that imports another package below global as well does not link. One that also calls
// RegisterGlobal panics there. To count the use of another allocator, register wrap.Stats of it.
package stats

import (
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/global/stats",
	New:  count,
}

// counter is set before this package is initialized, so it must not have an initializer.
var counter *wrap.Counter

func count() galloc.GlobalAlloc {
	counter = wrap.Stats(heap.Default())
	return counter
}

func init() { selection.Check() }

// Snapshot returns the counts of the global allocator since the program began. It is safe for
// concurrent use, and costs some microseconds for each P.
func Snapshot() wrap.Snapshot { return counter.Snapshot() }

// During calls f and returns the difference of the counts before and after, which includes the
// calls of other goroutines.
func During(f func()) wrap.Snapshot { return counter.During(f) }
