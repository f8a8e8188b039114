package pages

import "math/bits"

// A bitmap has a bit for each page of an extent.
type bitmap []uint64

// get returns bit i.
func (b bitmap) get(i uint32) bool { return b[i/64]>>(i%64)&1 != 0 }

// set sets the bits in [i, j) to v and returns the number of bits that changed.
func (b bitmap) set(i, j uint32, v bool) (changed int) {
	for i < j {
		n := min(64-i%64, j-i)
		mask := ^uint64(0) >> (64 - n) << (i % 64)
		old := b[i/64]
		word := old | mask
		if !v {
			word = old &^ mask
		}
		if word != old { // else the bitmap stays without memory
			changed += bits.OnesCount64(word ^ old)
			b[i/64] = word
		}
		i += n
	}
	return changed
}

// count returns the number of bits set in [i, j).
func (b bitmap) count(i, j uint32) (n int) {
	for i < j {
		k := min(64-i%64, j-i)
		n += bits.OnesCount64(b[i/64] >> (i % 64) & (^uint64(0) >> (64 - k)))
		i += k
	}
	return n
}

// next returns the first bit in [i, j) that is v, or j.
func (b bitmap) next(i, j uint32, v bool) uint32 {
	flip := ^uint64(0)
	if v {
		flip = 0
	}
	for i < j {
		if w := (b[i/64] ^ flip) >> (i % 64); w != 0 {
			return min(i+uint32(bits.TrailingZeros64(w)), j)
		}
		i += 64 - i%64
	}
	return j
}

// first returns the first of the contiguous set bits that bit i belongs to.
func (b bitmap) first(i uint32) uint32 {
	for {
		clear := ^b[i/64] << (63 - i%64) // the bits up to i, at the top
		if clear != 0 {
			return i + 1 - uint32(bits.LeadingZeros64(clear))
		}
		if i < 64 {
			return 0
		}
		i = i/64*64 - 1
	}
}

// nextBit returns the first bit in [i, j) that is set in the words, or j.
func nextBit(word func(uint32) uint64, i, j uint32) uint32 {
	for i < j {
		if w := word(i/64) >> (i % 64); w != 0 {
			return min(i+uint32(bits.TrailingZeros64(w)), j)
		}
		i += 64 - i%64
	}
	return j
}
