// Package sub has code that looks like a registration, and registers nothing.
package sub

import (
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

// registry is a registry of this package.
type registry struct{ all []galloc.GlobalAlloc }

// RegisterGlobal adds to it.
func (r *registry) RegisterGlobal(a galloc.GlobalAlloc) { r.all = append(r.all, a) }

// RegisterGlobal is of this package.
func RegisterGlobal(a galloc.GlobalAlloc) { new(registry).RegisterGlobal(a) }

func use() { RegisterGlobal(galloc.System) }

// Named are Selections that are not linked.
var Named = map[string]galloc.Selection{
	"system": {Path: "system", New: func() galloc.GlobalAlloc { return galloc.System }},
}

// Choice is one of them.
var Choice = galloc.Selection{Path: "heap", New: New}

// New makes an allocator, for main to register.
func New() galloc.GlobalAlloc { return galloc.AsGlobal(wrap.Stats(heap.Default())) }

// Pointer leads to the choice of a program.
var Pointer *galloc.Selection

// Allocate uses the global allocator.
func Allocate() (*int, error) { return galloc.New[int](nil) }

// Own allocates on its own heap.
func Own() (*heap.Heap, error) { return heap.New(heap.Options{}) }

// Describe describes.
func Describe() (string, error) {
	_, err := galloc.ReadStats()
	return galloc.DescribeGlobal(), err
}

// Wanted says what main should do, see galloc.RegisterGlobal.
const Wanted = "call galloc.RegisterGlobal in main"

func check() { Choice.Check() }
