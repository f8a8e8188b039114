package galloc

import (
	"reflect"
	"runtime"
	"unsafe"
)

// GoHeap is Go's own heap as an [Allocator]: the one whose memory the garbage collector
// scans, counts and frees. It is a [TypedAllocator]: New, MakeSlice and Box on it take
// types with Go pointers in them. Deallocate does nothing: a block lives as long as Go
// pointers lead to it, and pointers kept in the memory of other allocators do not count.
//
// Blocks are zeroed. Sizes and alignments beyond 1 TiB (1 GiB on 32-bit systems and wasm) fail
// with ErrUnsupported; but a smaller one beyond the machine's memory ends the program, as
// make does. Safe for concurrent use.
var GoHeap goHeap

var (
	_ TypedAllocator  = GoHeap
	_ ZeroedAllocator = GoHeap
)

type goHeap struct{}

// maxGoHeap is the largest size that is asked for: 1 TiB, or 1 GiB on 32-bit systems. make
// panics beyond the runtime's limit on an allocation, which is higher than that.
const maxGoHeap = 1 << (30 + 10*(^uint(0)>>63))

func tooLargeForGo(size uintptr) bool {
	return size > maxGoHeap || runtime.GOARCH == "wasm" && size > 1<<30
}

// wordAlign is the alignment of a Go allocation of 8 bytes or more without pointers.
const wordAlign = unsafe.Alignof(uint64(0))

func (goHeap) Allocate(l Layout) ([]byte, error) {
	size, align := l.size, l.Align()
	switch {
	case size == 0:
		return emptyBlock(l), nil
	case tooLargeForGo(size + align):
		return nil, ErrUnsupported
	case align <= wordAlign:
		words := make([]uint64, (size+7)/8)
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), size), nil
	}
	// The base of a Go allocation is not a multiple of more than its size class is: a
	// padded one has an aligned address in it.
	b := make([]byte, size+align-1)
	p := unsafe.Pointer(unsafe.SliceData(b))
	pad := -uintptr(p) & (align - 1)
	return b[pad : pad+size : pad+size], nil
}

func (h goHeap) AllocateZeroed(l Layout) ([]byte, error) { return h.Allocate(l) }

func (goHeap) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	l := newLayout(t.Size(), log2(uintptr(t.Align())))
	whole, _, err := l.Repeat(n)
	switch {
	case err != nil:
		return nil, err
	case whole.size == 0:
		return whole.Dangling(), nil
	case tooLargeForGo(whole.size):
		return nil, ErrUnsupported
	}
	return reflect.MakeSlice(reflect.SliceOf(t), n, n).UnsafePointer(), nil
}

func (goHeap) Deallocate(unsafe.Pointer, Layout) {}

func (goHeap) String() string { return "galloc.GoHeap" }
