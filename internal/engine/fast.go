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

// apart is the range of addresses that FastFree leaves to the slow path: see Apart. (The assembly relies on this order.)
var apart struct{ base, size uintptr }

// Apart has FastFree call what Slow has set for every block among the size bytes from base on, which are not the heap's but handed out in
// its place. It is for package galloc, before there is such a block, and before a heap is put in force. From then on FastFree is another
// function, so that those who have no such blocks do not look for them.
func Apart(base unsafe.Pointer, size uintptr) {
	apart.base, apart.size = uintptr(base), size
	FastFree = fastFreeLooking
}

// fastFreeLooking is fastFree that looks whether the block is one of those apart.
var fastFreeLooking = fastFreeApart

//go:nosplit
func fastFreeApart(p unsafe.Pointer, size uintptr, lg, class uint32) {
	if uintptr(p)-apart.base < apart.size {
		slowFree(p, size, lg, class)
		return
	}
	fastFree(p, size, lg, class)
}
