package pool

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// What happens when the hot slab has no free block, and where slabs come from and go.

// more is pop where the hot slab has no free block: it looks for one that has, then for blocks
// that were never used, then for a new slab. There are few slabs, since each is as large as all
// before it.
func (p *Pool) more() (unsafe.Pointer, error) {
	for _, s := range p.slabs {
		if s.free != none {
			p.hot = s
			return p.pop(), nil
		}
	}
	for _, s := range p.slabs {
		if s.link() {
			p.hot = s
			return p.pop(), nil
		}
	}
	if err := p.take(1, max(p.capacity, int(firstSlab/p.stride), 8)); err != nil {
		return nil, err
	}
	return p.more()
}

// link makes some blocks that were never used free ones, lower addresses first, and reports
// whether there were any. A few at a time: so memory is touched when it is needed.
func (s *slab) link() bool {
	from := len(s.links)
	to := min(from+fresh, cap(s.links))
	if from == to {
		return false
	}
	s.links = s.links[:to]
	stride := s.bytes / uintptr(cap(s.links))
	for i := from; i < to; i++ {
		s.links[i] = uint32(uintptr(i+1) * stride)
	}
	s.links[to-1], s.free = none, uint32(uintptr(from)*stride)
	return true
}

// take adds a slab of wanted blocks. If the upstream does not have as many, half of them will do,
// and so on, down to least.
func (p *Pool) take(least, wanted int) error {
	most := min(p.perSlab(), p.limit-min(p.capacity, p.limit))
	if least > most {
		return galloc.ErrOutOfMemory
	}
	for n := max(least, min(wanted, most)); ; n = max(n/2, least) {
		s, err := p.newSlab(uintptr(n))
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

// perSlab returns how many blocks a slab can have.
func (p *Pool) perSlab() int { return max(1, int(maxSlab/max(p.stride, 4))) } // 4, since its links are a block too

// newSlab takes a slab of n blocks and its links from the upstream.
func (p *Pool) newSlab(n uintptr) (*slab, error) {
	blocks, links := p.layouts(n)
	b, err := p.upstream.Allocate(blocks)
	if err != nil {
		return nil, err
	}
	base := unsafe.Pointer(unsafe.SliceData(b))
	k, err := p.upstream.Allocate(links)
	if err != nil {
		p.upstream.Deallocate(base, blocks)
		return nil, err
	}
	// SAFETY: links is the layout of n numbers of 4 bytes. They are undefined, and written before they are read.
	all := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(k))), n)
	return &slab{base: base, bytes: n * p.stride, free: none, links: all[:0]}, nil
}

// layouts returns the layouts of n blocks and of their links, for an n that they exist for.
func (p *Pool) layouts(n uintptr) (blocks, links galloc.Layout) {
	blocks, _ = galloc.NewLayout(n*p.stride, p.align)
	links, _ = galloc.NewLayout(n*4, 4)
	return blocks, links
}

// putElsewhere is Put where the block is not of the hot slab. Its slab becomes the hot one.
func (p *Pool) putElsewhere(q unsafe.Pointer) {
	if q == nil {
		return
	}
	s := p.find(q)
	if s == nil || !p.push(s, q) {
		p.misuse(q, s)
	}
	p.hot = s
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
// Allocate does; it may have taken slabs then nevertheless.
func (p *Pool) Reserve(n int) error {
	for n > p.capacity-p.live {
		missing := n - (p.capacity - p.live)
		if missing > p.limit-min(p.capacity, p.limit) {
			return galloc.ErrOutOfMemory
		}
		least := min(missing, p.perSlab())
		if err := p.take(least, least); err != nil {
			return err
		}
	}
	return nil
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
		s.links, s.free = s.links[:0], none
	}
	p.live = 0
}

// Close invalidates all blocks, and gives all slabs back to the upstream. The pool is then as New
// has made it, with the same limit, and may be used again.
func (p *Pool) Close() {
	for _, s := range p.slabs {
		blocks, links := p.layouts(uintptr(cap(s.links)))
		p.upstream.Deallocate(unsafe.Pointer(unsafe.SliceData(s.links)), links)
		p.upstream.Deallocate(s.base, blocks)
	}
	p.slabs, p.hot, p.live, p.capacity = nil, &noSlab, 0, 0
}

// Stats is what a pool has.
type Stats struct {
	Live     int     // blocks that are got, and not put back
	Capacity int     // blocks of all slabs, live or free
	Bytes    uintptr // of the upstream: the blocks, and 4 bytes for each
}

// Stats returns what the pool has. It costs a few instructions.
func (p *Pool) Stats() Stats {
	return Stats{p.live, p.capacity, uintptr(p.capacity) * (p.stride + 4)}
}
