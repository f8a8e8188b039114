//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && !race

// The functions that are special on the BSDs and macOS. See vm.go for the states, vm_unix.go for
// the rest.

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserveFlags needs no MAP_NORESERVE: these systems ignore it, and FreeBSD has dropped it.
const reserveFlags = unix.MAP_ANON | unix.MAP_PRIVATE

// purge maps new pages over the old ones, because neither MADV_DONTNEED nor MADV_FREE zeroes pages
// on these systems.
func purge(p unsafe.Pointer, n uintptr) error {
	_, err := unix.MmapPtr(-1, 0, p, n, unix.PROT_READ|unix.PROT_WRITE, reserveFlags|unix.MAP_FIXED)
	if err != nil {
		// The old pages may or may not be mapped. Make them Reserved in both cases, which needs no
		// memory.
		_, _ = unix.MmapPtr(-1, 0, p, n, unix.PROT_NONE, reserveFlags|unix.MAP_FIXED)
	}
	return err
}

// move refuses: NetBSD's mremap unmaps the source, and the other systems have none.
func move(_, _ unsafe.Pointer, _ uintptr) error {
	return ErrNoMove
}

func advise(unsafe.Pointer, uintptr, bool) {} // the system decides on superpages by itself

func hugePageSize() uintptr {
	return 0
}
