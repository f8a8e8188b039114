package fixed

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Shared is a [Buffer] that is safe for concurrent use. It has no lock: a call that changes
// something is a compare-and-swap, repeated if another goroutine was faster. Only one block is the
// last one, so freeing and growing seldom succeed while other goroutines allocate. The zero value
// has no memory. A Shared must not be copied.
type Shared struct {
	r    region
	used atomic.Uintptr
}

var (
	_ galloc.Resizer  = (*Shared)(nil)
	_ galloc.Owner    = (*Shared)(nil)
	_ galloc.Resetter = (*Shared)(nil)
)

// NewShared is like [New] for a Shared.
func NewShared(mem []byte) *Shared { return ResumeShared(mem, 0) }

// ResumeShared is like [Resume] for a Shared.
func ResumeShared(mem []byte, used int) *Shared {
	s := &Shared{r: mem}
	s.used.Store(uintptr(checkUsed(mem, used)))
	return s
}

// Allocate returns a block, as [Buffer.Allocate] does.
func (s *Shared) Allocate(l galloc.Layout) ([]byte, error) {
	for {
		used := s.used.Load()
		at, top, ok := s.r.place(used, l)
		if !ok {
			return noBlock(l)
		}
		if s.used.CompareAndSwap(used, top) {
			return s.r[at:top:top], nil
		}
	}
}

// Deallocate frees the block at p, as [Buffer.Deallocate] does.
func (s *Shared) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if at := s.r.offset(p); l.Size() != 0 && at < uintptr(len(s.r)) {
		s.used.CompareAndSwap(at+l.Size(), at)
	}
}

// Resize changes the size of the block at p in place, as [Buffer.Resize] does.
func (s *Shared) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == 0 || l.Size() == 0 {
		return newSize == l.Size()
	}
	at := s.r.offset(p)
	if n := uintptr(len(s.r)); at < n && newSize <= n-at && s.used.CompareAndSwap(at+l.Size(), at+newSize) {
		return true
	}
	return newSize <= l.Size()
}

// Reset frees all blocks. It must not be called concurrently with another method.
func (s *Shared) Reset() { s.used.Store(0) }

// Used returns the number of bytes in use, from the start of the memory.
func (s *Shared) Used() int { return int(s.used.Load()) }

// Bytes returns the whole memory.
func (s *Shared) Bytes() []byte { return s.r }

// Owns reports whether p is in the memory.
func (s *Shared) Owns(p unsafe.Pointer) bool { return s.r.owns(p) }

// Offset returns the offset of p from the start of the memory: see [Buffer.Offset].
func (s *Shared) Offset(p unsafe.Pointer) int { return s.r.mustOffset(p) }

// At returns the address at offset from the start of the memory: see [Buffer.At].
func (s *Shared) At(offset int) unsafe.Pointer { return s.r.at(offset) }

// String returns a name with the size.
func (s *Shared) String() string { return fmt.Sprintf("shared fixed buffer of %d bytes", len(s.r)) }
