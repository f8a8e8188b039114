// Package bump is an arena: it allocates blocks one after another and frees them all together.
//
// Allocating adds to an address, and freeing everything sets the address back. There is no search
// and there are no block headers. A block that is freed alone is lost until then, unless it is the
// last one. So an arena suits work that ends: a request, a frame, a pass of a compiler.
//
// The design is known as regions (Hanson 1990); marks come from the obstacks of GNU. Chunks grow
// and are reused as in bumpalo and in Zig's ArenaAllocator.
package bump

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
)

// Arena allocates blocks in chunks, which it allocates from another allocator, its upstream. The
// zero value is an empty arena on galloc.Global. An Arena must not be copied and is not safe for
// concurrent use.
//
// It is a [galloc.GlobalAlloc] and a [galloc.Allocator]: Alloc, Dealloc and Realloc are the one
// face, Allocate and Deallocate the other. galloc.Grow and galloc.Shrink resize the last block in
// place and copy other blocks that must grow. Blocks have exactly the requested size and are not
// zeroed.
//
// The list of chunks is on the Go heap, 32 bytes for each chunk, so a write past the end of a block
// cannot corrupt it, and the garbage collector sees chunks from galloc.GoHeap.
type Arena struct {
	_ block.NoCopy

	// The bytes [top, end) of the current chunk are free. Blocks below floor are older than the
	// newest mark and do not change.
	//
	//	base <= floor <= top <= end     and all are 0 if there is no current chunk
	base            unsafe.Pointer
	top, end, floor uintptr

	chunks   []chunk // [:entered] have blocks, the last of them is current; the others are spare
	entered  int
	capacity uintptr // bytes of all chunks
	limit    uintptr // of capacity, or 0
	upstream galloc.Allocator

	serial         uint64 // of the newest mark ever made
	oldest, newest uint64 // marks outside of these serials are invalid
}

// chunk is a block of the upstream.
type chunk struct {
	base   unsafe.Pointer
	layout galloc.Layout
	used   uintptr // bytes in use when the arena entered the next chunk
}

// Chunk sizes are multiples of minChunk, and chunks are aligned to at least chunkAlign.
const minChunk, chunkAlign = 4096, 16

var (
	_ galloc.GlobalRealloc = (*Arena)(nil)
	_ galloc.Resizer       = (*Arena)(nil)
	_ galloc.Owner         = (*Arena)(nil)
	_ galloc.Resetter      = (*Arena)(nil)
)

// New returns an empty arena on upstream, or on galloc.Global if upstream is nil. It allocates
// nothing. It panics if upstream is a nil pointer or a zero heap.Heap. Close frees the memory of
// the arena.
func New(upstream galloc.Allocator) *Arena {
	if upstream != nil {
		bridge.CheckAllocator("galloc/bump", upstream)
	}
	return &Arena{upstream: upstream}
}

// Alloc returns a block of l.Size() bytes aligned to l.Align(), or nil if memory runs out. Its
// content is undefined. The block is valid until it or the whole arena is freed. A block of size 0
// takes no memory and is at l.Dangling(). Alloc takes about 15 instructions, unless it needs a new
// chunk.
func (a *Arena) Alloc(l galloc.Layout) unsafe.Pointer {
	if p := a.bump(l); p != nil {
		return p
	}
	b, _ := a.allocSlow(l)
	return unsafe.Pointer(unsafe.SliceData(b))
}

// Allocate is like Alloc but returns an error if memory runs out: galloc.ErrLimit at the limit
// of the arena, or else the error of the upstream.
func (a *Arena) Allocate(l galloc.Layout) ([]byte, error) {
	if p := a.bump(l); p != nil {
		return block.Bytes(p, l.Size()), nil
	}
	return a.allocSlow(l)
}

// bump allocates a block in the current chunk. It returns nil if the chunk is full or l has size 0.
// Each allocation depends on the top set by the previous one, so the computation of top is kept
// short. at and top may wrap around, but n, the padding plus the size, cannot: Layout guarantees
// that.
func (a *Arena) bump(l galloc.Layout) unsafe.Pointer {
	at := (a.top + l.Align() - 1) &^ (l.Align() - 1)
	top := at + l.Size()
	if n := top - a.top; n > a.end-a.top || l.Size() == 0 {
		return nil
	}
	a.top = top
	return unsafe.Add(a.base, at-uintptr(a.base)) // SAFETY: base <= at < at+l.Size() == top <= end
}

// allocSlow is Allocate if the current chunk is full. It enters the largest spare chunk, or a new
// one. The rest of the current chunk is lost until Rewind or Reset.
func (a *Arena) allocSlow(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return block.Bytes(l.Dangling(), 0), nil
	}
	spare := a.chunks[a.entered:]
	for i := range spare {
		if spare[i].layout.Size() > spare[0].layout.Size() {
			spare[0], spare[i] = spare[i], spare[0]
		}
	}
	if len(spare) == 0 || -uintptr(spare[0].base)&(l.Align()-1)+l.Size() > spare[0].layout.Size() {
		if err := a.addChunk(l.Size(), l.Align()); err != nil {
			return nil, err
		}
	}
	if a.entered > 0 {
		a.chunks[a.entered-1].used = a.top - uintptr(a.base)
	}
	a.entered++
	a.use(0)
	return a.Allocate(l)
}

// addChunk allocates a chunk of at least size bytes and makes it the first spare one. A chunk is as
// large as all others together. So n bytes need about log2(n/4096) chunks, and at most half of the
// capacity is unused. If the upstream fails, addChunk tries half the size, and so on down to size.
func (a *Arena) addChunk(size, align uintptr) error {
	align = max(align, chunkAlign)
	limit := block.MaxSize(align)
	if a.limit != 0 {
		limit = min(limit, a.limit-min(a.limit, a.capacity))
	}
	switch {
	case size <= limit:
	case a.limit == 0:
		return galloc.ErrOutOfMemory // larger than any layout
	default:
		return galloc.ErrLimit
	}
	for n := min(block.RoundUp(max(size, a.capacity), minChunk), limit); ; n = max(size, n/2) {
		l, _ := galloc.NewLayout(n, align) // n <= limit is valid
		b, err := a.Upstream().Allocate(l)
		if err == nil {
			a.capacity += n
			a.chunks = append(a.chunks, chunk{base: unsafe.Pointer(unsafe.SliceData(b)), layout: l})
			first, last := &a.chunks[a.entered], &a.chunks[len(a.chunks)-1]
			*first, *last = *last, *first
			return nil
		}
		if n == size {
			return err
		}
	}
}
