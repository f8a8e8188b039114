package pool_test

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/pool"
)

type node struct {
	left, right uint32
	key         [2]uint64
}

// A warm pair: Get returns the block that was put back before.
func BenchmarkPair(b *testing.B) {
	l := galloc.LayoutOf[node]()
	b.Run("impl=pool", func(b *testing.B) {
		p := pool.New(nil, l)
		defer p.Close()
		for b.Loop() {
			p.Put(p.Get())
		}
	})
	b.Run("impl=of", func(b *testing.B) {
		p := galloc.Must(pool.NewOf[node](nil))
		defer p.Close()
		for b.Loop() {
			v, _ := p.Get()
			p.Put(v)
		}
	})
	b.Run("impl=allocator", func(b *testing.B) {
		p := pool.New(nil, l)
		defer p.Close()
		for b.Loop() {
			pair(p, l)
		}
	})
	b.Run("impl=heap", func(b *testing.B) {
		for b.Loop() {
			galloc.Dealloc(galloc.Alloc(l), l)
		}
	})
}

//go:noinline
func pair(a galloc.Allocator, l galloc.Layout) {
	b, _ := a.Allocate(l)
	a.Deallocate(unsafe.Pointer(&b[0]), l)
}

// A million blocks are in use. In random order, each is put back and another one got. Memory
// accesses take most of the time.
func BenchmarkChurn(b *testing.B) {
	l := galloc.LayoutOf[node]()
	churn := func(get func() unsafe.Pointer, put func(unsafe.Pointer)) func(*testing.B) {
		return func(b *testing.B) {
			live := make([]unsafe.Pointer, 1<<20)
			for i := range live {
				live[i] = get()
			}
			x := uint32(1)
			for b.Loop() {
				x = x*1664525 + 1013904223
				slot := &live[x>>12]
				put(*slot)
				*slot = get()
				(*node)(*slot).left = x
			}
			for _, q := range live {
				put(q)
			}
		}
	}
	p, one := pool.New(nil, l), pool.New(nil, l)
	defer p.Close()
	defer one.Close()
	b.Run("impl=pool", churn(p.Get, p.Put))
	if one.Reserve(1<<20) == nil {
		b.Run("impl=pool/one slab", churn(one.Get, one.Put))
	}
	h := heap.Default()
	b.Run("impl=heap", churn(func() unsafe.Pointer { return h.Alloc(l) }, func(q unsafe.Pointer) { h.Dealloc(q, l) }))
}
