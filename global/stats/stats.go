// Package stats makes the heap behind wrap.Stats the global allocator of the program that
// imports it, and tells what that has counted:
//
//	import "github.com/galloc-go/galloc/global/stats"
//
//	fmt.Println(stats.Snapshot())
//
// It is in force before any other package is initialized, so nothing is missed. Package main
// should import it, rather than a library: whoever uses a library that selects cannot select
// another allocator. What it costs is said at wrap.Stats; the heap loses its fastest path.
//
// A program that also imports another package below global does not link; one that calls
// RegisterGlobal as well panics there. To count what goes through another allocator, register
// wrap.Stats of that.
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

// counting is set before this package is initialized, and so must not have a value to be initialized with.
var counting wrap.Counting

func count() galloc.GlobalAlloc {
	counting = wrap.Stats(heap.Default())
	return counting
}

func init() { selection.Check() }

// Snapshot returns what the global allocator has counted since the program began. Safe for
// concurrent use; it costs some microseconds per P.
func Snapshot() wrap.Snapshot { return counting.Snapshot() }

// Region calls f, and returns what was counted meanwhile, by all goroutines.
func Region(f func()) wrap.Snapshot { return counting.Region(f) }
