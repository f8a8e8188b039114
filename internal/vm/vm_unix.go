//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !race

// Pages of the operating system on Unix: private anonymous mappings. See vm.go for the states.
//
//	None      not mapped
//	Reserved  mapped without access (PROT_NONE), which no system accounts
//	Ready     mapped for reading and writing
//
// Purge, Move, Huge, NoHuge and the flags of a reservation differ: see vm_linux.go and vm_bsd.go.

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const goMemory = false

func reserve(n, align uintptr) (unsafe.Pointer, error) {
	// The kernel aligns to a page. For a higher alignment, reserve a range that contains an aligned
	// block of n bytes, and cut off both ends.
	wide := n + align - pageSize
	p, err := unix.MmapPtr(-1, 0, nil, wide, unix.PROT_NONE, reserveFlags)
	if err != nil {
		return nil, err
	}
	head := -uintptr(p) & (align - 1)
	tail := wide - head - n
	// SAFETY: head <= align - pageSize, so base and the n bytes that follow it lie in the mapping
	// just made.
	base := unsafe.Add(p, head)
	// If a cut fails (the process has too many mappings), some address space stays unused.
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

// decommit maps new pages over the old ones. mprotect alone would leave them accounted under
// vm.overcommit_memory=2, and apart from Reserved neighbors that were never touched.
func decommit(p unsafe.Pointer, n uintptr) error {
	_, err := unix.MmapPtr(-1, 0, p, n, unix.PROT_NONE, reserveFlags|unix.MAP_FIXED)
	return err
}

// purgeLazy uses MADV_FREE, on macOS too. The MADV_FREE_REUSABLE of macOS would lower the figures
// at once, but needs a call before the next use, and a program may use Ready pages without one.
func purgeLazy(p unsafe.Pointer, n uintptr) error {
	return unix.Madvise(pages(p, n), unix.MADV_FREE)
}

func release(p unsafe.Pointer, n uintptr) error {
	return unix.MunmapPtr(p, n)
}

// pages returns the n bytes at p as a slice, for package unix.
func pages(p unsafe.Pointer, n uintptr) []byte {
	// SAFETY: the pages are mapped, belong to the caller, and are no Go memory; check has bounded n
	// by MaxInt.
	return unsafe.Slice((*byte)(p), n)
}
