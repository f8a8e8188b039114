// What callers do wrong, as far as the engine can see it. See engine.go for overview.

package engine

import "fmt"

// A Fault is a kind of misuse.
type Fault uint8

// The kinds of misuse.
const (
	FaultDouble   Fault = iota + 1 // the block is not allocated: it was freed already, or never handed out
	FaultForeign                   // the address is not one of this heap's
	FaultInterior                  // the address is not the start of a block
	FaultLayout                    // the block has another size
)

func (f Fault) String() string {
	switch f {
	case FaultDouble:
		return "double free"
	case FaultForeign:
		return "foreign address"
	case FaultInterior:
		return "interior address"
	case FaultLayout:
		return "wrong layout"
	}
	return "misuse"
}

// A Misuse is a block that was given back in a way that cannot be obeyed. The heap is as if it had not been: a block that is
// allocated stays so.
type Misuse struct {
	Fault   Fault
	Address uintptr // what was given back
	Given   uintptr // bytes of the size class that the caller's layout means
	Actual  uintptr // bytes of the block that Address lies in, or 0 if there is none
	Start   uintptr // its address, or 0
}

// Error says it in words, in the name of the package that users know.
func (m Misuse) Error() string { return "galloc/heap: " + m.text() }

func (m Misuse) text() string {
	switch m.Fault {
	case FaultDouble:
		return fmt.Sprintf("double free of the block at %#x, given back as one of %d bytes: it is not allocated", m.Address, m.Given)
	case FaultForeign:
		return fmt.Sprintf("free of %#x, given back as a block of %d bytes: the address does not belong to this heap", m.Address, m.Given)
	case FaultInterior:
		if m.Start == 0 {
			return fmt.Sprintf("free of %#x, given back as a block of %d bytes: no block starts there", m.Address, m.Given)
		}
		return fmt.Sprintf("free of %#x, given back as a block of %d bytes: it lies %d bytes into the block of %d bytes at %#x",
			m.Address, m.Given, m.Address-m.Start, m.Actual, m.Start)
	case FaultLayout:
		return fmt.Sprintf("wrong layout in the free of the block at %#x: given back as one of %d bytes, but it has %d", m.Address, m.Given, m.Actual)
	}
	return m.Fault.String()
}

// report finds out what is wrong with giving back b as a block of the given size, and tells whoever is to be told. It is called
// without locks, and not pinned.
func (h *Heap) report(b ref, given uintptr) {
	h.tell(h.diagnose(b), given)
}

// reportAs is report for who knows better: that the block at b is in a cache.
func (h *Heap) reportAs(f Fault, b ref, given uintptr) {
	m := h.diagnose(b)
	if m.Fault == FaultLayout { // as far as its span knows, it is handed out
		m.Fault = f
	}
	h.tell(m, given)
}

func (h *Heap) tell(m Misuse, given uintptr) {
	m.Given = given
	h.faults.Add(1)
	h.onMisuse(m)
}

// diagnose says what is wrong with giving back b.
func (h *Heap) diagnose(b ref) Misuse {
	m := Misuse{Address: uintptr(b)}
	x := extentAt(b)
	if x == nil || x.heap != h {
		m.Fault = FaultForeign
		return m
	}
	h.pages.mu.Lock()
	defer h.pages.mu.Unlock()
	page := uint32((uintptr(b) - uintptr(x.base)) >> pageShift)
	if page >= x.frontier || x.free.get(page) {
		m.Fault = FaultDouble
		return m
	}
	// Pages inside of a large block are not in the map: the block starts before them.
	s := x.neighbour(page)
	for s == nil {
		page--
		s = x.neighbour(page)
	}
	if s.kind == kindLarge && s.tag().what() == tagStashed {
		m.Fault = FaultDouble
		return m
	}
	m.Start, m.Actual = uintptr(s.base), s.bytes()
	if s.kind == kindSpan {
		m.Actual = uintptr(classes[s.class].size)
		i := (uintptr(b) - m.Start) / m.Actual
		m.Start += i * m.Actual
		if i >= uintptr(s.blocks) { // what is left over at the end of the span
			m.Start, m.Actual = 0, 0
		}
	}
	switch {
	case s.kind != kindSpan && s.kind != kindLarge:
		m.Fault = FaultDouble
	case m.Start != m.Address:
		m.Fault = FaultInterior
	default:
		m.Fault = FaultLayout
		if s.kind == kindSpan && s.holds(b) {
			m.Fault = FaultDouble
		}
	}
	return m
}

// holds reports whether the block that b lies in is free.
func (s *span) holds(b ref) bool {
	i := (uintptr(b) - uintptr(s.base)) / uintptr(classes[s.class].size)
	w := s.words()
	return int(i/64) < len(w) && w[i/64]>>(i%64)&1 != 0
}
