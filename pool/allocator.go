package pool

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The pool as an Allocator.

// Allocate returns a block, with all of its bytes, if l fits into one. Otherwise the error is
// galloc.ErrUnsupported; galloc.ErrOutOfMemory where the limit is reached; or else the
// upstream's. Size 0 takes no block.
func (p *Pool) Allocate(l galloc.Layout) ([]byte, error) {
	if !p.fits(l.Size(), l.Align()) {
		return nil, galloc.ErrUnsupported
	}
	if l.Size() == 0 {
		return unsafe.Slice((*byte)(l.Dangling()), 0), nil
	}
	q := p.pop()
	if q == nil {
		var err error
		if q, err = p.more(); err != nil {
			return nil, err
		}
	}
	return unsafe.Slice((*byte)(q), p.stride), nil // SAFETY: that is the size of a block
}

// Deallocate takes back the block at q, as Put does, which l must fit: it panics if no block of
// this pool is as l says. It ignores blocks of size 0.
func (p *Pool) Deallocate(q unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	if q == nil || !p.fits(l.Size(), l.Align()) {
		panic(fmt.Sprintf("galloc/pool: Deallocate of %p with %v, but blocks have %d bytes, aligned to %d", q, l, p.stride, p.align))
	}
	p.Put(q)
}

// fits reports whether a block can have the size and alignment.
func (p *Pool) fits(size, align uintptr) bool {
	return size == 0 || size <= p.stride && align <= p.align
}

// Resize reports whether a block can have newSize bytes, in which case it has them already.
func (p *Pool) Resize(_ unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return newSize == l.Size() || newSize != 0 && l.Size() != 0 && newSize <= p.stride
}

// UsableSize returns the size of a block, if l fits into one.
func (p *Pool) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || !p.fits(l.Size(), l.Align()) {
		return l.Size()
	}
	return p.stride
}

// Owns reports whether there is a block of this pool at q that is got, or was. It costs time by
// the number of slabs, which are few.
func (p *Pool) Owns(q unsafe.Pointer) bool {
	s := p.find(q)
	if s == nil {
		return false
	}
	at := uintptr(q) - uintptr(s.base)
	return at%p.stride == 0 && at/p.stride < uintptr(s.begun())
}

// Upstream returns where the slabs come from.
func (p *Pool) Upstream() galloc.Allocator { return p.upstream }

// String returns a name with the size and alignment of a block, and the upstream.
func (p *Pool) String() string {
	return fmt.Sprintf("pool of %d bytes (align %d) on %v", p.stride, p.align, named(p.upstream))
}

// named returns what fmt prints a short name for: a, or its type if it has no String.
func named(a galloc.Allocator) any {
	if s, ok := a.(fmt.Stringer); ok {
		return s
	}
	return fmt.Sprintf("%T", a)
}
