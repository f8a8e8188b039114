// Package bump is an arena: blocks are allocated one after the other, and freed together.
//
// Allocating adds to an address, and freeing all sets it back: nothing is searched, and there
// are no headers. What a single block gives back is lost until then, unless it is the last one.
// So an arena suits work that ends: a request, a frame, a pass of a compiler.
//
// The design is that of regions (Hanson 1990) and of the obstacks of GNU, which have marks; chunks
// grow and are kept as in bumpalo and in Zig's ArenaAllocator.
package bump

import (
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Arena allocates from chunks that it takes from another allocator, its upstream. The zero value
// is an empty arena on galloc.Global. It must not be copied, nor used by several goroutines at once.
//
// It is a [galloc.GlobalAlloc] and a [galloc.Allocator] in one. It has no AllocateZeroed of its
// own, since it does not know what is zero, and no Grow: galloc.Grow and its kin resize the last
// block where it is, and copy others. A block is as long as asked for, to the byte.
//
// The list of chunks lies on the Go heap, 32 bytes for each, and not in the chunks: there a write
// past a block would harm it, and an upstream such as galloc.GoHeap would not see it.
type Arena struct {
	// Of the chunk in use the bytes at [top, end) are free:
	//
	//	base <= floor <= top <= end     and all are 0 if no chunk is in use
	base            unsafe.Pointer
	top, end, floor uintptr // blocks below floor are older than the newest mark, and must stay as they are

	chunks   []chunk // [:entered] have blocks in them, and the last of these is in use; the others are spare
	entered  int
	capacity uintptr // bytes of all chunks
	limit    uintptr // of capacity, or 0
	upstream galloc.Allocator

	serial         uint64 // of the last mark that was made
	oldest, newest uint64 // serials of the marks that are valid, as far as is known
}

// chunk is a block of the upstream.
type chunk struct {
	base   unsafe.Pointer
	layout galloc.Layout
	used   uintptr // bytes, when the arena went on to the next one
}

// minChunk is what sizes of chunks are rounded up to, and chunkAlign their least alignment.
const minChunk, chunkAlign = 4096, 16

var (
	_ galloc.GlobalRealloc = (*Arena)(nil)
	_ galloc.Resizer       = (*Arena)(nil)
	_ galloc.Owner         = (*Arena)(nil)
	_ galloc.Resetter      = (*Arena)(nil)
)

// New returns an empty arena on upstream; nil stands for galloc.Global. It takes no memory
// before it is used. An arena that is not needed any more must be closed.
func New(upstream galloc.Allocator) *Arena { return &Arena{upstream: upstream} }

// Alloc returns a block of l.Size() bytes at a multiple of l.Align(), or nil if there is no
// memory. The content is undefined; the caller owns the block until it is freed, alone or with
// all others. Size 0 takes none: the result is l.Dangling(). It costs some 15 instructions, and
// now and then a block of the upstream.
func (a *Arena) Alloc(l galloc.Layout) unsafe.Pointer {
	if p := a.bump(l); p != nil {
		return p
	}
	b, _ := a.more(l)
	return unsafe.Pointer(unsafe.SliceData(b))
}

// Allocate is Alloc with an error: galloc.ErrOutOfMemory where the limit is reached, or else
// the upstream's.
func (a *Arena) Allocate(l galloc.Layout) ([]byte, error) {
	if p := a.bump(l); p != nil {
		return unsafe.Slice((*byte)(p), l.Size()), nil // SAFETY: it has that size
	}
	return a.more(l)
}

// bump takes a block from the chunk in use, or returns nil if there is no room, or if l is of
// size 0. What one allocation waits for is the top that the one before has left, so as little as
// possible stands between the two. Sums may wrap around, but not n = padding + l.Size(): that is
// the invariant of Layout.
func (a *Arena) bump(l galloc.Layout) unsafe.Pointer {
	at := (a.top + l.Align() - 1) &^ (l.Align() - 1)
	top := at + l.Size()
	if n := top - a.top; n > a.end-a.top || l.Size() == 0 {
		return nil
	}
	a.top = top
	return unsafe.Add(a.base, at-uintptr(a.base)) // SAFETY: base <= at < at+l.Size() == top <= end
}

// more is Allocate where the chunk in use has no room: it enters the largest spare chunk, or a
// new one. What was left in the old one is lost until Release or Reset.
func (a *Arena) more(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return unsafe.Slice((*byte)(l.Dangling()), 0), nil
	}
	spare := a.chunks[a.entered:]
	for i := range spare {
		if spare[i].layout.Size() > spare[0].layout.Size() {
			spare[0], spare[i] = spare[i], spare[0]
		}
	}
	if len(spare) == 0 || -uintptr(spare[0].base)&(l.Align()-1)+l.Size() > spare[0].layout.Size() {
		if err := a.take(l.Size(), l.Align()); err != nil {
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

// take gets a chunk of size bytes or more from the upstream, as the first spare one. It is as
// large as all others together: so n bytes need about log2(n/4096) chunks, and no more than half
// of the capacity waits for its first use. If that is not to be had, half of it will do, and so on.
func (a *Arena) take(size, align uintptr) error {
	align = max(align, chunkAlign)
	most := math.MaxInt + 1 - align
	if a.limit != 0 {
		most = min(most, a.limit-min(a.limit, a.capacity))
	}
	if size > most {
		return galloc.ErrOutOfMemory
	}
	for n := min((max(size, a.capacity)+minChunk-1)&^(minChunk-1), most); ; n = max(size, n/2) {
		l, _ := galloc.NewLayout(n, align) // n <= most is valid
		b, err := a.Upstream().Allocate(l)
		if err == nil {
			a.capacity += n
			a.chunks = append(a.chunks, chunk{base: unsafe.Pointer(unsafe.SliceData(b)), layout: l})
			a.chunks[a.entered], a.chunks[len(a.chunks)-1] = a.chunks[len(a.chunks)-1], a.chunks[a.entered]
			return nil
		}
		if n == size {
			return err
		}
	}
}
