// Spans: runs of pages and their records. See allocator.go for the overview.

package pages

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// The kinds of spans.
const (
	KindNone  = iota // the record is not in use
	KindFree         // free pages, in a bin
	KindLarge        // one block; its tag says whether it is allocated or stashed
	KindSmall        // blocks of one class
	KindHeld         // neither free nor allocated: being purged, lost, or about to join another run
)

// A Span is a run of pages of an extent, and the record of it. Records lie apart from the pages, in
// the metadata of the extent. The length of a record, in units of 64 bytes, depends on the number
// of blocks. Records are reused, but their memory is never used for anything else.
//
//	Base == extent.base + page*PageSize
//	Kind == KindSmall:  Blocks == pages*PageSize / Classes[Class].Size
//	                    Free == number of set bits
//	                    bit i is set  <=>  block i < Blocks is not allocated, cached or held
//	                    page i in hollow  =>  the bits of all blocks in it are set
//
// The fields List and Owner belong to the heap: see central.go there.
type Span struct {
	Base       Ref // address of the first page
	next, prev Ref // links of the list that the span is in; prev is the tag of a large block
	extent     uint32
	page       uint32 // first page, counted from the base of the extent
	pages      uint32
	owner      uint32 // KindSmall
	Kind       uint8
	Class      uint8    // KindSmall
	List       uint8    // KindSmall
	units      uint8    // of this record
	Blocks     uint16   // KindSmall
	Free       uint16   // free blocks; KindSmall
	hint       uint16   // no bit is set in the words below it
	hollow     PageMask // pages without memory; KindSmall, see hollow.go
	aged       PageMask // pages that were free at the last tick, unless Alloc was called since
	gone       bool     // a page in hollow may be Reserved
	bits       [4]uint64
}

const (
	unitSize     = 64
	maxUnits     = 4 // of a record
	recordHeader = unsafe.Offsetof(Span{}.bits)
	maxWords     = (maxUnits*unitSize - recordHeader) / 8 // of a bitmap
)

func (s *Span) ref() Ref { return RefOf(unsafe.Pointer(s)) }

// words returns the bitmap of the blocks.
func (s *Span) words() []uint64 {
	// SAFETY: the record was made with enough units for the words: see Class.units.
	return unsafe.Slice(&s.bits[0], (uint(s.Blocks)+63)/64)
}

// end returns the page after the last.
func (s *Span) end() uint32 { return s.page + s.pages }

// Pages returns the number of pages.
func (s *Span) Pages() uintptr { return uintptr(s.pages) }

// Bytes returns the size of the run.
func (s *Span) Bytes() uintptr { return uintptr(s.pages) << PageShift }

// Owner returns the number that SetOwner was last called with. Any goroutine may call it.
func (s *Span) Owner() uint32 { return atomic.LoadUint32(&s.owner) }

// SetOwner sets the number of the owner.
func (s *Span) SetOwner(i uint32) { atomic.StoreUint32(&s.owner, i) }

// BlockSize returns the size of each block of the span.
func (s *Span) BlockSize() uintptr {
	if s.Kind == KindSmall {
		return uintptr(Classes[s.Class].Size)
	}
	return s.Bytes()
}

// HasBlock reports whether a block that may be allocated starts at p, which lies in the span.
func (s *Span) HasBlock(p Ref) bool {
	switch s.Kind {
	case KindLarge:
		return p == s.Base && s.Tag().State() != TagStashed
	case KindSmall:
		off, size := uintptr(p-s.Base), uintptr(Classes[s.Class].Size)
		return off%size == 0 && off/size < uintptr(s.Blocks)
	}
	return false
}

// SizeAt returns the size of the block that starts at p, which lies in the span, or 0 if none does.
// Nobody need own p: if it is not the caller's block, the span may be freed and used again while
// this reads it. Then the result is 0, or the size of a block that another goroutine may have
// allocated at p; so the race detector is told to look away.
//
//go:norace
func (s *Span) SizeAt(p Ref) uintptr {
	switch s.Kind {
	case KindLarge:
		if p == s.Base && s.Tag().State() != TagStashed {
			return s.Bytes()
		}
	case KindSmall:
		off, size := uintptr(p-s.Base), uintptr(Classes[s.Class].Size)
		if size != 0 && off%size == 0 && off/size < uintptr(s.Blocks) {
			return size
		}
	}
	return 0
}

// IsFree reports whether the bit of the block that p lies in is set.
func (s *Span) IsFree(p Ref) bool {
	i := (uintptr(p) - uintptr(s.Base)) / uintptr(Classes[s.Class].Size)
	w := s.words()
	return int(i/64) < len(w) && w[i/64]>>(i%64)&1 != 0
}

// Sparse reports whether at least 1/part of the blocks of s are free, as a hint: without a lock.
//
//go:norace
func (s *Span) Sparse(part uint32) bool { return uint32(s.Free)*part >= uint32(s.Blocks) }

// Fuller reports whether blocks of t, a span of the same class, may move to s, so that t becomes
// free: if s has fewer free blocks. Of spans with the same number, the one with the lower address
// is the fuller one. Where OS pages are long, only the addresses count: there, free pages are of
// use if they are contiguous, as most cannot be purged.
func (s *Span) Fuller(t *Span) bool {
	if osPages() > fewPages {
		return s.Base < t.Base
	}
	return s.Free < t.Free || s.Free == t.Free && s.Base < t.Base
}

// fill makes s a span of n blocks and sets the bits of all of them.
func (s *Span) fill(n uint16) {
	s.Blocks = n
	w := s.words()
	for i := range w {
		w[i] = ^uint64(0)
	}
	if tail := n % 64; tail != 0 {
		w[len(w)-1] = 1<<tail - 1
	}
	s.Free, s.hint, s.aged = n, 0, 0
}

// Alloc allocates free blocks of s, which has no hollow pages, lowest address first, until buf is
// full or no block is free, and returns the number of blocks.
func (s *Span) Alloc(buf []Ref) int {
	size := uintptr(Classes[s.Class&(ClassLimit-1)].Size)
	words := s.words()
	base := uintptr(s.Base)
	n := 0
	w := int(s.hint)
	for n < len(buf) && w < len(words) {
		word := words[w]
		first := uintptr(w) << 6
		for word != 0 && n < len(buf) {
			buf[n] = Ref(base + (first+uintptr(bits.TrailingZeros64(word)))*size)
			word &= word - 1
			n++
		}
		words[w] = word
		if word != 0 {
			break
		}
		w++
	}
	s.hint = uint16(w)
	s.Free -= uint16(n)
	s.aged = 0
	return n
}

// FreeBlocks frees the leading blocks that are allocated blocks of this span, whose class is c, and
// returns their number. Blocks that are freed together are often neighbours.
func (s *Span) FreeBlocks(blocks []Ref, c *Class) int {
	size, recip := uintptr(c.Size), uint64(c.recip)
	base, length := uintptr(s.Base), uintptr(s.Blocks)*size
	low := uintptr(s.hint)
	n := 0
	for n < len(blocks) {
		off := uintptr(blocks[n]) - base
		i := uintptr(uint64(off) * recip >> 32)
		if off >= length || i*size != off {
			break
		}
		// SAFETY: i < Blocks, and a record has a word for every 64 of them.
		w := (*uint64)(unsafe.Add(unsafe.Pointer(&s.bits), i>>6<<3))
		bit := uint64(1) << (i & 63)
		word := *w
		if word&bit != 0 {
			break
		}
		*w = word | bit
		low = min(low, i>>6)
		n++
	}
	s.hint = uint16(low)
	s.Free += uint16(n)
	return n
}

// A List is a doubly linked list of spans. The zero value is empty.
type List struct{ head Ref }

// Empty reports whether the list has no spans.
func (l *List) Empty() bool { return l.head == 0 }

// First returns the first span of the list, or nil.
func (l *List) First() *Span { return l.head.span() }

// Push adds s, which is in no list, as the first span.
func (l *List) Push(s *Span) {
	s.next, s.prev = l.head, 0
	if l.head != 0 {
		l.head.span().prev = s.ref()
	}
	l.head = s.ref()
}

// Remove removes s.
func (l *List) Remove(s *Span) {
	if s.prev != 0 {
		s.prev.span().next = s.next
	} else {
		l.head = s.next
	}
	if s.next != 0 {
		s.next.span().prev = s.prev
	}
	s.next, s.prev = 0, 0
}

// A Cursor is a place in a list, whose spans are visited while others come and go.
type Cursor struct{ at Ref }

// Start moves the cursor to the first span of l.
func (c *Cursor) Start(l *List) { c.at = l.head }

// Next returns the span at the cursor, and moves the cursor to the next one. At the end of the list
// it returns nil.
func (c *Cursor) Next() *Span {
	s := c.at.span()
	if s != nil {
		c.at = s.next
	}
	return s
}

// Leave must be called before s is removed from the list.
func (c *Cursor) Leave(s *Span) {
	if c.at == s.ref() {
		c.at = s.next
	}
}

// Check calls f for each span until f fails, and verifies the links between the spans.
func (l *List) Check(f func(*Span) error) error {
	var prev Ref
	n := 0
	for r := l.head; r != 0; n++ {
		s := r.span()
		if s.prev != prev || n > 1<<30 {
			return fmt.Errorf("element %d, page %d of extent %d: prev == %#x, want %#x", n, s.page, s.extent, s.prev,
				prev)
		}
		next := s.next
		if err := f(s); err != nil {
			return err
		}
		prev, r = r, next
	}
	return nil
}
