// Package allocators is the list of allocators that can be named on the command line.
package allocators

import (
	"fmt"
	"slices"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/memcheck"
)

// An Allocator is an entry of the list.
type Allocator struct {
	Name  string
	About string
	// OnlyNamed says that the allocator is left out unless it is named.
	OnlyNamed bool
	// Open returns the allocator. maxSize is the size of the largest block that will be asked for,
	// or 0 if that is not known.
	Open func(maxSize uint64) (galloc.GlobalAlloc, error)
}

// Names of allocators.
const (
	Sink = "sink"
	Heap = "heap"
)

// All is the list. Sink is the first: the other rows of a table are compared with it.
var All = []Allocator{
	{Sink, "does nothing: its row is the cost of the replay itself", false, replay.Sink},
	{
		Heap, heap.Default().String() + ": galloc's own, the default of executables", false,
		func(uint64) (galloc.GlobalAlloc, error) { return heap.Default(), nil },
	},
	{
		"system", galloc.System.String(), false,
		func(uint64) (galloc.GlobalAlloc, error) { return galloc.System, nil },
	},
	{
		"goheap", galloc.GoHeap.String() + ", with garbage collection", false,
		func(uint64) (galloc.GlobalAlloc, error) { return galloc.AsGlobal(galloc.GoHeap), nil },
	},
	{
		"debug", "the heap with every block checked, by memcheck.New (only if named)", true,
		func(uint64) (galloc.GlobalAlloc, error) { return memcheck.New(heap.Default(), memcheck.Options{}), nil },
	},
	{
		"sampled", "the same with one in 100,000 blocks checked (only if named)", true,
		func(uint64) (galloc.GlobalAlloc, error) {
			return memcheck.New(heap.Default(), memcheck.Options{Sample: 100_000}), nil
		},
	},
}

// Names returns the names of all allocators.
func Names() []string { return names(func(Allocator) bool { return true }) }

// RealNames returns the names of the allocators whose blocks differ: all but Sink.
func RealNames() []string { return names(func(a Allocator) bool { return a.Name != Sink }) }

// Usual returns the given names without the allocators that are used only if named.
func Usual(of []string) []string {
	return names(func(a Allocator) bool { return !a.OnlyNamed && slices.Contains(of, a.Name) })
}

func names(choose func(Allocator) bool) []string {
	var all []string
	for _, a := range All {
		if choose(a) {
			all = append(all, a.Name)
		}
	}
	return all
}

// Help returns a line for each of the named allocators.
func Help(of []string) string {
	var b strings.Builder
	for _, a := range All {
		if slices.Contains(of, a.Name) {
			fmt.Fprintf(&b, "  %-10s %s\n", a.Name, a.About)
		}
	}
	return b.String()
}

// Open returns the named allocator, which must be in the list.
func Open(name string, maxSize uint64) (galloc.GlobalAlloc, error) {
	return All[slices.Index(Names(), name)].Open(maxSize)
}

// Check returns a usage error if name is not one of the names allowed.
func Check(name string, allowed []string) error {
	switch {
	case slices.Contains(allowed, name):
		return nil
	case name == Sink:
		return cli.Usagef("-alloc: %s has one block for everything: choose one of %s",
			Sink, strings.Join(allowed, ", "))
	}
	return cli.Usagef("-alloc: unknown allocator %q: choose one of %s", name, strings.Join(allowed, ", "))
}

// Parse returns the names in a comma-separated list.
func Parse(list string, allowed []string) ([]string, error) {
	var chosen []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if err := Check(name, allowed); err != nil {
			return nil, err
		}
		chosen = append(chosen, name)
	}
	return chosen, nil
}
