package wrap

import "fmt"

// A Snapshot is the counts of a [Counter] at a moment, or the difference of two of them. Blocks of
// size 0 are not counted. Bytes are the bytes that blocks occupy, as the allocator inside reports
// by UsableSize or Global.GoodSize, or the bytes asked for if it has no such method.
type Snapshot struct {
	// Allocs, Frees and Reallocs are numbers of calls that succeeded. A call that grows, shrinks or
	// resizes a block is a reallocation, whether the block moves or not; but growing from size 0 is
	// an allocation, and shrinking to size 0 a free.
	Allocs, Frees, Reallocs uint64
	// Failures is the number of calls that returned nil or an error. A Resize that is not possible
	// is not a failure.
	Failures uint64
	// AllocatedBytes is the bytes of allocated blocks and the bytes by which blocks have grown.
	// FreedBytes is the bytes of freed blocks and the bytes by which blocks have shrunk.
	AllocatedBytes, FreedBytes uint64
	// PeakBytes is the maximum of the live bytes; in a difference, the bytes by which it has risen.
	// It is exact if only one P allocates; each other P that does adds an error of up to 64 KiB.
	PeakBytes uint64
	// Sizes has the counts by size: Sizes[i] is about the blocks of 1<<(i-1)+1 to 1<<i bytes.
	Sizes [64]SizeCount
}

// A SizeCount is the part of a [Snapshot] about the blocks of a range of sizes.
type SizeCount struct {
	Allocs, Frees           uint64
	ReallocsIn, ReallocsOut uint64 // to a size in the range, and from one
}

// Live returns the number of live blocks. In a difference, it may be negative.
func (s SizeCount) Live() int64 { return int64(s.Allocs + s.ReallocsIn - s.Frees - s.ReallocsOut) }

// Live returns the number of live blocks. In a difference, it may be negative.
func (s Snapshot) Live() int64 { return int64(s.Allocs - s.Frees) }

// LiveBytes returns the number of live bytes. In a difference, it may be negative.
func (s Snapshot) LiveBytes() int64 { return int64(s.AllocatedBytes - s.FreedBytes) }

// Sub returns the difference of s and an earlier Snapshot of the same Counter.
func (s Snapshot) Sub(earlier Snapshot) Snapshot {
	s.add(&earlier, -1)
	return s
}

// add adds sign times o to s.
func (s *Snapshot) add(o *Snapshot, sign int64) {
	n := uint64(sign)
	s.Allocs += n * o.Allocs
	s.Frees += n * o.Frees
	s.Reallocs += n * o.Reallocs
	s.Failures += n * o.Failures
	s.AllocatedBytes += n * o.AllocatedBytes
	s.FreedBytes += n * o.FreedBytes
	s.PeakBytes += n * o.PeakBytes
	for i := range s.Sizes {
		a, b := &s.Sizes[i], &o.Sizes[i]
		a.Allocs += n * b.Allocs
		a.Frees += n * b.Frees
		a.ReallocsIn += n * b.ReallocsIn
		a.ReallocsOut += n * b.ReallocsOut
	}
}

// String returns the totals in one line, as in "2 blocks live, 192 bytes, peak 256; 3 allocated, 1
// freed, 0 reallocated, 0 failed".
func (s Snapshot) String() string {
	return fmt.Sprintf("%d blocks live, %d bytes, peak %d; %d allocated, %d freed, %d reallocated, %d failed",
		s.Live(), s.LiveBytes(), s.PeakBytes, s.Allocs, s.Frees, s.Reallocs, s.Failures)
}
