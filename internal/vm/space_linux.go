//go:build linux && !race

package vm

import (
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

func addressSpaceLeft() uintptr { return left(softLimit(unix.RLIMIT_AS), addressSpaceUsed) }
func dataLeft() uintptr         { return left(softLimit(unix.RLIMIT_DATA), dataUsed) }

// softLimit returns a limit of the process; all bits are set if it has none. Unlike unix.Getrlimit,
// on 32 bits, it allocates nothing.
func softLimit(resource int) uint64 {
	var limit struct{ soft, hard uint64 }
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(resource), 0, uintptr(unsafe.Pointer(&limit)), 0, 0)
	if errno != 0 {
		return ^uint64(0)
	}
	return limit.soft
}

// addressSpaceUsed returns what RLIMIT_AS counts, and dataUsed what RLIMIT_DATA counts, and the
// stack.
func addressSpaceUsed() uintptr { return statm(0) }
func dataUsed() uintptr         { return statm(5) }

func isPlausible(n uintptr) bool {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return true
	}
	units := uint64(info.Totalram) + uint64(info.Totalswap) //nolint:unconvert // for 386
	has := units * uint64(info.Unit)
	return uint64(n) <= has || overcommits()
}

// overcommits reports whether vm.overcommit_memory is 1: the system grants everything.
func overcommits() bool {
	fd := open(&overcommitPath[0])
	if fd < 0 {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var text [1]byte
	n, err := unix.Read(fd, text[:])
	return err == nil && n == 1 && text[0] == '1'
}

var (
	overcommitPath = []byte("/proc/sys/vm/overcommit_memory\x00")

	statmPath = []byte("/proc/self/statm\x00")
	mapsPath  = []byte("/proc/self/maps\x00")
)

// open opens the file whose path, which ends in 0, begins at path, and returns a negative number if
// it cannot. Unlike unix.Open it allocates nothing.
func open(path *byte) int {
	here := unix.AT_FDCWD
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(path)),
		unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return -1
	}
	return int(fd)
}

// countMappings returns the number of mappings of the process, or more than any process may have if
// the system does not say.
func countMappings() (n int) {
	const unknown = 1 << 30
	fd := open(&mapsPath[0])
	if fd < 0 {
		return unknown
	}
	defer func() { _ = unix.Close(fd) }()
	var text [4096]byte
	for {
		k, err := unix.Read(fd, text[:])
		if err != nil {
			return unknown
		}
		if k == 0 {
			return n
		}
		for _, c := range text[:k] {
			if c == '\n' {
				n++
			}
		}
	}
}

// statm returns a field of /proc/self/statm, in bytes, or 0 if there is no such file. It allocates
// nothing.
func statm(field int) uintptr {
	fd := open(&statmPath[0])
	if fd < 0 {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	var text [8 * (bits.UintSize/3 + 1)]byte
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return 0
	}
	value := uintptr(0)
	for _, c := range text[:n] {
		switch {
		case c >= '0' && c <= '9':
			value = value*10 + uintptr(c-'0')
		case field == 0:
			return value * pageSize
		default:
			field--
			value = 0
		}
	}
	return 0
}
