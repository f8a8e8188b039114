// Extents: address space, and what is known about its pages. See engine.go for overview.

package engine

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// An extent is a reservation that runs are taken from, and a second one, elsewhere, for what is known about its pages:
//
//	reserved for the blocks:    │ pages                            frontier │ Reserved, never touched     │
//	reserved for the metadata:  │ guard │ pageMap │ classMap │ free │ dirty │ aged │ freed │ records │ guard │
//
// Both are committed in address order as the need grows, so that the system describes an extent by a dozen mappings however
// large it becomes, and guards are never committed: a write that runs off the end of the pages, or off the other end of a
// neighbour of the metadata, meets a page without access first.
//
//	0 <= frontier <= ready <= pages
//	pageMap[i] is the unit of the record of the run that page i belongs to:
//	    for every page of a kindSpan; for the first and the last page of other runs; 0 for all other pages
//	classMap[i] is the class of the span that page i belongs to; 0 if it is no kindSpan run
//	free[i] is set  <=>  page i belongs to a kindFree run
//	dirty[i] is set <=   page i is free and may have memory behind it, or other contents than zeros
//	aged[i] is set   =>  page i is free, dirty[i] is set, and was free or stashed at the last tick
//	freed[i] is set  =>  page i is free, dirty[i] is not set, and its contents are undefined: it was purged lazily
//
// The bits dirty of pages in use are those of the moment when they were taken: that is how AllocZeroed knows what to clear, unless
// they have been in a stash since.
//
// Guarded by pages.mu, except for base, pages, heap and index, which do not change, and for pageMap and classMap, whose
// elements are written under the lock and read without: those of pageMap atomically, those of classMap by who owns a block in the page.
type extent struct {
	heap     *Heap
	index    uint32 // in pages.extents
	pages    uint32
	frontier uint32 // pages below it are in runs
	ready    uint32 // pages below it are Ready
	base     unsafe.Pointer
	meta     unsafe.Pointer // the second reservation
	metaSize uintptr

	pageMap             []uint32
	classMap            []uint8
	free, dirty, aged   bitmap
	freed               bitmap
	mapReady, bitsReady lazy
	classReady          lazy
	records             lazy
	recordTop           uint32               // units below it have been used for records
	recordFree          [maxUnits + 1]uint32 // first of the unused records of so many units, linked by next
}

const (
	bitmaps        = 4
	maxUnits       = 4 // of a record
	unitsPerPage   = 4 // that there is address space for: two spans in three pages, at most
	guardSize      = 64 << 10
	metaCommitStep = 64 << 10
)

// A lazy is an array in reserved memory that is committed from its start as far as it is needed.
type lazy struct {
	base  unsafe.Pointer
	size  uintptr // reserved, whole OS pages
	ready uintptr // committed, whole OS pages
}

// more returns how many bytes reach would commit.
func (l *lazy) more(n uintptr) uintptr {
	if n <= l.ready {
		return 0
	}
	return min(roundUp(n, max(metaCommitStep, vm.PageSize())), l.size) - l.ready
}

// reach commits the first n bytes.
func (l *lazy) reach(n uintptr) error {
	if n <= l.ready {
		return nil
	}
	if n > l.size {
		return vm.ErrTooLarge
	}
	more := l.more(n)
	// SAFETY: ready <= size, and the memory is reserved as far as that.
	if err := vm.Commit(unsafe.Add(l.base, l.ready), more); err != nil {
		return err
	}
	l.ready += more
	return nil
}

func roundUp(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }

// newExtent reserves an extent of n pages whose first is aligned to align pages. n is a multiple of mapUnit.
func newExtent(n, align uintptr) (*extent, error) {
	base, err := vm.Reserve(n<<pageShift, max(align<<pageShift, mapUnit))
	if err != nil {
		return nil, err
	}
	if uint64(uintptr(base))>>addressBits != 0 || uint64(uintptr(base)+n<<pageShift-1)>>addressBits != 0 {
		_ = vm.Release(base, n<<pageShift)
		return nil, vm.ErrTooLarge
	}
	x := &extent{base: base, pages: uint32(n)}
	x.metaSize = x.layMeta()
	x.meta, err = vm.Reserve(x.metaSize, 0)
	if err != nil {
		_ = vm.Release(base, n<<pageShift)
		return nil, err
	}
	x.layMeta()
	return x, nil
}

// layMeta says where in the second reservation everything is, once there is one, and returns how large it must be.
func (x *extent) layMeta() uintptr {
	page := max(vm.PageSize(), metaCommitStep)
	n := uintptr(x.pages)
	mapSize := roundUp(4*n, page)
	classSize := roundUp(n, page)
	bitSize := roundUp(n/8, page)
	recordSize := roundUp(n*unitsPerPage*unitSize, page)
	size := guardSize + mapSize + classSize + bitmaps*bitSize + recordSize + guardSize
	if x.meta == nil {
		return size
	}
	// SAFETY: the offsets are within the reservation. The slices reach into Reserved pages; only what is below the
	// frontier is accessed.
	at := unsafe.Add(x.meta, guardSize)
	x.mapReady = lazy{base: at, size: mapSize}
	x.pageMap = unsafe.Slice((*uint32)(at), n)
	at = unsafe.Add(at, mapSize)
	x.classReady = lazy{base: at, size: classSize}
	x.classMap = unsafe.Slice((*uint8)(at), n)
	at = unsafe.Add(at, classSize)
	x.bitsReady = lazy{base: at, size: bitSize} // all grow alike
	for _, b := range []*bitmap{&x.free, &x.dirty, &x.aged, &x.freed} {
		*b = unsafe.Slice((*uint64)(at), n/64)
		at = unsafe.Add(at, bitSize)
	}
	x.records = lazy{base: at, size: recordSize}
	x.recordTop = 1 // 0 stands for no record
	return size
}

// release gives everything back to the system, the address space too.
func (x *extent) release() error {
	err := vm.Release(x.base, uintptr(x.pages)<<pageShift)
	if err2 := vm.Release(x.meta, x.metaSize); err == nil {
		err = err2
	}
	return err
}

// advance moves the frontier to to, and commits pages as far as ahead, and the metadata for them. The pages are not in a run yet.
func (x *extent) advance(to, ahead uint32) error {
	if err := x.mapReady.reach(mapBytes(to)); err != nil {
		return err
	}
	if err := x.classReady.reach(uintptr(to)); err != nil {
		return err
	}
	if err := x.reachBits(bitmapBytes(to)); err != nil {
		return err
	}
	if to > x.ready {
		// SAFETY: ready <= pages.
		if err := vm.Commit(x.address(x.ready), uintptr(ahead-x.ready)<<pageShift); err != nil {
			return err
		}
		x.ready = ahead
	}
	atomic.StoreUint32(&x.frontier, to)
	return nil
}

// moreMeta returns how many bytes of metadata moving the frontier to to would commit.
func (x *extent) moreMeta(to uint32) uintptr {
	return x.mapReady.more(mapBytes(to)) + x.classReady.more(uintptr(to)) + bitmaps*x.bitsReady.more(bitmapBytes(to)) + x.records.more(uintptr(x.recordTop+1)*unitSize)
}

func mapBytes(pages uint32) uintptr    { return 4 * uintptr(pages) }
func bitmapBytes(pages uint32) uintptr { return (uintptr(pages) + 63) / 64 * 8 }

// reachBits commits the first n bytes of all bitmaps.
func (x *extent) reachBits(n uintptr) error {
	if n <= x.bitsReady.ready {
		return nil
	}
	l := x.bitsReady
	for range bitmaps {
		l.ready = x.bitsReady.ready
		if err := l.reach(n); err != nil {
			return err // What has been committed of the others is committed again next time, which does no harm.
		}
		l.base = unsafe.Add(l.base, l.size) // SAFETY: they follow one another, of the same size
	}
	x.bitsReady.ready = l.ready
	return nil
}

// address returns where page i begins.
func (x *extent) address(i uint32) unsafe.Pointer {
	// SAFETY: i <= pages.
	return unsafe.Add(x.base, uintptr(i)<<pageShift)
}

// metaBytes returns how much metadata is committed.
func (x *extent) metaBytes() uintptr {
	return x.mapReady.ready + x.classReady.ready + bitmaps*x.bitsReady.ready + x.records.ready
}

// record returns the record at unit u.
func (x *extent) record(u uint32) *span {
	// SAFETY: u is from the page map, and thus below recordTop, or a link between records.
	return (*span)(unsafe.Add(x.records.base, uintptr(u)*unitSize))
}

// unit returns where s is: the inverse of record.
func (x *extent) unit(s *span) uint32 {
	return uint32((uintptr(s.ref()) - uintptr(x.records.base)) / unitSize)
}

// oldRecord returns a record of at least that many units that is not in use any more, or nil. Records are not split, nor joined: what
// an extent has needed of each length at most, it keeps.
func (x *extent) oldRecord(units uint8) *span {
	for n := units; n <= maxUnits; n++ {
		if u := x.recordFree[n]; u != 0 {
			s := x.record(u)
			x.recordFree[n] = uint32(s.next)
			s.next = 0
			return s
		}
	}
	return nil
}

// newRecord returns a record of that many units that has never been used, or nil if the system refuses memory for it.
func (x *extent) newRecord(units uint8) *span {
	top := x.recordTop + uint32(units)
	if x.records.reach(uintptr(top)*unitSize) != nil {
		return nil
	}
	s := x.record(x.recordTop)
	x.recordTop = top
	s.units = units
	return s
}

// freeRecord makes s an unused record.
func (x *extent) freeRecord(s *span) {
	s.kind = kindNone
	s.next, s.prev = ref(x.recordFree[s.units]), 0
	x.recordFree[s.units] = x.unit(s)
}

// setMap points the page map at s: all its pages if it is a span of blocks, otherwise the first and the last.
func (x *extent) setMap(s *span) { x.writeMap(s, x.unit(s)) }

// clearMap makes the page map forget s.
func (x *extent) clearMap(s *span) { x.writeMap(s, 0) }

func (x *extent) writeMap(s *span, u uint32) {
	if s.kind == kindSpan {
		class := s.class
		if u == 0 {
			class = 0
		}
		for i := s.page; i < s.end(); i++ {
			atomic.StoreUint32(&x.pageMap[i], u)
			x.classMap[i] = class
		}
		return
	}
	atomic.StoreUint32(&x.pageMap[s.page], u)
	atomic.StoreUint32(&x.pageMap[s.end()-1], u)
}

// neighbour returns the run that page i is the first or the last of, or nil.
func (x *extent) neighbour(i uint32) *span {
	if i < x.frontier { // also if i is the page before the first: ^0
		if u := x.pageMap[i]; u != 0 {
			return x.record(u)
		}
	}
	return nil
}

// The extent map finds the extent of an address, in two steps: it is process-wide, so that a block of one heap that is given to
// another can be told from an address that is nobody's. Its unit is what extents are aligned to, and multiples of.
const (
	is32        = bits.UintSize == 32
	addressBits = 48 - 16*(bits.UintSize/32&1)
	leafBits    = (addressBits - mapUnitShift) / 2
	rootBits    = addressBits - mapUnitShift - leafBits
	mapUnit     = 1 << mapUnitShift
)

type extentLeaf [1 << leafBits]atomic.Pointer[extent]

var extentRoot [1 << rootBits]atomic.Pointer[extentLeaf]

// extentAt returns the extent that address p lies in, or nil. It takes any number.
func extentAt(p ref) *extent {
	u := uint64(p) >> mapUnitShift
	if u>>(rootBits+leafBits) != 0 {
		return nil
	}
	leaf := extentRoot[u>>leafBits&(1<<rootBits-1)].Load()
	if leaf == nil {
		return nil
	}
	return leaf[u&(1<<leafBits-1)].Load()
}

// enter puts x into the extent map, as that of its heap, or takes it out.
func (x *extent) enter(present bool) {
	v := x
	if !present {
		v = nil
	}
	first := uint64(uintptr(x.base)) >> mapUnitShift
	for u := first; u < first+uint64(x.pages)>>(mapUnitShift-pageShift); u++ {
		root := &extentRoot[u>>leafBits]
		leaf := root.Load()
		if leaf == nil {
			root.CompareAndSwap(nil, new(extentLeaf))
			leaf = root.Load()
		}
		leaf[u&(1<<leafBits-1)].Store(v)
	}
}

// spanAt returns the run that the page map says address p of the extent lies in, or nil: exact for the blocks of spans, and for the first and the last
// page of other runs.
func (x *extent) spanAt(p ref) *span {
	i := (uintptr(p) - uintptr(x.base)) >> pageShift
	if i >= uintptr(atomic.LoadUint32(&x.frontier)) {
		return nil
	}
	u := atomic.LoadUint32(&x.pageMap[i])
	if u == 0 {
		return nil
	}
	return x.record(u)
}

// A bitmap has a bit for each page of an extent.
type bitmap []uint64

func (b bitmap) get(i uint32) bool { return b[i/64]>>(i%64)&1 != 0 }

// set sets the bits from i up to j, or clears them, and returns how many have changed.
func (b bitmap) set(i, j uint32, v bool) (changed int) {
	for i < j {
		n := min(64-i%64, j-i)
		mask := ^uint64(0) >> (64 - n) << (i % 64)
		old := b[i/64]
		if v {
			changed += bits.OnesCount64(mask &^ old)
			b[i/64] = old | mask
		} else {
			changed += bits.OnesCount64(mask & old)
			b[i/64] = old &^ mask
		}
		i += n
	}
	return changed
}

// count returns the number of bits set from i up to j.
func (b bitmap) count(i, j uint32) (n int) {
	for i < j {
		k := min(64-i%64, j-i)
		n += bits.OnesCount64(b[i/64] >> (i % 64) & (^uint64(0) >> (64 - k)))
		i += k
	}
	return n
}

// next returns the first bit from i up to j that is v, or j.
func (b bitmap) next(i, j uint32, v bool) uint32 {
	flip := ^uint64(0)
	if v {
		flip = 0
	}
	for i < j {
		if w := (b[i/64] ^ flip) >> (i % 64); w != 0 {
			return min(i+uint32(bits.TrailingZeros64(w)), j)
		}
		i += 64 - i%64
	}
	return j
}

// first returns the first bit of the row of set bits that bit i is in.
func (b bitmap) first(i uint32) uint32 {
	for {
		clear := ^b[i/64] << (63 - i%64) // the bits up to i, at the top
		if clear != 0 {
			return i + 1 - uint32(bits.LeadingZeros64(clear))
		}
		if i < 64 {
			return 0
		}
		i = i/64*64 - 1
	}
}

// nextBit returns the first bit from i up to j that is set in the words, or j.
func nextBit(word func(uint32) uint64, i, j uint32) uint32 {
	for i < j {
		if w := word(i/64) >> (i % 64); w != 0 {
			return min(i+uint32(bits.TrailingZeros64(w)), j)
		}
		i += 64 - i%64
	}
	return j
}
