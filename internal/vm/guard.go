// Guarded pages. See vm.go for the states.

package vm

import (
	"errors"
	"unsafe"
)

// ErrNoGuard is returned by [Guard] where pages are Go memory, which cannot be protected.
var ErrNoGuard = errors.New("vm: pages of the Go heap cannot be guarded")

// Guard takes the n bytes at p from Ready to Guarded: their memory is returned to the system, and
// an access crashes the program. [Unguard] leads back, and no other transition does. Guarded pages
// are meant for gaps between blocks and for freed blocks, of which there can be many: from 6.13 on,
// Linux marks them in its page tables (MADV_GUARD_INSTALL), so that a page costs 8 bytes and no
// VMA. Elsewhere the kernel describes each run of them separately, as it does Reserved pages.
//
// p and n must be multiples of the page size, and the pages must lie within one reservation. If the
// system refuses, Guard returns an error, and the pages are still Ready: they are unchanged or read
// zero. It panics as [Commit] does.
func Guard(p unsafe.Pointer, n uintptr) error {
	check("Guard", p, n)
	if err := fault(OpGuard, n); err != nil {
		return err
	}
	return guard(p, n)
}

// Unguard takes the n bytes at p from Guarded to Ready. They read zero.
//
// p and n must be multiples of the page size, and the pages must lie within one reservation. If the
// system refuses, Unguard returns an error and the pages are still Guarded. It panics as [Commit]
// does.
func Unguard(p unsafe.Pointer, n uintptr) error {
	check("Unguard", p, n)
	if err := fault(OpUnguard, n); err != nil {
		return err
	}
	return unguard(p, n)
}
