package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// reallocLarge resizes the large block at b in place, or else moves it to a longer or shorter run,
// and returns its address. It returns nil if there is no such block, or if memory runs out, even
// after it has made room for either; then the block is unchanged.
func (h *Heap) reallocLarge(b unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	var t *pages.Span
	var ok, found, reused bool
	granted := newSize <= size || h.grants(newSize)
	try := func() bool {
		if ok, found = h.resizeLarge(b, size, newSize); ok || !found {
			return true
		}
		if granted {
			t, reused = h.tryLarge(newSize, align)
		}
		return t != nil
	}
	gated := h.gate.enter()
	done := try()
	h.gate.leave(gated)
	if !done && granted && pages.CountFor(newSize) <= pages.MaxPages {
		h.relieve(more(size, newSize), try)
	}
	h.waitForSoft()
	switch {
	case ok:
		return b
	case !found || t == nil:
		return nil
	}
	return h.moveTo(t, b, size, newSize, reused)
}

// more returns the least number of bytes that a block of size bytes needs to have newSize.
func more(size, newSize uintptr) uintptr { return max(size, newSize) - size }

// moveTo moves the large block at b to the span t, and returns its new address. If there is no such
// block any more, it frees t and returns nil.
func (h *Heap) moveTo(t *pages.Span, b unsafe.Pointer, size, newSize uintptr, reused bool) unsafe.Pointer {
	to := t.Base.Pointer()
	s := h.lockLarge(b, size)
	if s == nil {
		h.freeLarge(to, t.Bytes(), true)
		return nil
	}
	s.Unclaim()
	h.pages.Unlock()
	n := min(s.Bytes(), t.Bytes())
	moved := h.worthMoving(s, t, n, reused) && vm.Move(to, b, n) == nil
	if moved {
		h.moves.Add(1)
	} else {
		block.Copy(to, b, min(size, newSize))
	}
	class, dirty := pages.MediumClass(s.Pages()), !moved || n < s.Bytes()
	if class != 0 && dirty {
		h.freeMedium(class, b)
	} else {
		h.freeLarge(b, size, dirty)
	}
	return to
}
