package bump

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Freeing many blocks at once, and the chunks of an arena.

// Mark is a moment in the life of an arena, made by [Arena.Mark].
type Mark struct {
	arena   *Arena
	serial  uint64
	entered int
	used    uintptr // bytes in use in the current chunk
}

// Mark returns the present moment, for [Arena.Rewind], in a few instructions. The last block can no
// longer grow in place or be freed alone. If it grows, it moves, and the new block is younger than
// the mark.
func (a *Arena) Mark() Mark {
	a.serial++
	a.newest, a.floor = a.serial, a.top
	return Mark{a, a.serial, a.entered, a.inUse()}
}

// Rewind frees all blocks allocated since m and invalidates all marks made since m, but not m
// itself. The arena keeps its chunks. Rewind takes a few instructions.
//
// It panics if m is of another arena or is invalid. It does not detect one case: if the arena was
// rewound to an older mark, and then a newer mark was made and at least as many bytes are in use as
// at m. Rewind then frees some of the blocks allocated since the earlier rewind, and nothing else.
func (a *Arena) Rewind(m Mark) {
	switch {
	case m.arena != a:
		panic("galloc/bump: Rewind to a mark of another arena")
	case m.serial < a.oldest || m.serial > a.newest || !a.holds(m):
		panic("galloc/bump: Rewind to an invalid mark: the arena was reset, or rewound to an older mark")
	}
	a.newest, a.entered = m.serial, m.entered
	a.use(m.used)
}

// holds reports whether all bytes in use at m are in use now, as they are if m is valid.
func (a *Arena) holds(m Mark) bool {
	switch {
	case m.entered == 0:
		return true
	case m.entered < a.entered:
		return m.used <= a.chunks[m.entered-1].used
	}
	return m.entered == a.entered && m.used <= a.inUse()
}

// Reset frees all blocks and invalidates all marks, in a few instructions. The arena keeps its
// chunks, so allocating the same amount again needs no memory from the upstream. To keep at most n
// bytes, call TrimTo(n) after Reset; to keep none, call Close.
func (a *Arena) Reset() {
	a.oldest, a.newest, a.entered = a.serial+1, a.serial, 0
	a.use(0)
}

// Trim releases all spare chunks, which contain no blocks, to the upstream. It returns the number
// of bytes released.
func (a *Arena) Trim() uintptr { return a.TrimTo(0) }

// TrimTo is like Trim but keeps spare chunks of at most keep bytes in all, larger chunks first. Its
// cost depends on the number of chunks.
func (a *Arena) TrimTo(keep uintptr) uintptr {
	before := a.capacity
	slices.SortFunc(a.chunks[a.entered:], func(c, d chunk) int {
		return cmp.Compare(c.layout.Size(), d.layout.Size())
	})
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

// Close frees all blocks, invalidates all marks, and releases all memory to the upstream. The arena
// is then empty, keeps its limit, and can be used again.
func (a *Arena) Close() {
	a.Reset()
	a.Trim()
	a.chunks = nil
}

// Reserve ensures that the next blocks, of size bytes in all and without padding, need no memory
// from the upstream. It fails as Allocate does.
func (a *Arena) Reserve(size uintptr) error {
	fits := func(c chunk) bool { return c.layout.Size() >= size }
	if size <= a.end-a.top || slices.ContainsFunc(a.chunks[a.entered:], fits) {
		return nil
	}
	return a.addChunk(size, 1)
}

// SetLimit limits the chunks of the arena to n bytes; 0 means no limit. Allocations that need more
// fail. The arena keeps chunks that exceed a new limit.
func (a *Arena) SetLimit(n uintptr) { a.limit = n }

// Capacity returns the number of bytes of all chunks.
func (a *Arena) Capacity() uintptr { return a.capacity }

// Used returns the number of bytes in use: by blocks, by padding between blocks, and by freed
// blocks that are lost until the arena is rewound or reset.
func (a *Arena) Used() uintptr {
	n := a.inUse()
	for i := range a.entered - 1 {
		n += a.chunks[i].used
	}
	return n
}

// Owns reports whether p is in a chunk of the arena. Its cost depends on the number of chunks.
func (a *Arena) Owns(p unsafe.Pointer) bool {
	return slices.ContainsFunc(a.chunks, func(c chunk) bool {
		return uintptr(p)-uintptr(c.base) < c.layout.Size()
	})
}

// Upstream returns the allocator of the chunks.
func (a *Arena) Upstream() galloc.Allocator {
	if a.upstream == nil {
		return galloc.Global
	}
	return a.upstream
}

// String returns "bump arena on" and the name of the upstream.
func (a *Arena) String() string { return fmt.Sprintf("bump arena on %v", block.Name(a.Upstream())) }

// inUse returns the number of bytes in use in the current chunk.
func (a *Arena) inUse() uintptr { return a.top - uintptr(a.base) }

// use makes the last entered chunk current, with used bytes in use.
func (a *Arena) use(used uintptr) {
	a.base, a.top, a.end = nil, 0, 0
	if a.entered > 0 {
		c := &a.chunks[a.entered-1]
		a.base = c.base
		a.top, a.end = uintptr(c.base)+used, uintptr(c.base)+c.layout.Size()
	}
	a.floor = a.top
}
