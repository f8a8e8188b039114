//go:build windows && !galloc_pages

// The default heap of a Windows process. See libc.go for the contract.
//
// HeapAlloc aligns to minAlign. For a higher alignment, heapAlloc requests align more bytes and
// places the block at the first multiple of align above the start. At least minAlign bytes lie
// between, and their last word, the header, holds the address of the start:
//
//	start            block - word    block                block + size    start + size + align
//	│ unused         │ start         │ the caller's       │ unused         │
//
// Every Realloc moves such a block, since a new place may need another gap.

package libc

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const name = "HeapAlloc"

const (
	word     = unsafe.Sizeof(uintptr(0))
	minAlign = 2 * word

	heapZeroMemory = 0x8
)

var (
	kernel32           = windows.NewLazySystemDLL("kernel32.dll")
	procGetProcessHeap = kernel32.NewProc("GetProcessHeap")
	procHeapAlloc      = kernel32.NewProc("HeapAlloc")
	procHeapReAlloc    = kernel32.NewProc("HeapReAlloc")
	procHeapFree       = kernel32.NewProc("HeapFree")

	// defaultHeap is a handle that does not change while the process runs.
	defaultHeap, _, _ = procGetProcessHeap.Call()
)

func alloc(size, align uintptr) unsafe.Pointer {
	return heapAlloc(0, size, align)
}

func allocZeroed(size, align uintptr) unsafe.Pointer {
	return heapAlloc(heapZeroMemory, size, align)
}

func realloc(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	if align > minAlign {
		return move(p, oldSize, align, newSize)
	}
	return call(procHeapReAlloc, defaultHeap, 0, uintptr(p), newSize)
}

func free(p unsafe.Pointer, _, align uintptr) {
	start := uintptr(p)
	if align > minAlign {
		start = *header(p)
	}
	call(procHeapFree, defaultHeap, 0, start)
}

func heapAlloc(flags, size, align uintptr) unsafe.Pointer {
	if align <= minAlign {
		return call(procHeapAlloc, defaultHeap, flags, size)
	}
	// The sum does not overflow: size <= MaxInt and align <= MaxInt/2 + 1.
	start := call(procHeapAlloc, defaultHeap, flags, size+align)
	if start == nil {
		return nil
	}
	// SAFETY: 0 < gap <= align, and size bytes remain after the gap.
	gap := align - uintptr(start)&(align-1)
	p := unsafe.Add(start, gap)
	*header(p) = uintptr(start)
	return p
}

// header returns the word before a block whose alignment is above minAlign.
func header(p unsafe.Pointer) *uintptr {
	// SAFETY: start and block are different multiples of minAlign, so the word before the block
	// lies after the start. It holds a number, so no write barrier reads its old contents.
	return (*uintptr)(unsafe.Add(p, -int(word)))
}

// call calls a function of the heap. The arguments stay on the stack, so it allocates nothing.
func call(proc *windows.LazyProc, args ...uintptr) unsafe.Pointer {
	r, _, _ := syscall.SyscallN(proc.Addr(), args...)
	// SAFETY: the bits are the address of a block outside the Go heap, or 0, or a boolean that the
	// caller ignores.
	return *(*unsafe.Pointer)(unsafe.Pointer(&r))
}
