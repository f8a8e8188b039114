//go:build !(cgo && galloc_mimalloc)

package mimalloc

import "unsafe"

// Available reports whether this program is built with mimalloc: with cgo and -tags
// galloc_mimalloc.
const Available = false

const unavailable = "galloc/mimalloc: this program is built without the binding: build with cgo and -tags galloc_mimalloc, with mimalloc's headers (Debian: libmimalloc-dev) installed"

func libAlloc(_, _ uintptr) unsafe.Pointer                     { panic(unavailable) }
func libAllocZeroed(_, _ uintptr) unsafe.Pointer               { panic(unavailable) }
func libAllocate(_, _ uintptr) (unsafe.Pointer, uintptr)       { panic(unavailable) }
func libAllocateZeroed(_, _ uintptr) (unsafe.Pointer, uintptr) { panic(unavailable) }
func libFree(unsafe.Pointer, uintptr, uintptr)                 { panic(unavailable) }
func libResize(unsafe.Pointer, uintptr) bool                   { panic(unavailable) }
func libUsable(uintptr) uintptr                                { panic(unavailable) }

func libRealloc(_ unsafe.Pointer, _, _ uintptr) unsafe.Pointer { panic(unavailable) }

func libReallocate(_ unsafe.Pointer, _, _ uintptr) (unsafe.Pointer, uintptr) { panic(unavailable) }

func libGrowZeroed(_ unsafe.Pointer, _, _, _ uintptr) (unsafe.Pointer, uintptr) { panic(unavailable) }

func libVersion() int             { panic(unavailable) }
func libCollect(bool)             { panic(unavailable) }
func libProcessInfo() ProcessInfo { panic(unavailable) }
