//go:build !linux

package rss

// Start returns false: nothing is measured on this system.
func Start() (now int64, ok bool) { return 0, false }

// Peak must not be called on this system.
func Peak() (peak, now int64) { return 0, 0 }
