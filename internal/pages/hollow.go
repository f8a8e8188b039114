// Hollow pages: pages of small blocks that have no memory. See allocator.go for the overview.
//
// A span keeps its pages while one of its blocks is allocated. But if all blocks in an OS page are
// free, also the blocks that lie in it in part, the memory of the page can go back to the system.
// Then the page is hollow. Before one of these blocks is allocated again, the page is filled: from
// then on it may have memory, and counts. The system provides it at the first touch.
//
// The owner of the span chooses the pages, and holds their blocks, so that nobody allocates them
// while the system takes the memory:
//
//	FreePages, AgePages  choose pages
//	Hold                 takes their blocks away, as Alloc does
//	PurgePages           returns their memory, without locks
//	SetHollow, Release   makes them hollow, and their blocks free again

package pages

import (
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// A PageMask is a set of pages of a KindSmall span: bit i is page i of the run.
type PageMask uint8

// maxSpan is the largest number of pages of a KindSmall span.
const maxSpan = 8

// count returns the number of pages.
func (m PageMask) count() uint32 { return uint32(bits.OnesCount8(uint8(m))) }

// next removes and returns the first contiguous pages [from, end) of m, which is not empty.
func (m *PageMask) next() (from, end uint32) {
	from = uint32(bits.TrailingZeros8(uint8(*m)))
	end = from + uint32(bits.TrailingZeros8(^uint8(*m>>from)))
	*m &^= pageMask(from, end)
	return from, end
}

// pageMask returns the pages [from, end).
func pageMask(from, end uint32) PageMask { return PageMask(1<<end - 1<<from) }

// IsHollow reports whether s has hollow pages.
func (s *Span) IsHollow() bool { return s.hollow != 0 }

// Next returns the span after s in its list, or nil.
func (s *Span) Next() *Span { return s.next.span() }

// bitmap returns the bitmap of the blocks.
func (s *Span) bitmap() bitmap { return s.words() }

// blocksIn returns the blocks [first, end) that lie in the pages [from, to) of the run, at least in
// part.
func (s *Span) blocksIn(from, to uint32) (first, end uint32) {
	size, n := Classes[s.Class].Size, uint32(s.Blocks)
	return min(from<<PageShift/size, n), min((to<<PageShift+size-1)/size, n)
}

// pagesOf returns the pages that block i lies in.
func (s *Span) pagesOf(i uint32) PageMask {
	size := Classes[s.Class].Size
	return pageMask(i*size>>PageShift, (i*size+size-1)>>PageShift+1)
}

// osPagesOf returns the OS pages that the pages of m belong to, as far as they lie in the run.
func (s *Span) osPagesOf(m PageMask) (whole PageMask) {
	unit := osPages()
	for m != 0 {
		from, end := m.next()
		first := max((s.page+from)/unit*unit, s.page) - s.page
		whole |= pageMask(first, min(roundUp32(s.page+end, unit)-s.page, s.pages))
	}
	return whole
}

// FreePages returns the pages, in whole OS pages, that are not hollow and have no allocated block.
func (s *Span) FreePages() (m PageMask) {
	unit, b := osPages(), s.bitmap()
	for i := roundUp32(s.page, unit) - s.page; i+unit <= s.pages; i += unit {
		if first, end := s.blocksIn(i, i+unit); b.next(first, end, false) == end {
			m |= pageMask(i, i+unit)
		}
	}
	return m &^ s.hollow
}

// AgePages returns the pages of m that have been in m at the last call already, unless Alloc was
// called since, and whether there are others.
func (s *Span) AgePages(m PageMask) (aged PageMask, young bool) {
	aged = m & s.aged
	s.aged = m &^ aged
	return aged, s.aged != 0
}

// Hold makes the free blocks in the pages of m allocated ones, and returns their number.
func (s *Span) Hold(m PageMask) (n int) {
	for b := s.bitmap(); m != 0; {
		first, end := s.blocksIn(m.next())
		n += b.set(first, end, false)
	}
	s.Free -= uint16(n)
	return n
}

// Release makes the blocks in the pages of m free, which Hold has held, and returns their number.
// Blocks that somebody has freed since, a misuse, are left out: it returns their number and one of
// them.
func (s *Span) Release(m PageMask) (n, again int, misused Ref) {
	last := uint32(0)
	for b := s.bitmap(); m != 0; {
		first, end := s.blocksIn(m.next())
		first, last = max(first, last), end // a block may lie in hollow pages too
		if i := b.next(first, end, true); i != end && misused == 0 {
			misused = s.Base + Ref(i*Classes[s.Class].Size)
		}
		k := b.set(first, end, true)
		n, again = n+k, again+int(end-first)-k
		s.hint = min(s.hint, uint16(first/64))
	}
	s.Free += uint16(n)
	return n, again, misused
}

// AllocFilled is Alloc of the blocks that lie in no hollow page.
func (s *Span) AllocFilled(buf []Ref) (n int) {
	b, blocks := s.bitmap(), uint32(s.Blocks)
	for i := uint32(s.hint) * 64; n < len(buf); i++ {
		if i = b.next(i, blocks, true); i == blocks {
			break
		}
		if s.pagesOf(i)&s.hollow == 0 {
			b.set(i, i+1, false)
			buf[n] = s.Base + Ref(i*Classes[s.Class].Size)
			n++
		}
	}
	s.Free -= uint16(n)
	s.aged = 0
	return n
}

// HasFilled reports whether AllocFilled would find a block.
func (s *Span) HasFilled() bool {
	if s.hollow == 0 {
		return s.Free != 0
	}
	b, blocks := s.bitmap(), uint32(s.Blocks)
	for i := b.next(uint32(s.hint)*64, blocks, true); i < blocks; i = b.next(i+1, blocks, true) {
		if s.pagesOf(i)&s.hollow == 0 {
			return true
		}
	}
	return false
}

// PurgePages returns the memory of the pages of m to the system, whose blocks the caller holds, and
// reports whether it could: without locks. If the system then refuses to commit the pages again,
// committed is false.
func (a *Allocator) PurgePages(s *Span, m PageMask) (purged, committed bool) {
	purged, committed = true, true
	for m != 0 {
		from, end := m.next()
		// SAFETY: the pages belong to the run.
		p, n := unsafe.Add(s.Base.Pointer(), uintptr(from)<<PageShift), uintptr(end-from)<<PageShift
		if a.lazy {
			purged = vm.PurgeLazy(p, n) == nil && purged
		} else if vm.Purge(p, n) != nil && vm.Commit(p, n) != nil {
			committed = false // the failed Purge has left the pages Reserved
		}
	}
	return purged, committed
}

// SetHollow makes the pages of m hollow, after PurgePages, and returns the number of bytes: with
// the lock held.
func (a *Allocator) SetHollow(s *Span, m PageMask, committed bool) uintptr {
	s.hollow |= m
	s.gone = s.gone || !committed
	a.hollow += uintptr(m.count())
	a.purges++
	bytes := uintptr(m.count()) << PageShift
	a.purgedBytes += uint64(bytes)
	return bytes
}

// Fill makes the hollow pages of the first free block of s pages that may have memory: with the
// lock held. If the hard limit or the system refuses, it returns false and nothing has changed.
func (a *Allocator) Fill(s *Span) bool {
	b := s.bitmap()
	m := s.osPagesOf(s.pagesOf(b.next(uint32(s.hint)*64, uint32(s.Blocks), true))) & s.hollow
	if !a.fits(uintptr(m.count()) << PageShift) {
		return false
	}
	for rest := m; s.gone && rest != 0; {
		from, end := rest.next()
		// SAFETY: the pages belong to the run.
		p := unsafe.Add(s.Base.Pointer(), uintptr(from)<<PageShift)
		if vm.Commit(p, uintptr(end-from)<<PageShift) != nil {
			a.systemRefusals++
			return false
		}
	}
	s.hollow &^= m
	s.gone = s.gone && s.hollow != 0
	a.hollow -= uintptr(m.count())
	return true
}

// freeHollow makes the hollow pages of s, whose run is being freed and marked as dirty, clean.
func (a *Allocator) freeHollow(x *Extent, s *Span) {
	for s.hollow != 0 {
		from, end := s.hollow.next()
		from, end = s.page+from, s.page+end
		a.dirty -= uintptr(x.dirty.set(from, end, false))
		a.hollow -= uintptr(end - from)
		if a.lazy {
			x.freed.set(from, end, true)
		}
		if s.gone {
			x.goneCount += uintptr(x.gone.set(from, end, true))
		}
	}
	s.gone = false
}
