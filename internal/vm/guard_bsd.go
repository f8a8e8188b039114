//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && !race

package vm

import "unsafe"

func guard(p unsafe.Pointer, n uintptr) error { return guardByRights(p, n) }

func unguard(p unsafe.Pointer, n uintptr) error { return commit(p, n) }
