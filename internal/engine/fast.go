// The fast path of the global heap. See heap.go for the overview.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/percpu"
)

// FastAlloc allocates a block of the global heap, FastAllocZeroed one whose bytes are zero, and
// FastFree frees one. size, lg and class are the size, the binary logarithm of the alignment, and
// the size class; FastFree must get the same as FastAlloc. If the cache of the current P cannot
// help, or if there is no global heap, they call the slow path that SetSlowPath has set.
// FastAllocZeroed also does if the block is large enough for a call of the runtime's clear to pay.
//
// They are variables because there are two forms of them, in Go below and in assembly
// (fast_amd64.s). The compiler calls a function in assembly through a wrapper that costs as much as
// the function; a variable can hold the address of the code itself (fast_amd64.go). Package
// galloc's Alloc and Dealloc only call these variables, and are inlined. Functions around the
// variables were tried: each call then takes one more instruction.
var (
	FastAlloc       = fastAlloc
	FastAllocZeroed = fastAllocZeroed
	FastFree        = fastFree
)

var (
	slowAlloc       func(size uintptr, lg, class uint32) unsafe.Pointer
	slowAllocZeroed func(size uintptr, lg, class uint32) unsafe.Pointer
	slowFree        func(p unsafe.Pointer, size uintptr, lg, class uint32)
)

// SetSlowPath sets the functions that continue where the fast path ends. Package galloc calls it
// when it is initialized.
func SetSlowPath(
	alloc, allocZeroed func(size uintptr, lg, class uint32) unsafe.Pointer,
	free func(p unsafe.Pointer, size uintptr, lg, class uint32),
) {
	slowAlloc, slowAllocZeroed, slowFree = alloc, allocZeroed, free
}

//go:nosplit
func fastAlloc(size uintptr, lg, class uint32) unsafe.Pointer {
	if id := percpu.ID(); id < maxProcs {
		c := enterGlobal(id)
		p := c.Pop(uint8(class))
		c.Exit()
		if p != nil {
			return p
		}
	}
	return slowAlloc(size, lg, class)
}

// maxFastZeroed is the largest size that fastAllocZeroed clears.
const maxFastZeroed = 256

func fastAllocZeroed(size uintptr, lg, class uint32) unsafe.Pointer {
	if size > maxFastZeroed {
		return slowAllocZeroed(size, lg, class)
	}
	p := popGlobal(class)
	if p == nil {
		return slowAllocZeroed(size, lg, class)
	}
	// SAFETY: p is a block of at least size bytes.
	clear(unsafe.Slice((*byte)(p), size))
	return p
}

// popGlobal is fastAlloc without the slow path.
//
//go:nosplit
func popGlobal(class uint32) (p unsafe.Pointer) {
	if id := percpu.ID(); id < maxProcs {
		c := enterGlobal(id)
		p = c.Pop(uint8(class))
		c.Exit()
	}
	return p
}

//go:nosplit
func fastFree(p unsafe.Pointer, size uintptr, lg, class uint32) {
	if id := percpu.ID(); id < maxProcs {
		c := enterGlobal(id)
		ok := c.Push(uint8(class), p)
		c.Exit()
		if ok {
			return
		}
	}
	slowFree(p, size, lg, class)
}

// foreign is the range of addresses that SetForeignRange has set. The assembly relies on the order
// of the fields.
var foreign struct{ base, size uintptr }

// SetForeignRange makes FastFree pass each block in [base, base+size) to the slow path: these
// blocks were allocated in the heap's place, but not from it. Package galloc calls it before there
// is such a block, and before there is a global heap. Until then FastFree does not check for the
// range.
func SetForeignRange(base unsafe.Pointer, size uintptr) {
	foreign.base, foreign.size = uintptr(base), size
	FastFree = fastFreeChecked
}

// fastFreeChecked is fastFree with a check for the foreign range. It has two forms, as FastFree.
var fastFreeChecked = fastFreeCheckedGo

//go:nosplit
func fastFreeCheckedGo(p unsafe.Pointer, size uintptr, lg, class uint32) {
	if uintptr(p)-foreign.base < foreign.size {
		slowFree(p, size, lg, class)
		return
	}
	fastFree(p, size, lg, class)
}
