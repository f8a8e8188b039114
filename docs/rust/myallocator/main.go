// Command myallocator has an allocator of its own, over the system's, behind a Vec.
package main

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// MyAllocator counts the bytes that the system's allocator is asked for through it.
type MyAllocator struct{ bytes atomic.Uintptr }

// Alloc is what galloc.Alloc calls.
func (a *MyAllocator) Alloc(l galloc.Layout) unsafe.Pointer {
	a.bytes.Add(l.Size())
	return galloc.System.Alloc(l)
}

// Dealloc is what galloc.Dealloc calls.
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
