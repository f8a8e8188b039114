package heapprof

import (
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Every method that allocates asks the sampler about the size, calls the allocator inside, and
// records the block if it was picked. Every method that frees a block removes its record first:
// once the allocator inside has the block, another goroutine may get its address.

// picks reports whether an allocation of n bytes is sampled.
func (p *Profiler) picks(n uintptr) bool { return n != 0 && !p.sampler.Skips(n) }

// knows reports whether the block at q, of layout l, may be in the books.
func (p *Profiler) knows(q unsafe.Pointer, l galloc.Layout) bool {
	return p.filter.Load().has(uintptr(q)) && l.Size() != 0
}

// Alloc is part of [galloc.GlobalAlloc].
func (p *Profiler) Alloc(l galloc.Layout) unsafe.Pointer {
	picked := p.picks(l.Size())
	q := p.in.Alloc(l)
	if picked && q != nil {
		p.enter(q, l, p.occupied(l))
	}
	return q
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (p *Profiler) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	picked := p.picks(l.Size())
	q := p.in.AllocZeroed(l)
	if picked && q != nil {
		p.enter(q, l, p.occupied(l))
	}
	return q
}

// Dealloc is part of [galloc.GlobalAlloc].
func (p *Profiler) Dealloc(q unsafe.Pointer, l galloc.Layout) {
	if p.knows(q, l) {
		p.leave(q)
	}
	p.in.Dealloc(q, l)
}

// Realloc implements [galloc.GlobalRealloc].
func (p *Profiler) Realloc(q unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	to, err := galloc.NewLayout(newSize, l.Align())
	if err != nil {
		return nil
	}
	picked, old := p.picks(newSize), p.suspend(q, l)
	r := p.in.Realloc(q, l, newSize)
	if p.settle(old, r != nil) && picked {
		p.enter(r, to, p.occupied(to))
	}
	return r
}

// Allocate is part of [galloc.Allocator].
func (p *Profiler) Allocate(l galloc.Layout) ([]byte, error) {
	picked := p.picks(l.Size())
	b, err := p.in.A.Allocate(l)
	if picked && err == nil {
		p.enterBytes(b, l)
	}
	return b, err
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (p *Profiler) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	picked := p.picks(l.Size())
	b, err := galloc.AllocateZeroed(p.in.A, l)
	if picked && err == nil {
		p.enterBytes(b, l)
	}
	return b, err
}

// Deallocate is part of [galloc.Allocator].
func (p *Profiler) Deallocate(q unsafe.Pointer, l galloc.Layout) {
	if p.knows(q, l) {
		p.leave(q)
	}
	p.in.A.Deallocate(q, l)
}

// Grow is part of [galloc.Grower].
func (p *Profiler) Grow(q unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow(pkg, old.Size(), to.Size())
	picked, was := p.picks(to.Size()), p.suspend(q, old)
	b, err := galloc.Grow(p.in.A, q, old, to)
	if p.settle(was, err == nil) && picked {
		p.enterBytes(b, to)
	}
	return b, err
}

// GrowZeroed is part of [galloc.Grower].
func (p *Profiler) GrowZeroed(q unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow(pkg, old.Size(), to.Size())
	picked, was := p.picks(to.Size()), p.suspend(q, old)
	b, err := galloc.GrowZeroed(p.in.A, q, old, to)
	if p.settle(was, err == nil) && picked {
		p.enterBytes(b, to)
	}
	return b, err
}

// Shrink implements [galloc.Shrinker].
func (p *Profiler) Shrink(q unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink(pkg, old.Size(), to.Size())
	picked, was := p.picks(to.Size()), p.suspend(q, old)
	b, err := galloc.Shrink(p.in.A, q, old, to)
	if p.settle(was, err == nil) && picked {
		p.enterBytes(b, to)
	}
	return b, err
}

// Resize implements [galloc.Resizer].
func (p *Profiler) Resize(q unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	to, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || newSize == l.Size() {
		return newSize == l.Size()
	}
	was := p.suspend(q, l)
	ok := galloc.Resize(p.in.A, q, l, newSize)
	if p.settle(was, ok) && p.picks(newSize) {
		p.enter(q, to, max(newSize, p.occupied(to)))
	}
	return ok
}

// UsableSize implements [galloc.UsableSizer].
func (p *Profiler) UsableSize(l galloc.Layout) uintptr { return galloc.UsableSize(p.in.A, l) }

// AllocateTyped implements [galloc.TypedAllocator], if the allocator inside does: see
// [galloc.HoldsPointers].
func (p *Profiler) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	q, err := galloc.AllocateTyped(p.in.A, t, n)
	if err != nil || galloc.HoldsPointers(p.in.A) {
		return q, err
	}
	l, err := galloc.NewLayout(t.Size(), uintptr(t.Align()))
	if err == nil {
		l, _, err = l.Repeat(n)
	}
	if err == nil && p.picks(l.Size()) {
		p.enter(q, l, p.occupied(l))
	}
	return q, nil
}

// AfterReset counts all blocks as freed. [galloc.Reset] calls it, after it has reset the allocator
// inside.
func (p *Profiler) AfterReset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clock := p.sampler.Allocations()
	for addr, r := range p.records {
		delete(p.records, addr)
		p.freed(&r, clock)
	}
	p.filter.Store(newFilter(minFilter))
}

// occupied returns the number of bytes that a block of layout l occupies.
func (p *Profiler) occupied(l galloc.Layout) uintptr {
	if _, ok := p.in.A.(galloc.GlobalAllocator); ok {
		return max(l.Size(), galloc.Global.GoodSize(l))
	}
	return max(l.Size(), galloc.UsableSize(p.in.A, l))
}

// enterBytes is enter for block b of layout l.
func (p *Profiler) enterBytes(b []byte, l galloc.Layout) {
	p.enter(unsafe.Pointer(unsafe.SliceData(b)), l, max(uintptr(len(b)), p.occupied(l)))
}
