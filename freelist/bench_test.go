package freelist

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

// linked is the alternative: a list with links in the kept blocks.
type linked struct {
	upstream galloc.Allocator
	block    galloc.Layout
	minSize  uintptr
	head     unsafe.Pointer
	kept     int
}

func (f *linked) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size()-f.minSize > f.block.Size()-f.minSize || l.Align() > f.block.Align() || f.head == nil {
		return f.upstream.Allocate(f.block)
	}
	p := f.head
	f.head = *(*unsafe.Pointer)(p)
	f.kept--
	return unsafe.Slice((*byte)(p), f.block.Size()), nil
}

func (f *linked) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size()-f.minSize > f.block.Size()-f.minSize || l.Align() > f.block.Align() || f.kept >= defaultKeep {
		f.upstream.Deallocate(p, f.block)
		return
	}
	*(*unsafe.Pointer)(p) = f.head
	f.head = p
	f.kept++
}

// BenchmarkBatch allocates n blocks of 4000 bytes, writes to the first byte of each, and frees
// them. An operation is one block. With n = 1 it is always the same block; 1000 blocks take 4 MB,
// which may not fit in the cache.
func BenchmarkBatch(b *testing.B) {
	list, err := New(nil, Options{Max: 4096})
	if err != nil {
		b.Fatal(err)
	}
	onSystem, err := New(galloc.System, Options{Max: 4096})
	if err != nil {
		b.Fatal(err)
	}
	defer list.Close()
	defer onSystem.Close()
	through := &linked{upstream: galloc.Global, block: list.block, minSize: list.minSize}
	for _, batch := range []int{1, 1000} {
		for _, c := range []struct {
			name string
			a    galloc.Allocator
		}{
			{"freelist", list},
			{"freelist-on-system", onSystem},
			{"linked", through},
			{"heap", heap.Default()},
			{"system", galloc.System},
		} {
			name := "batch=1/impl="
			if batch > 1 {
				name = "batch=1000/impl="
			}
			b.Run(name+c.name, func(b *testing.B) {
				l := layout(4000, 8)
				blocks := make([]unsafe.Pointer, batch)
				b.ReportAllocs()
				b.ResetTimer()
				for n := 0; n < b.N; n += batch {
					for i := range blocks {
						m, err := c.a.Allocate(l)
						if err != nil {
							b.Fatal(err)
						}
						m[0] = 1
						blocks[i] = address(m)
					}
					for _, p := range blocks {
						c.a.Deallocate(p, l)
					}
				}
			})
		}
	}
	for through.head != nil {
		p := through.head
		through.head = *(*unsafe.Pointer)(p)
		galloc.Global.Deallocate(p, through.block)
	}
}
