package galloc

import (
	"reflect"
	"runtime"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/libc"
)

// System is the allocator of the platform: malloc of libc with cgo, HeapAlloc on Windows, and
// otherwise pages of the operating system, divided by a simple size-class scheme.
var System SystemAllocator

// SystemAllocator is the type of [System]: a [GlobalAlloc] and an [Allocator]. Blocks may be
// allocated by a method of one and freed by a method of the other. Unlike other GlobalAllocs, it
// accepts size 0, as the functions [Alloc] and [Dealloc] do.
//
// With cgo, a call costs a crossing to C, 25 to 30 ns, and C code may pass blocks from System to
// free. The converse does not hold: never pass a block that C got from malloc to System. Its String
// names the library in use. Safe for concurrent use.
type SystemAllocator struct{}

var (
	_ fullGlobal      = System
	_ ZeroedAllocator = System
	_ Grower          = System
	_ Shrinker        = System
)

// systemFace is System as an Allocator.
var systemFace face[platform]

// Alloc returns a block of l.Size() bytes, or nil: see [GlobalAlloc].
func (SystemAllocator) Alloc(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	return platform{}.Alloc(l)
}

// AllocZeroed is like Alloc, and all bytes are zero: see [GlobalAllocZeroed].
func (SystemAllocator) AllocZeroed(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	return platform{}.AllocZeroed(l)
}

// Realloc changes the size of the block at p, or returns nil: see [GlobalRealloc].
func (s SystemAllocator) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	switch n := newLayout(newSize, l.lg); {
	case newSize > block.MaxSize(l.Align()):
		return nil
	case l.size == 0:
		return s.Alloc(n)
	case newSize == 0:
		s.Dealloc(p, l)
		return n.Dangling()
	}
	return platform{}.Realloc(p, l, newSize)
}

// Dealloc frees the block at p: see [GlobalAlloc].
func (SystemAllocator) Dealloc(p unsafe.Pointer, l Layout) {
	if l.size != 0 {
		platform{}.Dealloc(p, l)
	}
}

// Allocate returns a block of exactly l.Size() bytes: see [Allocator].
func (SystemAllocator) Allocate(l Layout) ([]byte, error) { return systemFace.Allocate(l) }

// AllocateZeroed is like Allocate, and all bytes are zero: see [ZeroedAllocator].
func (SystemAllocator) AllocateZeroed(l Layout) ([]byte, error) { return systemFace.AllocateZeroed(l) }

// Deallocate frees the block at p: see [Allocator].
func (SystemAllocator) Deallocate(p unsafe.Pointer, l Layout) { systemFace.Deallocate(p, l) }

// Grow makes the block at p larger: see [Grower].
func (SystemAllocator) Grow(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	return systemFace.Grow(p, old, to)
}

// GrowZeroed is like Grow, and the added bytes are zero: see [Grower].
func (SystemAllocator) GrowZeroed(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	return systemFace.GrowZeroed(p, old, to)
}

// Shrink makes the block at p smaller: see [Shrinker].
func (SystemAllocator) Shrink(p unsafe.Pointer, old, to Layout) ([]byte, error) {
	return systemFace.Shrink(p, old, to)
}

// String returns "galloc.System" and the name of the library.
func (SystemAllocator) String() string { return platform{}.String() }

// platform is System for callers that handle size 0 themselves.
type platform struct{}

func (platform) refusal() error { return ErrSystem }

func (platform) Alloc(l Layout) unsafe.Pointer       { return libc.Alloc(l.size, l.Align()) }
func (platform) AllocZeroed(l Layout) unsafe.Pointer { return libc.AllocZeroed(l.size, l.Align()) }
func (platform) Dealloc(p unsafe.Pointer, l Layout)  { libc.Free(p, l.size, l.Align()) }
func (platform) String() string                      { return "galloc.System (" + libc.Name + ")" }
func (platform) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return libc.Realloc(p, l.size, l.Align(), newSize)
}

// defaultHeap is the heap of the process, the default global allocator of executables. Programs get
// it from package heap.
type defaultHeap struct{}

var _ fullGlobal = defaultHeap{}

func (defaultHeap) Engine() *engine.Heap { return &engine.Default }
func (defaultHeap) String() string       { return "galloc heap" }

func (defaultHeap) Alloc(l Layout) unsafe.Pointer {
	return engine.Default.Alloc(l.size, l.Align())
}

func (defaultHeap) AllocZeroed(l Layout) unsafe.Pointer {
	return engine.Default.AllocZeroed(l.size, l.Align())
}

func (defaultHeap) Dealloc(p unsafe.Pointer, l Layout) {
	engine.Default.Free(p, l.size, l.Align())
}

func (defaultHeap) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return engine.Default.Realloc(p, l.size, l.Align(), newSize)
}

// GoHeap is Go's own heap, whose memory the garbage collector scans, counts and frees.
var GoHeap GoHeapAllocator

// GoHeapAllocator is the type of [GoHeap]: a [TypedAllocator], so that [New], [MakeSlice] and [Box]
// on it accept types with Go pointers. Deallocate does nothing: a block lives as long as Go
// pointers lead to it. Pointers in the memory of other allocators do not count, and neither do
// addresses in C or kept as numbers: see [GarbageCollected].
//
// Blocks are zeroed. Sizes and alignments of more than 1 TiB (1 GiB on 32-bit systems and wasm)
// fail with [ErrUnsupported]; but a smaller size than that ends the program if it exceeds the
// memory of the machine, as make does. Safe for concurrent use.
type GoHeapAllocator struct{}

var (
	_ TypedAllocator  = GoHeap
	_ ZeroedAllocator = GoHeap
)

// maxGoHeap is the largest size that GoHeap allocates: 1 TiB, or 1 GiB on 32-bit systems. It is
// less than the size at which make panics.
const maxGoHeap = 1 << (30 + 10*(^uint(0)>>63))

func tooLargeForGo(size uintptr) bool {
	return size > maxGoHeap || runtime.GOARCH == "wasm" && size > 1<<30
}

// wordAlign is the alignment of a Go allocation of at least 8 bytes without pointers.
const wordAlign = unsafe.Alignof(uint64(0))

// Allocate returns a zeroed block of exactly l.Size() bytes: see [Allocator].
func (GoHeapAllocator) Allocate(l Layout) ([]byte, error) {
	size, align := l.size, l.Align()
	switch {
	case size == 0:
		return emptyBlock(l), nil
	case tooLargeForGo(size + align):
		return nil, ErrUnsupported
	case align <= wordAlign:
		words := make([]uint64, (size+7)/8)
		return block.Bytes(unsafe.Pointer(unsafe.SliceData(words)), size), nil
	}
	// Go aligns an allocation to at most its size class, so it is padded to contain an aligned
	// address.
	b := make([]byte, size+align-1)
	p := unsafe.Pointer(unsafe.SliceData(b))
	pad := -uintptr(p) & (align - 1)
	return b[pad : pad+size : pad+size], nil
}

// AllocateZeroed is Allocate.
func (h GoHeapAllocator) AllocateZeroed(l Layout) ([]byte, error) { return h.Allocate(l) }

// AllocateTyped returns zeroed memory for n values of type t: see [TypedAllocator].
func (GoHeapAllocator) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	whole, _, err := typeLayout(t).Repeat(n)
	switch {
	case err != nil:
		return nil, err
	case whole.size == 0:
		return whole.Dangling(), nil
	case tooLargeForGo(whole.size):
		return nil, ErrUnsupported
	case n == 1:
		return reflect.New(t).UnsafePointer(), nil
	}
	return reflect.MakeSlice(reflect.SliceOf(t), n, n).UnsafePointer(), nil
}

// Deallocate does nothing.
func (GoHeapAllocator) Deallocate(unsafe.Pointer, Layout) {}

// String returns "galloc.GoHeap".
func (GoHeapAllocator) String() string { return "galloc.GoHeap" }

// Null is an allocator that never has memory.
var Null NullAllocator

// NullAllocator is the type of [Null], a [GlobalAlloc] and an [Allocator]. It fails for every size
// but 0. It ends a chain of allocators, and shows in tests what code does without memory. It has no
// blocks, so its Dealloc and Deallocate panic for every size but 0. Safe for concurrent use.
type NullAllocator struct{}

var (
	_ GlobalAlloc = Null
	_ Owner       = Null
	_ Resetter    = Null
)

// Allocate fails with [ErrOutOfMemory] if l.Size() is not 0.
func (NullAllocator) Allocate(l Layout) ([]byte, error) {
	if l.size == 0 {
		return emptyBlock(l), nil
	}
	return nil, ErrOutOfMemory
}

// Deallocate panics if l.Size() is not 0.
func (NullAllocator) Deallocate(p unsafe.Pointer, l Layout) { Null.Dealloc(p, l) }

// Alloc returns nil if l.Size() is not 0.
func (NullAllocator) Alloc(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	return nil
}

// Dealloc panics if l.Size() is not 0.
func (NullAllocator) Dealloc(_ unsafe.Pointer, l Layout) {
	if l.size != 0 {
		panic("galloc: Dealloc by Null, which allocates no blocks: free the block with the allocator that it came from")
	}
}

// Owns returns false.
func (NullAllocator) Owns(unsafe.Pointer) bool { return false }

// Reset does nothing.
func (NullAllocator) Reset() {}

// String returns "galloc.Null".
func (NullAllocator) String() string { return "galloc.Null" }
