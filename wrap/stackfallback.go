package wrap

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// StackFallback returns an allocator that takes its memory from buf as long as there is room
// in it, and then from next: for work that mostly needs little, and then touches next not at
// all. Buf is a stack: a block that is freed makes room at once if it is the topmost, and it
// can be resized where it is; other room comes back when all blocks of buf have been freed.
//
// buf belongs to the allocator until that is not used any more. It may be on a goroutine's
// stack, a variable such as [4096]byte, though Go moves it to the heap then; it is Go memory,
// and the blocks must not hold Go pointers all the same. A nil next stands for the global
// allocator. The result is safe for concurrent use if next is: buf has a lock. It is a
// [galloc.Owner] if next is one, and a [galloc.Resetter] if next is.
func StackFallback(buf []byte, next galloc.Allocator) Allocator {
	return Fallback(&stack{buf: buf}, next)
}

// stack allocates from a buffer. Blocks lie in the order that they were allocated in:
//
//	top <= len(buf)
//	live == 0 => top == 0
type stack struct {
	mu   sync.Mutex
	buf  []byte
	top  uintptr // what lies below is in use, or was since the stack was empty
	live int     // blocks
}

func (s *stack) String() string { return fmt.Sprintf("stack of %d bytes", len(s.buf)) }

func (s *stack) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	start := s.top + -(uintptr(s.base())+s.top)&(l.Align()-1)
	if n := uintptr(len(s.buf)); start < s.top || start > n || l.Size() > n-start {
		return nil, galloc.ErrOutOfMemory
	}
	end := start + l.Size()
	s.top = end
	s.live++
	return s.buf[start:end:end], nil
}

func (s *stack) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	if at := s.offset(p); at+l.Size() == s.top {
		s.top = at
	}
	if s.live == 0 {
		s.top = 0
	}
}

func (s *stack) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.offset(p)
	switch {
	case at+l.Size() != s.top:
		return newSize <= l.Size()
	case newSize > uintptr(len(s.buf))-at:
		return false
	}
	s.top = at + newSize
	return true
}

func (s *stack) Owns(p unsafe.Pointer) bool { return s.offset(p) < uintptr(len(s.buf)) }

func (s *stack) Reset() { s.top, s.live = 0, 0 }

func (s *stack) base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s.buf)) }

// offset returns where p lies in the buffer, or a number that is larger than its length.
func (s *stack) offset(p unsafe.Pointer) uintptr { return uintptr(p) - uintptr(s.base()) }
