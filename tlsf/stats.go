package tlsf

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Stats is what an Allocator has, in bytes unless said otherwise.
type Stats struct {
	Region      uintptr // all of it: Used + Free
	Table       uintptr // what the allocator knows, apart from the region
	Used        uintptr // in blocks that are allocated, as long as they are usable
	Free        uintptr // in free blocks
	LargestFree uintptr // a lower bound of the largest free block, less than a 32nd too low: the most that surely can be had
	UsedBlocks  int     // the number of blocks that are allocated
}

// Stats tells what there is now. It costs some nanoseconds.
func (a *Allocator) Stats() Stats {
	a.mustHaveRegion("Stats")
	s := Stats{
		Region:     a.region.Size(),
		Table:      uintptr(len(a.table)) * 4,
		Used:       a.used << a.lg,
		UsedBlocks: a.blocks,
	}
	s.Free = s.Region - s.Used
	if a.first != 0 {
		i := uint(bits.Len32(a.first)) - 1
		s.LargestFree = uintptr(classMin(i, uint(bits.Len32(a.second[i]))-1)) << a.lg
	}
	return s
}

// String returns a name with the size of the region, and the upstream.
func (a *Allocator) String() string {
	return fmt.Sprintf("tlsf of %d bytes on %v", a.region.Size(), named(a.upstream))
}

// named returns what fmt prints a short name for: a, or its type if it has no String.
func named(a galloc.Allocator) any {
	if s, ok := a.(fmt.Stringer); ok {
		return s
	}
	return fmt.Sprintf("%T", a)
}

// classMin returns the least n with class(n) == i, j.
func classMin(i, j uint) uint32 {
	if i == 0 {
		return uint32(j)
	}
	return uint32(steps+j) << (i - 1)
}

// misuse says what is wrong with the block at p. It may look at the whole table.
func (a *Allocator) misuse(what string, p unsafe.Pointer, l galloc.Layout) error {
	offset := uintptr(p) - uintptr(a.base)
	if offset >= a.region.Size() {
		return fmt.Errorf("galloc/tlsf: %s of %p (%v), which is not in the region", what, p, l)
	}
	f := uint32(offset>>a.lg) + 1
	for a.table[f]&kind != used && a.table[f]&kind != free {
		f--
	}
	start, n := uintptr(f-1)<<a.lg, uintptr(a.table[f]>>2)<<a.lg
	switch {
	case a.table[f]&kind == free:
		return fmt.Errorf("galloc/tlsf: %s of %p (%v), which is free: a double free?", what, p, l)
	case start != offset:
		return fmt.Errorf("galloc/tlsf: %s of %p (%v), which lies %d bytes inside of a block of %d", what, p, l, offset-start, n)
	}
	return fmt.Errorf("galloc/tlsf: %s of %p with a wrong layout: the block has %d bytes, and %v is not of that size", what, p, n, l)
}
