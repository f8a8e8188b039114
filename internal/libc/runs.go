//go:build galloc_pages || !(windows || (cgo && unix))

// Runs of pages. See libc_pages.go for the overview.
//
// An extent is a reservation from which pages are allocated. Its pages are committed in address
// order, up to the frontier, so that the kernel describes it by two mappings. Pages below the
// frontier are allocated or in the list of free runs:
//
//	base                                                      frontier                     size
//	│ allocated  │ free │ allocated  │ allocated  │ free      │ reserved, never touched     │
//
// An allocation takes the first free run that fits, lowest address first; if there is none, it
// moves a frontier; if no extent has room, it reserves another. A run is freed as a whole or in
// parts, which join the free runs on both sides.

package libc

import (
	"cmp"
	"slices"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/vm"
)

const (
	clearTo   = 1 << 20  // bytes; below it, writing zeros is cheaper than new pages
	dirtyMax  = 64 << 20 // bytes that free runs may keep, to save page faults
	purgeFrom = 64 << 10 // bytes; runs with at least this much memory are purged above dirtyMax
)

// extentSize is the size of an extent, unless a request needs more. In the Go memory port address
// space costs memory.
var extentSize = func() uintptr {
	if vm.GoMemory {
		return 4 << 20
	}
	return 64 << 20
}()

// A run is a range of pages in an extent.
//
//	bytes that may be other than zero <= dirty <= n
type run struct {
	off, n uintptr // bytes from the extent's base, and bytes; whole pages
	dirty  uintptr // bytes that may be backed by memory
}

func (r run) end() uintptr { return r.off + r.n }

// An extent is a reservation. Its numbers are in bytes, whole pages.
//
//	0 <= frontier <= size
//	free[i].n > 0
//	free[i].end() < free[i+1].off: ascending, and neighbours are joined
//	free[last].end() <= frontier
//	frontier == Σ free[i].n + Σ allocated runs
//	dirty == Σ free[i].dirty
//
// The sum of an offset and a request cannot overflow. An extent ends at least spanSize below
// MaxInt, because Reserve counts its alignment; a request with its padding is at most MaxInt and a
// page, because its size rounded up to its alignment is at most MaxInt.
type extent struct {
	base     unsafe.Pointer
	size     uintptr
	frontier uintptr // pages below it are Ready, the others Reserved
	dirty    uintptr
	free     []run
}

// A runHeap allocates runs of whole pages.
type runHeap struct {
	mu      sync.Mutex // guards all below
	extents []*extent  // by ascending base
}

var large runHeap

// pagesFor returns size rounded up to whole pages.
func pagesFor(size uintptr) uintptr {
	page := vm.PageSize()
	return (size + page - 1) &^ (page - 1)
}

// alloc returns a run of at least size bytes, or nil.
func (h *runHeap) alloc(size, align uintptr) unsafe.Pointer {
	n, align := pagesFor(size), max(align, vm.PageSize())
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.extents {
		if p := x.take(n, align); p != nil {
			return p
		}
	}
	for _, x := range h.extents {
		if x.grow(n, align) {
			return x.take(n, align)
		}
	}
	return h.extend(n, align)
}

// allocZeroed is alloc with zeroed memory.
func (h *runHeap) allocZeroed(size, align uintptr) unsafe.Pointer {
	p := h.alloc(size, align)
	switch {
	case p == nil:
	case size < clearTo:
		block.Clear(p, size)
	case vm.Purge(p, pagesFor(size)) != nil:
		return nil // The run has no memory now. It stays out of use, and costs only address space.
	}
	return p
}

// put frees the run of size bytes at p.
func (h *runHeap) put(p unsafe.Pointer, size uintptr) {
	n := pagesFor(size)
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.extentOf(p)
	x.insert(run{uintptr(p) - uintptr(x.base), n, n})
	h.purge()
}

// purge returns the memory of free runs to the system if there is more than dirtyMax.
func (h *runHeap) purge() {
	var dirty uintptr
	for _, x := range h.extents {
		dirty += x.dirty
	}
	if dirty <= dirtyMax {
		return
	}
	for _, x := range h.extents {
		x.purge()
	}
}

// resize changes the size of the run at p in place, and reports whether it could.
func (h *runHeap) resize(p unsafe.Pointer, oldSize, newSize uintptr) bool {
	from, to := pagesFor(oldSize), pagesFor(newSize)
	if to < from {
		// SAFETY: the rest of the run begins to bytes into it.
		h.put(unsafe.Add(p, to), from-to)
	}
	if to <= from {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.extentOf(p)
	return x.takeAt(uintptr(p)-uintptr(x.base)+from, to-from)
}

// extend reserves an extent and takes n bytes from it. It is the only function that releases
// address space, which no caller has seen.
func (h *runHeap) extend(n, align uintptr) unsafe.Pointer {
	for size := max(extentSize, n); ; size = max(size/2, n) {
		base, err := vm.Reserve(size, max(align, spanSize))
		if err == nil {
			x := &extent{base: base, size: size}
			if !x.grow(n, align) {
				_ = vm.Release(base, size)
				return nil
			}
			h.extents = slices.Insert(h.extents, h.above(base), x)
			return x.take(n, align)
		}
		if size == n {
			return nil
		}
	}
}

// extentOf returns the extent that contains p.
func (h *runHeap) extentOf(p unsafe.Pointer) *extent {
	return h.extents[h.above(p)-1]
}

// above returns the index of the first extent that begins above p.
func (h *runHeap) above(p unsafe.Pointer) int {
	i, _ := slices.BinarySearchFunc(h.extents, uintptr(p)+1, func(x *extent, at uintptr) int {
		return cmp.Compare(uintptr(x.base), at)
	})
	return i
}

// take takes n bytes at a multiple of align from the first free run that has them, or returns nil.
func (x *extent) take(n, align uintptr) unsafe.Pointer {
	for i, r := range x.free {
		off := r.off + x.pad(r.off, align)
		if off+n > r.end() {
			continue
		}
		x.split(i, off, n)
		// SAFETY: off lies in the free run, and so in the reservation.
		return unsafe.Add(x.base, off)
	}
	return nil
}

// takeAt takes the n bytes at off, and reports whether they were free or could be committed.
func (x *extent) takeAt(off, n uintptr) bool {
	i, end := x.search(off), off
	if i < len(x.free) && x.free[i].off == off {
		end = x.free[i].end()
	}
	if end-off < n && (end != x.frontier || !x.commit(off+n)) {
		return false
	}
	x.split(i, off, n) // the pages that commit adds at the frontier join run i, or are run i
	return true
}

// split takes the n bytes at off out of free run i, which contains them.
func (x *extent) split(i int, off, n uintptr) {
	r := x.free[i]
	before, after := run{off: r.off, n: off - r.off}, run{off: off + n, n: r.end() - off - n}
	// Any bytes of the run may be the dirty ones.
	before.dirty, after.dirty = min(r.dirty, before.n), min(r.dirty, after.n)
	x.dirty += before.dirty + after.dirty - r.dirty
	switch {
	case before.n == 0 && after.n == 0:
		x.free = slices.Delete(x.free, i, i+1)
	case before.n == 0:
		x.free[i] = after
	case after.n == 0:
		x.free[i] = before
	default:
		x.free[i] = before
		x.free = slices.Insert(x.free, i+1, after)
	}
}

// grow moves the frontier just far enough for take(n, align), and reports whether it could.
func (x *extent) grow(n, align uintptr) bool {
	from := x.frontier
	if last := len(x.free) - 1; last >= 0 && x.free[last].end() == from {
		from = x.free[last].off
	}
	return x.commit(from + x.pad(from, align) + n)
}

// commit moves the frontier up and adds the pages in between to the free runs, if the extent has
// room and the system memory.
func (x *extent) commit(frontier uintptr) bool {
	r := run{off: x.frontier, n: frontier - x.frontier}
	// SAFETY: frontier <= size, so the pages lie in the reservation.
	if frontier > x.size || vm.Commit(unsafe.Add(x.base, r.off), r.n) != nil {
		return false
	}
	x.frontier = frontier
	x.insert(r)
	return true
}

// insert adds a run to the free runs.
func (x *extent) insert(r run) {
	x.dirty += r.dirty
	i := x.search(r.off)
	if i < len(x.free) && r.end() == x.free[i].off {
		r.n += x.free[i].n
		r.dirty += x.free[i].dirty
		x.free = slices.Delete(x.free, i, i+1)
	}
	if i > 0 && x.free[i-1].end() == r.off {
		x.free[i-1].n += r.n
		x.free[i-1].dirty += r.dirty
		return
	}
	x.free = slices.Insert(x.free, i, r)
}

// purge returns the memory of the larger free runs to the system. A run that is left without memory
// (see vm.Purge) is dropped: it costs only address space.
func (x *extent) purge() {
	kept := x.free[:0]
	for _, r := range x.free {
		if r.dirty >= purgeFrom {
			x.dirty -= r.dirty
			r.dirty = 0
			// SAFETY: the run lies in the reservation.
			if vm.Purge(unsafe.Add(x.base, r.off), r.n) != nil {
				continue
			}
		}
		kept = append(kept, r)
	}
	x.free = kept
}

// search returns the index of the first free run at off or above.
func (x *extent) search(off uintptr) int {
	i, _ := slices.BinarySearchFunc(x.free, off, func(r run, off uintptr) int { return cmp.Compare(r.off, off) })
	return i
}

// pad returns the distance from off to the next address that is a multiple of align.
func (x *extent) pad(off, align uintptr) uintptr {
	return -(uintptr(x.base) + off) & (align - 1)
}
