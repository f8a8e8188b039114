//go:build linux && !race

package vm

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guardMarks reports whether the kernel marks guarded pages in its page tables. The first call
// tries it with one page.
var guardMarks = sync.OnceValue(func() bool {
	p, err := unix.MmapPtr(-1, 0, nil, pageSize, unix.PROT_READ|unix.PROT_WRITE, reserveFlags)
	if err != nil {
		return false
	}
	defer func() { _ = unix.MunmapPtr(p, pageSize) }()
	return unix.Madvise(pages(p, pageSize), unix.MADV_GUARD_INSTALL) == nil
})

func guard(p unsafe.Pointer, n uintptr) error {
	if guardMarks() {
		return unix.Madvise(pages(p, n), unix.MADV_GUARD_INSTALL)
	}
	return guardByRights(p, n)
}

func unguard(p unsafe.Pointer, n uintptr) error {
	if guardMarks() {
		return unix.Madvise(pages(p, n), unix.MADV_GUARD_REMOVE)
	}
	return commit(p, n)
}
