package galloc

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/engine"
)

// processHeap is the heap that is the default global allocator of executables. To the outside it is the value of
// Default in package heap.
type processHeap struct{}

var _ fullGlobal = processHeap{}

func (processHeap) Engine() *engine.Heap { return engine.Default() }
func (processHeap) String() string       { return "galloc heap" }

func (processHeap) Alloc(l Layout) unsafe.Pointer {
	return engine.Default().Alloc(l.size, l.Align())
}

func (processHeap) AllocZeroed(l Layout) unsafe.Pointer {
	return engine.Default().AllocZeroed(l.size, l.Align())
}

func (processHeap) Dealloc(p unsafe.Pointer, l Layout) {
	engine.Default().Free(p, l.size, l.Align())
}

func (processHeap) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return engine.Default().Realloc(p, l.size, l.Align(), newSize)
}
