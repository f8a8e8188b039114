//go:build windows && !galloc_pages

// The heap that Windows makes for every process. See libc.go for the contract.
//
// HeapAlloc aligns to minAlign. For more, ask for align bytes more and put the block at the first multiple of align above the
// start. At least minAlign bytes lie between, and the last word of them, the header, holds the address of the start:
//
//	start            block - word    block                block + size    start + size + align
//	│ unused         │ start         │ the caller's       │ unused         │
//
// Such a block is moved by every Realloc, since a new place may need another gap.

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

	// processHeap is the same handle as long as the process lives.
	processHeap, _, _ = procGetProcessHeap.Call()
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
	return call(procHeapReAlloc, processHeap, 0, uintptr(p), newSize)
}

func free(p unsafe.Pointer, _, align uintptr) {
	start := uintptr(p)
	if align > minAlign {
		start = *header(p)
	}
	call(procHeapFree, processHeap, 0, start)
}

func heapAlloc(flags, size, align uintptr) unsafe.Pointer {
	if align <= minAlign {
		return call(procHeapAlloc, processHeap, flags, size)
	}
	start := call(procHeapAlloc, processHeap, flags, size+align) // no overflow: size <= MaxInt and align <= MaxInt/2 + 1
	if start == nil {
		return nil
	}
	// SAFETY: 0 < gap <= align, and size bytes are left behind the gap.
	gap := align - uintptr(start)&(align-1)
	p := unsafe.Add(start, gap)
	*header(p) = uintptr(start)
	return p
}

// header returns the word before a block whose alignment is above minAlign.
func header(p unsafe.Pointer) *uintptr {
	// SAFETY: start and block are multiples of minAlign and differ, so the word before the block lies behind the start. It holds
	// a number, so no write barrier looks at what was there before.
	return (*uintptr)(unsafe.Add(p, -int(word)))
}

// call calls a function of the heap. The arguments stay on the stack, so it allocates nothing.
func call(proc *windows.LazyProc, args ...uintptr) unsafe.Pointer {
	r, _, _ := syscall.SyscallN(proc.Addr(), args...)
	// SAFETY: the bits are the address of a block outside the Go heap, or 0, or a truth value that the caller ignores.
	return *(*unsafe.Pointer)(unsafe.Pointer(&r))
}
