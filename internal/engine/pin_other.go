//go:build !race && !amd64 && !arm64

package engine

// findP knows nothing here: the fast path ends at once, and the slow one pins.
func findP(*[32]byte) uintptr { return 0 }
