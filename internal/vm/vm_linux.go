//go:build linux && !race

// What Linux does in its own way. See vm.go for the states, vm_unix.go for the rest.

package vm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserveFlags has MAP_NORESERVE so that the pages are not accounted at Commit either, unless vm.overcommit_memory is 2. The
// kernel would otherwise refuse to commit more than it guesses that the machine can bear.
const reserveFlags = unix.MAP_ANON | unix.MAP_PRIVATE | unix.MAP_NORESERVE

// purge uses MADV_DONTNEED: private anonymous pages read zero afterwards. MADV_FREE would be cheaper, but promises no zeros and
// leaves the pages counted as resident, which misleads everybody who reads that number.
func purge(p unsafe.Pointer, n uintptr) error {
	if unix.Madvise(pages(p, n), unix.MADV_DONTNEED) != nil {
		clear(pages(p, n)) // The pages are locked in memory.
	}
	return nil
}
