package collections

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// segments is memory in units that grows without moving any: each block has twice as many units as the
// one before. Units are told by an index of 32 bits, half as large as an address, and one that can be
// kept off the Go heap whatever the allocator is. The table of the blocks is on the Go heap, so that
// even galloc.GoHeap's blocks live as long as it; it has at most 31 entries.
//
//	block k has the units 1<<k up to 2<<k, k >= low, so that 0 is no index
//	blocks[k] is nil for k < low, and where growTo has left one out
type segments struct {
	blocks []unsafe.Pointer
	stride uintptr // from one unit to the next
	align  uintptr
	low    uint8 // the first block is the one of 1<<low units
}

// errTooMany is what fails where there is no index for what is to be added.
var errTooMany = fmt.Errorf("galloc/collections: more than the indices of the collection can tell apart: %w", galloc.ErrUnsupported)

// at returns the address of unit i, which exists.
func (s *segments) at(i uint32) unsafe.Pointer {
	k := bits.Len32(i) - 1
	return unsafe.Add(s.blocks[k], uintptr(i&^(1<<(uint(k)&31)))*s.stride)
}

// first returns the least index, and end the least that is beyond all units.
func (s *segments) first() uint32 { return 1 << s.low }

func (s *segments) end() uint64 { return max(uint64(1)<<len(s.blocks), 1<<s.low) }

// grow allocates the next block.
func (s *segments) grow(a galloc.Allocator) error {
	return s.growTo(a, max(len(s.blocks), int(s.low)))
}

// growUntil allocates blocks until there are all units before index end, or none at all if there cannot be so many.
func (s *segments) growUntil(a galloc.Allocator, end uint64) error {
	if s.end() >= end {
		return nil
	}
	if _, err := s.layout(bits.Len64(end-1) - 1); err != nil { // of the last one
		return err
	}
	for s.end() < end {
		if err := s.grow(a); err != nil {
			return err
		}
	}
	return nil
}

// growTo allocates block k, and leaves out those before it that there are not.
func (s *segments) growTo(a galloc.Allocator, k int) error {
	l, err := s.layout(k)
	if err != nil {
		return err
	}
	b, err := allocate(a, l)
	if err != nil {
		return err
	}
	for len(s.blocks) < k {
		s.blocks = append(s.blocks, nil)
	}
	s.blocks = append(s.blocks, unsafe.Pointer(unsafe.SliceData(b)))
	return nil
}

// layout returns the layout of block k.
func (s *segments) layout(k int) (galloc.Layout, error) {
	if k >= 31 {
		return galloc.Layout{}, errTooMany
	}
	hi, size := bits.Mul64(uint64(s.stride), 1<<k)
	if hi != 0 || size > uint64(^uintptr(0)) {
		return galloc.Layout{}, errTooMany
	}
	return galloc.NewLayout(uintptr(size), s.align)
}

// copyFrom makes s, which is empty, a copy of the units of t before index end. If it fails, s is empty.
func (s *segments) copyFrom(a galloc.Allocator, t *segments, end uint64) error {
	s.stride, s.align, s.low = t.stride, t.align, t.low
	for k, from := range t.blocks {
		if from == nil || end <= 1<<k {
			continue
		}
		if err := s.growTo(a, k); err != nil {
			s.free(a)
			return err
		}
		n := (min(end, 2<<k) - 1<<k) * uint64(s.stride)
		copy(unsafe.Slice((*byte)(s.blocks[k]), n), unsafe.Slice((*byte)(from), n))
	}
	return nil
}

// free gives back all blocks.
func (s *segments) free(a galloc.Allocator) {
	for k, p := range s.blocks {
		if p != nil {
			l, _ := s.layout(k)
			deallocate(a, p, l)
		}
	}
	s.blocks = nil
}
