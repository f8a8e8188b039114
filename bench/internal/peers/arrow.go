//go:build cgo && !galloc_jemalloc

package peers

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory/mallocator"
	"github.com/galloc-go/galloc"
)

func init() {
	enter(
		Peer{
			"arrow",
			"Apache Arrow's Mallocator: calloc through cgo, aligned and entered in a map",
			func(Need) (galloc.GlobalAlloc, error) {
				return arrow{mallocator.NewMallocator()}, nil
			},
		},
	)
}

// arrowAlign is the alignment of its blocks.
const arrowAlign = 64

type arrow struct{ m *mallocator.Mallocator }

func (a arrow) calloc(size uintptr) unsafe.Pointer {
	if size > 2*maxRequest {
		return nil
	}
	// SAFETY: only the type changes
	return unsafe.Pointer(unsafe.SliceData(a.m.Allocate(int(size))))
}

func (a arrow) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Align() > arrowAlign {
		return padded(l.Size(), l.Align(), a.calloc)
	}
	return a.calloc(l.Size())
}

// AllocZeroed is Alloc, which always clears.
func (a arrow) AllocZeroed(l galloc.Layout) unsafe.Pointer { return a.Alloc(l) }

func (a arrow) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	size := l.Size()
	if l.Align() > arrowAlign {
		p, size = base(p), size+l.Align()
	}
	// SAFETY: the block that calloc returned, with its size
	a.m.Free(unsafe.Slice((*byte)(p), size))
}

func (arrow) String() string {
	return "Apache Arrow's Mallocator " + version("github.com/apache/arrow-go/v18")
}
