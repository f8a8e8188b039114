// Package fixed is an allocator over memory that the program has already: a static array, a part
// of a mapped file, memory shared with another process.
//
// Blocks are taken from the front to the back, as package bump does in its chunks, and end with
// Reset; the last block can be taken back and grow. Nothing but blocks is written to the memory.
// [Buffer] is for one goroutine at a time, [Shared] for any number. The idea is that of Zig's
// FixedBufferAllocator and D's Region.
//
// # Memory at several addresses
//
// What an allocator knows is how many bytes are taken: that is all there is to save, see
// [Buffer.Used] and [Resume]. A block has an offset in the memory, which is the same wherever the
// memory is mapped, now or later, here or in another process; so blocks that refer to one another
// do so by offsets: see [Buffer.Offset] and [Buffer.At]. Blocks are aligned by their address where
// they were allocated. They are at another address if both begin at a multiple of the alignment,
// as mappings do up to the size of an OS page. Two processes that allocate from the same memory
// must see to it that they do not do so at once: the number of bytes taken is not in it.
package fixed

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Buffer allocates from memory given to it. The zero value has none. It must not be copied, nor
// used by several goroutines at once.
//
// It is a [galloc.Allocator]. It has no AllocateZeroed of its own, since it does not know what is
// zero. A block is as long as asked for, to the byte. Where the memory is Go's, the Buffer keeps
// it from being collected, and it is no place for Go pointers: New and its kin refuse them, since
// the garbage collector takes it for bytes.
type Buffer struct {
	r    region
	used uintptr // bytes [used, len(r)) are free
}

var (
	_ galloc.Resizer  = (*Buffer)(nil)
	_ galloc.Owner    = (*Buffer)(nil)
	_ galloc.Resetter = (*Buffer)(nil)
)

// New returns an allocator that has all of mem, from its start to its length. As long as its
// blocks are used, nobody else may use the memory, and it must stay where it is.
func New(mem []byte) *Buffer { return Resume(mem, 0) }

// Resume returns an allocator over memory of which the first used bytes are blocks already: it
// goes on where another one was, which has had so many in [Buffer.Used]. It panics if mem is not
// as long.
func Resume(mem []byte, used int) *Buffer {
	return &Buffer{mem, uintptr(checkUsed(mem, used))}
}

// Allocate returns a block of l.Size() bytes at a multiple of l.Align(). The content is what the
// memory has there; the caller owns the block until it is deallocated, or all are reset. If there
// is no room, the error is galloc.ErrOutOfMemory. Size 0 takes none. It costs some 20 instructions.
func (b *Buffer) Allocate(l galloc.Layout) ([]byte, error) {
	at, top, ok := b.r.place(b.used, l)
	if !ok {
		return refuse(l)
	}
	b.used = top
	return b.r[at:top:top], nil
}

// Deallocate takes back the block at p, which l must fit, if it is the last one. Otherwise nothing
// happens, and its bytes are free after Reset, as are those that aligned it. It ignores blocks of
// size 0.
func (b *Buffer) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if at := b.r.offset(p); l.Size() != 0 && at+l.Size() == b.used && at < b.used {
		b.used = at
	}
}

// Resize makes the block at p, which l must fit, newSize bytes large, where it is, and reports
// whether it has. Every block can shrink; the last one gives back what it had more, and can grow
// as far as the memory goes. newSize is not 0.
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

// Reset invalidates all blocks, those too that were there before Resume.
func (b *Buffer) Reset() { b.used = 0 }

// Used returns how many bytes are taken, from the start of the memory.
func (b *Buffer) Used() int { return int(b.used) }

// Bytes returns the memory, all of it.
func (b *Buffer) Bytes() []byte { return b.r }

// Owns reports whether p lies in the memory.
func (b *Buffer) Owns(p unsafe.Pointer) bool { return b.r.owns(p) }

// Offset returns how many bytes after the start of the memory p is. It panics if p does not lie
// in it.
func (b *Buffer) Offset(p unsafe.Pointer) int { return b.r.mustOffset(p) }

// At returns the address that is offset bytes after the start of the memory, where the Offset of
// it is offset. It panics if that does not lie in the memory.
func (b *Buffer) At(offset int) unsafe.Pointer { return b.r.at(offset) }

// String returns a name with the size.
func (b *Buffer) String() string { return fmt.Sprintf("fixed buffer of %d bytes", len(b.r)) }

// region is the memory, and what Buffer and Shared have in common.
type region []byte

// place returns the offsets of the next block and of its end, where used bytes are taken; ok is
// false if there is no room, or if l is of size 0. The sum cannot overflow: that is the invariant
// of Layout.
func (r region) place(used uintptr, l galloc.Layout) (at, top uintptr, ok bool) {
	pad := -(uintptr(unsafe.Pointer(unsafe.SliceData(r))) + used) & (l.Align() - 1)
	n := pad + l.Size()
	return used + pad, used + n, n <= uintptr(len(r))-used && l.Size() != 0
}

// refuse is Allocate where place is not ok.
func refuse(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return unsafe.Slice((*byte)(l.Dangling()), 0), nil
	}
	return nil, galloc.ErrOutOfMemory
}

// offset returns a number that is len(r) or more if p does not lie in the memory.
func (r region) offset(p unsafe.Pointer) uintptr {
	return uintptr(p) - uintptr(unsafe.Pointer(unsafe.SliceData(r)))
}

func (r region) owns(p unsafe.Pointer) bool { return r.offset(p) < uintptr(len(r)) }

func (r region) mustOffset(p unsafe.Pointer) int {
	if !r.owns(p) {
		panic(fmt.Sprintf("galloc/fixed: Offset of %p, which does not lie in the memory", p))
	}
	return int(r.offset(p))
}

func (r region) at(offset int) unsafe.Pointer {
	if offset < 0 || offset >= len(r) {
		panic(fmt.Sprintf("galloc/fixed: At(%d) of memory of %d bytes", offset, len(r)))
	}
	return unsafe.Pointer(&r[offset])
}

func checkUsed(mem []byte, used int) int {
	if used < 0 || used > len(mem) {
		panic(fmt.Sprintf("galloc/fixed: memory of %d bytes cannot have %d in use", len(mem), used))
	}
	return used
}
