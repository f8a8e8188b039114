// Blocks that are runs of their own. See engine.go for overview.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

const (
	maxRun = 1 << 30 // pages: what does not fit into an extent

	// From how many bytes on moving pages is cheaper than copying them: to pages without memory behind them, and to others.
	moveMin   = 128 << 10
	moveDirty = 2 << 20
	maxMoves  = 4096 // in the life of a heap
)

// allocLarge returns a block of at least size bytes, or nil. If zeroed, it clears what is not known to be zero.
func (h *Heap) allocLarge(size, align uintptr, zeroed bool) unsafe.Pointer {
	s, worn := h.takeLarge(size, align)
	switch {
	case s == nil:
		return nil
	case zeroed && worn:
		// SAFETY: the run has size bytes, and nobody else has it yet.
		clear(unsafe.Slice((*byte)(s.base.pointer()), size))
	case zeroed:
		h.pages.clearRun(s, 0, size)
	}
	return s.base.pointer()
}

// takeLarge returns a run that is a block of at least size bytes, or nil. If it is worn, the bits dirty do not say what is in it.
func (h *Heap) takeLarge(size, align uintptr) (s *span, worn bool) {
	n, a := pagesFor(size), max(align>>pageShift, 1)
	if n > maxRun || a > maxRun {
		return nil, false
	}
	if s := h.takeStashed(n, a); s != nil {
		return s, true
	}
	ps := &h.pages
	for try := 0; ; try++ {
		ps.mu.Lock()
		s := ps.take(uint32(n), uint32(a), kindLarge, 0, 1)
		after := ps.afterTake()
		ps.mu.Unlock()
		h.afterTake(after)
		if s != nil || try == reliefs || !h.relieve() {
			return s, false
		}
	}
}

// lockLarge locks the pages and returns the run that is the block at b, of size bytes, or of any size if that is 0, claimed. If there is
// none it reports that, unlocks, and returns nil.
func (h *Heap) lockLarge(b unsafe.Pointer, size uintptr) *span {
	h.pages.mu.Lock()
	r := refOf(b)
	if x := extentAt(r); x != nil && x.heap == h {
		s := x.spanAt(r)
		if s != nil && s.kind == kindLarge && s.base == r && (size == 0 || uintptr(s.pages) == pagesFor(size)) && s.claim() {
			return s
		}
	}
	h.pages.mu.Unlock()
	h.report(r, size)
	return nil
}

// freeLarge takes back the block at b, of size bytes, or of any size if that is 0. It may be told that its pages are zeros without memory.
func (h *Heap) freeLarge(b unsafe.Pointer, size uintptr, dirty bool) {
	if dirty && h.stashBlock(refOf(b), size) {
		return
	}
	if s := h.lockLarge(b, size); s != nil {
		h.pages.put(s, dirty)
		h.pages.mu.Unlock()
		h.wake()
	}
}

// resizeLarge makes the block at b as long as newSize needs, where it is, and reports whether it has; found is false if there is no
// such block, which has been reported.
func (h *Heap) resizeLarge(b unsafe.Pointer, size, newSize uintptr) (ok, found bool) {
	from, to := pagesFor(size), pagesFor(newSize)
	s := h.lockLarge(b, size)
	if s == nil || to > maxRun {
		if s != nil {
			s.setTag(s.liveTag())
			h.pages.mu.Unlock()
		}
		return false, s != nil
	}
	ps := &h.pages
	ok = true
	switch {
	case to < from:
		ok = ps.shrink(s, uint32(to))
	case to > from:
		ok = ps.grow(s, uint32(to))
	}
	s.setTag(s.liveTag())
	act := ps.afterTake()
	ps.mu.Unlock()
	h.afterTake(act)
	if to < from {
		h.wake()
	}
	return ok, true
}

// moveLarge moves a block of size bytes to a longer or shorter run. It returns nil if there is none, and nothing has changed.
func (h *Heap) moveLarge(b unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	s := h.lockLarge(b, size)
	if s == nil {
		return nil
	}
	s.setTag(s.liveTag())
	h.pages.mu.Unlock()
	t, worn := h.takeLarge(newSize, align)
	if t == nil {
		return nil
	}
	to := t.base.pointer()
	n := min(s.bytes(), t.bytes())
	moved := h.worthMoving(s, t, n, worn) && vm.Move(to, b, n) == nil
	if moved {
		h.moves.Add(1)
	} else {
		copyBytes(to, b, min(size, newSize))
	}
	h.freeLarge(b, size, !moved || n < s.bytes())
	return to
}

// worthMoving reports whether to move n bytes of pages from s to t rather than copy them: there must be many, and more if the system
// has to take away what is behind the pages of t first. A move splits the mapping that t is in, and the system allows so many mappings
// for a process; so there is an end to it.
func (h *Heap) worthMoving(s, t *span, n uintptr, worn bool) bool {
	if vm.GoMemory || n < moveMin || h.moves.Load() >= maxMoves || (uintptr(s.base)|uintptr(t.base)|n)&(vm.PageSize()-1) != 0 {
		return false
	}
	if n >= moveDirty || worn {
		return n >= moveDirty
	}
	h.pages.mu.Lock()
	x := h.pages.extents[t.extent]
	dirty := uintptr(x.dirty.count(t.page, t.end()))
	h.pages.mu.Unlock()
	return dirty<<pageShift < n/8
}

func copyBytes(to, from unsafe.Pointer, n uintptr) {
	// SAFETY: both are blocks of at least n bytes, and the caller's.
	copy(unsafe.Slice((*byte)(to), n), unsafe.Slice((*byte)(from), n))
}
