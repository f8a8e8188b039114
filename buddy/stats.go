package buddy

import (
	"fmt"
	"math/bits"

	"github.com/galloc-go/galloc"
)

// Stats is what an Allocator has, in bytes unless said otherwise.
type Stats struct {
	Region      uintptr        // all of it: Used + Free
	Table       uintptr        // what the allocator knows, apart from the region
	Used        uintptr        // in blocks that are allocated, as long as they are usable
	Free        uintptr        // in free blocks
	LargestFree uintptr        // the size of the largest free block: the most that can be had
	MinBlock    uintptr        // the size of blocks of order 0
	FreeBlocks  [maxOrders]int // the number of free blocks of each order k, of MinBlock<<k bytes
	UsedBlocks  int            // the number of blocks that are allocated
}

// Stats counts what there is now. Nothing is counted before: this reads the whole table.
func (a *Allocator) Stats() Stats {
	a.mustHaveRegion("Stats")
	s := Stats{
		Region:   a.units << a.lg,
		Table:    uintptr(len(a.table)) * 8,
		MinBlock: 1 << a.lg,
	}
	for k := range a.top + 1 {
		s.FreeBlocks[k] = a.free[k].level[0].count()
		s.Free += uintptr(s.FreeBlocks[k]) << (k + a.lg)
		used := a.used[k].count()
		s.UsedBlocks += used
		s.Used += uintptr(used) << (k + a.lg)
	}
	if a.avail != 0 {
		s.LargestFree = 1 << (uint(bits.Len64(a.avail)) - 1 + a.lg)
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

// String returns a name with the size of the region, and the upstream.
func (a *Allocator) String() string {
	return fmt.Sprintf("buddy system of %d bytes on %v", a.region.Size(), named(a.upstream))
}

// named returns what fmt prints a short name for: a, or its type if it has no String.
func named(a galloc.Allocator) any {
	if s, ok := a.(fmt.Stringer); ok {
		return s
	}
	return fmt.Sprintf("%T", a)
}
