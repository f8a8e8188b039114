// Package pool allocates blocks that all have the same size.
//
// A [Pool] allocates slabs from another allocator, its upstream, and divides them into blocks. [Of]
// is a pool of values of one type. Get and Put take a few nanoseconds, whatever the number of
// blocks, and no memory is lost between blocks.
//
//	nodes, err := pool.NewOf[node](nil)
//	defer nodes.Close()
//	n, err := nodes.Get()
//	nodes.Put(n)
//
// # Free blocks
//
// The free blocks of a slab form a stack: Get returns the block that was put back last. A byte per
// block marks the blocks in use. Stack and marks take 5 bytes per block, outside the blocks. So a
// write after Put cannot corrupt the pool, and every second Put of a block is detected, unless Get
// has returned the block in between. A pool works mostly at the top of a stack and touches one byte
// per block besides: the bytes of a million blocks stay in the cache, where a million links would
// not.
//
// The design is Kenwright's fixed-size pool (2012), in which unused memory needs no preparation,
// but with the list of free blocks outside the memory.
package pool

import (
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
)

// Pool allocates blocks of one layout. It must not be copied and is not safe for concurrent use.
//
// It is a [galloc.Allocator] too, but not a GlobalAlloc: it allocates every layout that fits in a
// block and fails with galloc.ErrUnsupported otherwise. All bytes of a block are usable: see
// UsableSize. Blocks are not zeroed.
type Pool struct {
	_ block.NoCopy

	hot    *slab   // the slab of the next block: an element of slabs, or noSlab
	stride uintptr // the usable size of a block, and the distance to the next block
	inv    uint64  // 2^32/stride, rounded up: see index
	align  uintptr // of a block

	slabs    []*slab
	capacity int // number of blocks of all slabs
	limit    int // of capacity, or 0
	upstream galloc.Allocator
}

// slab is an array of blocks. Blocks from used() on have never been in use, and their stack entries
// and marks are not written yet.
//
//	len(stack) == bytes/stride, the number of blocks
//	len(got) == used()
//	block i < used() is in use, and got[i] == 1,
//	or free, and got[i] == 0 and i*stride is in stack[:free] once
type slab struct {
	base  unsafe.Pointer
	bytes uintptr
	stack []uint32 // offsets of free blocks; Get takes the last
	free  uint     // number of free blocks below used()
	got   []uint8
}

const (
	maxSlab   = 1 << 30 // bytes; a larger block has its own slab
	firstSlab = 4096    // bytes, if that is at least 8 blocks
)

// noSlab is the hot slab of a pool without slabs. It has no free block.
var noSlab slab

var (
	_ galloc.Resizer     = (*Pool)(nil)
	_ galloc.UsableSizer = (*Pool)(nil)
	_ galloc.Owner       = (*Pool)(nil)
	_ galloc.Resetter    = (*Pool)(nil)
)

// New returns an empty pool of blocks of layout l on upstream, or on galloc.Global if upstream is
// nil. The size of a block is l.Size() rounded up to a multiple of the alignment, and at least the
// alignment. New allocates nothing, and panics if upstream is a nil pointer or a zero heap.Heap.
// Close frees the memory of the pool.
func New(upstream galloc.Allocator, l galloc.Layout) *Pool {
	if upstream == nil {
		upstream = galloc.Global
	}
	bridge.CheckAllocator("galloc/pool", upstream)
	p := &Pool{hot: &noSlab, upstream: upstream, align: l.Align()}
	p.stride = max(l.PadToAlign().Size(), l.Align())
	p.inv = math.MaxUint32/uint64(p.stride) + 1
	return p
}

// Get returns a block, or nil if memory runs out. Its content is undefined. The block is valid
// until it is put back. Get takes about 20 instructions, unless it needs a new slab.
func (p *Pool) Get() unsafe.Pointer {
	if q := p.pop(); q != nil {
		return q
	}
	q, _ := p.getSlow()
	return q
}

// pop takes the last free block of the hot slab, or returns nil if it has none.
func (p *Pool) pop() unsafe.Pointer {
	s := p.hot
	if s.free == 0 {
		return nil
	}
	s.free--
	at := *s.at(s.free)
	// SAFETY: the stack contains offsets of blocks below used(). The mark is a byte, because a bit
	// would have to wait for the word that the previous Put has changed.
	*(*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s.got)), p.index(uintptr(at)))) = 1
	return unsafe.Add(s.base, at)
}

// at returns the address of stack[n] without a bounds check, which would slow down Get and Put.
func (s *slab) at(n uint) *uint32 {
	// SAFETY: n < len(stack). pop decrements n, which was not 0. Put has found a block in use, so
	// fewer than len(stack) are free.
	return (*uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s.stack)), 4*n))
}

// Put puts back the block at q, which is then free. It panics if q is not a block of this pool, or
// is free already. It does nothing if q is nil. Put takes about 30 instructions, and a few more if
// the block is not in the slab of the previous one.
func (p *Pool) Put(q unsafe.Pointer) {
	s := p.hot
	at := uintptr(q) - uintptr(s.base)
	i := p.index(at)
	if i >= uint(len(s.got)) || s.got[i] == 0 || uintptr(i)*p.stride != at {
		p.putSlow(q)
		return
	}
	s.got[i] = 0
	*s.at(s.free) = uint32(at)
	s.free++
}

// index returns the index of the block at offset at of a slab: at/stride if stride divides at, and
// some other number if not. It multiplies by the reciprocal. With inv*stride = 2^32 + e, e <
// stride:
//
//	at*inv / 2^32 = i + i*e/2^32 for at = i*stride, and i*e <= at <= maxSlab
func (p *Pool) index(at uintptr) uint { return uint(uint64(at) * p.inv >> 32) }
