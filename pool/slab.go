package pool

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/misuse"
)

// The slow paths of Get and Put, and the slabs.

// getSlow is Get if the hot slab has no free block. It takes a free block of another slab, or a
// block that was never in use, or adds a slab. There are few slabs, because each is as large as all
// before it.
func (p *Pool) getSlow() (unsafe.Pointer, error) {
	for _, s := range p.slabs {
		if s.free != 0 {
			p.hot = s
			return p.pop(), nil
		}
	}
	for _, s := range p.slabs {
		if s.extend(p.stride) {
			p.hot = s
			return p.pop(), nil
		}
	}
	if err := p.addSlab(1, max(p.capacity, int(firstSlab/p.stride), 8)); err != nil {
		return nil, err
	}
	return p.getSlow()
}

// extend frees the next blocks of s that were never in use, at most 64, so that memory is touched
// only when it is needed. It reports whether there were any. Lower addresses are used first. No
// other block of s may be free.
func (s *slab) extend(stride uintptr) bool {
	from := s.used()
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

// used returns the number of blocks that are or were in use, or are ready for it.
func (s *slab) used() int { return len(s.got) }

// addSlab adds a slab of wanted blocks. If the upstream fails, it tries half the number, and so on
// down to need.
func (p *Pool) addSlab(need, wanted int) error {
	limit := min(p.maxBlocks(), p.room())
	if need > limit {
		return galloc.ErrLimit
	}
	for n := max(need, min(wanted, limit)); ; n = max(n/2, need) {
		s, err := p.newSlab(n)
		if err == nil {
			p.slabs = append(p.slabs, s)
			p.capacity += n
			return nil
		}
		if n == need {
			return err
		}
	}
}

// maxBlocks returns the largest number of blocks in a slab. It bounds the size of the table too.
func (p *Pool) maxBlocks() int { return max(1, int(maxSlab/max(p.stride, 5))) }

// room returns the number of blocks by which the capacity may grow.
func (p *Pool) room() int {
	if p.limit == 0 {
		return math.MaxInt
	}
	return max(0, p.limit-p.capacity)
}

// newSlab allocates a slab of n blocks and its table from the upstream.
func (p *Pool) newSlab(n int) (*slab, error) {
	blocks, table := p.layouts(n)
	if blocks.Size() == 0 { // no layout has room for a block
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
	// SAFETY: the table has 4 bytes for each block, and after them 1 byte for each. They are
	// written before they are read.
	stack := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(t))), n)
	got := unsafe.Slice((*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(t)), 4*n)), n)
	return &slab{base: base, bytes: uintptr(n) * p.stride, stack: stack, got: got[:0]}, nil
}

// layouts returns the layouts of n blocks and of their table. A layout that cannot exist is zero.
func (p *Pool) layouts(n int) (blocks, table galloc.Layout) {
	blocks, _ = galloc.NewLayout(uintptr(n)*p.stride, p.align)
	table, _ = galloc.NewLayout(uintptr(n)*5, 4)
	return blocks, table
}

// putSlow is Put if q is not a block in use of the hot slab. It makes the slab of q the hot one.
func (p *Pool) putSlow(q unsafe.Pointer) {
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

// find returns the slab that contains q, or nil. It starts with the last slab, which has the most
// blocks.
func (p *Pool) find(q unsafe.Pointer) *slab {
	for i := len(p.slabs) - 1; i >= 0; i-- {
		if s := p.slabs[i]; uintptr(q)-uintptr(s.base) < s.bytes {
			return s
		}
	}
	return nil
}

// misuse panics and reports why q, which is in slab s or in none, cannot be put back.
func (p *Pool) misuse(q unsafe.Pointer, s *slab) {
	switch {
	case s == nil:
		panic(fmt.Sprintf("galloc/pool: %v: Put of %p, which is not in this pool", misuse.ForeignFree, q))
	case (uintptr(q)-uintptr(s.base))%p.stride != 0:
		panic(fmt.Sprintf("galloc/pool: %v: Put of %p, which is not the start of a block", misuse.InteriorFree, q))
	}
	panic(fmt.Sprintf("galloc/pool: %v: Put of %p, which is free", misuse.DoubleFree, q))
}

// Reserve ensures that the next n calls of Get need no memory from the upstream. It fails as
// Allocate does, and then releases what it has allocated. It may as much as double the capacity, so
// that many small reservations make few slabs.
func (p *Pool) Reserve(n int) error {
	before, live := len(p.slabs), p.live()
	for {
		missing := n - (p.capacity - live)
		if missing <= 0 {
			return nil
		}
		var err error = galloc.ErrLimit
		switch {
		case missing > p.room():
		case missing > p.maxBlocks() && uint64(missing) > math.MaxInt/uint64(p.stride):
			// No address space holds as much.
			err = galloc.ErrOutOfMemory
		default:
			need := min(missing, p.maxBlocks())
			err = p.addSlab(need, max(need, p.capacity))
		}
		if err != nil {
			p.drop(before)
			return err
		}
	}
}

// SetLimit limits the capacity to n blocks, in use and free; 0 means no limit. It panics if n is
// negative. Get fails if it needs more. The pool keeps slabs that exceed a new limit.
func (p *Pool) SetLimit(n int) {
	if n < 0 {
		panic(fmt.Sprintf("galloc/pool: SetLimit(%d): the limit is negative: use 0 for no limit", n))
	}
	p.limit = n
}

// Reset frees all blocks and keeps the slabs for new ones. Its cost depends on the number of slabs.
func (p *Pool) Reset() {
	for _, s := range p.slabs {
		s.free, s.got = 0, s.got[:0]
	}
}

// Close frees all blocks and releases all slabs to the upstream. The pool is then empty, keeps its
// limit, and can be used again.
func (p *Pool) Close() {
	p.hot = &noSlab
	p.drop(0)
	p.slabs = nil
}

// drop releases the slabs from index n on to the upstream.
func (p *Pool) drop(n int) {
	for _, s := range p.slabs[n:] {
		blocks, table := p.layouts(len(s.stack))
		p.capacity -= len(s.stack)
		p.upstream.Deallocate(s.table(), table)
		p.upstream.Deallocate(s.base, blocks)
	}
	p.slabs = slices.Delete(p.slabs, n, len(p.slabs))
}

// table returns the address of the table of s.
func (s *slab) table() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s.stack)) }

// Stats is the state of a pool.
type Stats struct {
	LiveBlocks int     // blocks in use
	Capacity   int     // blocks of all slabs, in use and free
	Footprint  uintptr // bytes allocated from the upstream: the blocks, and 5 bytes for each
}

// Stats returns the state of the pool. Its cost depends on the number of slabs.
func (p *Pool) Stats() Stats {
	s := Stats{LiveBlocks: p.live(), Capacity: p.capacity}
	for _, slab := range p.slabs {
		blocks, table := p.layouts(len(slab.stack))
		s.Footprint += blocks.Size() + table.Size()
	}
	return s
}

// live returns the number of blocks in use.
func (p *Pool) live() int {
	n := 0
	for _, s := range p.slabs {
		n += s.used() - int(s.free)
	}
	return n
}
