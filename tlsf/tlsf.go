// Package tlsf is two-level segregated fit over one region of memory. All its operations take
// constant time, whatever the number of blocks, for audio, control loops, and other programs with
// deadlines.
//
// Free blocks are in lists by size, with 32 lists between two powers of two. Two levels of bitmaps
// find the first nonempty list whose blocks are all large enough. So the block found is at most
// 1/32 larger than requested if there is such a block, and the rest of it stays free. A freed block
// joins its free neighbors at once.
//
// A [Region] is a [galloc.Allocator], but not a GlobalAlloc.
//
// # Costs
//
// Allocate, Deallocate, Resize, Owns and UsableSize have no loops. They read a few bitmaps, and
// move at most two blocks out of lists and two into lists. RATIONALE.md compares the instructions
// of the worst of 10^7 random operations with the median, and `make instructions ARGS=worst` counts
// them.
//
// The state is in a table outside the blocks, with 4 bytes for each granule of the region: a
// quarter of the region if granules have 16 bytes. So no write to a freed block or past the end of
// a block can corrupt it. Blocks are multiples of a granule, and have at least 4. Larger granules
// make the table smaller and waste more in the blocks. For blocks of s bytes on average, granules
// of about √(8s) bytes cost least.
//
// # Misuse
//
// Freeing a block twice, with a layout of another size, or at an address that is not a block is a
// misuse. The call panics, names the misuse and the block, and changes nothing.
//
// # Limits
//
// A Region is not safe for concurrent use. It does not grow: when the region is full, or its free
// blocks are too small, allocations fail. Blocks are not zeroed; galloc.AllocateZeroed clears them.
// galloc.Grow and galloc.Shrink copy a block that cannot be resized in place. The time of clearing
// and copying depends on the size of the block.
//
// The algorithm is by Masmano, Ripoll, Crespo and Real (TLSF, 2004; its worst cases are described
// in 2008), who keep sizes and links within the blocks. Here each word is in the table instead, at
// the index of the place that it would have in the block.
package tlsf

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
)

// Options configures a Region. The zero value is a good default.
type Options struct {
	// Granule is the unit of block sizes in bytes, and the alignment that costs nothing: a power of
	// two, at least 8. 0 means 16. Blocks have at least 4 granules.
	Granule uintptr
	// Touch makes New write to the whole region and its table, so that the operating system commits
	// their memory, and no later operation causes a page fault.
	Touch bool
}

const (
	defaultGranule = 16
	lowestGranule  = 8

	minBlock = 4 // granules: a free block uses 4 words of the table

	maxGranules = 1<<30 - 2 // a word of the table has 30 bits for the number of granules
	lgSteps     = 5
	steps       = 1 << lgSteps     // number of lists in a row of the second level
	powers      = 30 - lgSteps + 1 // number of rows
)

// Region is a region under two-level segregated fit, made by [New]. It is not safe for concurrent
// use.
//
// Granules are numbered from 1; word g of the table belongs to granule g. A block is n consecutive
// granules, n >= minBlock, identified by the first one, f. With N = granules:
//
//	table[f] = n<<2 | used or free
//	table[f+n-1] = n<<2 | last                   (free blocks only: so the block after finds f)
//	table[f+1] = next<<2, table[f+2] = prev<<2   (free blocks only: their list, 0 at its ends)
//	table[0] = table[N+1] = used                 (so the ends of the region are not joined)
//	all other words are inside                   (their upper bits mean nothing)
//
//	the blocks cover the granules 1 to N exactly once
//	no two free blocks are neighbors
//	a free block of n granules is in the list of class(n), and in no other
//	first & 1<<i != 0        ⇔  second[i] != 0
//	second[i] & 1<<j != 0    ⇔  head[i][j] != 0
type Region struct {
	_ block.NoCopy

	base  unsafe.Pointer // of the region; nil after Close
	lg    uint           // log2(Granule)
	table []uint32       // N+2 words

	first  uint32
	second [powers]uint32
	head   [powers][steps]uint32

	upstream    galloc.Allocator
	region      galloc.Layout
	tableLayout galloc.Layout

	used   uintptr // granules of the allocated blocks
	blocks int     // number of allocated blocks
}

// The meaning of the lower 2 bits of a word.
const (
	inside = iota
	free
	used
	last
	kind = 3
)

var (
	_ galloc.Resizer     = (*Region)(nil)
	_ galloc.UsableSizer = (*Region)(nil)
	_ galloc.Owner       = (*Region)(nil)
	_ galloc.Resetter    = (*Region)(nil)
)

// New returns an allocator over a region of size bytes, rounded up to at least 4 whole granules,
// allocated from upstream, or from galloc.Global if upstream is nil. To use memory of the program
// as the region, pass an upstream that returns it, such as a fixed.Buffer. A second block from
// upstream holds the table. New returns the error of upstream if that fails, and an error that says
// what to change if the options are invalid. It panics if upstream is a nil pointer or a zero
// heap.Heap. Close frees both blocks.
//
// The first access to a page that the operating system has not committed causes a page fault, which
// takes longer than any operation here: see [Options.Touch].
func New(upstream galloc.Allocator, size uintptr, o Options) (*Region, error) {
	if upstream == nil {
		upstream = galloc.Global
	}
	bridge.CheckAllocator("galloc/tlsf", upstream)
	if o.Granule == 0 {
		o.Granule = defaultGranule
	}
	r := &Region{upstream: upstream, lg: uint(bits.TrailingZeros64(uint64(o.Granule)))}
	if o.Granule != 1<<r.lg || o.Granule < lowestGranule || o.Granule > math.MaxInt/8 {
		return nil, fmt.Errorf("galloc/tlsf: Granule is %d: make it a power of two, at least %d",
			o.Granule, lowestGranule)
	}
	if size == 0 || size > math.MaxInt-4*o.Granule {
		return nil, fmt.Errorf("galloc/tlsf: the region has %d bytes: make it 1 to %d", size, math.MaxInt-4*o.Granule)
	}
	n := max((size+o.Granule-1)>>r.lg, minBlock)
	if n > maxGranules {
		return nil, fmt.Errorf("galloc/tlsf: the region has %d granules: make Granule larger than %d", n, o.Granule)
	}
	var err error
	if r.region, err = galloc.NewLayout(n<<r.lg, o.Granule); err != nil {
		return nil, err
	}
	if r.tableLayout, err = galloc.ArrayLayout[uint32](int(n) + 2); err != nil {
		return nil, err
	}
	table, err := galloc.AllocateZeroed(upstream, r.tableLayout)
	if err != nil {
		return nil, err
	}
	region, err := upstream.Allocate(r.region)
	if err != nil {
		upstream.Deallocate(unsafe.Pointer(unsafe.SliceData(table)), r.tableLayout)
		return nil, err
	}
	r.base = unsafe.Pointer(unsafe.SliceData(region))
	// SAFETY: the block has the layout of n+2 words and is zero.
	r.table = unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(table))), n+2)
	if o.Touch {
		block.ClearBytes(region)
		r.clearTable()
	}
	r.freeAll()
	return r, nil
}

// granules returns N.
func (r *Region) granules() uint32 { return uint32(len(r.table)) - 2 }

func (r *Region) clearTable() {
	block.Clear(unsafe.Pointer(unsafe.SliceData(r.table)), r.tableLayout.Size())
}

// freeAll makes the region a single free block. The table must be zero.
func (r *Region) freeAll() {
	r.table[0], r.table[r.granules()+1] = used, used
	r.put(1, r.granules())
}

// Reset frees all blocks. Its cost is clearing the table. It panics after Close.
func (r *Region) Reset() {
	r.mustBeOpen("Reset")
	r.clearTable()
	r.first, r.used, r.blocks = 0, 0, 0
	clear(r.second[:])
	clear(r.head[:])
	r.freeAll()
}

// Close frees all blocks and releases the region and the table to the upstream. The region cannot
// be used again: later, Allocate fails, Owns returns false, Close does nothing, and Reset, Stats
// and freeing a block panic.
func (r *Region) Close() {
	if r.base == nil {
		return
	}
	r.upstream.Deallocate(r.base, r.region)
	r.upstream.Deallocate(unsafe.Pointer(unsafe.SliceData(r.table)), r.tableLayout)
	*r = Region{}
}

func (r *Region) mustBeOpen(what string) {
	if r.base == nil {
		panic("galloc/tlsf: " + what + " of a region that was closed")
	}
}

// Allocate returns a block with the granules that l.Size() needs, and up to 3 more if the rest of a
// free block would be too small to be one. It fails with galloc.ErrLimit if it finds no free
// block that is large enough. It may miss a block that is less than 1/32 larger than needed. It
// fails with galloc.ErrUnsupported if the size or the alignment exceeds the region. An alignment
// above a granule needs a free block that is larger by the alignment and 3 granules.
func (r *Region) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return block.Bytes(l.Dangling(), 0), nil
	}
	if r.base == nil {
		return nil, galloc.ErrLimit
	}
	if l.Size() > r.region.Size() || l.Align() > r.region.Size() {
		return nil, galloc.ErrUnsupported
	}
	n, room := r.need(l.Size()), uint32(0)
	if l.Align()>>r.shift() > 1 {
		// The gap before the block is empty or a free block.
		room = uint32(l.Align()>>r.shift()) + minBlock - 1
	}
	f := r.search(n + room)
	if f == 0 {
		return nil, galloc.ErrLimit
	}
	r.take(f)
	have := r.table[f] >> 2
	r.table[f+have-1] = inside
	if room != 0 {
		if gap := r.gap(f, l.Align()); gap != 0 {
			r.put(f, gap)
			f, have = f+gap, have-gap
		}
	}
	if rest := have - n; rest >= minBlock {
		have = n
		r.put(f+n, rest)
	}
	r.table[f] = have<<2 | used
	r.used += uintptr(have)
	r.blocks++
	// SAFETY: the block is within the region.
	return block.Bytes(unsafe.Add(r.base, uintptr(f-1)<<r.shift()), uintptr(have)<<r.shift()), nil
}

// gap returns the number of granules from f to the first multiple of align for which that number is
// 0 or at least minBlock.
func (r *Region) gap(f uint32, align uintptr) uint32 {
	at := uintptr(r.base) + uintptr(f-1)<<r.shift()
	if at&(align-1) == 0 {
		return 0
	}
	at += minBlock << r.shift()
	return minBlock + uint32((-at&(align-1))>>r.shift())
}

// Deallocate frees the block at p, which l must fit, and joins it with the free blocks before and
// after it. It panics on misuse.
func (r *Region) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	f := r.find("Deallocate", p, l)
	n := r.table[f] >> 2
	r.used -= uintptr(n)
	r.blocks--
	if w := r.table[f-1]; w&kind == last {
		r.table[f-1], r.table[f] = inside, inside
		f -= w >> 2
		n += w >> 2
		r.take(f)
	}
	r.put(f, n+r.joinNext(f+n))
}

// joinNext removes block g from the free blocks if it is free, and returns its granules, or 0.
func (r *Region) joinNext(g uint32) uint32 {
	w := r.table[g]
	if w&kind != free {
		return 0
	}
	r.take(g)
	r.table[g], r.table[g+w>>2-1] = inside, inside
	return w >> 2
}

// Resize changes the size of the block at p, which l must fit, to newSize in place, and reports
// whether it did. A block can grow if a large enough free block follows it. It can always shrink;
// the rest becomes free if it is large enough to be a block or can join one. Resize panics on
// misuse.
func (r *Region) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if l.Size() == 0 || newSize == 0 {
		return newSize == l.Size()
	}
	f := r.find("Resize", p, l)
	if newSize > r.region.Size() {
		return false
	}
	old, n := r.table[f]>>2, r.need(newSize)
	have := old
	if w := r.table[f+old]; w&kind == free {
		have += w >> 2
	}
	if n > have {
		return false
	}
	r.joinNext(f + old)
	if rest := have - n; rest >= minBlock {
		have = n
		r.put(f+n, rest)
	}
	r.table[f] = have<<2 | used
	r.used += uintptr(have) - uintptr(old)
	return true
}

// UsableSize returns the minimum length in bytes of a block allocated with l: its size rounded up
// to granules, and at least 4 granules. If l exceeds the region, it returns l.Size().
func (r *Region) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || l.Size() > r.region.Size() {
		return l.Size()
	}
	return uintptr(r.need(l.Size())) << r.shift()
}

// Owns reports whether p is the address of an allocated block. p may be any address.
func (r *Region) Owns(p unsafe.Pointer) bool { return r.at(p) != 0 }

// shift returns lg. The mask shows the compiler that lg is below the bits of a word, which saves
// tests.
func (r *Region) shift() uint { return r.lg & (bits.UintSize - 1) }

// need returns the number of granules for size, which must not exceed the region.
func (r *Region) need(size uintptr) uint32 {
	return max(uint32((size+1<<r.shift()-1)>>r.shift()), minBlock)
}

// at returns the allocated block at address p, or 0.
func (r *Region) at(p unsafe.Pointer) uint32 {
	offset := uintptr(p) - uintptr(r.base) // wraps around to a large number below the region
	if offset >= r.region.Size() || offset&(1<<r.shift()-1) != 0 {
		return 0
	}
	f := uint32(offset>>r.shift()) + 1
	if r.table[f]&kind != used {
		return 0
	}
	return f
}

// find returns the block at p. It panics, naming op, if there is no block at p that l fits.
func (r *Region) find(op string, p unsafe.Pointer, l galloc.Layout) uint32 {
	f := r.at(p)
	if f == 0 || l.Size() > r.region.Size() || r.table[f]>>2-r.need(l.Size()) >= minBlock {
		panic(r.misuse(op, p, l).Error())
	}
	return f
}
