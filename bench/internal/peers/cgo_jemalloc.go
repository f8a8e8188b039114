//go:build cgo && galloc_jemalloc

package peers

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
)

func init() {
	enter(
		Peer{
			"cgo-jemalloc",
			"package jemalloc: mallocx and sdallocx through cgo",
			func(Need) (galloc.GlobalAlloc, error) {
				return cgoJemalloc{}, nil
			},
		},
	)
}

// cgoJemalloc is jemalloc.Allocator with a name that says that it is called through cgo.
type cgoJemalloc struct{}

func (cgoJemalloc) Alloc(l galloc.Layout) unsafe.Pointer { return jemalloc.Allocator.Alloc(l) }
func (cgoJemalloc) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	return jemalloc.Allocator.AllocZeroed(l)
}
func (cgoJemalloc) Dealloc(p unsafe.Pointer, l galloc.Layout) { jemalloc.Allocator.Dealloc(p, l) }
func (cgoJemalloc) String() string                            { return jemalloc.Allocator.String() + " through cgo" }

func (cgoJemalloc) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return jemalloc.Allocator.Realloc(p, l, newSize)
}
