//go:build cgo && unix

package libc

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/libc/direct"
)

// freeAligned returns Free for blocks with an alignment.
func freeAligned(align uintptr) func(unsafe.Pointer, uintptr) {
	return func(p unsafe.Pointer, n uintptr) { Free(p, n, align) }
}

// BenchmarkPair measures an allocation and its free, without touching the block. impl=direct calls
// the C library without choosing a function.
func BenchmarkPair(b *testing.B) {
	for _, impl := range []struct {
		name  string
		alloc func(uintptr) unsafe.Pointer
		free  func(unsafe.Pointer, uintptr)
	}{
		{"direct", direct.Malloc, func(p unsafe.Pointer, _ uintptr) { direct.Free(p) }},
		{"libc", func(n uintptr) unsafe.Pointer { return Alloc(n, 8) }, freeAligned(8)},
		{"libc-aligned", func(n uintptr) unsafe.Pointer { return Alloc(n, 64) }, freeAligned(64)},
		{"libc-zeroed", func(n uintptr) unsafe.Pointer { return AllocZeroed(n, 8) }, freeAligned(8)},
	} {
		for _, size := range []uintptr{16, 64, 1024, 32 << 10, 256 << 10, 4 << 20} {
			b.Run(fmt.Sprintf("impl=%s/size=%d", impl.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					impl.free(impl.alloc(size), size)
				}
			})
		}
	}
}

// BenchmarkPairParallel is BenchmarkPair on all processors at once.
func BenchmarkPairParallel(b *testing.B) {
	b.Run("impl=direct/size=64", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				direct.Free(direct.Malloc(64))
			}
		})
	})
	b.Run("impl=libc/size=64", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				Free(Alloc(64, 8), 64, 8)
			}
		})
	})
}
