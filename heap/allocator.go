package heap

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/pages"
)

// Alloc returns a block of at least l.Size() bytes, aligned to l.Align(), or nil if memory runs
// out. The contents are undefined. The caller owns the block until one of the methods frees it. A
// size of 0 never fails and takes no memory: the result is l.Dangling(). Blocks of up to 256
// KiB mostly cost a few nanoseconds; longer ones cost more, and often take a lock.
func (h *Heap) Alloc(l galloc.Layout) unsafe.Pointer {
	if p := h.Engine().Pop(uint32(l.SizeClass())); p != nil {
		return p
	}
	if l.Size() == 0 { // class 0 has no blocks
		return l.Dangling()
	}
	return h.Engine().Alloc(l.Size(), l.Align())
}

// AllocZeroed is Alloc with the first l.Size() bytes zero. Blocks of more than 32 KiB are not
// touched where their memory is fresh from the system.
func (h *Heap) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return h.Engine().AllocZeroed(l.Size(), l.Align())
}

// Dealloc frees the block p, currently allocated by h. l must fit the block: the alignment must be
// the same, and the size between the size asked for and the usable one. Dealloc cannot fail. It
// ignores blocks of size 0.
func (h *Heap) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if !h.Engine().Push(uint32(l.SizeClass()), p) && l.Size() != 0 {
		h.Engine().Free(p, l.Size(), l.Align())
	}
}

// Realloc resizes the block p, which l must fit, to newSize bytes, and returns its address, which
// may have changed. It keeps the alignment and the first min(l.Size(), newSize) bytes; the others
// are undefined. If memory runs out, or newSize is too large for any layout, it returns nil and the
// block is unchanged. Growing from size 0 allocates; shrinking to size 0 frees.
//
// A block stays in place within its size class. A large block also stays when it shrinks, and when
// it grows into free pages after it. On Linux, a large block that cannot stay moves with its pages,
// without copying, if it has 2 MiB or more, or 128 KiB or more and its new pages have no memory
// yet; otherwise copying is faster. It is also copied while the process has more than a quarter of
// the mappings that Linux permits.
func (h *Heap) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if newSize > block.MaxSize(l.Align()) {
		return nil
	}
	if l.Size() == 0 || newSize == 0 {
		n, _ := galloc.NewLayout(newSize, l.Align())
		q := h.Alloc(n)
		if q != nil {
			h.Dealloc(p, l)
		}
		return q
	}
	return h.Engine().Realloc(p, l.Size(), l.Align(), newSize)
}

// Allocate returns a block as Alloc does, at its full length: see UsableSize. Every layout with the
// alignment of l and a size from l.Size() to that length fits it. If memory runs out, the error is
// galloc.ErrLimit if the hard limit refused the block, and galloc.ErrSystem if the system did; if
// both refuse blocks of several goroutines at the same moment, it may be the other one. Both are a
// galloc.ErrOutOfMemory for errors.Is.
func (h *Heap) Allocate(l galloc.Layout) ([]byte, error) {
	return h.blockOf(h.Alloc(l), l)
}

// AllocateZeroed is Allocate with all bytes of the block zero, to its full length.
func (h *Heap) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return h.blockOf(l.Dangling(), l)
	}
	return h.blockOf(h.Engine().AllocZeroed(usableSize(l), l.Align()), l)
}

// Deallocate is Dealloc.
func (h *Heap) Deallocate(p unsafe.Pointer, l galloc.Layout) { h.Dealloc(p, l) }

// Grow grows the block p, which old must fit, to layout to, whose size must not be less; the
// alignment may differ. It keeps the first old.Size() bytes; the others are undefined. If memory
// runs out, the error is galloc.ErrOutOfMemory and the block is unchanged. Realloc says when the
// block stays in place; with another alignment it never does. Grow panics if to is smaller than
// old.
func (h *Heap) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/heap", old.Size(), to.Size())
	return h.change(p, old, to)
}

// GrowZeroed is Grow with all bytes past old.Size() zero, to the full length of the block.
func (h *Heap) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/heap", old.Size(), to.Size())
	switch {
	case old.Size() == 0:
		return h.AllocateZeroed(to)
	case old.Align() == to.Align() && h.Engine().Resize(p, old.Size(), old.Align(), to.Size()):
		b, err := h.blockOf(p, to)
		block.ClearBytes(b[old.Size():])
		return b, err
	}
	// Pages known to be zero are not touched, which saves more than Realloc would save by not
	// copying.
	b, err := h.AllocateZeroed(to)
	switch {
	case err == nil:
		h.moveTo(b, p, old)
	case old.Align() == to.Align(): // in place it needs less memory, which may be available
		if b, err = h.change(p, old, to); err == nil {
			block.ClearBytes(b[old.Size():])
		}
	}
	return b, err
}

// Shrink shrinks the block p, which old must fit, to layout to, whose size must not be greater; the
// alignment may differ. It keeps the first to.Size() bytes. It fails as Grow does: a smaller block
// may need memory too. Shrink panics if to is larger than old.
func (h *Heap) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/heap", old.Size(), to.Size())
	return h.change(p, old, to)
}

// change resizes the block p from layout old to layout to.
func (h *Heap) change(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	if old.Align() == to.Align() && old.Size() != 0 {
		return h.blockOf(h.Realloc(p, old, to.Size()), to)
	}
	b, err := h.Allocate(to)
	if err == nil {
		h.moveTo(b, p, old)
	}
	return b, err
}

// moveTo copies the block p to b, as much as fits, and frees it.
func (h *Heap) moveTo(b []byte, p unsafe.Pointer, l galloc.Layout) {
	block.Copy(unsafe.Pointer(unsafe.SliceData(b)), p, min(uintptr(len(b)), l.Size()))
	h.Dealloc(p, l)
}

// Resize resizes the block p, which l must fit, in place to newSize bytes, which must not be 0, and
// reports whether it could: Realloc says when. If true, the block has the new size, the first
// min(l.Size(), newSize) bytes are kept, and the others are undefined. If false, the block is
// unchanged.
func (h *Heap) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == 0 || l.Size() == 0 || newSize > block.MaxSize(l.Align()) {
		return newSize == l.Size()
	}
	return h.Engine().Resize(p, l.Size(), l.Align(), newSize)
}

// UsableSize returns the length in bytes of a block allocated with l: the size of its class, or
// whole pages, as package heap says.
func (h *Heap) UsableSize(l galloc.Layout) uintptr { return usableSize(l) }

// EquivalentTo reports whether a is this heap.
func (h *Heap) EquivalentTo(a galloc.Allocator) bool {
	b, ok := a.(engine.Holder)
	return ok && b.Engine() == h.Engine()
}

func usableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	// If int has 32 bits, the last page of the largest blocks is beyond the largest layout.
	return min(pages.UsableSize(l.Size(), l.Align()), block.MaxSize(l.Align()))
}

// blockOf returns the memory of the block p of layout l, or an error if p is nil.
func (h *Heap) blockOf(p unsafe.Pointer, l galloc.Layout) ([]byte, error) {
	if p == nil {
		return nil, h.Refusal() // not wrapped: failing must not allocate
	}
	// SAFETY: a block has its usable size, which is 0 for blocks of size 0.
	return unsafe.Slice((*byte)(p), usableSize(l)), nil
}

// Refusal returns the error of the allocation that failed last: galloc.ErrLimit if the hard limit
// refused the block, and galloc.ErrSystem if the system did. See [galloc.GlobalRefusal].
func (h *Heap) Refusal() error {
	switch h.Engine().Refusal() {
	case engine.RefusedByLimit:
		return galloc.ErrLimit
	case engine.RefusedBySystem:
		return galloc.ErrSystem
	}
	return galloc.ErrOutOfMemory
}
