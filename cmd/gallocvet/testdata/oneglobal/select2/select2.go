// Program select2 imports two packages that select.
package main

import (
	_ "github.com/galloc-go/galloc/global/heap"
	_ "github.com/galloc-go/galloc/global/system" // want "a second global allocator, at system/system.go:.*: the program has another at heap/heap.go:"
)

func main() {}
