package tlsf

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/misuse"
)

// Stats is the state of a Region. Sizes are in bytes.
type Stats struct {
	Region      uintptr // size of the region: Live + Free
	Table       uintptr // size of the table
	Live        uintptr // allocated blocks, at their usable sizes
	LiveBlocks  int     // number of allocated blocks
	Free        uintptr // free blocks
	LargestFree uintptr // a size that can be allocated, within 1/32 of the largest block
}

// Stats returns the state of the region. It costs some nanoseconds. It panics after Close.
func (r *Region) Stats() Stats {
	r.mustBeOpen("Stats")
	s := Stats{
		Region:     r.region.Size(),
		Table:      uintptr(len(r.table)) * 4,
		Live:       r.used << r.lg,
		LiveBlocks: r.blocks,
	}
	s.Free = s.Region - s.Live
	if r.first != 0 {
		i := uint(bits.Len32(r.first)) - 1
		s.LargestFree = uintptr(classMin(i, uint(bits.Len32(r.second[i]))-1)) << r.lg
	}
	return s
}

// String returns a name with the size of the region and the name of the upstream.
func (r *Region) String() string {
	return fmt.Sprintf("tlsf of %d bytes on %v", r.region.Size(), block.Name(r.upstream))
}

// classMin returns the lowest n with class(n) == i, j.
func classMin(i, j uint) uint32 {
	if i == 0 {
		return uint32(j)
	}
	return uint32(steps+j) << (i - 1)
}

// misuse returns an error that reports why op cannot have the block at p. It may read the whole
// table.
func (r *Region) misuse(op string, p unsafe.Pointer, l galloc.Layout) error {
	const text = "galloc/tlsf: %v: %s of %p (%v), which is "
	offset := uintptr(p) - uintptr(r.base)
	if offset >= r.region.Size() {
		return fmt.Errorf(text+"not in the region", misuse.ForeignFree, op, p, l)
	}
	f := uint32(offset>>r.lg) + 1
	for r.table[f]&kind != used && r.table[f]&kind != free {
		f--
	}
	start, n := uintptr(f-1)<<r.lg, uintptr(r.table[f]>>2)<<r.lg
	switch {
	case r.table[f]&kind == free:
		return fmt.Errorf(text+"free", misuse.DoubleFree, op, p, l)
	case start != offset:
		return fmt.Errorf(text+"%d bytes into a block of %d bytes", misuse.InteriorFree, op, p, l, offset-start, n)
	}
	return fmt.Errorf(text+"a block of %d bytes, which the layout does not fit", misuse.WrongLayout, op, p, l, n)
}
