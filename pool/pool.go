// Package pool is an allocator of blocks that all have the same size.
//
// A [Pool] takes slabs from another allocator and cuts them into blocks; [Of] is the same for
// values of a type. Getting a block and putting it back take a few nanoseconds, whatever their
// number, and nothing is lost between blocks.
//
//	nodes, err := pool.NewOf[node](nil)
//	defer nodes.Close()
//	n, err := nodes.Get()
//	nodes.Put(n)
//
// # Which blocks are free
//
// The free blocks of a slab are a list, the last one put being the first one to be got. Its
// links are not in the blocks but in an array of their own, one of 4 bytes for each block: so
// what is written to a block after it was put back cannot lead the pool astray, and the link of
// a block that is not free says so, by which every block that is put back twice is found out,
// unless it has been got again meanwhile. The idea is that of Kenwright's fixed-size pool (2012),
// with the list apart from the memory.
package pool

import (
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Pool allocates blocks of one layout. It must not be copied, nor used by several goroutines at
// once.
//
// It is a [galloc.Allocator] for every layout that fits into a block, and refuses others with
// galloc.ErrUnsupported. All of a block is usable: see UsableSize. It has no AllocateZeroed of its
// own, since it does not know what is zero.
type Pool struct {
	hot    *slab   // where the next block comes from: in slabs, or noSlab
	stride uintptr // the usable size of a block, and the distance to the next one
	inv    uint64  // 2^32/stride, rounded up: see index
	align  uintptr // of a block

	slabs    []*slab
	live     int // blocks that are got
	capacity int // blocks of all slabs
	limit    int // of capacity, or math.MaxInt
	upstream galloc.Allocator
}

// slab is a row of blocks, and the links of those that have been used. The blocks from
// len(links) on have never been got. Blocks are linked by their offsets, not by their indices: so
// nothing is multiplied on the way from one Put or Get to the next.
//
//	len(links) <= cap(links) == bytes/stride
//	links[i] == inUse if block i is got; otherwise it is the offset of the next free block, or none
type slab struct {
	base  unsafe.Pointer
	bytes uintptr
	free  uint32 // offset of the first free block, or none
	links []uint32
}

const (
	none  = math.MaxUint32     // after the last free block
	inUse = math.MaxUint32 - 1 // beyond all offsets, too

	maxSlab   = 1 << 30 // bytes; if a block is larger, it is a slab of its own
	firstSlab = 4096    // bytes, if that is 8 blocks or more
	fresh     = 64      // blocks that are linked at a time when they are first used
)

// noSlab stands for the one that blocks come from as long as there is none.
var noSlab = slab{free: none}

var (
	_ galloc.Resizer     = (*Pool)(nil)
	_ galloc.UsableSizer = (*Pool)(nil)
	_ galloc.Owner       = (*Pool)(nil)
	_ galloc.Resetter    = (*Pool)(nil)
)

// New returns an empty pool of blocks of layout l on upstream; nil stands for galloc.Global. The
// size of a block is rounded up to the alignment, and is a byte at least. It takes no memory
// before it is used. A pool that is not needed any more must be closed.
func New(upstream galloc.Allocator, l galloc.Layout) *Pool {
	if upstream == nil {
		upstream = galloc.Global
	}
	p := &Pool{hot: &noSlab, upstream: upstream, limit: math.MaxInt, align: l.Align()}
	p.stride = max(l.PadToAlign().Size(), 1)
	p.inv = math.MaxUint32/uint64(p.stride) + 1
	return p
}

// Get returns a block, or nil if there is no memory. The content is undefined; the caller owns
// it until it is put back. It costs some 20 instructions, and now and then a slab of the upstream.
func (p *Pool) Get() unsafe.Pointer {
	if q := p.pop(); q != nil {
		return q
	}
	q, _ := p.more()
	return q
}

// pop takes the first free block of the hot slab, or returns nil if that has none.
func (p *Pool) pop() unsafe.Pointer {
	s := p.hot
	at := s.free
	i := p.index(uintptr(at))
	if at == none || i >= uint(len(s.links)) { // the latter never: it saves a check that would panic
		return nil
	}
	s.free, s.links[i] = s.links[i], inUse
	p.live++
	return unsafe.Add(s.base, at) // SAFETY: at is the offset of a block
}

// Put takes back the block at q. It panics if there is no block of this pool, or one that has
// been put back already and not been got again. It does nothing if q is nil. It costs some 30
// instructions, and some more if the block is of another slab than the one before.
func (p *Pool) Put(q unsafe.Pointer) {
	if !p.push(p.hot, q) {
		p.putElsewhere(q)
	}
}

// push makes the block at q the first free one of s, and reports whether it has: it has not if
// there is no block of s at q, or one that is not got.
func (p *Pool) push(s *slab, q unsafe.Pointer) bool {
	at := uintptr(q) - uintptr(s.base)
	i := p.index(at)
	if i >= uint(len(s.links)) || s.links[i] != inUse || uintptr(i)*p.stride != at {
		return false
	}
	s.links[i], s.free = s.free, uint32(at)
	p.live--
	return true
}

// index returns the index of the block at offset at of a slab: at/stride, if stride divides at,
// and otherwise some number. It multiplies by the reciprocal: with inv*stride = 2^32 + e, e < stride,
//
//	at*inv / 2^32 = i + i*e/2^32 for at = i*stride, and i*e <= at <= maxSlab
func (p *Pool) index(at uintptr) uint { return uint(uint64(at) * p.inv >> 32) }
