// Room under the hard limit: what the heap asks and does when an allocation finds no memory. See
// allocator.go for the overview.

package pages

// Refusals returns how often the hard limit was reached, and how often the system had no memory or
// no address space.
func (a *Allocator) Refusals() (limit, system uint64) {
	a.Lock()
	defer a.Unlock()
	return a.limitRefusals, a.systemRefusals
}

// Room reports whether the hard limit permits more bytes if all dirty free pages are purged, and
// whether there are dirty free pages.
func (a *Allocator) Room(more uintptr) (room, dirty bool) {
	a.Lock()
	defer a.Unlock()
	least := (a.used-a.hollow)<<PageShift + a.metaCommitted
	return a.hard == 0 || least <= a.hard && more <= a.hard-least, a.dirty != 0
}

// Slack returns the number of bytes that the hard limit permits in further runs if all dirty free
// pages are purged. Where OS pages are long, only some can be purged as a whole, or used for long
// runs: about half of the dirty pages count.
func (a *Allocator) Slack() uintptr {
	a.Lock()
	defer a.Unlock()
	least := (a.used-a.hollow)<<PageShift + a.metaCommitted
	if osPages() > fewPages {
		least += a.dirty << PageShift / 2
	}
	if least < a.hard {
		return a.hard - least
	}
	return 0
}

// fewPages is the number of pages up to which an OS page is not long.
const fewPages = 4

// PurgeSome returns the memory of dirty free pages to the system, about least bytes if there are as
// many, and returns the number of bytes. It continues where the last call ended, so that pages that
// were freed just now mostly stay.
func (a *Allocator) PurgeSome(least uintptr) (bytes uintptr) {
	a.Lock()
	defer a.Unlock()
	bytes = a.purgeSome(least, a.purgeUnit())
	if a.huge && bytes < least {
		bytes += a.purgeSome(least-bytes, osPages())
	}
	return bytes
}

// purgeSome is PurgeSome in multiples of unit pages, with the lock held.
func (a *Allocator) purgeSome(least uintptr, unit uint32) (bytes uintptr) {
	most := max(minPurge, uint32(min(least>>PageShift, MaxPages/2)))
	first := a.purgeAt
	for n := 0; n <= len(a.extents); n++ { // the first one twice: from first.page on, and below
		e := (int(first.extent) + n) % max(len(a.extents), 1)
		if e >= len(a.extents) {
			break
		}
		x, i, end := a.extents[e], uint32(0), ^uint32(0)
		switch n {
		case 0:
			i = first.page
		case len(a.extents):
			end = first.page
		}
		for i < min(end, x.frontier) && a.dirty != 0 && bytes < least {
			from, to := x.purgeable(i, min(end, x.frontier), most, unit, false)
			i = to
			if from < to {
				from, to = x.wholeUnits(from, to, unit)
				bytes += a.purgeRange(x, from, to)
				i = max(i, to)
			}
			a.purgeAt = purgePlace{extent: uint32(e), page: i}
		}
		if a.dirty == 0 || bytes >= least {
			break
		}
	}
	return bytes
}

// A purgePlace is where PurgeSome ended.
type purgePlace struct{ extent, page uint32 }
