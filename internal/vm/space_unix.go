//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !race

package vm

import "math"

// left returns limit-used, or 0 if that is negative. No limit, all bits set, is MaxInt.
func left(limit uint64, used func() uintptr) uintptr {
	if limit > math.MaxInt {
		return math.MaxInt
	}
	return uintptr(limit) - min(used(), uintptr(limit))
}
