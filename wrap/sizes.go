package wrap

import (
	"math"
	"sync/atomic"

	"github.com/galloc-go/galloc"
)

// sizes says how many bytes a block counts for, in wrappers that keep accounts: as many as it
// occupies, if the inner allocator tells (UsableSizer), or else as many as were asked for.
// What is counted when a block is allocated must be counted when it is deallocated, by
// whatever layout fits it. So:
//
//	of(l) >= l.Size()
//	of(m) == of(l)    for every m of l's alignment with l.Size() <= m.Size() <= of(l)
//
// and the blocks handed out have exactly of(l) bytes (trim), so that no other layout fits. The
// second line holds for what rounds up to something. It is checked for where it matters: an
// allocator whose UsableSize does not keep what it has rounded up is taken to be one that
// tells nothing.
type sizes struct {
	u galloc.UsableSizer // nil if blocks count for what was asked for

	// table[i] is of(8i bytes aligned to 8), and of up to 7 bytes less; or 0 if u must be
	// asked. It spares the most common calls another call of an interface method.
	table [maxTabled/8 + 1]uint16

	// trimmed says that a block was longer than it may count for: then there are bytes behind
	// blocks that the inner allocator believes to be the user's. See layer.GrowZeroed.
	trimmed atomic.Bool
}

const maxTabled = 1024 // the largest size in the table

// asked is what wrappers have whose blocks count for what was asked for, so that a wrapper
// around them need not ask.
type asked interface{ countsAsked() bool }

func (s *sizes) countsAsked() bool { return s.u == nil }

func (s *sizes) init(a galloc.Allocator) {
	if w, ok := a.(asked); ok && w.countsAsked() {
		return
	}
	var ok bool
	if s.u, ok = a.(galloc.UsableSizer); !ok {
		return
	}
	for i := 1; i < len(s.table); i++ {
		size := uintptr(8 * i)
		n := s.ask(layoutOf(size, 8))
		same := n <= math.MaxUint16
		for less := size - 7; less < size; less++ {
			same = same && s.ask(layoutOf(less, 8)) == n
		}
		if same {
			s.table[i] = uint16(n)
		}
	}
}

// of returns what a block of l counts for, whose size is not 0.
func (s *sizes) of(l galloc.Layout) uintptr {
	if n := s.tabled(l); n != 0 {
		return n
	}
	return s.ask(l)
}

// tabled is of, as far as the table tells, or else 0: then call ask. (The two parts of of are
// apart because of would not be inlined.)
func (s *sizes) tabled(l galloc.Layout) uintptr {
	if l.Size() > maxTabled || l.Align() != 8 {
		return 0
	}
	return uintptr(s.table[(l.Size()+7)/8])
}

func (s *sizes) ask(l galloc.Layout) uintptr {
	if s.u == nil {
		return l.Size()
	}
	n := s.u.UsableSize(l)
	if n <= l.Size() {
		return l.Size()
	}
	if m, err := galloc.NewLayout(n, l.Align()); err != nil || s.u.UsableSize(m) != n {
		return l.Size()
	}
	return n
}

// trim returns b with the length n that it counts for.
func (s *sizes) trim(b []byte, n uintptr) []byte {
	if uintptr(len(b)) <= n {
		return b
	}
	if !s.trimmed.Load() {
		s.trimmed.Store(true)
	}
	return b[:n:n]
}

// layoutOf returns the layout of a size and an alignment that are known to be valid.
func layoutOf(size, align uintptr) galloc.Layout {
	l, _ := galloc.NewLayout(size, align)
	return l
}
