package galloc_test

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

var sizes = []uintptr{8, 64, 1024, 32 << 10}

// BenchmarkPair is one allocation and its deallocation, by each way that leads there. BenchmarkPair
// in internal/libc measures libc's malloc and free, called through cgo.
func BenchmarkPair(b *testing.B) {
	for _, size := range sizes {
		l := testLayout(size, 8)
		b.Run(fmt.Sprintf("impl=galloc.Alloc/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				galloc.Dealloc(galloc.Alloc(l), l)
			}
		})
		b.Run(fmt.Sprintf("impl=System.Alloc/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				galloc.System.Dealloc(galloc.System.Alloc(l), l)
			}
		})
		b.Run(fmt.Sprintf("impl=Global.Allocate/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := galloc.Global.Allocate(l)
				if err != nil {
					b.Fatal(err)
				}
				galloc.Global.Deallocate(unsafe.Pointer(&m[0]), l)
			}
		})
		b.Run(fmt.Sprintf("impl=make/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = make([]byte, size)
			}
		})
	}
}

var sink []byte

// BenchmarkTyped is the typed face on top of the same.
func BenchmarkTyped(b *testing.B) {
	b.Run("impl=New", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p, err := galloc.New[[8]uint64](nil)
			if err != nil {
				b.Fatal(err)
			}
			galloc.Free(nil, p)
		}
	})
	b.Run("impl=AllocZeroed", func(b *testing.B) {
		l := testLayout(64, 8)
		b.ReportAllocs()
		for b.Loop() {
			galloc.Dealloc(galloc.AllocZeroed(l), l)
		}
	})
}
