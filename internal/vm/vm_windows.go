//go:build windows && !race

// Pages of the operating system on Windows. See vm.go for the states; Windows calls them:
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

// granularity is the alignment of every reservation of VirtualAlloc, on all versions of Windows.
const granularity = 64 << 10

// memFree is the state of pages that are not reserved (MEM_FREE).
const memFree = 0x10000

// attempts is how often reserve tries again if another thread of the process takes its addresses.
const attempts = 100

func reserve(n, align uintptr) (unsafe.Pointer, error) {
	if align <= granularity {
		return virtualAlloc(0, n, windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	}
	// A reservation cannot be cut. So find a gap with a wider reservation, release that, and
	// reserve at the aligned address in the gap. If another thread takes it first, try the next
	// gap.
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

// purgeLazy passes any valid protection: MEM_RESET ignores it.
func purgeLazy(p unsafe.Pointer, n uintptr) error {
	_, err := virtualAlloc(uintptr(p), n, windows.MEM_RESET, windows.PAGE_NOACCESS)
	return err
}

// decommit takes pages from Ready to Reserved.
func decommit(p unsafe.Pointer, n uintptr) error {
	return windows.VirtualFree(uintptr(p), n, windows.MEM_DECOMMIT)
}

func move(_, _ unsafe.Pointer, _ uintptr) error {
	return ErrNoMove
}

func guard(p unsafe.Pointer, n uintptr) error {
	return windows.VirtualFree(uintptr(p), n, windows.MEM_DECOMMIT)
}

func unguard(p unsafe.Pointer, n uintptr) error { return commit(p, n) }

// advise does nothing: large pages need a privilege, and separate reservations.
func advise(unsafe.Pointer, uintptr, bool) {}

func hugePageSize() uintptr {
	return 0
}

// release refuses a part of a reservation: VirtualFree would release the whole reservation.
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

// virtualAlloc is windows.VirtualAlloc with a pointer as its result.
func virtualAlloc(at, n uintptr, kind, protection uint32) (unsafe.Pointer, error) {
	p, err := windows.VirtualAlloc(at, n, kind, protection)
	// SAFETY: the bits are the address of pages outside the Go heap, or 0.
	return *(*unsafe.Pointer)(unsafe.Pointer(&p)), err
}
