// Large blocks. See heap.go for the overview.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// Moving the pages of a block is cheaper than copying it if it has at least minMove bytes and the
// new pages have no memory, or at least minMoveDirty bytes in any case, unless the process has so
// many mappings that vm.MayMove advises against it.
const (
	minMove      = 128 << 10
	minMoveDirty = 2 << 20
)

// purgeAtOnce is the size in bytes from which on a block that is freed returns its memory at once.
// To keep that much for a while is seldom what a program wants, and nobody knows how much of the
// block was ever touched: it may be larger than the memory of the machine.
const purgeAtOnce = 256 << 20

// From askFrom bytes on the system is asked whether it has the memory for a block: see
// vm.IsPlausible. Blocks of less are always plausible.
const askFrom = 64 << 20

// grants reports whether a block of size bytes is plausible, or the heap overcommits, and notes the
// refusal if not.
func (h *Heap) grants(size uintptr) bool {
	if size < askFrom || h.overcommit || vm.IsPlausible(size) {
		return true
	}
	h.refusal.Store(uint32(RefusedBySystem))
	return false
}

// allocLarge allocates a large block of at least size bytes, or returns nil. If zeroed, it clears
// the pages that are not known to be zero.
func (h *Heap) allocLarge(size, align uintptr, zeroed bool) unsafe.Pointer {
	s, reused := h.newLarge(size, align)
	switch {
	case s == nil:
		return nil
	case zeroed && reused:
		block.Clear(s.Base.Pointer(), size)
	case zeroed:
		h.pages.Zero(s, 0, size)
	}
	return s.Base.Pointer()
}

// newLarge allocates the span of a large block of at least size bytes, or returns nil. If reused,
// the block was stashed, and its dirty bits do not show which pages are zero.
func (h *Heap) newLarge(size, align uintptr) (s *pages.Span, reused bool) {
	if !h.grants(size) {
		return nil, false
	}
	gated := h.gate.enter()
	s, reused = h.tryLarge(size, align)
	h.gate.leave(gated)
	if s == nil && pages.CountFor(size) <= pages.MaxPages {
		h.relieve(size, func() bool {
			s, reused = h.tryLarge(size, align)
			return s != nil
		})
	}
	h.waitForSoft()
	return s, reused
}

// tryLarge is newLarge without making room.
func (h *Heap) tryLarge(size, align uintptr) (s *pages.Span, reused bool) {
	n, a := pages.CountFor(size), max(align>>pages.PageShift, 1)
	if n > pages.MaxPages || a > pages.MaxPages {
		h.refusal.Store(uint32(RefusedBySystem))
		return nil, false
	}
	if pages.ClassOf(size, align) == 0 {
		if s := h.unstash(n, a); s != nil {
			return s, true
		}
	}
	extend := h.budget.Load() == 0 // nothing is cached that could serve
	h.pages.Lock()
	if s = h.pages.AllocLarge(uint32(n), uint32(a), extend); s == nil && !extend && !h.pages.HasRun(uint32(n), uint32(a)) {
		h.pages.Unlock()
		h.flushKept()
		h.pages.Lock()
		s = h.pages.AllocLarge(uint32(n), uint32(a), true)
	}
	over := h.noteUse()
	h.pages.Unlock()
	h.enforceSoft(over)
	return s, false
}

// lockLarge locks the pages, and returns the span of the large block at b, of size bytes, or of any
// size if that is 0. The span is claimed. If there is no such block, lockLarge reports a misuse,
// unlocks, and returns nil.
func (h *Heap) lockLarge(b unsafe.Pointer, size uintptr) *pages.Span {
	h.pages.Lock()
	r := pages.RefOf(b)
	s := h.pages.SpanAt(r)
	if s != nil && s.Kind == pages.KindLarge && s.Base == r && (size == 0 || s.Pages() == pages.CountFor(size)) &&
		s.Claim() {
		return s
	}
	h.pages.Unlock()
	h.report(r, size)
	return nil
}

// freeLarge frees the large block at b, of size bytes, or of any size if that is 0. Its pages must
// be zeros without memory unless dirty.
func (h *Heap) freeLarge(b unsafe.Pointer, size uintptr, dirty bool) {
	if dirty && h.stashBlock(pages.RefOf(b), size) {
		return
	}
	if s := h.lockLarge(b, size); s != nil {
		if dirty && s.Bytes() >= purgeAtOnce && !vm.GoMemory {
			h.pages.Unlock() // s is claimed
			h.pages.FreePurged(s)
			return
		}
		h.pages.Free(s, dirty)
		h.pages.Unlock()
		h.wake()
	}
}

// resizeLarge resizes the large block at b in place, and reports whether it could. If there is no
// such block, it reports a misuse, and found is false.
func (h *Heap) resizeLarge(b unsafe.Pointer, size, newSize uintptr) (ok, found bool) {
	ok, found = h.tryResize(b, size, newSize)
	if !ok && found && newSize > size && h.flushKept() { // perhaps of the pages after the block
		return h.tryResize(b, size, newSize)
	}
	return ok, found
}

// tryResize is resizeLarge with the pages that are free.
func (h *Heap) tryResize(b unsafe.Pointer, size, newSize uintptr) (ok, found bool) {
	from, to := pages.CountFor(size), pages.CountFor(newSize)
	granted := to <= from || h.grants(newSize)
	s := h.lockLarge(b, size)
	if s == nil {
		return false, false
	}
	switch {
	case to > pages.MaxPages || !granted:
		ok = false
	case to < from:
		ok = h.pages.Shrink(s, uint32(to))
	case to > from:
		ok = h.pages.Grow(s, uint32(to))
	default:
		ok = true
	}
	s.Unclaim()
	over := h.noteUse()
	h.pages.Unlock()
	h.enforceSoft(over)
	if to < from {
		h.wake()
	}
	return ok, true
}

// worthMoving reports whether to move n bytes of pages from s to t rather than copy them.
func (h *Heap) worthMoving(s, t *pages.Span, n uintptr, reused bool) bool {
	if vm.GoMemory || n < minMove ||
		(uintptr(s.Base)|uintptr(t.Base)|n)&(vm.PageSize()-1) != 0 {
		return false
	}
	if n < minMoveDirty && (reused || h.pages.DirtyBytes(t) >= n/8) {
		return false
	}
	return vm.MayMove()
}
