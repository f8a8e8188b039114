// Misuse: invalid frees that the heap detects. See heap.go for the overview.

package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/pages"
)

// A Misuse is an invalid free, or an invalid resize. It has no effect on the heap.
type Misuse struct {
	Kind    misuse.Kind // one of the first four
	Address uintptr     // that was freed
	Given   uintptr     // bytes of the block that the caller's layout means
	Actual  uintptr     // bytes of the block that Address lies in, or 0 if there is none
	Start   uintptr     // the address of that block, or 0
}

// Error describes the misuse, in the name of package heap.
func (m Misuse) Error() string { return "galloc/heap: " + m.text() }

func (m Misuse) text() string {
	switch m.Kind {
	case misuse.DoubleFree:
		return fmt.Sprintf("double free of the block at %#x, freed as a block of %d bytes: it is not allocated",
			m.Address, m.Given)
	case misuse.ForeignFree:
		return fmt.Sprintf("free of %#x, as a block of %d bytes: the address does not belong to this heap", m.Address,
			m.Given)
	case misuse.InteriorFree:
		if m.Start == 0 {
			return fmt.Sprintf("free of %#x, as a block of %d bytes: no block starts there", m.Address, m.Given)
		}
		return fmt.Sprintf("free of %#x, as a block of %d bytes: it lies %d bytes into the block of %d bytes at %#x",
			m.Address, m.Given, m.Address-m.Start, m.Actual, m.Start)
	case misuse.WrongLayout:
		return fmt.Sprintf("wrong layout in the free of the block at %#x: freed as a block of %d bytes, but it has %d",
			m.Address, m.Given, m.Actual)
	}
	return m.Kind.String()
}

// report finds out why b cannot be freed as a block of the given size, and calls onMisuse. No lock
// is held, and the goroutine is not pinned.
func (h *Heap) report(b pages.Ref, given uintptr) {
	m := h.diagnose(b)
	m.Given = given
	h.misuses.Add(1)
	h.onMisuse(m)
}

// reportDouble is report for a block that is in a cache. Its span counts it as allocated.
func (h *Heap) reportDouble(b pages.Ref, given uintptr) {
	m := h.diagnose(b)
	if m.Kind == misuse.WrongLayout {
		m.Kind = misuse.DoubleFree
	}
	m.Given = given
	h.misuses.Add(1)
	h.onMisuse(m)
}

// misused collects up to 8 invalid frees, to be reported once the locks are released.
type misused struct {
	n       int
	blocks  [8]pages.Ref
	classes [8]uint8
}

func (m *misused) add(p pages.Ref, class uint8) {
	if m.n < len(m.blocks) {
		m.blocks[m.n], m.classes[m.n] = p, class
		m.n++
	}
}

func (m *misused) report(h *Heap) {
	for i := range m.n {
		h.report(m.blocks[i], uintptr(pages.Classes[m.classes[i]].Size))
	}
}

// A lateMisuse collects invalid frees that are found within an allocation, where a panic would do
// harm. They are reported when it ends.
type lateMisuse struct {
	found atomic.Bool
	mu    sync.Mutex
	all   []Misuse
}

// reportLater is bad.report at the end of the allocation. No lock is held, but perhaps the gate.
func (h *Heap) reportLater(bad *misused) {
	for i := range bad.n {
		m := h.diagnose(bad.blocks[i])
		m.Given = uintptr(pages.Classes[bad.classes[i]].Size)
		h.late.mu.Lock()
		h.late.all = append(h.late.all, m)
		h.late.mu.Unlock()
		h.late.found.Store(true)
	}
}

// reportLate reports what reportLater was called with. No lock is held.
func (h *Heap) reportLate() {
	if !h.late.found.Load() {
		return
	}
	h.late.mu.Lock()
	all := h.late.all
	h.late.all = nil
	h.late.found.Store(false)
	h.late.mu.Unlock()
	for _, m := range all {
		h.misuses.Add(1)
		h.onMisuse(m)
	}
}

// diagnose finds out why b cannot be freed. If b is an allocated block, the layout must be wrong.
func (h *Heap) diagnose(b pages.Ref) Misuse {
	m := Misuse{Address: uintptr(b)}
	if !h.pages.Owns(b) {
		m.Kind = misuse.ForeignFree
		return m
	}
	h.pages.Lock()
	defer h.pages.Unlock()
	s := h.pages.Find(b)
	if s == nil || s.Kind == pages.KindLarge && s.Tag().State() == pages.TagStashed {
		m.Kind = misuse.DoubleFree
		return m
	}
	m.Start, m.Actual = uintptr(s.Base), s.BlockSize()
	if s.Kind == pages.KindSmall {
		i := (uintptr(b) - m.Start) / m.Actual
		m.Start += i * m.Actual
		if i >= uintptr(s.Blocks) { // the bytes left over at the end of the span
			m.Start, m.Actual = 0, 0
		}
	}
	switch {
	case s.Kind != pages.KindSmall && s.Kind != pages.KindLarge:
		m.Kind = misuse.DoubleFree
	case m.Start != m.Address:
		m.Kind = misuse.InteriorFree
	case s.Kind == pages.KindSmall && s.IsFree(b):
		m.Kind = misuse.DoubleFree
	default:
		m.Kind = misuse.WrongLayout
	}
	return m
}
