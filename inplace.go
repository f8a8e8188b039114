package galloc

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/engine"
)

// GlobalResize makes the block at p, currently allocated by the global allocator with layout
// l, newSize bytes large, where it is, and reports whether it has. If true, the layout of the
// block is (newSize, l.Align()) from now on, the first min(l.Size(), newSize) bytes are kept,
// and the others are undefined. If false, nothing has changed.
//
// The heap can within a size class, and with large blocks mostly. An allocator that was
// registered can if it is a [Resizer], or was made by [AsGlobal] of one. Otherwise, as with
// System, only the size that the block has can be had. Safe for concurrent use. It does not
// allocate. Rust had this until 2020 as grow_in_place and shrink_in_place.
func GlobalResize(p unsafe.Pointer, l Layout, newSize uintptr) bool {
	if newSize == l.size || newSize == 0 || l.size == 0 || newSize > maxSize(l.Align()) {
		return newSize == l.size
	}
	r := current()
	if r.heap != nil {
		return r.heap.Resize(p, l.size, l.Align(), newSize)
	}
	switch a := r.alloc.(type) {
	case asGlobal:
		return Resize(a.a, p, l, newSize)
	case Resizer:
		return a.Resize(p, l, newSize)
	case *sampledHeap:
		return a.resize(p, l, newSize)
	case *debugged:
		a.d.Check(debug.OpRealloc, p, l.size, l.Align()) // that is all: a resize always moves
	}
	return false
}

// GlobalUsableSize returns how many bytes the global allocator sets aside for a block of
// layout l: never less than l.Size(). Whoever asks for that many in the first place gets the
// most out of the memory. It is not what a block allocated with l may be used for: blocks of
// the free functions are as large as they were asked for, unless GlobalResize says otherwise.
//
// The heap knows, and so does a registered allocator that is a [UsableSizer], or was made by
// [AsGlobal] of one; otherwise the result is l.Size(). Safe for concurrent use.
func GlobalUsableSize(l Layout) uintptr {
	if l.size == 0 {
		return 0
	}
	r := current()
	if r.heap != nil {
		return usableSize(l)
	}
	switch a := r.alloc.(type) {
	case asGlobal:
		return UsableSize(a.a, l)
	case UsableSizer:
		return a.UsableSize(l)
	case *sampledHeap:
		return usableSize(l)
	}
	return l.size
}

// usableSize is GlobalUsableSize of a heap.
func usableSize(l Layout) uintptr {
	return min(engine.UsableSize(l.size, l.Align()), maxSize(l.Align()))
}
