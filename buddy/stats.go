package buddy

import (
	"fmt"
	"math/bits"

	"github.com/galloc-go/galloc/internal/block"
)

// Stats is the state of a Region. Sizes are in bytes.
type Stats struct {
	Region      uintptr        // size of the region: Live + Free
	Table       uintptr        // size of the table
	Live        uintptr        // allocated blocks, at their usable sizes
	LiveBlocks  int            // number of allocated blocks
	Free        uintptr        // free blocks
	LargestFree uintptr        // largest free block, and so the largest possible allocation
	MinBlock    uintptr        // size of blocks of order 0
	FreeBlocks  [maxOrders]int // number of free blocks of each order k, of MinBlock<<k bytes
}

// Stats returns the state of the region. It reads the whole table. It panics after Close.
func (r *Region) Stats() Stats {
	r.mustBeOpen("Stats")
	s := Stats{
		Region:   r.units << r.lg,
		Table:    uintptr(len(r.table)) * 8,
		MinBlock: 1 << r.lg,
	}
	for k := range r.top + 1 {
		s.FreeBlocks[k] = r.free[k].level[0].count()
		s.Free += uintptr(s.FreeBlocks[k]) << (k + r.lg)
		used := r.used[k].count()
		s.LiveBlocks += used
		s.Live += uintptr(used) << (k + r.lg)
	}
	if r.avail != 0 {
		s.LargestFree = 1 << (uint(bits.Len64(r.avail)) - 1 + r.lg)
	}
	return s
}

func (s *flat) count() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// String returns a name with the size of the region and the name of the upstream.
func (r *Region) String() string {
	return fmt.Sprintf("buddy system of %d bytes on %v", r.region.Size(), block.Name(r.upstream))
}
