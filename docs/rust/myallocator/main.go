// Command myallocator fills a Vec from a custom allocator, which uses the system's.
package main

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// MyAllocator allocates from the system's allocator and counts the bytes requested.
type MyAllocator struct{ bytes atomic.Uintptr }

// Alloc is called by galloc.Alloc.
func (a *MyAllocator) Alloc(l galloc.Layout) unsafe.Pointer {
	a.bytes.Add(l.Size())
	return galloc.System.Alloc(l)
}

// Dealloc is called by galloc.Dealloc.
func (*MyAllocator) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	galloc.System.Dealloc(p, l)
}

// GLOBAL is the global allocator, from init on.
var GLOBAL MyAllocator

func init() { galloc.RegisterGlobal(&GLOBAL) }

func main() {
	before := GLOBAL.bytes.Load()
	var v collections.Vec[int32]
	defer v.Free()
	v.Push(1)
	bytes := GLOBAL.bytes.Load() - before
	fmt.Printf("%v took %d bytes through GLOBAL, for %d\n", v.Slice(), bytes, v.Cap())
}
