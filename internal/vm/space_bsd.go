//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && !race

package vm

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// These systems have no cheap way to ask for the use, so half of a limit is taken to be in use.

func addressSpaceLeft() uintptr {
	resource := 10 // RLIMIT_AS; OpenBSD has none and returns an error
	if runtime.GOOS == "darwin" {
		resource = 5
	}
	return halfOf(resource)
}

func addressSpaceUsed() uintptr { return shortSpace / 2 }
func dataLeft() uintptr         { return halfOf(unix.RLIMIT_DATA) }

func halfOf(resource int) uintptr {
	var limit unix.Rlimit
	if unix.Getrlimit(resource, &limit) != nil {
		limit.Cur = 1<<63 - 1
	}
	l := uint64(limit.Cur) //nolint:unconvert // signed on FreeBSD and DragonFly
	return left(l, func() uintptr { return uintptr(l / 2) })
}

func isPlausible(uintptr) bool { return true }

func countMappings() int { return 0 } // pages do not move here
