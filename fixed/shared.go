package fixed

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Shared is a [Buffer] that several goroutines may use at once. It takes no lock: each call that
// changes something is one compare-and-swap, repeated if another goroutine was faster. Only one
// goroutine at a time can have the last block, so taking back and growing seldom succeed while
// others allocate. The zero value has no memory. It must not be copied.
type Shared struct {
	r    region
	used atomic.Uintptr
}

var (
	_ galloc.Resizer  = (*Shared)(nil)
	_ galloc.Owner    = (*Shared)(nil)
	_ galloc.Resetter = (*Shared)(nil)
)

// NewShared is [New] for several goroutines.
func NewShared(mem []byte) *Shared { return ResumeShared(mem, 0) }

// ResumeShared is [Resume] for several goroutines.
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
			return refuse(l)
		}
		if s.used.CompareAndSwap(used, top) {
			return s.r[at:top:top], nil
		}
	}
}

// Deallocate takes back the block at p, as [Buffer.Deallocate] does.
func (s *Shared) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if at := s.r.offset(p); l.Size() != 0 && at < uintptr(len(s.r)) {
		s.used.CompareAndSwap(at+l.Size(), at)
	}
}

// Resize changes the size of the block at p where it is, as [Buffer.Resize] does.
func (s *Shared) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize == 0 || l.Size() == 0 {
		return newSize == l.Size()
	}
	at := s.r.offset(p)
	if at < uintptr(len(s.r)) && newSize <= uintptr(len(s.r))-at && s.used.CompareAndSwap(at+l.Size(), at+newSize) {
		return true
	}
	return newSize <= l.Size()
}

// Reset invalidates all blocks. It must not be called at the same time as any other method.
func (s *Shared) Reset() { s.used.Store(0) }

// Used returns how many bytes are taken, from the start of the memory.
func (s *Shared) Used() int { return int(s.used.Load()) }

// Bytes returns the memory, all of it.
func (s *Shared) Bytes() []byte { return s.r }

// Owns reports whether p lies in the memory.
func (s *Shared) Owns(p unsafe.Pointer) bool { return s.r.owns(p) }

// Offset returns how many bytes after the start of the memory p is: see [Buffer.Offset].
func (s *Shared) Offset(p unsafe.Pointer) int { return s.r.mustOffset(p) }

// At returns the address at an offset: see [Buffer.At].
func (s *Shared) At(offset int) unsafe.Pointer { return s.r.at(offset) }

// String returns a name with the size.
func (s *Shared) String() string { return fmt.Sprintf("shared fixed buffer of %d bytes", len(s.r)) }
