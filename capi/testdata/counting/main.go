// Command counting is a library as a user of galloc would write it: an allocator in Go that counts
// its calls, for programs in C and Rust.
package main

/*
#include <stdint.h>

struct counting_counts { uint64_t allocs, zeroed, reallocs, deallocs, refused, live_bytes; };
*/
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi"
	"github.com/galloc-go/galloc/heap"
)

// counting is a GlobalAlloc on galloc's heap.
type counting struct {
	allocs, zeroed, reallocs, deallocs, refused atomic.Uint64
	live                                        atomic.Int64 // bytes
}

var counter counting

func (c *counting) count(n *atomic.Uint64, p unsafe.Pointer, bytes int64) unsafe.Pointer {
	if p == nil {
		c.refused.Add(1)
		return nil
	}
	n.Add(1)
	c.live.Add(bytes)
	return p
}

func (c *counting) Alloc(l galloc.Layout) unsafe.Pointer {
	return c.count(&c.allocs, heap.Default().Alloc(l), int64(l.Size()))
}

func (c *counting) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	return c.count(&c.zeroed, heap.Default().AllocZeroed(l), int64(l.Size()))
}

func (c *counting) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return c.count(&c.reallocs, heap.Default().Realloc(p, l, newSize), int64(newSize)-int64(l.Size()))
}

func (c *counting) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	heap.Default().Dealloc(p, l)
	c.count(&c.deallocs, p, -int64(l.Size()))
}

func (c *counting) String() string { return "counting heap" }

func init() { galloc.RegisterGlobal(&counter) }

// counting_read stores the counts so far in to.
//
//export counting_read
func counting_read(to *C.struct_counting_counts) {
	to.allocs = C.uint64_t(counter.allocs.Load())
	to.zeroed = C.uint64_t(counter.zeroed.Load())
	to.reallocs = C.uint64_t(counter.reallocs.Load())
	to.deallocs = C.uint64_t(counter.deallocs.Load())
	to.refused = C.uint64_t(counter.refused.Load())
	to.live_bytes = C.uint64_t(counter.live.Load())
}

var stats runtime.MemStats // not on the stack, since it is large, and not new each time

// counting_go_mallocs returns the number of objects put on the Go heap so far.
//
//export counting_go_mallocs
func counting_go_mallocs() C.uint64_t {
	runtime.ReadMemStats(&stats)
	return C.uint64_t(stats.Mallocs)
}

// counting_gc collects the garbage of the Go side.
//
//export counting_gc
func counting_gc() { runtime.GC() }

func main() {}
