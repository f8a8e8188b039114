//go:build cgo && jemalloc

package peers

/*
#cgo LDFLAGS: -ljemalloc
#cgo noescape mallocx
#cgo nocallback mallocx
#cgo noescape rallocx
#cgo nocallback rallocx
#cgo noescape sdallocx
#cgo nocallback sdallocx
#include <stdlib.h>
#include <jemalloc/jemalloc.h>

static const char *jemalloc_version(void) {
	const char *v = "";
	size_t n = sizeof v;
	mallctl("version", &v, &n, NULL, 0);
	return v;
}
*/
import "C"

import (
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

func init() {
	enter(Peer{"cgo-jemalloc", "jemalloc's mallocx and sdallocx through cgo", func(Need) (galloc.GlobalAlloc, error) {
		return cgoJemalloc{}, nil
	}})
}

const mallocxZero = 0x40 // MALLOCX_ZERO

type cgoJemalloc struct{}

// flags is MALLOCX_LG_ALIGN, which is the binary logarithm itself.
func flags(l galloc.Layout) C.int { return C.int(bits.TrailingZeros64(uint64(l.Align()))) }

func (cgoJemalloc) Alloc(l galloc.Layout) unsafe.Pointer {
	return C.mallocx(C.size_t(l.Size()), flags(l))
}

func (cgoJemalloc) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	return C.mallocx(C.size_t(l.Size()), flags(l)|mallocxZero)
}

func (cgoJemalloc) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return C.rallocx(p, C.size_t(newSize), flags(l))
}

func (cgoJemalloc) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	C.sdallocx(p, C.size_t(l.Size()), flags(l))
}

func (cgoJemalloc) String() string {
	return "jemalloc " + C.GoString(C.jemalloc_version()) + " through cgo"
}
