// Package fixed allocates from memory that the program already has: a static array, a part of a
// mapped file, memory shared with another process.
//
// Blocks are allocated from front to back, as in a chunk of package bump, and freed together by
// Reset. The last block can be freed alone and can grow. Only the blocks are in the memory.
// [Buffer] is for one goroutine at a time, [Shared] for any number. The design follows
// FixedBufferAllocator in Zig and Region in D.
//
// Both are a [galloc.Allocator], but not a GlobalAlloc.
//
// # Memory at several addresses
//
// The state of an allocator is the number of bytes in use. To save and restore it, see
// [Buffer.Used] and [Resume]. The offset of a block in the memory is the same wherever the memory
// is mapped, later or in another process. So blocks should refer to one another by offsets: see
// [Buffer.Offset] and [Buffer.At]. A block is aligned by its address at the time of allocation. It
// is aligned at another address too if both mappings begin at a multiple of the alignment, as they
// do up to the size of an OS page. Two processes that allocate from the same memory must
// synchronize, because the number of bytes in use is not in the memory.
package fixed

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Buffer allocates from memory of the program. The zero value has no memory. A Buffer must not be
// copied and is not safe for concurrent use.
//
// Blocks have exactly the requested size and are not zeroed. If the memory is Go's, the Buffer
// keeps it from being collected. The garbage collector does not look for pointers in it, so
// galloc.New and the like fail for types that contain Go pointers.
type Buffer struct {
	_    block.NoCopy
	r    region
	used uintptr // bytes [used, len(r)) are free
}

var (
	_ galloc.Resizer  = (*Buffer)(nil)
	_ galloc.Owner    = (*Buffer)(nil)
	_ galloc.Resetter = (*Buffer)(nil)
)

// New returns an allocator over all of mem, up to its length. While blocks are in use, the memory
// must not move, and nothing else may use it.
func New(mem []byte) *Buffer { return Resume(mem, 0) }

// Resume returns an allocator over mem whose first used bytes are blocks already. It continues
// where another allocator stopped, whose [Buffer.Used] was used. Resume panics if mem is shorter.
func Resume(mem []byte, used int) *Buffer {
	return &Buffer{r: mem, used: uintptr(checkUsed(mem, used))}
}

// Allocate returns a block of l.Size() bytes aligned to l.Align(), with the content of the memory.
// The block is valid until it is freed or the Buffer is reset. If there is no room, the error is
// galloc.ErrLimit. A block of size 0 takes no memory. Allocate takes about 20 instructions.
func (b *Buffer) Allocate(l galloc.Layout) ([]byte, error) {
	at, top, ok := b.r.place(b.used, l)
	if !ok {
		return noBlock(l)
	}
	b.used = top
	return b.r[at:top:top], nil
}

// Deallocate frees the block at p, which l must fit, if it is the last one. Other blocks, and
// padding, are lost until Reset. Deallocate ignores blocks of size 0.
func (b *Buffer) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if at := b.r.offset(p); l.Size() != 0 && at+l.Size() == b.used && at < b.used {
		b.used = at
	}
}

// Resize changes the size of the block at p, which l must fit, to newSize in place, and reports
// whether it did. Every block can shrink. The last block can grow up to the end of the memory, and
// frees the bytes by which it shrinks. newSize must not be 0.
func (b *Buffer) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == 0 || l.Size() == 0 {
		return newSize == l.Size()
	}
	at := b.r.offset(p)
	if at+l.Size() == b.used && at < b.used && newSize <= uintptr(len(b.r))-at {
		b.used = at + newSize
		return true
	}
	return newSize <= l.Size()
}

// Reset frees all blocks, including blocks from before Resume.
func (b *Buffer) Reset() { b.used = 0 }

// Used returns the number of bytes in use, from the start of the memory.
func (b *Buffer) Used() int { return int(b.used) }

// Bytes returns the whole memory.
func (b *Buffer) Bytes() []byte { return b.r }

// Owns reports whether p is in the memory.
func (b *Buffer) Owns(p unsafe.Pointer) bool { return b.r.owns(p) }

// Offset returns the offset of p from the start of the memory. It panics if p is not in the memory.
func (b *Buffer) Offset(p unsafe.Pointer) int { return b.r.mustOffset(p) }

// At returns the address at offset from the start of the memory. It panics if that is not in the
// memory.
func (b *Buffer) At(offset int) unsafe.Pointer { return b.r.at(offset) }

// String returns a name with the size.
func (b *Buffer) String() string { return fmt.Sprintf("fixed buffer of %d bytes", len(b.r)) }

// region is the memory of a Buffer or a Shared.
type region []byte

// place returns the offsets of the next block and of its end if used bytes are in use. ok is false
// if there is no room or l has size 0. The sum cannot overflow: Layout guarantees that.
func (r region) place(used uintptr, l galloc.Layout) (at, top uintptr, ok bool) {
	pad := -(uintptr(unsafe.Pointer(unsafe.SliceData(r))) + used) & (l.Align() - 1)
	n := pad + l.Size()
	return used + pad, used + n, n <= uintptr(len(r))-used && l.Size() != 0
}

// noBlock is Allocate if place is not ok.
func noBlock(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return block.Bytes(l.Dangling(), 0), nil
	}
	return nil, galloc.ErrLimit
}

// offset returns the offset of p, which is at least len(r) if p is not in the memory.
func (r region) offset(p unsafe.Pointer) uintptr {
	return uintptr(p) - uintptr(unsafe.Pointer(unsafe.SliceData(r)))
}

func (r region) owns(p unsafe.Pointer) bool { return r.offset(p) < uintptr(len(r)) }

func (r region) mustOffset(p unsafe.Pointer) int {
	if !r.owns(p) {
		panic(fmt.Sprintf("galloc/fixed: Offset of %p, which is not in the memory", p))
	}
	return int(r.offset(p))
}

func (r region) at(offset int) unsafe.Pointer {
	if offset < 0 || offset >= len(r) {
		panic(fmt.Sprintf("galloc/fixed: At(%d) out of range (memory of %d bytes)", offset, len(r)))
	}
	return unsafe.Pointer(&r[offset])
}

func checkUsed(mem []byte, used int) int {
	if used < 0 || used > len(mem) {
		panic(fmt.Sprintf("galloc/fixed: Resume with %d bytes in use, but the memory has %d", used, len(mem)))
	}
	return used
}
