//go:build cgo && !galloc_jemalloc

package peers

/*
#include <stdlib.h>
*/
import "C"

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

func init() {
	enter(
		Peer{
			"cgo-malloc",
			"C.malloc and C.free, called as any Go program would",
			func(Need) (galloc.GlobalAlloc, error) {
				return cgoMalloc{}, nil
			},
		},
	)
	enter(Peer{"system", "galloc.System", func(Need) (galloc.GlobalAlloc, error) { return galloc.System, nil }})
}

// mallocAlign is the alignment of malloc's blocks.
const mallocAlign = 16

type cgoMalloc struct{}

func (cgoMalloc) Alloc(l galloc.Layout) unsafe.Pointer {
	if align := l.Align(); align > mallocAlign {
		// The size is rounded up, as C demands.
		return C.aligned_alloc(C.size_t(align), C.size_t((l.Size()+align-1)&^(align-1)))
	}
	if l.Size() > maxRequest {
		return nil
	}
	return C.malloc(C.size_t(l.Size()))
}

func (a cgoMalloc) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Align() > mallocAlign {
		return galloc.DefaultAllocZeroed(a, l)
	}
	return C.calloc(1, C.size_t(l.Size()))
}

func (a cgoMalloc) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if l.Align() > mallocAlign {
		return galloc.DefaultRealloc(a, p, l, newSize)
	}
	return C.realloc(p, C.size_t(newSize))
}

func (cgoMalloc) Dealloc(p unsafe.Pointer, _ galloc.Layout) { C.free(p) }

func (cgoMalloc) String() string { return "malloc through cgo" }
