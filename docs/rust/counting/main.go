// Command counting counts the allocations of the whole program, from the first one.
package main

import (
	"fmt"
	"sync/atomic"
	"unsafe" // for linkname too

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// MyAllocatorStats allocates from the system's allocator and counts the calls.
type MyAllocatorStats struct{ totalAllocations, totalDeallocations atomic.Uintptr }

// Alloc is called by galloc.Alloc.
func (s *MyAllocatorStats) Alloc(l galloc.Layout) unsafe.Pointer {
	s.totalAllocations.Add(1)
	return galloc.System.Alloc(l)
}

// Dealloc is called by galloc.Dealloc.
func (s *MyAllocatorStats) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	s.totalDeallocations.Add(1)
	galloc.System.Dealloc(p, l)
}

// GLOBAL is the global allocator.
var GLOBAL MyAllocatorStats

// The linker puts this into package galloc: GLOBAL is in force before any package is initialized.
//
//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/docs/rust/counting",
	New:  func() galloc.GlobalAlloc { return &GLOBAL },
}

func init() { selection.Check() }

func counts() (allocations, deallocations uintptr) {
	return GLOBAL.totalAllocations.Load(), GLOBAL.totalDeallocations.Load()
}

func main() {
	a, d := counts()
	b := galloc.Must(galloc.NewBox(nil, int32(8)))
	var v collections.Vec[int32]
	for i := range int32(5) {
		v.Push(i * *b.Get()) // the fifth grows it: one more of each
	}
	sum, capacity := int32(0), v.Cap()
	for _, x := range v.Slice() {
		sum += x
	}
	a1, d1 := counts()
	v.Free()
	b.Free()
	a2, d2 := counts()
	fmt.Printf("sum %d, room for %d\n", sum, capacity) // on Go's heap, which is not counted
	fmt.Printf("alive: %d allocations, %d deallocations\n", a1-a, d1-d)
	fmt.Printf("after: %d allocations, %d deallocations\n", a2-a, d2-d)
}
