package bufpool

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// mustGet is Get where the cache has no buffer.
func (p *Pool) mustGet(n int) *Buffer {
	b, err := p.getSlow(n)
	if err != nil {
		fail(err)
	}
	return b
}

// fail does not return: it aborts the program if err reports that memory ran out, and panics with
// err if n was too large for any block.
func fail(err error) {
	var e *galloc.AllocError
	if errors.As(err, &e) && e.Layout() != (galloc.Layout{}) {
		galloc.HandleAllocError(e.Layout())
	}
	panic(err)
}

// getSlow is TryGet where the cache has no buffer.
func (p *Pool) getSlow(n int) (*Buffer, error) {
	if n < 0 {
		panic(fmt.Sprintf("galloc/bufpool: Get of a negative length (%d)", n))
	}
	p.prepare()
	class := classOf(n)
	if b, guard := p.takeSlow(class); b != nil {
		b.hand(n)
		return b, nil
	} else if guard {
		if b := p.getGuarded(n); b != nil {
			return b, nil
		}
	}
	l, err := layoutFor(n, class)
	if err != nil {
		return nil, err
	}
	block, err := p.alloc.Allocate(l)
	if err != nil && p.Trim() > 0 {
		block, err = p.alloc.Allocate(l)
	}
	if err != nil {
		return nil, forLayout(err, l)
	}
	b := p.newHeader()
	b.b, b.class = block[:l.Size():l.Size()], uint8(class)
	if class >= numClasses {
		b.class, b.flags = numClasses, large
	}
	b.hand(n)
	return b, nil
}

// layoutFor returns the layout of a block for n bytes.
func layoutFor(n int, class uint) (galloc.Layout, error) {
	size := uintptr(n)
	if class < numClasses {
		size = uintptr(sizeOf(class))
	}
	l, err := galloc.NewLayout(size, blockAlign)
	if err == nil && class >= numClasses {
		if rounded, err := galloc.NewLayout((size+largeStep-1)&^(largeStep-1), blockAlign); err == nil {
			return rounded, nil
		}
	}
	return l, err
}

// forLayout returns err, an error of an allocator, with the layout of the request.
func forLayout(err error, l galloc.Layout) error {
	var e *galloc.AllocError
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("%w (%w)", galloc.ErrOutOfMemory.For(l), err)
	case e.Layout() == (galloc.Layout{}):
		return e.For(l)
	}
	return err
}

// putSlow is Put of a buffer that has flags, or for which the cache has no room, or that must not
// be put back.
func (p *Pool) putSlow(b *Buffer) {
	if b == nil {
		return
	}
	switch refs := atomic.LoadInt32(&b.refs); {
	case b.pool != p:
		panic("galloc/bufpool: Put of a buffer of another pool: call its method Release")
	case refs > 1:
		panic(fmt.Sprintf("galloc/bufpool: Put of a buffer with %d owners: each of them must call Release", refs))
	case refs < 1:
		p.putTwice(b)
		return
	}
	if b.flags&scoped != 0 {
		b.scope.remove(b)
	}
	switch {
	case b.flags&guarded != 0:
		p.putGuarded(b)
	case b.flags != 0 || !p.keep(b):
		p.free(b)
	}
}

// free frees the block and the header of a buffer that is in no list.
func (p *Pool) free(b *Buffer) {
	b.refs = 0
	block := b.b[:cap(b.b)]
	b.b, b.flags = nil, 0
	p.dealloc(block)
	p.mu.Lock()
	p.headers.free(b)
	p.mu.Unlock()
}

func (p *Pool) dealloc(block []byte) {
	l, _ := galloc.NewLayout(uintptr(cap(block)), blockAlign)
	p.alloc.Deallocate(unsafe.Pointer(unsafe.SliceData(block)), l)
}

// newHeader returns a Buffer without a block.
func (p *Pool) newHeader() *Buffer {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.headers.take()
	b.pool = p
	return b
}

// headers are the Buffers of a pool. They are kept apart from the memory of the buffers, on the Go
// heap, so that a method of a buffer that was put back finds a Buffer in any case.
//
//	total == Buffers in slabs == len(spare list) + Buffers with a block + retired ones
type headers struct {
	slabs []*[slabLength]Buffer
	spare link // linked by next
	total int
	idle  int // in the spare list
}

const slabLength = 63 // with the header of the Go object, a size class of the Go heap

func (h *headers) take() *Buffer {
	if h.spare.buffer() == nil {
		s := new([slabLength]Buffer)
		h.slabs = append(h.slabs, s)
		for i := range s {
			h.free(&s[i])
		}
		h.total += slabLength
	}
	b := h.spare.buffer()
	h.spare = b.next
	b.next = link{}
	h.idle--
	return b
}

// free adds b to the spare list. When all Buffers are there, the garbage collector gets them.
func (h *headers) free(b *Buffer) {
	b.next = h.spare
	h.spare.set(b)
	if h.idle++; h.idle == h.total && h.total > slabLength {
		*h = headers{}
	}
}
