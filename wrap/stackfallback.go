package wrap

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/misuse"
)

// StackFallback returns an allocator that takes its memory from buf while there is room, and then
// from next. It is for work that mostly needs little memory, and then does not use next at all.
//
// The buffer is a stack. A block that is freed makes room when all blocks above it have been freed
// too, and the topmost block can be resized in place. UsableSize is the size asked for.
//
// A double free of a block of the buffer is a misuse, and so is a free or resize of an address that
// is not a block of it, or with a layout of another size. The call panics and changes nothing. The
// list of blocks is on the Go heap, 16 bytes for each block that is in use or below one.
//
// The buffer belongs to the allocator as long as that is used. It may be a variable such as a
// [4096]byte, which Go then moves to its heap. It is Go memory, but blocks must not hold Go
// pointers.
//
// The result is safe for concurrent use if next is: the buffer has a lock. A nil next means the
// global allocator.
func StackFallback(buf []byte, next galloc.Allocator) *Pair {
	return Fallback(&stack{buf: buf}, next)
}

// stack allocates from a buffer. Blocks lie in the order of their allocation, and the last one is
// in use. They do not overlap, and end at or below top. Invariant:
//
//	top is the end of the last block, 0 if there is none, and at most len(buf)
type stack struct {
	mu     sync.Mutex
	buf    []byte
	top    uintptr
	blocks []stackBlock
}

// stackBlock is a block of a stack. A block that has been freed has size 0.
type stackBlock struct{ start, size uintptr }

func (s *stack) String() string { return fmt.Sprintf("stack of %d bytes", len(s.buf)) }

func (s *stack) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	start := s.top + -(uintptr(s.base())+s.top)&(l.Align()-1)
	if n := uintptr(len(s.buf)); start < s.top || start > n || l.Size() > n-start {
		return nil, galloc.ErrLimit
	}
	s.top = start + l.Size()
	s.blocks = append(s.blocks, stackBlock{start, l.Size()})
	return s.buf[start:s.top:s.top], nil
}

func (s *stack) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block("Deallocate", p, l).size = 0
	n := len(s.blocks)
	for n > 0 && s.blocks[n-1].size == 0 {
		n--
	}
	s.blocks, s.top = s.blocks[:n], 0
	if n > 0 {
		s.top = s.blocks[n-1].start + s.blocks[n-1].size
	}
}

func (s *stack) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.block("Resize", p, l)
	last := b == &s.blocks[len(s.blocks)-1]
	if newSize > b.size && (!last || newSize > uintptr(len(s.buf))-b.start) {
		return false
	}
	b.size = newSize
	if last {
		s.top = b.start + newSize
	}
	return true
}

// block returns the block at p, which l must fit, or panics. The pointer is valid until the blocks
// change. It searches only if the block is not the last one.
func (s *stack) block(op string, p unsafe.Pointer, l galloc.Layout) *stackBlock {
	at := s.offset(p)
	i, ok := len(s.blocks)-1, false
	if i >= 0 && s.blocks[i].start == at {
		ok = true
	} else {
		i, ok = slices.BinarySearchFunc(s.blocks, at, func(b stackBlock, at uintptr) int {
			return int(b.start) - int(at)
		})
	}
	if ok && s.blocks[i].size == l.Size() {
		return &s.blocks[i]
	}
	text := fmt.Sprintf("%s of %p with %v: ", op, p, l)
	switch {
	case ok && s.blocks[i].size != 0:
		panic(fmt.Sprintf("galloc/wrap: %v: %sthe block has %d bytes", misuse.WrongLayout, text, s.blocks[i].size))
	case ok || at >= s.top:
		panic(fmt.Sprintf("galloc/wrap: %v: %sthe memory is free", misuse.DoubleFree, text))
	}
	panic(fmt.Sprintf("galloc/wrap: %v: %sno block starts there", misuse.InteriorFree, text))
}

func (s *stack) Owns(p unsafe.Pointer) bool { return s.offset(p) < uintptr(len(s.buf)) }

func (s *stack) Reset() { s.top, s.blocks = 0, s.blocks[:0] }

func (s *stack) base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s.buf)) }

// offset returns the offset of p in the buffer, or a number of at least its length if p is
// elsewhere.
func (s *stack) offset(p unsafe.Pointer) uintptr { return uintptr(p) - uintptr(s.base()) }
