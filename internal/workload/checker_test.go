package workload

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

// checker is the global allocator of these tests. Its blocks are Go memory, so that the race
// detector sees what is done to them, and it knows the layout of each. With through, it hands
// everything to the heap instead.
type checker struct {
	mu      sync.Mutex
	through bool
	live    map[unsafe.Pointer]galloc.Layout
	keep    map[unsafe.Pointer][]byte
	allocs  uint64
	bytes   uint64
	frees   uint64
	unsized uint64 // of the frees
	left    uint64 // allocations that succeed, if not 0; then they fail
	faults  []string
	order   uint64 // a digest of what was allocated and freed, in its order
	number  map[unsafe.Pointer]uint64
}

var check checker

func TestMain(m *testing.M) {
	check.reset()
	Register(&check)
	os.Exit(m.Run())
}

func (c *checker) reset() {
	*c = checker{
		live: map[unsafe.Pointer]galloc.Layout{}, keep: map[unsafe.Pointer][]byte{},
		number: map[unsafe.Pointer]uint64{},
	}
}

func (c *checker) Alloc(l galloc.Layout) unsafe.Pointer {
	if c.through {
		return heap.Default().Alloc(l)
	}
	return c.block(l, 0xCD)
}

func (c *checker) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if c.through {
		return heap.Default().AllocZeroed(l)
	}
	return c.block(l, 0)
}

func (c *checker) block(l galloc.Layout, junk byte) unsafe.Pointer {
	b, err := galloc.GoHeap.Allocate(l)
	if err != nil {
		return nil
	}
	for i := range b {
		b[i] = junk
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left > 0 {
		if c.left--; c.left == 0 {
			c.left = 1
			return nil
		}
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	c.live[p], c.keep[p] = l, b
	c.number[p] = c.allocs
	c.order = mix(c.order + uint64(l.Size()) + uint64(l.Align())<<48)
	c.allocs++
	c.bytes += uint64(l.Size())
	return p
}

func (c *checker) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if c.through {
		heap.Default().Dealloc(p, l)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if had, ok := c.live[p]; !ok || had != l {
		c.faults = append(c.faults, fmt.Sprintf("%p is freed with %v; live %t, with %v", p, l, ok, had))
	}
	c.forget(p)
}

// Free is what blocks are freed by where sized is 0.
func (c *checker) Free(p unsafe.Pointer) {
	if c.through {
		heap.Default().Free(p)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.live[p]; !ok {
		c.faults = append(c.faults, fmt.Sprintf("%p is freed, and is no block", p))
	}
	c.unsized++
	c.forget(p)
}

func (c *checker) forget(p unsafe.Pointer) {
	for i := range c.keep[p] {
		c.keep[p][i] = 0xDD
	}
	c.order = mix(c.order + c.number[p]<<32)
	delete(c.live, p)
	delete(c.keep, p)
	c.frees++
}

// verdict reports what has gone wrong in a run with result r.
func (c *checker) verdict(t *testing.T, r Result) {
	t.Helper()
	for _, f := range c.faults {
		t.Error(f)
	}
	if len(c.live) != 0 || c.allocs != c.frees {
		t.Errorf("%d blocks are left", len(c.live))
	}
	if r.Allocs != c.allocs || r.Bytes != c.bytes {
		t.Errorf("%d allocations of %d bytes are reported, of %d of %d bytes", r.Allocs, r.Bytes, c.allocs, c.bytes)
	}
}
