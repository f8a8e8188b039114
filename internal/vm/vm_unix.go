//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !race

// Pages of the operating system on Unix: private anonymous mappings. See vm.go for the states.
//
//	None      not mapped
//	Reserved  mapped without access (PROT_NONE), which no system accounts
//	Ready     mapped for reading and writing
//
// Purge, Move, the advice and the flags of a reservation differ: vm_linux.go, vm_bsd.go.

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const goMemory = false

func reserve(n, align uintptr) (unsafe.Pointer, error) {
	// The kernel aligns to a page. For more, reserve enough that an aligned block of n bytes lies in it, and cut off both ends.
	wide := n + align - pageSize
	p, err := unix.MmapPtr(-1, 0, nil, wide, unix.PROT_NONE, reserveFlags)
	if err != nil {
		return nil, err
	}
	head := -uintptr(p) & (align - 1)
	tail := wide - head - n
	// SAFETY: head <= align - pageSize, so base and the n bytes that follow it lie in the mapping just made.
	base := unsafe.Add(p, head)
	// A cut that fails (the process has too many mappings) leaves address space unused, which harms nobody.
	if head != 0 {
		_ = unix.MunmapPtr(p, head)
	}
	if tail != 0 {
		// SAFETY: tail != 0 bytes of the mapping follow the block.
		_ = unix.MunmapPtr(unsafe.Add(base, n), tail)
	}
	return base, nil
}

func commit(p unsafe.Pointer, n uintptr) error {
	return unix.Mprotect(pages(p, n), unix.PROT_READ|unix.PROT_WRITE)
}

// purgeLazy uses MADV_FREE, on macOS too: its MADV_FREE_REUSABLE would lower the figures at once, but wants to be told before the
// next use, and Ready pages may be used unannounced.
func purgeLazy(p unsafe.Pointer, n uintptr) error {
	return unix.Madvise(pages(p, n), unix.MADV_FREE)
}

// decommit takes pages from Ready to Reserved. If the kernel refuses that as well, they stay accessible, and read zero: enough
// for the Commit that must come next.
func decommit(p unsafe.Pointer, n uintptr) {
	_ = purge(p, n)
	_ = unix.Mprotect(pages(p, n), unix.PROT_NONE)
}

func release(p unsafe.Pointer, n uintptr) error {
	return unix.MunmapPtr(p, n)
}

// pages returns the n bytes at p in the form that package unix takes.
func pages(p unsafe.Pointer, n uintptr) []byte {
	// SAFETY: the pages are mapped, they belong to the caller, and check has bounded n by MaxInt. No Go memory is among them.
	return unsafe.Slice((*byte)(p), n)
}
