package peers

import (
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/replay"
)

func init() {
	enter(Peer{"heap", "galloc's heap", func(Need) (galloc.GlobalAlloc, error) { return heap.Default(), nil }})
	enter(Peer{"go", "Go's own heap with its garbage collector: make and new", func(Need) (galloc.GlobalAlloc, error) {
		return galloc.AsGlobal(galloc.GoHeap), nil
	}})
	enter(
		Peer{
			"sink",
			"one block for everything: the cost of the replay itself",
			func(n Need) (galloc.GlobalAlloc, error) {
				return replay.Sink(n.MaxSize)
			},
		},
	)
}
