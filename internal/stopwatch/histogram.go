package stopwatch

import (
	"math"
	"math/bits"
)

// A Histogram counts values to within a sixteenth of each: each value below 32 has a bucket, and
// above that each power of two is divided into 16 buckets of equal width. The zero value is empty.
// A Histogram is not safe for concurrent use: use one for each goroutine, and Merge them.
//
//	bucket of v = 16*e + v>>e, where e = max(bits in v - 5, 0)
type Histogram struct {
	buckets [buckets]uint64
	count   uint64
	max     uint64
}

const buckets = 16*(64-5) + 32

func bucketOf(v uint64) int {
	e := max(bits.Len64(v)-5, 0)
	return 16*e + int(v>>e)
}

// least returns the smallest value of bucket i, which represents all of them.
func least(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	e := i/16 - 1
	return uint64(i-16*e) << e
}

// Add counts v.
func (h *Histogram) Add(v uint64) {
	h.buckets[bucketOf(v)]++
	h.count++
	h.max = max(h.max, v)
}

// Merge adds the counts of other to h.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the largest value, exactly, or 0 if there is none.
func (h *Histogram) Max() uint64 { return h.max }

// Quantile returns the value of rank max(⌈q·Count⌉, 1) among the sorted values, for q from 0 to 1,
// rounded down to the smallest value of its bucket. It returns 0 if there are no values.
func (h *Histogram) Quantile(q float64) uint64 {
	rank := uint64(max(math.Ceil(q*float64(h.count)), 1))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= rank {
			return least(i)
		}
	}
	return h.max
}
