package wrap

import (
	"math"
	"sync/atomic"

	"github.com/galloc-go/galloc"
)

// sizes decides how many bytes a block counts for: the size that it occupies, if the allocator
// inside reports that (as a galloc.UsableSizer), and otherwise the size asked for. A block must
// count for the same when it is deallocated, by any layout that fits it, as when it was allocated.
// Except with the global allocator this is:
//
//	of(l) >= l.Size()
//	of(m) == of(l)    for every m with l's alignment and l.Size() <= m.Size() <= of(l)
//
// and the wrapper returns blocks of exactly of(l) bytes (see trim), so that no other layout fits.
// The second line holds for every UsableSize that rounds up. ask checks it at of(l): if UsableSize
// rounds up its own result, the block counts for the size asked for.
//
// Blocks of the global allocator count for its GoodSize, but are as long as asked for, so that
// nothing but their own layout fits them. The GoodSize is asked for at each call, since the program
// may still choose the allocator when the wrapper is made.
type sizes struct {
	u      galloc.UsableSizer // nil if blocks count for the size asked for, or for the GoodSize
	global bool               // blocks count for the GoodSize

	// table[i] is of(l) for l of 8i bytes aligned to 8, and of up to 7 bytes less; or 0 if u must
	// be asked. It saves the most common calls another call of an interface method.
	table [maxTabled/8 + 1]uint16

	// trimmed reports that a block was longer than it counts for. Then the allocator inside
	// believes that bytes past the end of the block are the caller's: see account.GrowZeroed.
	trimmed atomic.Bool
}

const maxTabled = 1024 // the largest size in the table

func (s *sizes) init(i *inner) {
	if s.global = i.isGlobal(); s.global || i.countsAsked() {
		return
	}
	var ok bool
	if s.u, ok = i.a.(galloc.UsableSizer); !ok {
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

// of returns what a block of layout l counts for. Its size must not be 0.
func (s *sizes) of(l galloc.Layout) uintptr {
	if n := s.tabled(l); n != 0 {
		return n
	}
	return s.ask(l)
}

// tabled is of where the table has the answer, and 0 elsewhere. It is apart from of because it
// inlines.
func (s *sizes) tabled(l galloc.Layout) uintptr {
	if l.Size() > maxTabled || l.Align() != 8 {
		return 0
	}
	return uintptr(s.table[(l.Size()+7)/8])
}

// ask is of without the table.
func (s *sizes) ask(l galloc.Layout) uintptr {
	switch {
	case s.global:
		return max(galloc.Global.GoodSize(l), l.Size())
	case s.u == nil:
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

// length returns the length of a block of layout l.
func (s *sizes) length(l galloc.Layout) uintptr {
	if s.global {
		return l.Size()
	}
	return s.of(l)
}

// trim cuts a block to the n bytes that it counts for. It returns nil for nil.
func (s *sizes) trim(b []byte, n uintptr) []byte {
	if uintptr(len(b)) <= n {
		return b
	}
	if !s.trimmed.Load() {
		s.trimmed.Store(true)
	}
	return b[:n:n]
}
