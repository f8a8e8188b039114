package memory

import "github.com/galloc-go/galloc/heap"

func trim() { heap.Default().Trim() }
