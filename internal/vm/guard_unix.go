//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !race

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// guardByRights guards pages in the way that every kernel knows: two calls, and a region of their own.
func guardByRights(p unsafe.Pointer, n uintptr) error {
	if err := purge(p, n); err != nil { // after it the pages are zero, as Unguard promises
		return err
	}
	return unix.Mprotect(pages(p, n), unix.PROT_NONE)
}
