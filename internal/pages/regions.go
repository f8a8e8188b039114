package pages

// A Region is the two reservations of an extent.
type Region struct {
	Owner          *Allocator
	Base, Size     uintptr // of the pages
	Meta, MetaSize uintptr // of their metadata
}

// Regions returns the reservations of all allocators of the process, by address. It reads the
// extent map, which takes some ten microseconds, and locks nothing. If vm.GoMemory is true, they
// are parts of the Go heap.
func Regions() (all []Region) {
	var last *Extent
	for i := range extentRoot {
		leaf := extentRoot[i].Load()
		if leaf == nil {
			continue
		}
		for j := range leaf {
			x := leaf[j].Load()
			if x != nil && x != last {
				all = append(all, Region{
					x.owner, uintptr(x.base), uintptr(x.pages) << PageShift, uintptr(x.meta), x.metaSize,
				})
				last = x
			}
		}
	}
	return all
}
