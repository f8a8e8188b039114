package pool

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// What happens when the hot slab has no free block, and where slabs come from and go.

// more is pop where the hot slab has no free block: it looks for one that has, then for blocks
// that were never used, then for a new slab. There are few slabs, since each is as large as all
// before it.
func (p *Pool) more() (unsafe.Pointer, error) {
	for _, s := range p.slabs {
		if s.free != 0 {
			p.hot = s
			return p.pop(), nil
		}
	}
	for _, s := range p.slabs {
		if s.begin(p.stride) {
			p.hot = s
			return p.pop(), nil
		}
	}
	if err := p.take(1, max(p.capacity, int(firstSlab/p.stride), 8)); err != nil {
		return nil, err
	}
	return p.more()
}

// begin makes the next 64 blocks that were never used free ones, or as many as there are, lower
// addresses first, and reports whether there were any. A few at a time: so memory is touched when it
// is needed. No block of s is free.
func (s *slab) begin(stride uintptr) bool {
	from := s.begun()
	n := min(64, len(s.stack)-from)
	if n == 0 {
		return false
	}
	for i := range n {
		s.stack[i] = uint32(uintptr(from+n-1-i) * stride)
	}
	s.free = uint(n)
	s.got = s.got[:from+n]
	clear(s.got[from:])
	return true
}

// begun returns how many blocks have been used.
func (s *slab) begun() int { return len(s.got) }

// take adds a slab of wanted blocks. If the upstream does not have as many, half of them will do,
// and so on, down to least.
func (p *Pool) take(least, wanted int) error {
	most := min(p.perSlab(), p.limit-min(p.capacity, p.limit))
	if least > most {
		return galloc.ErrOutOfMemory
	}
	for n := max(least, min(wanted, most)); ; n = max(n/2, least) {
		s, err := p.newSlab(n)
		if err == nil {
			p.slabs = append(p.slabs, s)
			p.capacity += n
			return nil
		}
		if n == least {
			return err
		}
	}
}

// perSlab returns how many blocks a slab can have, such that its table is not too large either.
func (p *Pool) perSlab() int { return max(1, int(maxSlab/max(p.stride, 5))) }

// newSlab takes a slab of n blocks and its table from the upstream.
func (p *Pool) newSlab(n int) (*slab, error) {
	blocks, table := p.layouts(n)
	if blocks.Size() == 0 { // a block of half of the addresses
		return nil, galloc.ErrUnsupported
	}
	b, err := p.upstream.Allocate(blocks)
	if err != nil {
		return nil, err
	}
	base := unsafe.Pointer(unsafe.SliceData(b))
	t, err := p.upstream.Allocate(table)
	if err != nil {
		p.upstream.Deallocate(base, blocks)
		return nil, err
	}
	// SAFETY: table is the layout of 4 bytes for each block, and then a byte for each. They are undefined, and written before they are read.
	stack := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(t))), n)
	got := unsafe.Slice((*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(t)), 4*n)), n)
	return &slab{base: base, bytes: uintptr(n) * p.stride, stack: stack, got: got[:0]}, nil
}

// layouts returns the layouts of n blocks, for an n that it exists for, and of their table.
func (p *Pool) layouts(n int) (blocks, table galloc.Layout) {
	blocks, _ = galloc.NewLayout(uintptr(n)*p.stride, p.align)
	table, _ = galloc.NewLayout(uintptr(n)*5, 4)
	return blocks, table
}

// putElsewhere is Put where there is no block of the hot slab at q, or one that is not got. The slab of q
// becomes the hot one.
func (p *Pool) putElsewhere(q unsafe.Pointer) {
	if q == nil {
		return
	}
	s := p.find(q)
	if s == nil || s == p.hot {
		p.misuse(q, s)
	}
	p.hot = s
	p.Put(q)
}

// find returns the slab that q lies in, or nil. It looks at the last ones first, which have the
// most blocks.
func (p *Pool) find(q unsafe.Pointer) *slab {
	for i := len(p.slabs) - 1; i >= 0; i-- {
		if s := p.slabs[i]; uintptr(q)-uintptr(s.base) < s.bytes {
			return s
		}
	}
	return nil
}

// misuse panics with what is wrong with q, which was put back, and lies in s unless that is nil.
func (p *Pool) misuse(q unsafe.Pointer, s *slab) {
	switch {
	case s == nil:
		panic(fmt.Sprintf("galloc/pool: Put of %p, which is not in this pool", q))
	case (uintptr(q)-uintptr(s.base))%p.stride != 0:
		panic(fmt.Sprintf("galloc/pool: Put of %p, which is inside of a block, not at the start of one", q))
	}
	panic(fmt.Sprintf("galloc/pool: Put of %p, a block that was put back already, or never got", q))
}

// Reserve makes sure that the next n calls of Get need nothing of the upstream. It fails as
// Allocate does, and has then given back what it has taken. It may take as many blocks as there are
// already, so that many small reservations do not make as many slabs.
func (p *Pool) Reserve(n int) error {
	before, live := len(p.slabs), p.live()
	for {
		missing := n - (p.capacity - live)
		if missing <= 0 {
			return nil
		}
		var err error = galloc.ErrOutOfMemory
		if missing <= p.limit-min(p.capacity, p.limit) {
			least := min(missing, p.perSlab())
			err = p.take(least, max(least, p.capacity))
		}
		if err != nil {
			p.drop(before)
			return err
		}
	}
}

// SetLimit sets how many blocks the pool may have, got or free; a negative number stands for no
// limit, as it is at first. Get fails where it would need more. Slabs that exceed a new limit
// stay.
func (p *Pool) SetLimit(blocks int) {
	if blocks < 0 {
		blocks = math.MaxInt
	}
	p.limit = blocks
}

// Reset invalidates all blocks, and keeps the slabs for new ones. It costs time by the number of
// slabs.
func (p *Pool) Reset() {
	for _, s := range p.slabs {
		s.free, s.got = 0, s.got[:0]
	}
}

// Close invalidates all blocks, and gives all slabs back to the upstream. The pool is then as New
// has made it, with the same limit, and may be used again.
func (p *Pool) Close() {
	p.hot = &noSlab
	p.drop(0)
	p.slabs = nil
}

// drop gives the slabs from n on back to the upstream.
func (p *Pool) drop(n int) {
	for _, s := range p.slabs[n:] {
		blocks, table := p.layouts(len(s.stack))
		p.capacity -= len(s.stack)
		p.upstream.Deallocate(s.table(), table)
		p.upstream.Deallocate(s.base, blocks)
	}
	p.slabs = slices.Delete(p.slabs, n, len(p.slabs))
}

// table returns the address of the table.
func (s *slab) table() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s.stack)) }

// Stats is what a pool has.
type Stats struct {
	Live     int     // blocks that are got, and not put back
	Capacity int     // blocks of all slabs, live or free
	Bytes    uintptr // of the upstream: the blocks, and 5 bytes for each
}

// Stats returns what the pool has. It costs time by the number of slabs.
func (p *Pool) Stats() Stats {
	s := Stats{Live: p.live(), Capacity: p.capacity}
	for _, slab := range p.slabs {
		blocks, table := p.layouts(len(slab.stack))
		s.Bytes += blocks.Size() + table.Size()
	}
	return s
}

// live returns how many blocks are got.
func (p *Pool) live() int {
	n := 0
	for _, s := range p.slabs {
		n += s.begun() - int(s.free)
	}
	return n
}
