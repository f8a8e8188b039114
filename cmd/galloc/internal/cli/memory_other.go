//go:build !linux

package cli

func available() (n uint64, known bool) { return 0, false }
