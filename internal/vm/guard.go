// Pages that crash whoever touches them. See vm.go for the states.

package vm

import (
	"errors"
	"unsafe"
)

// ErrNoGuard is the refusal of [Guard] where pages are Go memory, which cannot be protected.
var ErrNoGuard = errors.New("vm: pages of the Go heap cannot be guarded")

// Guard takes the n bytes at p from Ready to Guarded: the memory behind them is given back, and an access crashes the program.
// [Unguard] leads back, and no other transition does. Guarded pages are for what stands between blocks, and for blocks that have
// been freed, of which there can be many: Linux marks them in its page tables, from 6.13 on (MADV_GUARD_INSTALL), so that they
// cost no VMA, but 8 bytes for each page. Elsewhere each run of them is a region of its own to the kernel, as Reserved pages are.
//
// p and n are multiples of the page size, and the pages lie within one reservation. If the system refuses, Guard returns an
// error: the pages are Ready still, and read zero or what they held. It panics as [Commit] does.
func Guard(p unsafe.Pointer, n uintptr) error {
	check("Guard", p, n)
	if err := fault(OpGuard, n); err != nil {
		return err
	}
	return guard(p, n)
}

// Unguard takes the n bytes at p from Guarded to Ready. They read zero.
//
// p and n are multiples of the page size, and the pages lie within one reservation. If the system refuses, Unguard returns an
// error and the pages are Guarded still. It panics as [Commit] does.
func Unguard(p unsafe.Pointer, n uintptr) error {
	check("Unguard", p, n)
	if err := fault(OpUnguard, n); err != nil {
		return err
	}
	return unguard(p, n)
}
