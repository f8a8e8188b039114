// Package buddy is the binary buddy system over one region of memory: blocks are halves of
// halves, and two free halves become a whole again at once.
//
// A block has MinBlock << k bytes, for an order k, and begins at a multiple of its size within
// the region, which is taken from an upstream allocator by [New]. So half of a block is wasted at
// worst, a quarter if all sizes are equally frequent; in return, blocks of any two sizes never get stuck between
// each other, as long as their buddies are free too. It is for what comes in powers of two:
// buffers of pages, rings, textures.
//
// # Costs
//
// All methods but Reset and Stats take O(log(region/MinBlock)) steps at worst, some 20; a block
// of an order that has a free one takes 1. Of several free blocks, the one with the lowest
// address is taken, which leaves the high ones whole. What the allocator knows stands apart from
// the blocks, in a table of 4 bits for each MinBlock bytes and some words more: nothing that is
// written to a block that has been freed, or past the end of one, can corrupt it.
//
// # Mistakes
//
// A block that is given back twice, or with a layout of another order, or that is none, is the
// caller's bug: the call panics, saying what there is, and has changed nothing.
//
// # What it cannot do
//
// It is not safe for concurrent use. It does not grow: when the region is full, allocations
// fail. Blocks are not known to be zero, so AllocateZeroed is the default: allocate and clear.
//
// The idea is Knowlton's (1965), the description that of Knuth (TAOCP 2.5, 1968); a bitmap for
// each order as in Linux, here with a bit for each block in place of one for two, since that
// finds the lowest free block without lists through the memory, and finds mistakes.
package buddy

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Options says how an Allocator is to be. The zero value is a good default.
type Options struct {
	// MinBlock is the size in bytes of the smallest blocks, those of order 0: a power of two
	// from 16. 0 stands for 64.
	MinBlock uintptr
	// Align is the alignment in bytes of the region: a power of two, and the greatest
	// alignment that a block can have. 0 stands for the size of the region's largest block, or
	// 2 MiB if that is less: blocks up to that are aligned to their size.
	Align uintptr
}

const (
	defaultMinBlock = 64
	mostAlign       = 2 << 20 // by default
	leastMinBlock   = 16
	maxOrders       = 31 // so that the number of a block is less than 1<<31, on every platform
)

// Allocator is a buddy system, made by [New]. It is not safe for concurrent use.
//
// Block i of order k is the bytes [i<<k*MinBlock, (i+1)<<k*MinBlock) of the region. Its buddy is
// block i^1, and together they are block i>>1 of order k+1. With n = units:
//
//	free[k], used[k] ⊆ [0, n>>k)                 (only whole blocks within the region)
//	the blocks in free[k] and used[k], for all k, cover each unit exactly once
//	i ∈ free[k]  ⇒  i^1 ∉ free[k]                (free buddies are one block)
//	avail & 1<<k != 0  ⇔  free[k] ≠ ∅
type Allocator struct {
	base  unsafe.Pointer // of the region, aligned to align; nil after Release
	lg    uint           // log2(MinBlock)
	units uintptr        // MinBlock-sized parts of the region
	align uintptr
	top   uint // the highest order of which a block fits into the region

	avail uint64          // the orders with free blocks, one bit each
	free  [maxOrders]tree // the free blocks of each order
	used  [maxOrders]flat // those that are allocated

	upstream    galloc.Allocator
	region      galloc.Layout
	tablePtr    unsafe.Pointer // all of free and used; apart from the region
	tableLayout galloc.Layout
	table       []uint64
}

// The abilities of an Allocator.
var (
	_ galloc.Resizer     = (*Allocator)(nil)
	_ galloc.UsableSizer = (*Allocator)(nil)
	_ galloc.Owner       = (*Allocator)(nil)
	_ galloc.Resetter    = (*Allocator)(nil)
)

// New returns a buddy system over a region of size bytes, rounded up to a multiple of MinBlock,
// from upstream; nil stands for [galloc.Global]. The size need not be a power of two: the region
// then consists of a block for each bit of it. A second block from upstream holds the table:
// about a 128th of the region, with MinBlock 64. New fails if upstream does, with its error, or
// if the options cannot be met, with an error that says what to change. The caller gives both
// blocks back by [Allocator.Release].
func New(upstream galloc.Allocator, size uintptr, o Options) (*Allocator, error) {
	if upstream == nil {
		upstream = galloc.Global
	}
	if o.MinBlock == 0 {
		o.MinBlock = defaultMinBlock
	}
	a := &Allocator{upstream: upstream, lg: uint(bits.TrailingZeros64(uint64(o.MinBlock)))}
	if o.MinBlock != 1<<a.lg || o.MinBlock < leastMinBlock || o.MinBlock > math.MaxInt/2 {
		return nil, fmt.Errorf("galloc/buddy: MinBlock is %d: make it a power of two from %d", o.MinBlock, leastMinBlock)
	}
	if size == 0 || size > math.MaxInt-o.MinBlock {
		return nil, fmt.Errorf("galloc/buddy: a region of %d bytes: make it 1 to %d", size, math.MaxInt-o.MinBlock)
	}
	a.units = (size + o.MinBlock - 1) >> a.lg
	a.top = uint(bits.Len64(uint64(a.units))) - 1
	if a.top >= maxOrders {
		return nil, fmt.Errorf("galloc/buddy: a region of %d blocks: make MinBlock larger than %d", a.units, o.MinBlock)
	}
	if a.align = o.Align; a.align == 0 {
		a.align = min(uintptr(1)<<(a.top+a.lg), mostAlign)
	}
	var err error
	if a.region, err = galloc.NewLayout(a.units<<a.lg, a.align); err != nil {
		return nil, err
	}
	if err := a.take(); err != nil {
		return nil, err
	}
	return a, nil
}

// take gets the memory from upstream and divides it up.
func (a *Allocator) take() error {
	var words int
	for k := range a.top + 1 {
		words += treeWords(a.blocks(k)) + flatWords(a.blocks(k))
	}
	var err error
	if a.tableLayout, err = galloc.ArrayLayout[uint64](words); err != nil {
		return err
	}
	table, err := a.upstream.Allocate(a.tableLayout)
	if err != nil {
		return err
	}
	a.tablePtr = unsafe.Pointer(unsafe.SliceData(table))
	region, err := a.upstream.Allocate(a.region)
	if err != nil {
		a.upstream.Deallocate(a.tablePtr, a.tableLayout)
		return err
	}
	a.base = unsafe.Pointer(unsafe.SliceData(region))
	// SAFETY: the block has the layout of that many words, of which the clear of Reset makes values.
	a.table = unsafe.Slice((*uint64)(a.tablePtr), words)
	rest := a.table
	for k := range a.top + 1 {
		rest = a.free[k].carve(rest, a.blocks(k))
		rest = a.used[k].carve(rest, a.blocks(k))
	}
	a.Reset()
	return nil
}

// blocks returns how many blocks of order k there are; their numbers are less.
func (a *Allocator) blocks(k uint) uintptr { return a.units >> k }

// Reset invalidates all blocks: everything is free. It clears the table, and costs accordingly.
func (a *Allocator) Reset() {
	a.mustHaveRegion("Reset")
	clear(a.table)
	a.avail = 0
	for k, at := int(a.top), uintptr(0); k >= 0; k-- { // a block for each bit, the largest first
		if a.units>>k&1 != 0 {
			a.put(uint(k), at>>k)
			at += 1 << k
		}
	}
}

// Release gives the region and the table back upstream. All blocks are invalid. No method may be
// called any more but Allocate, which fails, Owns, which denies, and Release, which does nothing.
func (a *Allocator) Release() {
	if a.base == nil {
		return
	}
	a.upstream.Deallocate(a.base, a.region)
	a.upstream.Deallocate(a.tablePtr, a.tableLayout)
	*a = Allocator{}
}

func (a *Allocator) mustHaveRegion(what string) {
	if a.base == nil {
		panic("galloc/buddy: " + what + " of an allocator that was released")
	}
}

// Allocate returns a block of the least order whose blocks have l.Size() and l.Align() bytes;
// see UsableSize for its length. It fails with ErrOutOfMemory if there is no free block of that
// order or a higher one, and with ErrUnsupported if there never can be: if the region has no such
// block, or a lower alignment.
func (a *Allocator) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return unsafe.Slice((*byte)(l.Dangling()), 0), nil
	}
	if a.base == nil {
		return nil, galloc.ErrOutOfMemory
	}
	k := a.order(l.Size(), l.Align())
	if k > a.top || l.Align() > a.align {
		return nil, galloc.ErrUnsupported
	}
	from := a.avail >> k
	if from == 0 {
		return nil, galloc.ErrOutOfMemory
	}
	j := k + uint(bits.TrailingZeros64(from))
	i := a.free[j].first()
	a.take1(j, i)
	for ; j > k; j-- { // the lower half is divided, the upper one is free
		i *= 2
		a.put(j-1, i+1)
	}
	a.used[k].add(i)
	// SAFETY: block i of order k lies within the region.
	return unsafe.Slice((*byte)(unsafe.Add(a.base, i<<(k+a.lg))), uintptr(1)<<(k+a.lg)), nil
}

// Deallocate takes back the block at p, of which l must be a layout that fits, and joins it with
// its buddy as long as that is free. It panics if there is no such block.
func (a *Allocator) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	k, i := a.find("Deallocate", p, l)
	a.used[k].remove(i)
	for k < a.top && a.free[k].has(i^1) {
		a.take1(k, i^1)
		k, i = k+1, i>>1
	}
	a.put(k, i)
}

// Resize makes the block at p newSize bytes large, where it is, and reports whether it has. A
// smaller one always fits: the upper halves become free. A larger one does if the block is the
// lower buddy at each order on the way up, and the upper one is free and whole. It panics as
// Deallocate does.
func (a *Allocator) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if l.Size() == 0 || newSize == 0 {
		return newSize == l.Size()
	}
	k, i := a.find("Resize", p, l)
	to := a.order(newSize, l.Align())
	if to > a.top {
		return false
	}
	for j, b := k, i; j < to; j, b = j+1, b>>1 {
		if b&1 != 0 || !a.free[j].has(b+1) {
			return false
		}
	}
	a.used[k].remove(i)
	for ; k < to; k, i = k+1, i>>1 {
		a.take1(k, i+1)
	}
	for ; k > to; k, i = k-1, i*2 {
		a.put(k-1, i*2+1)
	}
	a.used[k].add(i)
	return true
}

// UsableSize returns the length in bytes of a block allocated with l: the least MinBlock << k
// that is not less than its size and its alignment. Where there is no such block, it is l.Size().
func (a *Allocator) UsableSize(l galloc.Layout) uintptr {
	k := a.order(l.Size(), l.Align())
	if l.Size() == 0 || a.base == nil || k > a.top {
		return l.Size()
	}
	return 1 << (k + a.lg)
}

// Owns reports whether p is the address of a block that is currently allocated here. It takes
// any address, and a step for each order.
func (a *Allocator) Owns(p unsafe.Pointer) bool {
	k, at := a.at(p)
	return k >= 0 && at == uintptr(p)-uintptr(a.base)
}

// order returns the order of the blocks for a size and an alignment. It may be one that there is not.
func (a *Allocator) order(size, align uintptr) uint {
	n := max(size, align, 1<<a.lg)
	return uint(bits.Len64(uint64(n-1))) - a.lg
}

// put adds block i of order k to the free ones, and take1 removes it.
func (a *Allocator) put(k uint, i uintptr) {
	a.free[k].add(i)
	a.avail |= 1 << k
}

func (a *Allocator) take1(k uint, i uintptr) {
	if a.free[k].remove(i) {
		a.avail &^= 1 << k
	}
}

// find returns order and number of the block at p, which l fits. It panics if there is none.
func (a *Allocator) find(what string, p unsafe.Pointer, l galloc.Layout) (uint, uintptr) {
	k := a.order(l.Size(), l.Align())
	offset := uintptr(p) - uintptr(a.base) // what lies below the region comes out too large
	i := offset >> (k + a.lg)
	if a.base == nil || offset >= a.units<<a.lg || k > a.top || i<<(k+a.lg) != offset || i >= a.blocks(k) || !a.used[k].has(i) {
		panic(a.misuse(what, p, l).Error())
	}
	return k, i
}

// misuse says what is wrong with the block at p.
func (a *Allocator) misuse(what string, p unsafe.Pointer, l galloc.Layout) error {
	k, at := a.at(p)
	offset := uintptr(p) - uintptr(a.base)
	switch {
	case a.base == nil || offset >= a.units<<a.lg:
		return fmt.Errorf("galloc/buddy: %s of %p (%v), which is not in the region", what, p, l)
	case k < 0:
		return fmt.Errorf("galloc/buddy: %s of %p (%v), which is free: a double free?", what, p, l)
	case at != offset:
		return fmt.Errorf("galloc/buddy: %s of %p (%v), which lies %d bytes inside of a block of %d", what, p, l, offset-at, uintptr(1)<<(uint(k)+a.lg))
	}
	return fmt.Errorf("galloc/buddy: %s of %p with a wrong layout: the block has %d bytes, and %v means one of %d",
		what, p, uintptr(1)<<(uint(k)+a.lg), l, uintptr(1)<<(a.order(l.Size(), l.Align())+a.lg))
}

// at returns the order of the allocated block that p lies in, and its offset; or -1.
func (a *Allocator) at(p unsafe.Pointer) (int, uintptr) {
	offset := uintptr(p) - uintptr(a.base)
	if a.base == nil || offset >= a.units<<a.lg {
		return -1, 0
	}
	for k := range a.top + 1 {
		if i := offset >> (k + a.lg); i < a.blocks(k) && a.used[k].has(i) {
			return int(k), i << (k + a.lg)
		}
	}
	return -1, 0
}
