//go:build windows && !race

// Pages of the operating system on Windows. See vm.go for the states; these are Windows's own names for them:
//
//	None      free
//	Reserved  reserved
//	Ready     committed, and counted against the commit limit of the whole machine

package vm

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

const goMemory = false

// granularity is what VirtualAlloc aligns every reservation to, on all versions of Windows.
const granularity = 64 << 10

// memFree is the state of pages that nobody has reserved (MEM_FREE).
const memFree = 0x10000

// attempts bounds the race of reserve against other threads of the process.
const attempts = 100

func reserve(n, align uintptr) (unsafe.Pointer, error) {
	if align <= granularity {
		return virtualAlloc(0, n, windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	}
	// A reservation cannot be cut. So find a gap by a wider one, give that back, and take the aligned address in its place. If
	// another thread takes it first, look for the next gap.
	var failure error
	for range attempts {
		wide, err := windows.VirtualAlloc(0, n+align-granularity, windows.MEM_RESERVE, windows.PAGE_NOACCESS)
		if err != nil {
			return nil, err
		}
		if err := windows.VirtualFree(wide, 0, windows.MEM_RELEASE); err != nil {
			return nil, err
		}
		base := (wide + align - 1) &^ (align - 1)
		p, err := virtualAlloc(base, n, windows.MEM_RESERVE, windows.PAGE_NOACCESS)
		if err == nil {
			return p, nil
		}
		failure = err
	}
	return nil, failure
}

func commit(p unsafe.Pointer, n uintptr) error {
	_, err := virtualAlloc(uintptr(p), n, windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

// purge decommits and commits again: MEM_RESET would leave the contents undefined.
func purge(p unsafe.Pointer, n uintptr) error {
	if err := windows.VirtualFree(uintptr(p), n, windows.MEM_DECOMMIT); err != nil {
		return err
	}
	return commit(p, n)
}

// purgeLazy needs a protection that is valid, but not that of the pages: MEM_RESET leaves it alone.
func purgeLazy(p unsafe.Pointer, n uintptr) error {
	_, err := virtualAlloc(uintptr(p), n, windows.MEM_RESET, windows.PAGE_NOACCESS)
	return err
}

// decommit takes pages from Ready to Reserved.
func decommit(p unsafe.Pointer, n uintptr) {
	_ = windows.VirtualFree(uintptr(p), n, windows.MEM_DECOMMIT)
}

func move(_, _ unsafe.Pointer, _ uintptr) error {
	return ErrNoMove
}

func guard(p unsafe.Pointer, n uintptr) error {
	return windows.VirtualFree(uintptr(p), n, windows.MEM_DECOMMIT)
}

func unguard(p unsafe.Pointer, n uintptr) error { return commit(p, n) }

func advise(unsafe.Pointer, uintptr, bool) {} // Large pages need a privilege, and a reservation of their own.

func hugePageSize() uintptr {
	return 0
}

// release refuses a part of a reservation: VirtualFree would take the whole one down with it.
func release(p unsafe.Pointer, n uintptr) error {
	base := uintptr(p)
	for at := base; ; {
		var region windows.MemoryBasicInformation
		if err := windows.VirtualQuery(at, &region, unsafe.Sizeof(region)); err != nil {
			return err
		}
		if region.State == memFree || region.AllocationBase != base {
			if at-base != n {
				return windows.ERROR_INVALID_PARAMETER
			}
			return windows.VirtualFree(base, 0, windows.MEM_RELEASE)
		}
		at = region.BaseAddress + region.RegionSize
	}
}

// virtualAlloc is windows.VirtualAlloc with a pointer for a result.
func virtualAlloc(at, n uintptr, kind, protection uint32) (unsafe.Pointer, error) {
	p, err := windows.VirtualAlloc(at, n, kind, protection)
	// SAFETY: the bits are the address of pages that lie outside the Go heap, or 0; they are taken over as they are.
	return *(*unsafe.Pointer)(unsafe.Pointer(&p)), err
}
