package pages

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// An array lies in reserved memory and is committed from its start, as needed.
type array struct {
	base      unsafe.Pointer
	size      uintptr // bytes reserved, whole OS pages
	committed uintptr // bytes, whole OS pages
}

const commitStep = 64 << 10 // bytes

// need returns the number of bytes that commit(n) would commit.
func (a *array) need(n uintptr) uintptr {
	if n <= a.committed {
		return 0
	}
	return min(roundUp(n, max(commitStep, vm.PageSize())), a.size) - a.committed
}

// commit commits the first n bytes.
func (a *array) commit(n uintptr) error {
	if n <= a.committed {
		return nil
	}
	if n > a.size {
		return vm.ErrTooLarge
	}
	more := a.need(n)
	// SAFETY: committed <= size, and size bytes are reserved.
	if err := vm.Commit(unsafe.Add(a.base, a.committed), more); err != nil {
		return err
	}
	a.committed += more
	return nil
}

// purgeAfter returns the memory after the first n bytes to the system. It stays readable, since a
// look-up without a lock may be under way, and reads zero, which it did before.
func (a *array) purgeAfter(n uintptr) {
	n = min(roundUp(n, max(commitStep, vm.PageSize())), a.size)
	if n >= a.committed {
		return
	}
	// SAFETY: n < committed.
	if p := unsafe.Add(a.base, n); vm.Purge(p, a.committed-n) != nil {
		_ = vm.Commit(p, a.committed-n) // the failed Purge has left it Reserved
	}
	a.committed = n
}

func roundUp(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }

// osPages returns the number of pages in an OS page, at least 1.
func osPages() uint32 { return uint32(max(vm.PageSize()>>PageShift, 1)) }

func roundUp32(n, step uint32) uint32 { return (n + step - 1) / step * step }
