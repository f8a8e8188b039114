// Huge pages: what the system is asked for. See allocator.go for the overview.
//
// Linux may back 2 MiB of addresses with one huge page at the first touch of any of them, and later
// join small pages to a huge one, which brings back the memory of purged pages. In its
// mode "always" it does so unasked. Then no account of 4 KiB pages says how much memory the process
// has. So an Allocator asks for small pages, in every mode, and its footprint is true.
//
// An Allocator with Config.Huge asks for huge pages, which it gets in the modes "always" and
// "madvise". It leaves them whole if that costs little: it purges dirty free pages in whole huge
// pages first, and parts of huge pages only while more than keptDirty pages are dirty. It asks for
// small pages there, so that the system does not bring the memory back, until the huge page is free
// as a whole.
//
// Advice belongs to mappings. It is given for whole extents, and so adds no mappings, except for
// these parts. Metadata always has small pages: little of it is used.

package pages

import "github.com/galloc-go/galloc/internal/vm"

// With Config.Huge, dirty free pages in parts of huge pages are kept up to this much, or this part
// of the pages in use, if that is more.
const (
	keptBytes = 16 << 20
	keptPart  = 4
)

// advise asks the system for huge pages, or for small ones, for the pages [from, end) of x.
func (a *Allocator) advise(x *Extent, from, end uint32) {
	p, n := x.address(from), uintptr(end-from)<<PageShift
	if a.huge {
		vm.Huge(p, n)
	} else {
		vm.NoHuge(p, n)
	}
}

// adviseAround is called without locks before the pages [from, to) of x are purged, with
// Config.Huge. If these are whole huge pages, it asks for huge pages again. If not, it asks for
// small ones, unless the process has too many mappings.
func (a *Allocator) adviseAround(x *Extent, from, to uint32) {
	unit := a.purgeUnit()
	first, end := from/unit*unit, min(roundUp32(to, unit), x.pages)
	switch {
	case first == from && end == to:
		a.advise(x, from, to)
	case vm.MayMove():
		vm.NoHuge(x.address(first), uintptr(end-first)<<PageShift)
	}
}

// purgeUnit returns the number of pages that are purged together.
func (a *Allocator) purgeUnit() uint32 {
	if a.huge {
		return max(uint32(vm.HugePageSize()>>PageShift), osPages())
	}
	return osPages()
}

// keptDirty returns the number of pages that may stay dirty so that huge pages stay whole.
func (a *Allocator) keptDirty() uintptr {
	if !a.huge {
		return 0
	}
	return max(keptBytes>>PageShift, a.inUse/keptPart)
}
