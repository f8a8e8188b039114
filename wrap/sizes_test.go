package wrap_test

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

// Blocks of the global allocator count for the memory that they occupy, below any wrappers, and are
// as long as requested.
func TestBlocksOfTheGlobalAllocatorCountForTheirMemory(t *testing.T) {
	for name, global := range map[string]galloc.Allocator{
		"nil": nil, "Global": galloc.Global, "Lock": wrap.Lock(nil), "Stats": wrap.Stats(nil), "Tag": wrap.Tag(nil, "sizes_test"),
		"Limit": wrap.Limit(nil, 0),
	} {
		t.Run(name, func(t *testing.T) {
			small := galloc.Must(galloc.NewLayout(1, 1))
			good := galloc.Global.GoodSize(small)
			const blocks = 100
			limiter := wrap.Limit(global, blocks*good)
			counter := wrap.Stats(limiter)
			var all []unsafe.Pointer
			for p := counter.Alloc(small); p != nil; p = counter.Alloc(small) {
				all = append(all, p)
			}
			s := counter.Snapshot()
			if len(all) != blocks || limiter.Used() != blocks*good || s.LiveBytes() != int64(blocks*good) {
				t.Errorf("%d blocks of %d bytes: %d used, %d live", len(all), good, limiter.Used(), s.LiveBytes())
			}
			for _, p := range all {
				counter.Dealloc(p, small)
			}
			limiter.SetLimit(0)
			odd := galloc.Must(galloc.NewLayout(1000, 8))
			larger := galloc.Must(galloc.NewLayout(5001, 8))
			if n := counter.UsableSize(odd); n != 1000 {
				t.Errorf("UsableSize: %d", n)
			}
			b := galloc.Must(counter.AllocateZeroed(odd))
			if len(b) != 1000 || limiter.Used() != galloc.Global.GoodSize(odd) {
				t.Errorf("%d bytes, %d used", len(b), limiter.Used())
			}
			b = galloc.Must(counter.GrowZeroed(unsafe.Pointer(&b[0]), odd, larger))
			if len(b) != 5001 || limiter.Used() != galloc.Global.GoodSize(larger) {
				t.Errorf("grown to %d bytes, %d used", len(b), limiter.Used())
			}
			b = galloc.Must(counter.Shrink(unsafe.Pointer(&b[0]), larger, odd))
			counter.Deallocate(unsafe.Pointer(&b[0]), odd)
			if n, live := limiter.Used(), counter.Snapshot().LiveBytes(); n != 0 || live != 0 {
				t.Errorf("%d used and %d live in the end", n, live)
			}
		})
	}
}
