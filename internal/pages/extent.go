// Extents: address space, and the metadata of its pages. See allocator.go for the overview.

package pages

import (
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// An Extent is a reservation that runs are cut from, and a second reservation, elsewhere, for the
// metadata of its pages:
//
//	blocks:    │ pages                                       frontier │ Reserved, never touched │
//	metadata:  │ guard │ pageMap │ classMap │ free dirty aged freed gone │ records │ guard │
//
// Both are committed in address order as needed, so that the system describes an extent by a dozen
// mappings however large it becomes. Guards are never committed: a write past the end of the pages,
// or past the neighbours of the metadata, hits a page without access first.
//
//	0 <= frontier <= committed <= pages
//	pageMap[i] is the unit of the record of the run that page i belongs to:
//	    for every page of a KindSmall run, and for the first and the last page of other runs;
//	    0 for all other pages
//	classMap[i] is the class of the KindSmall run that page i belongs to; 0 for other runs
//	free[i] is set  <=>  page i belongs to a KindFree run
//	dirty[i] is set <=   page i is free, and may have memory or contents other than zeros
//	aged[i] is set   =>  page i is free and dirty, and was free or stashed at the last tick
//	freed[i] is set  =>  page i is free, not dirty, and purged lazily: its contents are undefined
//	gone[i] is set   =>  page i is free, not dirty, not freed, and Reserved
//
// When pages are allocated, their dirty bits stay as they are: so Zero knows which pages to clear,
// unless they have been in a stash since.
//
// The lock of the owner guards all fields but base, pages, owner and index, which do not change.
// The elements of pageMap and classMap are written under the lock and read without it: pageMap
// atomically, classMap by the owner of a block in the page.
type Extent struct {
	owner     *Allocator
	index     uint32 // in owner.extents
	pages     uint32
	frontier  uint32 // the pages below it are in runs
	committed uint32 // the pages below it are committed
	base      unsafe.Pointer
	meta      unsafe.Pointer // the second reservation
	metaSize  uintptr

	pageMap                []uint32
	classMap               []uint8
	free, dirty, aged      bitmap
	freed, gone            bitmap
	goneCount              uintptr // bits of gone that are set
	pageMapMem, bitmapsMem array   // bitmapsMem is the first; all have one length
	classMapMem            array
	records                array
	recordTop              uint32               // the units below it have been used for records
	recordFree             [maxUnits + 1]uint32 // unused records of n units, linked by next
}

const (
	bitmaps      = 5
	unitsPerPage = 4 // of address space for records: at most two spans in three pages
	guardSize    = 64 << 10
	wholeMeta    = 512 << 10 // bytes of metadata that are committed at once

	// metaPerPage is the address space for the metadata of a page.
	metaPerPage = 4 + 1 + bitmaps/8 + unitsPerPage*unitSize + 1
)

// newExtent reserves an extent of n pages, a multiple of MapUnit, whose first page is aligned to
// align pages.
func newExtent(n, align uintptr) (*Extent, error) {
	base, err := vm.Reserve(n<<PageShift, max(align<<PageShift, MapUnit))
	if err != nil {
		return nil, err
	}
	if uint64(uintptr(base))>>addressBits != 0 || uint64(uintptr(base)+n<<PageShift-1)>>addressBits != 0 {
		_ = vm.Release(base, n<<PageShift)
		return nil, vm.ErrTooLarge
	}
	x := &Extent{base: base, pages: uint32(n)}
	x.metaSize = x.layMeta()
	x.meta, err = vm.Reserve(x.metaSize, 0)
	if err != nil {
		_ = vm.Release(base, n<<PageShift)
		return nil, err
	}
	x.layMeta()
	return x, nil
}

// layMeta divides the second reservation, if x has one, and returns the size that it must have.
func (x *Extent) layMeta() uintptr {
	page := vm.PageSize()
	n := uintptr(x.pages)
	mapSize := roundUp(4*n, page)
	classSize := roundUp(n, page)
	bitSize := roundUp(n/8, page)
	recordSize := roundUp(n*unitsPerPage*unitSize, page)
	size := guardSize + mapSize + classSize + bitmaps*bitSize + recordSize + guardSize
	if x.meta == nil {
		return size
	}
	// SAFETY: the offsets are within the reservation. The slices extend into Reserved pages; only
	// elements below the frontier are accessed.
	at := unsafe.Add(x.meta, guardSize)
	x.pageMapMem = array{base: at, size: mapSize}
	x.pageMap = unsafe.Slice((*uint32)(at), n)
	at = unsafe.Add(at, mapSize)
	x.classMapMem = array{base: at, size: classSize}
	x.classMap = unsafe.Slice((*uint8)(at), n)
	at = unsafe.Add(at, classSize)
	x.bitmapsMem = array{base: at, size: bitSize}
	for _, b := range []*bitmap{&x.free, &x.dirty, &x.aged, &x.freed, &x.gone} {
		*b = unsafe.Slice((*uint64)(at), n/64)
		at = unsafe.Add(at, bitSize)
	}
	x.records = array{base: at, size: recordSize}
	x.recordTop = 1 // unit 0 means no record
	return size
}

// release releases the memory and the address space of x.
func (x *Extent) release() error {
	err := vm.Release(x.base, uintptr(x.pages)<<PageShift)
	if err2 := vm.Release(x.meta, x.metaSize); err == nil {
		err = err2
	}
	return err
}

// advance moves the frontier to page to, and commits the pages below ahead and their metadata. The
// new pages are not in a run yet.
func (x *Extent) advance(to, ahead uint32) error {
	if whole := x.needWhole(); whole != 0 {
		// SAFETY: whole bytes are reserved for the arrays, which follow one another.
		if err := vm.Commit(x.pageMapMem.base, whole); err != nil {
			return err
		}
		for _, a := range []*array{&x.pageMapMem, &x.classMapMem, &x.bitmapsMem} {
			a.committed = a.size
		}
	}
	if err := x.pageMapMem.commit(mapBytes(to)); err != nil {
		return err
	}
	if err := x.classMapMem.commit(uintptr(to)); err != nil {
		return err
	}
	if err := x.commitBitmaps(bitmapBytes(to)); err != nil {
		return err
	}
	if to > x.committed {
		// SAFETY: committed <= pages.
		if err := vm.Commit(x.address(x.committed), uintptr(ahead-x.committed)<<PageShift); err != nil {
			return err
		}
		x.committed = ahead
	}
	atomic.StoreUint32(&x.frontier, to)
	return nil
}

// needMeta returns the number of bytes of metadata that advance to page to would commit.
func (x *Extent) needMeta(to uint32) uintptr {
	if whole := x.needWhole(); whole != 0 {
		return whole + x.records.need(uintptr(x.recordTop+1)*unitSize)
	}
	return x.pageMapMem.need(mapBytes(to)) + x.classMapMem.need(uintptr(to)) +
		bitmaps*x.bitmapsMem.need(bitmapBytes(to)) + x.records.need(uintptr(x.recordTop+1)*unitSize)
}

// needWhole returns the number of bytes of all metadata but the records if none is committed and
// there is little: then all is committed at once, so that with the records it is one mapping, and a
// process can have many heaps. Else it returns 0.
func (x *Extent) needWhole() uintptr {
	n := x.pageMapMem.size + x.classMapMem.size + bitmaps*x.bitmapsMem.size
	if n > wholeMeta || x.pageMapMem.committed != 0 || x.classMapMem.committed != 0 || x.bitmapsMem.committed != 0 {
		return 0
	}
	return n
}

func mapBytes(pages uint32) uintptr    { return 4 * uintptr(pages) }
func bitmapBytes(pages uint32) uintptr { return (uintptr(pages) + 63) / 64 * 8 }

// commitBitmaps commits the first n bytes of each bitmap.
func (x *Extent) commitBitmaps(n uintptr) error {
	if n <= x.bitmapsMem.committed {
		return nil
	}
	a := x.bitmapsMem
	for range bitmaps {
		a.committed = x.bitmapsMem.committed
		if err := a.commit(n); err != nil {
			// The bitmaps committed so far are committed again next time, which does no harm.
			return err
		}
		// SAFETY: the bitmaps follow one another and have the same size.
		a.base = unsafe.Add(a.base, a.size)
	}
	x.bitmapsMem.committed = a.committed
	return nil
}

// purgeMeta returns the memory of metadata of pages above the frontier to the system.
func (x *Extent) purgeMeta() {
	x.pageMapMem.purgeAfter(mapBytes(x.frontier))
	x.classMapMem.purgeAfter(uintptr(x.frontier))
	a := x.bitmapsMem
	for range bitmaps {
		a.committed = x.bitmapsMem.committed
		a.purgeAfter(bitmapBytes(x.frontier))
		// SAFETY: the bitmaps follow one another and have the same size.
		a.base = unsafe.Add(a.base, a.size)
	}
	x.bitmapsMem.committed = a.committed
}

// address returns the start of page i.
func (x *Extent) address(i uint32) unsafe.Pointer {
	// SAFETY: i <= pages.
	return unsafe.Add(x.base, uintptr(i)<<PageShift)
}

// Base returns the address of the first page.
func (x *Extent) Base() Ref { return RefOf(x.base) }

// End returns the address after the last page below the frontier.
func (x *Extent) End() Ref {
	return RefOf(x.base) + Ref(atomic.LoadUint32(&x.frontier))<<PageShift
}

// metaBytes returns the number of committed bytes of metadata.
func (x *Extent) metaBytes() uintptr {
	return x.pageMapMem.committed + x.classMapMem.committed + bitmaps*x.bitmapsMem.committed + x.records.committed
}

// record returns the record at unit u.
func (x *Extent) record(u uint32) *Span {
	// SAFETY: u is from the page map, and thus below recordTop, or a link between records.
	return (*Span)(unsafe.Add(x.records.base, uintptr(u)*unitSize))
}

// unit returns the unit of the record s: the inverse of record.
func (x *Extent) unit(s *Span) uint32 {
	return uint32((uintptr(s.ref()) - uintptr(x.records.base)) / unitSize)
}

// oldRecord returns an unused record of at least n units that was in use before, or nil. Records
// are neither split nor joined: an extent keeps as many of each length as it once needed.
func (x *Extent) oldRecord(units uint8) *Span {
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

// newRecord returns a record of the given units that was never used, or nil if the system refuses
// memory for it.
func (x *Extent) newRecord(units uint8) *Span {
	top := x.recordTop + uint32(units)
	if x.records.commit(uintptr(top)*unitSize) != nil {
		return nil
	}
	s := x.record(x.recordTop)
	x.recordTop = top
	s.units = units
	return s
}

// freeRecord makes s an unused record.
func (x *Extent) freeRecord(s *Span) {
	s.Kind = KindNone
	s.next, s.prev = Ref(x.recordFree[s.units]), 0
	x.recordFree[s.units] = x.unit(s)
}

// setMap enters s into the page map: at all its pages if it is KindSmall, else at the first and the
// last.
func (x *Extent) setMap(s *Span) { x.writeMap(s, x.unit(s)) }

// clearMap removes s from the page map.
func (x *Extent) clearMap(s *Span) { x.writeMap(s, 0) }

func (x *Extent) writeMap(s *Span, u uint32) {
	if s.Kind == KindSmall {
		class := s.Class
		if u == 0 {
			class = 0
		}
		for i := s.page; i < s.end(); i++ {
			x.mapPage(i, u)
			x.classMap[i] = class
		}
		return
	}
	x.mapPage(s.page, u)
	x.mapPage(s.end()-1, u)
}

// mapPage sets an element of the page map. It is read without the lock, but a word is read as a
// whole, and the owner of a block has synchronized with the goroutine that made the span. So a
// plain store suffices, which takes a twentieth of the time of an atomic one, and there are several
// for each run that is cut or joined. The race detector wants it to be atomic.
func (x *Extent) mapPage(i, u uint32) {
	if vm.GoMemory {
		atomic.StoreUint32(&x.pageMap[i], u)
	} else {
		x.pageMap[i] = u
	}
}

// neighbour returns the span whose first or last page is i, or nil.
func (x *Extent) neighbour(i uint32) *Span {
	if i < x.frontier { // also if i is the page before the first: ^0
		if u := x.pageMap[i]; u != 0 {
			return x.record(u)
		}
	}
	return nil
}

// SpanAt returns the span that the page map has for the page of address p, or nil. It finds every
// block in a KindSmall run. Of other runs it finds the first and the last page only.
func (x *Extent) SpanAt(p Ref) *Span {
	i := (uintptr(p) - uintptr(x.base)) >> PageShift
	if i >= uintptr(atomic.LoadUint32(&x.frontier)) {
		return nil
	}
	u := atomic.LoadUint32(&x.pageMap[i])
	if u == 0 {
		return nil
	}
	return x.record(u)
}

// ClassAt returns the class of the blocks of the span that address p lies in, or 0 if p is not in a
// KindSmall span of the extent.
//
//go:nosplit
func (x *Extent) ClassAt(p Ref) uint8 {
	i := (uintptr(p) - uintptr(x.base)) >> PageShift
	if i >= uintptr(atomic.LoadUint32(&x.frontier)) {
		return 0
	}
	// SAFETY: classMap has an element for every page below the frontier.
	return *(*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(x.classMap)), i))
}
