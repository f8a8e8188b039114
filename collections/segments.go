package collections

import (
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// segments is growing memory whose units do not move. A unit has a 32-bit index, which is half as
// large as an address and can be kept off the Go heap whatever the allocator is. The indices are
// divided into parts, 16 for each doubling, and a table on the Go heap has the address of each
// part: at most 432 of them, which also keep the blocks of galloc.GoHeap.
//
//	part 16*e + j, 0 <= j < 16, has the units from (16+j)<<e up to (17+j)<<e, so 0 is not an index
//	block k consists of the parts from blocks[k] up to blocks[k+1], or to the end of parts
//
// A new block has as many units as there are, if there is memory for them. If not, it has fewer
// parts, at last one: between a 16th and a 32nd of all units.
type segments struct {
	parts   []unsafe.Pointer
	blocks  []uint16
	stride  uintptr // distance from one unit to the next
	align   uintptr
	initial uint32 // number of units that the first block has at least
}

const (
	partBits   = 4 // log2 of the number of parts for each doubling
	firstUnit  = 1 << partBits
	unitsLimit = 1 << 31 // indices are less
)

// errTooMany is returned when 32-bit indices run out.
var errTooMany = fmt.Errorf("galloc/collections: more elements than 32-bit indices can address: %w",
	galloc.ErrUnsupported)

// at returns the address of unit i, which must exist.
func (s *segments) at(i uint32) unsafe.Pointer {
	e := uint(bits.Len32(i)-1-partBits) & 31
	top := i >> e // 16 + j
	return unsafe.Add(s.parts[e<<partBits+uint(top)-firstUnit], uintptr(i-top<<e)*s.stride)
}

// startOf returns the index of the first unit of a part.
func startOf(part int) uint64 {
	return uint64(firstUnit+part&(firstUnit-1)) << (part >> partBits)
}

// partsFor returns the number of parts that have all units below end, which is at most unitsLimit.
func partsFor(end uint64) int {
	if end <= firstUnit {
		return 0
	}
	last := end - 1
	e := bits.Len64(last) - 1 - partBits
	return e<<partBits + int(last>>e) - firstUnit + 1
}

// first returns the lowest index.
func (s *segments) first() uint32 { return firstUnit }

// end returns the lowest index past all units.
func (s *segments) end() uint64 { return startOf(len(s.parts)) }

// growUntil ensures that every index below end has a unit. If it must allocate, it doubles the
// number of units, or adds as many as there is memory for, but at least those up to end. If it
// fails, s is unchanged.
func (s *segments) growUntil(a galloc.Allocator, end uint64) error {
	have := s.end()
	if have >= end {
		return nil
	}
	if end > unitsLimit {
		return errTooMany
	}
	need := partsFor(end)
	want := partsFor(min(max(end, have+max(have-firstUnit, uint64(s.initial))), unitsLimit))
	for {
		err := s.add(a, want)
		if err == nil || want == need {
			return err
		}
		want = need + (want-need)/2
	}
}

// add allocates a block of the missing parts up to part n.
func (s *segments) add(a galloc.Allocator, n int) error {
	from := len(s.parts)
	l, err := s.layout(from, n)
	if err != nil {
		return err
	}
	b, err := allocate(a, l)
	if err != nil {
		return err
	}
	s.parts = slices.Grow(s.parts, n-from)
	for part := from; part < n; part++ {
		offset := uintptr(startOf(part)-startOf(from)) * s.stride
		s.parts = append(s.parts, unsafe.Pointer(&b[offset]))
	}
	s.blocks = append(s.blocks, uint16(from))
	return nil
}

// layout returns the layout of a block of the parts from from up to to.
func (s *segments) layout(from, to int) (galloc.Layout, error) {
	hi, size := bits.Mul64(uint64(s.stride), startOf(to)-startOf(from))
	if hi != 0 || size > uint64(^uintptr(0)) {
		return galloc.Layout{}, errTooMany
	}
	return galloc.NewLayout(uintptr(size), s.align)
}

// copyFrom copies the units of t below index end to s, which must be empty, into one block. If it
// fails, s stays empty.
func (s *segments) copyFrom(a galloc.Allocator, t *segments, end uint64) error {
	s.stride, s.align, s.initial = t.stride, t.align, t.initial
	n := partsFor(end)
	if n == 0 {
		return nil
	}
	if err := s.add(a, n); err != nil {
		return err
	}
	for part := range n {
		units := min(end, startOf(part+1)) - startOf(part)
		block.Copy(s.parts[part], t.parts[part], uintptr(units)*s.stride)
	}
	return nil
}

// free frees all blocks.
func (s *segments) free(a galloc.Allocator) {
	for len(s.blocks) > 0 {
		last := len(s.blocks) - 1
		from := int(s.blocks[last])
		l, _ := s.layout(from, len(s.parts)) // no error: the block has it
		deallocate(a, s.parts[from], l)
		s.parts, s.blocks = s.parts[:from], s.blocks[:last]
	}
	s.parts, s.blocks = nil, nil
}
