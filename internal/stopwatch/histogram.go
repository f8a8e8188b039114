package stopwatch

import (
	"math"
	"math/bits"
)

// A Histogram counts values, exact to a sixteenth of each: values below 32 have a bucket of their own, and above that each power
// of two is cut into 16 buckets of equal width. The zero value is empty. It is for one goroutine; give each its own, and Merge
// them.
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

// least returns the least of the values of bucket i, which stands for them.
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

// Merge adds to h what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count returns how many values have been counted.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the largest of the values, exactly; 0 if there is none.
func (h *Histogram) Max() uint64 { return h.max }

// Quantile returns the value that a share q of the values, from 0 to 1, does not exceed: the one of rank ⌈q·Count⌉ when they are
// sorted, and of rank 1 at least. What is returned is the least value of its bucket. It is 0 if there is none.
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
