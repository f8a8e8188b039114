package bump

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The life of an arena: marks, resets, and what it takes and gives back.

// Mark is a moment in the life of an arena.
type Mark struct {
	arena   *Arena
	serial  uint64
	entered int
	used    uintptr // bytes of the chunk that was in use
}

// Mark returns the present moment, for [Arena.Release]. It costs a few instructions. From now on,
// the block that is the last one is no better than others: it cannot grow where it is, and is not
// taken back. A block that grows nevertheless moves, and is then one allocated after the mark.
func (a *Arena) Mark() Mark {
	a.serial++
	a.newest, a.floor = a.serial, a.top
	return Mark{a, a.serial, a.entered, a.inUse()}
}

// Release invalidates all blocks that were allocated since m, and all marks that were made since
// m, but not m itself. The chunks stay with the arena; it costs a few instructions. It panics if m
// is of another arena, or not valid. One case of the latter is not found out, where an older mark
// has been released, a newer one made, and the arena is as full as it was at m again: then some of
// what was allocated since that release is lost, and nothing else.
func (a *Arena) Release(m Mark) {
	switch {
	case m.arena != a:
		panic("galloc/bump: Release of a mark of another arena")
	case m.serial < a.oldest || m.serial > a.newest || !a.holds(m):
		panic("galloc/bump: Release of a mark that is not valid any more: an older one has been released, or the arena reset")
	}
	a.newest, a.entered = m.serial, m.entered
	a.use(m.used)
}

// holds reports whether all that was taken at m is taken now, as it is if m is valid.
func (a *Arena) holds(m Mark) bool {
	switch {
	case m.entered == 0:
		return true
	case m.entered < a.entered:
		return m.used <= a.chunks[m.entered-1].used
	}
	return m.entered == a.entered && m.used <= a.inUse()
}

// Reset invalidates all blocks and all marks. The arena keeps its chunks, so that what is as much
// again needs nothing of the upstream; it costs a few instructions. To keep no more than n bytes,
// call Trim(n) after it; to keep nothing, Close.
func (a *Arena) Reset() {
	a.oldest, a.newest, a.entered = a.serial+1, a.serial, 0
	a.use(0)
}

// Trim gives spare chunks, those without blocks, back to the upstream such that the rest of them,
// large ones first, has no more than keep bytes. It returns how many bytes it has given back, and
// costs time by the number of chunks.
func (a *Arena) Trim(keep uintptr) uintptr {
	before := a.capacity
	slices.SortFunc(a.chunks[a.entered:], func(c, d chunk) int { return cmp.Compare(c.layout.Size(), d.layout.Size()) })
	for i := len(a.chunks) - 1; i >= a.entered; i-- {
		c := a.chunks[i]
		if n := c.layout.Size(); n <= keep {
			keep -= n
			continue
		}
		a.chunks = slices.Delete(a.chunks, i, i+1)
		a.capacity -= c.layout.Size()
		a.Upstream().Deallocate(c.base, c.layout)
	}
	return before - a.capacity
}

// Close invalidates all blocks and all marks, and gives all memory back to the upstream. The
// arena is then as New has made it, with the same limit, and may be used again.
func (a *Arena) Close() {
	a.Reset()
	a.Trim(0)
	a.chunks = nil
}

// Reserve makes sure that blocks of size bytes in all, in one chunk, need nothing more of the
// upstream, if they are next and packed without padding. It fails as Allocate does.
func (a *Arena) Reserve(size uintptr) error {
	fits := func(c chunk) bool { return c.layout.Size() >= size }
	if size <= a.end-a.top || slices.ContainsFunc(a.chunks[a.entered:], fits) {
		return nil
	}
	return a.take(size, 1)
}

// SetLimit sets how many bytes of chunks the arena may have; 0 stands for no limit. An allocation
// that would need more fails. Chunks that exceed a new limit stay.
func (a *Arena) SetLimit(bytes uintptr) { a.limit = bytes }

// Capacity returns the bytes of all chunks.
func (a *Arena) Capacity() uintptr { return a.capacity }

// Used returns the bytes of chunks that are taken: by blocks, by the padding between them, and by
// what blocks have been that were not taken back.
func (a *Arena) Used() uintptr {
	n := a.inUse()
	for i := range a.entered - 1 {
		n += a.chunks[i].used
	}
	return n
}

// Owns reports whether p lies in a chunk of this arena. It costs time by the number of chunks.
func (a *Arena) Owns(p unsafe.Pointer) bool {
	return slices.ContainsFunc(a.chunks, func(c chunk) bool { return uintptr(p)-uintptr(c.base) < c.layout.Size() })
}

// Upstream returns where the chunks come from.
func (a *Arena) Upstream() galloc.Allocator {
	if a.upstream == nil {
		return galloc.Global
	}
	return a.upstream
}

// String returns "bump arena on" and the upstream.
func (a *Arena) String() string { return fmt.Sprintf("bump arena on %v", named(a.Upstream())) }

// named returns what fmt prints a short name for: a, or its type if it has no String.
func named(a galloc.Allocator) any {
	if s, ok := a.(fmt.Stringer); ok {
		return s
	}
	return fmt.Sprintf("%T", a)
}

// inUse returns the bytes of the chunk in use that are taken.
func (a *Arena) inUse() uintptr { return a.top - uintptr(a.base) }

// use makes the last chunk that was entered the one in use, with used bytes of it taken.
func (a *Arena) use(used uintptr) {
	a.base, a.top, a.end = nil, 0, 0
	if a.entered > 0 {
		c := &a.chunks[a.entered-1]
		a.base = c.base
		a.top, a.end = uintptr(c.base)+used, uintptr(c.base)+c.layout.Size()
	}
	a.floor = a.top
}
