package peers

import (
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/trace"
)

func init() {
	enter(Peer{"heap", "galloc's heap", func(Need) (galloc.GlobalAlloc, error) { return heap.Default(), nil }})
	enter(Peer{"go", "Go's own heap with its garbage collector: make and new", func(Need) (galloc.GlobalAlloc, error) {
		return galloc.AsGlobal(galloc.GoHeap), nil
	}})
	enter(Peer{"null", "one block for everything: what a replay itself costs", func(n Need) (galloc.GlobalAlloc, error) {
		return trace.Null(n.MaxSize)
	}})
}
