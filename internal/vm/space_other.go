//go:build race || !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package vm

import "math"

// There are no limits that a reservation counts against, or the port has limits of another kind.

func addressSpaceLeft() uintptr { return math.MaxInt }
func addressSpaceUsed() uintptr { return 0 }
func dataLeft() uintptr         { return math.MaxInt }

func isPlausible(uintptr) bool { return true }

func countMappings() int { return 0 } // pages do not move here
