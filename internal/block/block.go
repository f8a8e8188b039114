// Package block has the small operations on blocks of memory that allocators share.
package block

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"
)

// MaxBulk is the number of bytes that are copied or cleared at a time. The runtime cannot preempt a
// single copy or clear, so a garbage collection that starts would wait for all of it.
const MaxBulk = 256 << 10

const chunk = MaxBulk

// Copy copies n bytes from src to dst, which may overlap.
func Copy(dst, src unsafe.Pointer, n uintptr) {
	if n <= chunk {
		copyChunk(dst, src, n)
		return
	}
	copyChunks(dst, src, n)
}

// copyChunks is Copy of several chunks: the last one first if dst begins within src.
func copyChunks(dst, src unsafe.Pointer, n uintptr) {
	if uintptr(dst)-uintptr(src) < n {
		for n > chunk {
			n -= chunk
			copyChunk(unsafe.Add(dst, n), unsafe.Add(src, n), chunk)
		}
	}
	for n > chunk {
		copyChunk(dst, src, chunk)
		dst, src, n = unsafe.Add(dst, chunk), unsafe.Add(src, chunk), n-chunk
	}
	copyChunk(dst, src, n)
}

func copyChunk(dst, src unsafe.Pointer, n uintptr) {
	// SAFETY: the caller has n bytes at both.
	copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
}

// Clear sets the n bytes at p to zero.
func Clear(p unsafe.Pointer, n uintptr) {
	for n > chunk {
		clearChunk(p, chunk)
		p, n = unsafe.Add(p, chunk), n-chunk
	}
	clearChunk(p, n)
}

func clearChunk(p unsafe.Pointer, n uintptr) {
	// SAFETY: the caller has n bytes at p.
	clear(unsafe.Slice((*byte)(p), n))
}

// ClearBytes is Clear of the bytes of b.
func ClearBytes(b []byte) { Clear(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))) }

// Bytes returns the n bytes at p, which is not nil.
func Bytes(p unsafe.Pointer, n uintptr) []byte {
	// SAFETY: the caller has n bytes at p.
	return unsafe.Slice((*byte)(p), n)
}

// CheckGrow panics if a Grow from size old to size to would make a block smaller. The message
// begins with pkg, the package of the allocator, as in "galloc/bump".
func CheckGrow(pkg string, old, to uintptr) {
	if to < old {
		panicGrow(pkg, old, to)
	}
}

// CheckShrink panics if a Shrink from size old to size to would make a block larger.
func CheckShrink(pkg string, old, to uintptr) {
	if to > old {
		panicShrink(pkg, old, to)
	}
}

//go:noinline
func panicGrow(pkg string, old, to uintptr) {
	panic(fmt.Sprintf("%s: Grow to a smaller size (%d < %d): use Shrink", pkg, to, old))
}

//go:noinline
func panicShrink(pkg string, old, to uintptr) {
	panic(fmt.Sprintf("%s: Shrink to a larger size (%d > %d): use Grow", pkg, to, old))
}

// MaxSize returns the largest size of a Layout whose alignment is align, a power of two.
func MaxSize(align uintptr) uintptr { return math.MaxInt + 1 - align }

// RoundUp returns the least multiple of align, a power of two, that is at least n. It does not
// overflow for n <= MaxInt+1: the result is at most MaxInt+1 then.
func RoundUp(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }

// Log2 returns the binary logarithm of align, a power of two.
func Log2(align uintptr) uint32 { return uint32(bits.TrailingZeros64(uint64(align))) }

// Name returns the String of an allocator, or its type if it has none.
func Name(a any) string {
	if s, ok := a.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", a)
}
