package pages

import (
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// spareExtents holds the extents of closed allocators: address space without memory. It is not
// returned to the system, which could use it for the Go heap: a stale pointer into it would then
// crash the program.
var spareExtents struct {
	mu      sync.Mutex
	extents []spare
}

// A spare is the two reservations of an extent, without memory: both are Reserved, so that the
// system describes each by one mapping.
type spare struct {
	base, meta unsafe.Pointer
	pages      uint32
	metaSize   uintptr
}

// retire releases the memory of x and keeps its address space for later allocators.
func (x *Extent) retire() {
	if vm.GoMemory { // address space is memory there, and pointers into it are safe
		_ = x.release()
		return
	}
	if !x.decommitAll() {
		_ = x.release()
		return
	}
	spareExtents.mu.Lock()
	defer spareExtents.mu.Unlock()
	spareExtents.extents = append(spareExtents.extents, spare{x.base, x.meta, x.pages, x.metaSize})
}

// decommitAll decommits all pages of x, and reports whether it could. The system may refuse near
// the limit of mappings; then the caller releases x, which needs none.
func (x *Extent) decommitAll() bool {
	return vm.Decommit(x.base, uintptr(x.pages)<<PageShift) == nil && vm.Decommit(x.meta, x.metaSize) == nil
}

// reuseExtent returns a spare extent of at least n pages, aligned to align pages, or nil.
func reuseExtent(n, align uintptr) *Extent {
	spareExtents.mu.Lock()
	defer spareExtents.mu.Unlock()
	for i, x := range spareExtents.extents {
		if uintptr(x.pages) >= n && uintptr(x.base)>>PageShift&(align-1) == 0 {
			last := len(spareExtents.extents) - 1
			spareExtents.extents[i] = spareExtents.extents[last]
			spareExtents.extents = spareExtents.extents[:last]
			y := &Extent{base: x.base, pages: x.pages, meta: x.meta, metaSize: x.metaSize}
			y.layMeta()
			return y
		}
	}
	return nil
}

// ReleaseSpares releases the address space of closed allocators. Only tests may call it: see
// spareExtents.
func ReleaseSpares() error {
	spareExtents.mu.Lock()
	defer spareExtents.mu.Unlock()
	for _, x := range spareExtents.extents {
		y := &Extent{base: x.base, pages: x.pages, meta: x.meta, metaSize: x.metaSize}
		if err := y.release(); err != nil {
			return err
		}
	}
	spareExtents.extents = nil
	return nil
}
