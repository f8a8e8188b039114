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
// The free blocks of a slab are on a stack, the last one put being the first one to be got. What
// is not free is marked. Both stand apart from the blocks, and take 4 bytes and one byte for each:
// so what is written to a block after it was put back cannot lead the pool astray, and every block
// that is put back twice is found out, unless it has been got again meanwhile. A pool is mostly used
// at the top of a stack, and otherwise touches a byte for each block: those of a million blocks stay in
// the cache, where a million links would not.
//
// The idea is that of Kenwright's fixed-size pool (2012), in which what has never been used needs no
// preparation, with the list apart from the memory.
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
	capacity int // blocks of all slabs
	limit    int // of capacity, or math.MaxInt
	upstream galloc.Allocator
}

// slab is a row of blocks, and what is known of those that have been used. The others, from begun()
// on, have never been got, and what is known of them is not written yet.
//
//	len(stack) == bytes/stride, the number of blocks
//	len(got) == begun()
//	block i < begun() is got or free: got[i] == 1, or got[i] == 0 and i*stride is in stack[:free], once
type slab struct {
	base  unsafe.Pointer
	bytes uintptr
	stack []uint32 // offsets of free blocks; the last one is got first
	free  uint     // how many there are
	got   []uint8
}

const (
	maxSlab   = 1 << 30 // bytes; if a block is larger, it is a slab of its own
	firstSlab = 4096    // bytes, if that is 8 blocks or more
)

// noSlab stands for the one that blocks come from as long as there is none.
var noSlab slab

var (
	_ galloc.Resizer     = (*Pool)(nil)
	_ galloc.UsableSizer = (*Pool)(nil)
	_ galloc.Owner       = (*Pool)(nil)
	_ galloc.Resetter    = (*Pool)(nil)
)

// New returns an empty pool of blocks of layout l on upstream; nil stands for galloc.Global. The
// size of a block is rounded up to a multiple of the alignment that is not 0. It takes no memory
// before it is used. A pool that is not needed any more must be closed.
func New(upstream galloc.Allocator, l galloc.Layout) *Pool {
	if upstream == nil {
		upstream = galloc.Global
	}
	p := &Pool{hot: &noSlab, upstream: upstream, limit: math.MaxInt, align: l.Align()}
	p.stride = max(l.PadToAlign().Size(), l.Align())
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

// pop takes the last free block of the hot slab, or returns nil if that has none.
func (p *Pool) pop() unsafe.Pointer {
	s := p.hot
	if s.free == 0 {
		return nil
	}
	s.free--
	at := *s.at(s.free)
	// SAFETY: what is on the stack is the offset of a block < begun(). The mark is a byte, since a bit would have to wait for the
	// word that the Put before has changed.
	*(*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s.got)), p.index(uintptr(at)))) = 1
	return unsafe.Add(s.base, at)
}

// at returns where the stack has its element n. Its bounds need no check, which is worth it in Get and Put.
func (s *slab) at(n uint) *uint32 {
	// SAFETY: n < len(stack): Get decrements n before, which is not 0; and Put has found a block that is got, so that fewer are free.
	return (*uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s.stack)), 4*n))
}

// Put takes back the block at q. It panics if there is no block of this pool, or one that has
// been put back already and not been got again. It does nothing if q is nil. It costs some 30
// instructions, and some more if the block is of another slab than the one before.
func (p *Pool) Put(q unsafe.Pointer) {
	s := p.hot
	at := uintptr(q) - uintptr(s.base)
	i := p.index(at)
	if i >= uint(len(s.got)) || s.got[i] == 0 || uintptr(i)*p.stride != at {
		p.putElsewhere(q)
		return
	}
	s.got[i] = 0
	*s.at(s.free) = uint32(at)
	s.free++
}

// index returns the index of the block at offset at of a slab: at/stride, if stride divides at,
// and otherwise some number. It multiplies by the reciprocal: with inv*stride = 2^32 + e, e < stride,
//
//	at*inv / 2^32 = i + i*e/2^32 for at = i*stride, and i*e <= at <= maxSlab
func (p *Pool) index(at uintptr) uint { return uint(uint64(at) * p.inv >> 32) }
