package pool

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/misuse"
)

// The pool as an Allocator.

// Allocate returns a whole block if l fits in one, and galloc.ErrUnsupported otherwise. If memory
// runs out, the error is galloc.ErrLimit at the limit of the pool, or else the error of the
// upstream. A block of size 0 takes no memory.
func (p *Pool) Allocate(l galloc.Layout) ([]byte, error) {
	if !p.fits(l.Size(), l.Align()) {
		return nil, galloc.ErrUnsupported
	}
	if l.Size() == 0 {
		return block.Bytes(l.Dangling(), 0), nil
	}
	q := p.pop()
	if q == nil {
		var err error
		if q, err = p.getSlow(); err != nil {
			return nil, err
		}
	}
	return block.Bytes(q, p.stride), nil
}

// Deallocate puts back the block at q, as Put does. It panics if l does not fit in a block. It
// ignores blocks of size 0.
func (p *Pool) Deallocate(q unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	if !p.fits(l.Size(), l.Align()) {
		panic(fmt.Sprintf("galloc/pool: %v: Deallocate of %p with %v, but blocks have %d bytes (align %d)",
			misuse.WrongLayout, q, l, p.stride, p.align))
	}
	if q == nil {
		p.misuse(q, nil)
	}
	p.Put(q)
}

// fits reports whether a block can have the size and alignment.
func (p *Pool) fits(size, align uintptr) bool {
	return size == 0 || size <= p.stride && align <= p.align
}

// Resize reports whether newSize fits in a block. It changes nothing, as all blocks have the same
// size.
func (p *Pool) Resize(_ unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return newSize == l.Size() || newSize != 0 && l.Size() != 0 && newSize <= p.stride
}

// UsableSize returns the size of a block if l fits in one, and l.Size() otherwise.
func (p *Pool) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || !p.fits(l.Size(), l.Align()) {
		return l.Size()
	}
	return p.stride
}

// Owns reports whether q is the address of a block that Get has returned, even if it was put back
// since. Its cost depends on the number of slabs, which is small.
func (p *Pool) Owns(q unsafe.Pointer) bool {
	s := p.find(q)
	if s == nil {
		return false
	}
	at := uintptr(q) - uintptr(s.base)
	return at%p.stride == 0 && at/p.stride < uintptr(s.used())
}

// Upstream returns the allocator of the slabs.
func (p *Pool) Upstream() galloc.Allocator { return p.upstream }

// String returns the size and alignment of a block and the name of the upstream.
func (p *Pool) String() string {
	return fmt.Sprintf("pool of %d bytes (align %d) on %v", p.stride, p.align, block.Name(p.upstream))
}
