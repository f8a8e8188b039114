//go:build !linux

package cpus

import "runtime"

// Count returns the number of CPUs.
func Count() (int, error) { return runtime.NumCPU(), nil }

// BindProcess returns ErrUnsupported.
func BindProcess(int) error { return ErrUnsupported }

// While returns ErrUnsupported, and does not call f.
func While(int, func() error) error { return ErrUnsupported }
