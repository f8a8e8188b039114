package galloc

import (
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// Dangling returns the address that stands for blocks of size 0: not nil, a multiple of
// l.Align(), and that of no block of memory. Nothing may be read or written there. It
// is not a made-up number, since the Go runtime refuses pointers that cannot be: up to
// an alignment of 64 KiB it is a static variable, beyond that address space that is
// reserved for it once per alignment, with no memory behind. If the system cannot even
// reserve that, the address is a multiple of 64 KiB only.
func (l Layout) Dangling() unsafe.Pointer {
	if l.Align() <= danglingAlign {
		return staticDangling
	}
	slot := &reservedDangling[l.lg]
	if p := slot.Load(); p != nil {
		return *p
	}
	return reserveDangling(slot, l.Align())
}

// danglingAlign is the alignment of the static variable, of which no page is ever touched.
const danglingAlign = 64 << 10

var (
	danglingBlock    [2 * danglingAlign]byte
	staticDangling   = unsafe.Add(unsafe.Pointer(&danglingBlock), -uintptr(unsafe.Pointer(&danglingBlock))&(danglingAlign-1))
	reservedDangling [64]atomic.Pointer[unsafe.Pointer]
)

// reserveDangling fills the slot of an alignment.
func reserveDangling(slot *atomic.Pointer[unsafe.Pointer], align uintptr) unsafe.Pointer {
	p := staticDangling
	if !vm.GoMemory { // there it would take memory
		if q, err := vm.Reserve(vm.PageSize(), align); err == nil {
			p = q
		}
	}
	if !slot.CompareAndSwap(nil, &p) && p != staticDangling {
		_ = vm.Release(p, vm.PageSize()) // another was faster; leaving ours reserved would do no harm either
	}
	return *slot.Load()
}
