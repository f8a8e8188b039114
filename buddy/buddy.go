// Package buddy is the binary buddy system over one region of memory: blocks are halves of halves,
// and two free halves become a whole again at once.
//
// A block has MinBlock << k bytes, for an order k, and begins at a multiple of its size within the
// region, which [New] allocates from an upstream allocator. So at most half of a block is wasted,
// and a quarter if all sizes are equally frequent. In return, free blocks always join as long as
// their buddies are free, whatever the sizes of the blocks around them. It suits sizes that are
// powers of two: buffers of pages, rings, textures.
//
// A [Region] is a [galloc.Allocator], but not a GlobalAlloc.
//
// # Costs
//
// All methods but Reset and Stats take at most O(log(region/MinBlock)) steps, about 20. Allocating
// takes one step if the order has a free block. Of several free blocks, Allocate returns the one at
// the lowest address, which keeps the high blocks whole. The state is in a table outside the
// blocks, with 4 bits for each MinBlock bytes and a few words more. So no write to a freed block or
// past the end of a block can corrupt it.
//
// # Misuse
//
// Freeing a block twice, with a layout of another order, or at an address that is not a block is a
// misuse. The call panics, names the misuse and the block, and changes nothing.
//
// # Limits
//
// A Region is not safe for concurrent use. It does not grow: when the region is full, allocations
// fail. Blocks are not zeroed; galloc.AllocateZeroed clears them.
//
// The buddy system is Knowlton's (1965), described by Knuth (TAOCP 2.5, 1968). Linux has a bitmap
// for each order with one bit for two blocks. Here it has one for each block, which finds the
// lowest free block without lists through the memory, and detects misuse.
package buddy

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/misuse"
)

// Options configures a Region. The zero value is a good default.
type Options struct {
	// MinBlock is the size in bytes of blocks of order 0: a power of two, at least 16. 0 means 64.
	MinBlock uintptr
	// Align is the alignment in bytes of the region and the highest alignment of a block: a power
	// of two. 0 means the size of the largest block, but at most 2 MiB. Blocks up to that size are
	// then aligned to their size.
	Align uintptr
}

const (
	defaultMinBlock = 64
	defaultMaxAlign = 2 << 20
	lowestMinBlock  = 16
	maxOrders       = 31 // keeps the index of a block below 1<<31, on every platform
)

// Region is a buddy system, made by [New]. It is not safe for concurrent use.
//
// Block i of order k is the bytes [i<<k*MinBlock, (i+1)<<k*MinBlock) of the region. Its buddy is
// block i^1, and together they are block i>>1 of order k+1. With n = units:
//
//	free[k], used[k] ⊆ [0, n>>k)                 (only whole blocks within the region)
//	the blocks in free[k] and used[k], for all k, cover each unit exactly once
//	i ∈ free[k]  ⇒  i^1 ∉ free[k]                (free buddies are joined)
//	avail & 1<<k != 0  ⇔  free[k] ≠ ∅
type Region struct {
	_ block.NoCopy

	base  unsafe.Pointer // of the region, aligned to align; nil after Close
	lg    uint           // log2(MinBlock)
	units uintptr        // number of MinBlock-sized parts of the region
	align uintptr
	top   uint // the highest order whose blocks fit in the region

	avail uint64          // the orders with free blocks, one bit each
	free  [maxOrders]tree // the free blocks of each order
	used  [maxOrders]flat // the allocated blocks of each order

	upstream    galloc.Allocator
	region      galloc.Layout
	tablePtr    unsafe.Pointer // the words of free and used
	tableLayout galloc.Layout
	table       []uint64
}

var (
	_ galloc.Resizer     = (*Region)(nil)
	_ galloc.UsableSizer = (*Region)(nil)
	_ galloc.Owner       = (*Region)(nil)
	_ galloc.Resetter    = (*Region)(nil)
)

// New returns a buddy system over a region of size bytes, rounded up to a multiple of MinBlock,
// allocated from upstream, or from galloc.Global if upstream is nil. size need not be a power of
// two: the region then consists of a block for each of its bits. A second block from upstream holds
// the table, about 1/128 of the region if MinBlock is 64. New returns the error of upstream if that
// fails, and an error that says what to change if the options are invalid. It panics if upstream is
// a nil pointer or a zero heap.Heap. Close frees both blocks.
func New(upstream galloc.Allocator, size uintptr, o Options) (*Region, error) {
	if upstream == nil {
		upstream = galloc.Global
	}
	bridge.CheckAllocator("galloc/buddy", upstream)
	if o.MinBlock == 0 {
		o.MinBlock = defaultMinBlock
	}
	r := &Region{upstream: upstream, lg: uint(bits.TrailingZeros64(uint64(o.MinBlock)))}
	if o.MinBlock != 1<<r.lg || o.MinBlock < lowestMinBlock || o.MinBlock > math.MaxInt/2 {
		return nil, fmt.Errorf("galloc/buddy: MinBlock is %d: make it a power of two, at least %d",
			o.MinBlock, lowestMinBlock)
	}
	if size == 0 || size > math.MaxInt-o.MinBlock {
		return nil, fmt.Errorf("galloc/buddy: the region has %d bytes: make it 1 to %d", size, math.MaxInt-o.MinBlock)
	}
	r.units = (size + o.MinBlock - 1) >> r.lg
	r.top = uint(bits.Len64(uint64(r.units))) - 1
	if r.top >= maxOrders {
		return nil, fmt.Errorf("galloc/buddy: the region has %d blocks: make MinBlock larger than %d",
			r.units, o.MinBlock)
	}
	if r.align = o.Align; r.align == 0 {
		r.align = min(uintptr(1)<<(r.top+r.lg), defaultMaxAlign)
	}
	var err error
	if r.region, err = galloc.NewLayout(r.units<<r.lg, r.align); err != nil {
		return nil, err
	}
	if err := r.allocRegion(); err != nil {
		return nil, err
	}
	return r, nil
}

// allocRegion allocates the region and the table, and initializes them.
func (r *Region) allocRegion() error {
	var words int
	for k := range r.top + 1 {
		words += treeWords(r.blocks(k)) + flatWords(r.blocks(k))
	}
	var err error
	if r.tableLayout, err = galloc.ArrayLayout[uint64](words); err != nil {
		return err
	}
	table, err := r.upstream.Allocate(r.tableLayout)
	if err != nil {
		return err
	}
	r.tablePtr = unsafe.Pointer(unsafe.SliceData(table))
	region, err := r.upstream.Allocate(r.region)
	if err != nil {
		r.upstream.Deallocate(r.tablePtr, r.tableLayout)
		return err
	}
	r.base = unsafe.Pointer(unsafe.SliceData(region))
	// SAFETY: the block has the layout of words uint64s, and Reset clears it.
	r.table = unsafe.Slice((*uint64)(r.tablePtr), words)
	rest := r.table
	for k := range r.top + 1 {
		rest = r.free[k].carve(rest, r.blocks(k))
		rest = r.used[k].carve(rest, r.blocks(k))
	}
	r.Reset()
	return nil
}

// blocks returns the number of blocks of order k.
func (r *Region) blocks(k uint) uintptr { return r.units >> k }

// Reset frees all blocks. Its cost is clearing the table. It panics after Close.
func (r *Region) Reset() {
	r.mustBeOpen("Reset")
	block.Clear(r.tablePtr, r.tableLayout.Size())
	r.avail = 0
	for k, at := int(r.top), uintptr(0); k >= 0; k-- { // a block for each bit, largest first
		if r.units>>k&1 != 0 {
			r.addFree(uint(k), at>>k)
			at += 1 << k
		}
	}
}

// Close frees all blocks and releases the region and the table to the upstream. The region cannot
// be used again: later, Allocate fails, Owns returns false, Close does nothing, and Reset, Stats
// and freeing a block panic.
func (r *Region) Close() {
	if r.base == nil {
		return
	}
	r.upstream.Deallocate(r.base, r.region)
	r.upstream.Deallocate(r.tablePtr, r.tableLayout)
	*r = Region{}
}

func (r *Region) mustBeOpen(what string) {
	if r.base == nil {
		panic("galloc/buddy: " + what + " of a region that was closed")
	}
}

// Allocate returns a block of the lowest order with at least l.Size() bytes aligned to l.Align();
// see UsableSize for its length. It fails with galloc.ErrLimit if no block of that order or a
// higher one is free, and with galloc.ErrUnsupported if the region has no block of that size or
// alignment.
func (r *Region) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return block.Bytes(l.Dangling(), 0), nil
	}
	if r.base == nil {
		return nil, galloc.ErrLimit
	}
	k := r.order(l.Size(), l.Align())
	if k > r.top || l.Align() > r.align {
		return nil, galloc.ErrUnsupported
	}
	from := r.avail >> k
	if from == 0 {
		return nil, galloc.ErrLimit
	}
	j := k + uint(bits.TrailingZeros64(from))
	i := r.free[j].first()
	r.removeFree(j, i)
	for ; j > k; j-- { // the upper half is free, and the lower one is divided
		i *= 2
		r.addFree(j-1, i+1)
	}
	r.used[k].add(i)
	// SAFETY: block i of order k is within the region.
	return block.Bytes(unsafe.Add(r.base, i<<(k+r.lg)), uintptr(1)<<(k+r.lg)), nil
}

// Deallocate frees the block at p, which l must fit, and joins it with its buddy as long as that is
// free. It panics on misuse.
func (r *Region) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	k, i := r.find("Deallocate", p, l)
	r.used[k].remove(i)
	for k < r.top && r.free[k].has(i^1) {
		r.removeFree(k, i^1)
		k, i = k+1, i>>1
	}
	r.addFree(k, i)
}

// Resize changes the size of the block at p, which l must fit, to newSize in place, and reports
// whether it did. A block can always shrink, which frees its upper halves. It can grow if, at each
// order on the way up, it is the lower buddy and the upper one is free. Resize panics on misuse.
func (r *Region) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if l.Size() == 0 || newSize == 0 {
		return newSize == l.Size()
	}
	k, i := r.find("Resize", p, l)
	to := r.order(newSize, l.Align())
	if to > r.top {
		return false
	}
	for j, b := k, i; j < to; j, b = j+1, b>>1 {
		if b&1 != 0 || !r.free[j].has(b+1) {
			return false
		}
	}
	r.used[k].remove(i)
	for ; k < to; k, i = k+1, i>>1 {
		r.removeFree(k, i+1)
	}
	for ; k > to; k, i = k-1, i*2 {
		r.addFree(k-1, i*2+1)
	}
	r.used[k].add(i)
	return true
}

// UsableSize returns the length in bytes of a block allocated with l: the lowest MinBlock << k that
// is at least its size and its alignment. If the region has no such block, it returns l.Size().
func (r *Region) UsableSize(l galloc.Layout) uintptr {
	k := r.order(l.Size(), l.Align())
	if l.Size() == 0 || r.base == nil || k > r.top {
		return l.Size()
	}
	return 1 << (k + r.lg)
}

// Owns reports whether p is the address of an allocated block. p may be any address. Owns takes a
// step for each order.
func (r *Region) Owns(p unsafe.Pointer) bool {
	k, at := r.at(p)
	return k >= 0 && at == uintptr(p)-uintptr(r.base)
}

// order returns the order of the blocks for a size and an alignment, which may be higher than top.
func (r *Region) order(size, align uintptr) uint {
	n := max(size, align, 1<<r.lg)
	return uint(bits.Len64(uint64(n-1))) - r.lg
}

// addFree adds block i of order k to the free blocks.
func (r *Region) addFree(k uint, i uintptr) {
	r.free[k].add(i)
	r.avail |= 1 << k
}

// removeFree removes block i of order k from the free blocks.
func (r *Region) removeFree(k uint, i uintptr) {
	if r.free[k].remove(i) {
		r.avail &^= 1 << k
	}
}

// find returns the order and the index of the block at p. It panics, naming op, if there is no
// block at p that l fits.
func (r *Region) find(op string, p unsafe.Pointer, l galloc.Layout) (uint, uintptr) {
	k := r.order(l.Size(), l.Align())
	offset := uintptr(p) - uintptr(r.base) // wraps around to a large number below the region
	i := offset >> (k + r.lg)
	if r.base == nil || offset >= r.units<<r.lg || k > r.top ||
		i<<(k+r.lg) != offset || i >= r.blocks(k) || !r.used[k].has(i) {
		panic(r.misuse(op, p, l).Error())
	}
	return k, i
}

// misuse returns an error that reports why op cannot have the block at p.
func (r *Region) misuse(op string, p unsafe.Pointer, l galloc.Layout) error {
	const text = "galloc/buddy: %v: %s of %p (%v), which is "
	k, at := r.at(p)
	offset := uintptr(p) - uintptr(r.base)
	switch {
	case r.base == nil || offset >= r.units<<r.lg:
		return fmt.Errorf(text+"not in the region", misuse.ForeignFree, op, p, l)
	case k < 0:
		return fmt.Errorf(text+"free", misuse.DoubleFree, op, p, l)
	case at != offset:
		return fmt.Errorf(text+"%d bytes into a block of %d bytes", misuse.InteriorFree, op, p, l,
			offset-at, uintptr(1)<<(uint(k)+r.lg))
	}
	return fmt.Errorf(text+"a block of %d bytes, but the layout is of a block of %d bytes", misuse.WrongLayout,
		op, p, l, uintptr(1)<<(uint(k)+r.lg), uintptr(1)<<(r.order(l.Size(), l.Align())+r.lg))
}

// at returns the order and the offset of the allocated block that contains p, or -1 if there is
// none.
func (r *Region) at(p unsafe.Pointer) (int, uintptr) {
	offset := uintptr(p) - uintptr(r.base)
	if r.base == nil || offset >= r.units<<r.lg {
		return -1, 0
	}
	for k := range r.top + 1 {
		if i := offset >> (k + r.lg); i < r.blocks(k) && r.used[k].has(i) {
			return int(k), i << (k + r.lg)
		}
	}
	return -1, 0
}
