//go:build !(cgo && galloc_jemalloc)

package jemalloc

import "unsafe"

// Available reports whether this program is built with jemalloc: with cgo and -tags
// galloc_jemalloc.
const Available = false

func libAlloc(uintptr, int32) unsafe.Pointer                     { panic(unavailable) }
func libAllocZeroed(uintptr, int32) unsafe.Pointer               { panic(unavailable) }
func libAllocate(uintptr, int32) (unsafe.Pointer, uintptr)       { panic(unavailable) }
func libAllocateZeroed(uintptr, int32) (unsafe.Pointer, uintptr) { panic(unavailable) }
func libFree(unsafe.Pointer, uintptr, int32)                     { panic(unavailable) }
func libResize(unsafe.Pointer, uintptr, int32) bool              { panic(unavailable) }
func libUsable(uintptr, int32) uintptr                           { panic(unavailable) }

func libRealloc(unsafe.Pointer, uintptr, int32) unsafe.Pointer { panic(unavailable) }

func libReallocate(unsafe.Pointer, uintptr, int32) (unsafe.Pointer, uintptr) { panic(unavailable) }

func libGrowZeroed(unsafe.Pointer, uintptr, uintptr, int32) (unsafe.Pointer, uintptr) {
	panic(unavailable)
}

func libStats() (values [6]uint64, failed int, err error) { return values, -1, ErrUnavailable }
func libRead(*byte, unsafe.Pointer, uintptr) error        { return ErrUnavailable }
func libWrite(*byte, unsafe.Pointer, uintptr) error       { return ErrUnavailable }
func libReadString(*byte) (string, error)                 { return "", ErrUnavailable }
func libWriteString(_, _ *byte) error                     { return ErrUnavailable }
func libDo(*byte) error                                   { return ErrUnavailable }
func reasonOf(err error) string                           { return err.Error() }
