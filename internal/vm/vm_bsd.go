//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && !race

// What the BSDs, macOS among them, do in their own way. See vm.go for the states, vm_unix.go for the rest.

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserveFlags needs no MAP_NORESERVE: these systems ignore it, and FreeBSD has dropped it.
const reserveFlags = unix.MAP_ANON | unix.MAP_PRIVATE

// purge maps new pages over the old ones, because neither MADV_DONTNEED nor MADV_FREE zeroes here.
func purge(p unsafe.Pointer, n uintptr) error {
	_, err := unix.MmapPtr(-1, 0, p, n, unix.PROT_READ|unix.PROT_WRITE, reserveFlags|unix.MAP_FIXED)
	if err != nil {
		// The old pages may or may not be gone. Reserved is a state that holds in both cases and costs the system nothing.
		_, _ = unix.MmapPtr(-1, 0, p, n, unix.PROT_NONE, reserveFlags|unix.MAP_FIXED)
	}
	return err
}

// move refuses: NetBSD's mremap leaves nothing at the old place, and the others have none.
func move(_, _ unsafe.Pointer, _ uintptr) error {
	return ErrNoMove
}

func advise(unsafe.Pointer, uintptr, bool) {} // Superpages come by themselves, or not.

func hugePageSize() uintptr {
	return 0
}
