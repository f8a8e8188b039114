package bufpool

import "math/bits"

// Classes of buffers: 64 bytes, then four for each doubling up to 1 MiB. Each is a size of blocks
// of the heap, so that no byte of a block is lost there.
const (
	minShift   = 6  // log2 of the smallest class
	maxShift   = 20 // log2 of the largest class
	numClasses = 1 + 4*(maxShift-minShift)
	maxSize    = 1 << maxShift
	blockAlign = 16 // of the memory of each buffer, in bytes
	largeStep  = 4 << 10
)

// classOf returns the smallest class of at least n bytes, numClasses or more if n is too large or
// negative.
func classOf(n int) uint {
	x := uint(n - 1)
	if n <= 1<<minShift {
		if n < 0 {
			return numClasses
		}
		return 0
	}
	shift := uint(bits.Len(x)) - 3 // x>>shift is in [4, 8)
	return (shift-4)*4 + x>>(shift&(bits.UintSize-1)) - 3
}

// sizeOf returns the bytes of a buffer of class c < numClasses.
func sizeOf(c uint) int {
	if c == 0 {
		return 1 << minShift
	}
	return int((c-1)%4+5) << ((c-1)/4 + 4)
}
