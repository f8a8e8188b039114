//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !race

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// guardByRights guards pages in the way that every kernel knows, by two calls.
func guardByRights(p unsafe.Pointer, n uintptr) error {
	if err := purge(p, n); err != nil { // Unguard promises zeros
		return err
	}
	return unix.Mprotect(pages(p, n), unix.PROT_NONE)
}
