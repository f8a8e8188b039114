// Package tlsf is two-level segregated fit over one region of memory: an allocator all of whose
// operations take a time that does not depend on how many blocks there are, for audio, control
// loops, and whatever else must not wait.
//
// Free blocks are in lists by size: one for each of 32 steps between two powers of two. Two levels
// of bitmaps find the first list that is not empty and whose blocks are all large enough, so what
// is found is at most a 32nd larger than asked for, if there is such a block; the rest of it
// remains free. A block that is freed is joined at once with the free ones beside it.
//
// # Costs
//
// Allocate, Deallocate, Resize, Owns and UsableSize have no loops: a few bitmaps are looked at, and
// at most two blocks taken out of lists and one or two put in. RATIONALE.md has the instructions of
// the worst case of 10^7 random operations beside those of the median, and `make instructions
// ARGS=worst` counts them.
//
// What the allocator knows stands in a table apart from the blocks, 4 bytes for each granule of the
// region: a quarter of the region with granules of 16 bytes. So nothing that is written to a block
// that has been freed, or past the end of one, can corrupt it. Blocks are whole granules, and 4 at
// least. Larger granules make the table smaller and the blocks rougher: for blocks of s bytes on
// average, least is spent with granules of some √(8s) bytes.
//
// # Mistakes
//
// A block that is given back twice, or with a layout of another size, or that is none, is the
// caller's bug: the call panics, saying what there is, and has changed nothing.
//
// # What it cannot do
//
// It is not safe for concurrent use. It does not grow: when the region is full, or is so in
// pieces that are too small, allocations fail. Blocks are not known to be zero, so AllocateZeroed
// is the default: allocate and clear; and a Grow or Shrink that cannot be had in place copies.
// These take time by the size of the block.
//
// The algorithm is that of Masmano, Ripoll, Crespo and Real (TLSF, 2004; described with its
// worst cases in 2008), who keep sizes and links within the blocks. Here each word stands in the
// table where it would stand in the block.
package tlsf

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Options says how an Allocator is to be. The zero value is a good default.
type Options struct {
	// Granule is what sizes are rounded up to, in bytes, and the alignment that costs nothing:
	// a power of two from 8. 0 stands for 16. Blocks have at least 4 granules.
	Granule uintptr
	// Touch makes New write to the whole region and its table, so that the operating system has
	// put memory behind them, and no later operation meets a page fault.
	Touch bool
}

const (
	defaultGranule = 16
	leastGranule   = 8

	minBlock = 4 // granules: a free block has 4 words in the table

	maxGranules = 1<<30 - 2 // what a word of the table can count
	lgSteps     = 5         // of the second level
	steps       = 1 << lgSteps
	powers      = 30 - lgSteps + 1 // of the first level
)

// Allocator is a region under two-level segregated fit, made by [New]. It is not safe for
// concurrent use.
//
// Granules are numbered from 1; word g of the table belongs to granule g. A block is a row of n
// granules, n >= minBlock, known by its first one, f. With N = granules:
//
//	table[f] = n<<2 | used or free
//	table[f+n-1] = n<<2 | last                   (free blocks only: so the block behind finds f)
//	table[f+1] = next<<2, table[f+2] = prev<<2   (free blocks only: their list, 0 at its ends)
//	table[0] = table[N+1] = used                 (so neither end is joined with anything)
//	all other words are inside                   (their upper bits are left over, and mean nothing)
//
//	the blocks cover the granules 1 to N exactly once
//	no two free blocks are neighbours
//	a free block of n granules is in the list of class(n), and in no other
//	first & 1<<i != 0        ⇔  second[i] != 0
//	second[i] & 1<<j != 0    ⇔  head[i][j] != 0
type Allocator struct {
	base  unsafe.Pointer // of the region; nil after Release
	lg    uint           // log2(Granule)
	table []uint32       // N+2 words

	first  uint32
	second [powers]uint32
	head   [powers][steps]uint32

	upstream    galloc.Allocator
	region      galloc.Layout
	tableLayout galloc.Layout

	used   uintptr // granules of the blocks that are allocated
	blocks int     // how many these are
}

// What the lower 2 bits of a word say.
const (
	inside = iota
	free
	used
	last
	kind = 3
)

// The abilities of an Allocator.
var (
	_ galloc.Resizer     = (*Allocator)(nil)
	_ galloc.UsableSizer = (*Allocator)(nil)
	_ galloc.Owner       = (*Allocator)(nil)
	_ galloc.Resetter    = (*Allocator)(nil)
)

// New returns an allocator over a region of size bytes, rounded up to whole granules and to 4 of
// them, from upstream; nil stands for [galloc.Global]. Memory of one's own can be the region if it
// is what upstream hands out. A second block from upstream holds the table. New fails if
// upstream does, with its error, or if the options cannot be met, with an error that says what to
// change. The caller gives both blocks back by [Allocator.Release].
//
// Memory that the operating system has not put in place yet is waited for at the first touch of
// each page, which takes longer than any operation here: see [Options.Touch].
func New(upstream galloc.Allocator, size uintptr, o Options) (*Allocator, error) {
	if upstream == nil {
		upstream = galloc.Global
	}
	if o.Granule == 0 {
		o.Granule = defaultGranule
	}
	a := &Allocator{upstream: upstream, lg: uint(bits.TrailingZeros64(uint64(o.Granule)))}
	if o.Granule != 1<<a.lg || o.Granule < leastGranule || o.Granule > math.MaxInt/8 {
		return nil, fmt.Errorf("galloc/tlsf: Granule is %d: make it a power of two from %d", o.Granule, leastGranule)
	}
	if size == 0 || size > math.MaxInt-4*o.Granule {
		return nil, fmt.Errorf("galloc/tlsf: a region of %d bytes: make it 1 to %d", size, math.MaxInt-4*o.Granule)
	}
	n := max((size+o.Granule-1)>>a.lg, minBlock)
	if n > maxGranules {
		return nil, fmt.Errorf("galloc/tlsf: a region of %d granules: make Granule larger than %d", n, o.Granule)
	}
	var err error
	if a.region, err = galloc.NewLayout(n<<a.lg, o.Granule); err != nil {
		return nil, err
	}
	if a.tableLayout, err = galloc.ArrayLayout[uint32](int(n) + 2); err != nil {
		return nil, err
	}
	table, err := galloc.AllocateZeroed(upstream, a.tableLayout)
	if err != nil {
		return nil, err
	}
	region, err := upstream.Allocate(a.region)
	if err != nil {
		upstream.Deallocate(unsafe.Pointer(unsafe.SliceData(table)), a.tableLayout)
		return nil, err
	}
	a.base = unsafe.Pointer(unsafe.SliceData(region))
	// SAFETY: the block has the layout of that many words, and is zero.
	a.table = unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(table))), n+2)
	if o.Touch {
		clear(region)
		clear(a.table)
	}
	a.wholeFree()
	return a, nil
}

// granules returns N.
func (a *Allocator) granules() uint32 { return uint32(len(a.table)) - 2 }

// wholeFree makes the region a single free block. The table is zero.
func (a *Allocator) wholeFree() {
	a.table[0], a.table[a.granules()+1] = used, used
	a.put(1, a.granules())
}

// Reset invalidates all blocks: everything is free. It clears the table, and costs accordingly.
func (a *Allocator) Reset() {
	a.mustHaveRegion("Reset")
	clear(a.table)
	a.first, a.used, a.blocks = 0, 0, 0
	clear(a.second[:])
	clear(a.head[:])
	a.wholeFree()
}

// Release gives the region and the table back upstream. All blocks are invalid. No method may be
// called any more but Allocate, which fails, Owns, which denies, and Release, which does nothing.
func (a *Allocator) Release() {
	if a.base == nil {
		return
	}
	a.upstream.Deallocate(a.base, a.region)
	a.upstream.Deallocate(unsafe.Pointer(unsafe.SliceData(a.table)), a.tableLayout)
	*a = Allocator{}
}

func (a *Allocator) mustHaveRegion(what string) {
	if a.base == nil {
		panic("galloc/tlsf: " + what + " of an allocator that was released")
	}
}

// Allocate returns a block of the granules that l.Size() needs, up to 3 more where what would
// remain is too small to be a block. It fails with ErrOutOfMemory if it finds no free block that
// is large enough; there may still be one, of less than a 32nd more than was asked for. It fails
// with ErrUnsupported if size and alignment exceed the region. Any alignment is supported; one
// that exceeds a granule needs a free block that is larger by as much, and 3 granules.
func (a *Allocator) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return unsafe.Slice((*byte)(l.Dangling()), 0), nil
	}
	if a.base == nil {
		return nil, galloc.ErrOutOfMemory
	}
	if l.Size() > a.region.Size() || l.Align() > a.region.Size() {
		return nil, galloc.ErrUnsupported
	}
	n, room := a.need(l.Size()), uint32(0)
	if l.Align()>>a.shift() > 1 {
		// In front of the block remains nothing or a free block.
		room = uint32(l.Align()>>a.shift()) + minBlock - 1
	}
	f := a.search(n + room)
	if f == 0 {
		return nil, galloc.ErrOutOfMemory
	}
	a.take(f)
	have := a.table[f] >> 2
	a.table[f+have-1] = inside
	if room != 0 {
		if gap := a.gap(f, l.Align()); gap != 0 {
			a.put(f, gap)
			f, have = f+gap, have-gap
		}
	}
	if rest := have - n; rest >= minBlock {
		have = n
		a.put(f+n, rest)
	}
	a.table[f] = have<<2 | used
	a.used += uintptr(have)
	a.blocks++
	// SAFETY: the block lies within the region.
	return unsafe.Slice((*byte)(unsafe.Add(a.base, uintptr(f-1)<<a.shift())), uintptr(have)<<a.shift()), nil
}

// gap returns how many granules lie between f and the first multiple of align that leaves none or minBlock.
func (a *Allocator) gap(f uint32, align uintptr) uint32 {
	at := uintptr(a.base) + uintptr(f-1)<<a.shift()
	if at&(align-1) == 0 {
		return 0
	}
	at += minBlock << a.shift()
	return minBlock + uint32((-at&(align-1))>>a.shift())
}

// Deallocate takes back the block at p, of which l must be a layout that fits, and joins it with the
// free blocks before and behind it. It panics if there is no such block.
func (a *Allocator) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	f := a.find("Deallocate", p, l)
	n := a.table[f] >> 2
	a.used -= uintptr(n)
	a.blocks--
	if w := a.table[f-1]; w&kind == last {
		a.table[f-1], a.table[f] = inside, inside
		f -= w >> 2
		n += w >> 2
		a.take(f)
	}
	a.put(f, n+a.joinNext(f+n))
}

// joinNext takes the block g away from the free ones, if it is one, and returns its granules.
func (a *Allocator) joinNext(g uint32) uint32 {
	w := a.table[g]
	if w&kind != free {
		return 0
	}
	a.take(g)
	a.table[g], a.table[g+w>>2-1] = inside, inside
	return w >> 2
}

// Resize makes the block at p newSize bytes large, where it is, and reports whether it has. A
// larger one needs a free block behind it; a smaller one always fits, and what remains is free, if it
// is large enough to be a block or can join one. It panics as Deallocate does.
func (a *Allocator) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if l.Size() == 0 || newSize == 0 {
		return newSize == l.Size()
	}
	f := a.find("Resize", p, l)
	if newSize > a.region.Size() {
		return false
	}
	old, n := a.table[f]>>2, a.need(newSize)
	have := old
	if w := a.table[f+old]; w&kind == free {
		have += w >> 2
	}
	if n > have {
		return false
	}
	a.joinNext(f + old)
	if rest := have - n; rest >= minBlock {
		have = n
		a.put(f+n, rest)
	}
	a.table[f] = have<<2 | used
	a.used += uintptr(have) - uintptr(old)
	return true
}

// UsableSize returns the length in bytes that a block allocated with l has at least: its size rounded
// up to granules, and 4 of them. Of what exceeds the region, it is l.Size().
func (a *Allocator) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 || l.Size() > a.region.Size() {
		return l.Size()
	}
	return uintptr(a.need(l.Size())) << a.shift()
}

// Owns reports whether p is the address of a block that is currently allocated here. It takes any
// address.
func (a *Allocator) Owns(p unsafe.Pointer) bool { return a.at(p) != 0 }

// shift returns lg, in a way that tells the compiler that it is less than a word has bits, which saves tests.
func (a *Allocator) shift() uint { return a.lg & (bits.UintSize - 1) }

// need returns the granules for size, which does not exceed the region.
func (a *Allocator) need(size uintptr) uint32 {
	return max(uint32((size+1<<a.shift()-1)>>a.shift()), minBlock)
}

// at returns the allocated block at p, or 0.
func (a *Allocator) at(p unsafe.Pointer) uint32 {
	offset := uintptr(p) - uintptr(a.base) // what lies below the region comes out too large
	if offset >= a.region.Size() || offset&(1<<a.shift()-1) != 0 {
		return 0
	}
	f := uint32(offset>>a.shift()) + 1
	if a.table[f]&kind != used {
		return 0
	}
	return f
}

// find returns the block at p, which l fits. It panics if there is none.
func (a *Allocator) find(what string, p unsafe.Pointer, l galloc.Layout) uint32 {
	f := a.at(p)
	if f == 0 || l.Size() > a.region.Size() || a.table[f]>>2-a.need(l.Size()) >= minBlock {
		panic(a.misuse(what, p, l).Error())
	}
	return f
}
