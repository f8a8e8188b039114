// The fast path of the heap in force. See engine.go for overview.

package engine

import "unsafe"

// FastAlloc and FastFree are Alloc and Free of the heap in force, for a block of that size, binary logarithm of the alignment, and class. If its
// cache cannot help, or if no heap is in force, they call what Slow has set.
//
// They are variables since there are two forms: that in Go below, and in assembly (fast_amd64.s), where that is known to fit
// the version of Go. Package galloc's Alloc and Dealloc do nothing but call them, and so are inlined.
var (
	FastAlloc = fastAlloc
	FastFree  = fastFree
)

var (
	slowAlloc func(size uintptr, lg, class uint32) unsafe.Pointer
	slowFree  func(p unsafe.Pointer, size uintptr, lg, class uint32)
)

// Slow sets what is called if the fast path ends. It is for package galloc, when it is initialized.
func Slow(alloc func(size uintptr, lg, class uint32) unsafe.Pointer, free func(p unsafe.Pointer, size uintptr, lg, class uint32)) {
	slowAlloc, slowFree = alloc, free
}

//go:nosplit
func fastAlloc(size uintptr, lg, class uint32) unsafe.Pointer {
	if id := ProcID(); id < MaxProcs {
		k := Mine(id)
		p := k.Pop(uint8(class))
		k.Done()
		if p != nil {
			return p
		}
	}
	return slowAlloc(size, lg, class)
}

//go:nosplit
func fastFree(p unsafe.Pointer, size uintptr, lg, class uint32) {
	if id := ProcID(); id < MaxProcs {
		k := Mine(id)
		ok := k.Push(uint8(class), p)
		k.Done()
		if ok {
			return
		}
	}
	slowFree(p, size, lg, class)
}
