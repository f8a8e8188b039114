// Package memory has the interface of modernc.org/memory, on galloc's global allocator. A program
// that replaces the one module by the other runs modernc.org/libc, and with it modernc.org/sqlite,
// on galloc:
//
//	replace modernc.org/memory => …/galloc/adapters/sqlite/memory
//
// The package has the functions of modernc.org/memory v1.12.1, in three forms: for byte slices, for
// unsafe.Pointer and for addresses as numbers. These are the differences:
//
//   - An Allocator is safe for concurrent use.
//   - All allocators share galloc's global allocator, with its limits, statistics and checks.
//   - Close frees no blocks. It returns an error if some are left.
//   - Realloc moves a large block that becomes much smaller, or returns its end to the allocator.
//   - A block that is freed twice, or an address that is no block, is a panic.
//   - In a program that is built with -race, the memory is C's: see source_race.go.
//
// # Blocks
//
// The interface frees blocks without their size, so a block has a header of two words:
//
//	size of the block, in bytes │ size ^ seal │ the block ...
//
// The size is a multiple of two words, and so is each address. It is the usable size exactly, since
// libc keeps blocks of some sizes in caches.
package memory

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

const (
	word  = unsafe.Sizeof(uintptr(0))
	align = 2 * word

	seal   = uintptr(0x6761_6c6c_6f63_2e31 & math.MaxUint) // of a block
	broken = ^seal                                         // of a freed one
)

// A header precedes each block.
//
//	check == size ^ seal,   or size ^ broken after the block is freed
type header struct{ size, check uintptr }

// Allocator allocates and frees memory. Its zero value is ready for use. The exported counters are
// updated only with the build tag memory.counters.
type Allocator struct {
	Allocs int // blocks that are not freed
	Bytes  int // their bytes, with headers
	Mmaps  int // blocks that are not freed too: each is one request to galloc

	live atomic.Int64 // blocks that are not freed
	mu   sync.Mutex   // of the exported counters
}

// count adds to the number of blocks and their bytes.
func (a *Allocator) count(blocks int, bytes uintptr) {
	a.live.Add(int64(blocks))
	if counters {
		a.mu.Lock()
		a.Allocs += blocks
		a.Mmaps += blocks
		a.Bytes += blocks * int(bytes+align)
		a.mu.Unlock()
	}
}

// layout returns the layout of a block of at least size bytes, with its header.
func layout(size int) (l galloc.Layout, err error) {
	if size < 0 || size > math.MaxInt-2*int(align) {
		return l, fmt.Errorf("memory: %w: %d bytes are more than the address space holds", galloc.ErrOutOfMemory, size)
	}
	return galloc.NewLayout((uintptr(size)+2*align-1)&^(align-1), align)
}

// made writes the header of the block at p, of layout l, and returns the block.
func (a *Allocator) made(p unsafe.Pointer, l galloc.Layout) unsafe.Pointer {
	size := l.Size() - align
	*(*header)(p) = header{size, size ^ seal}
	a.count(1, size)
	return unsafe.Add(p, align)
}

// collected reports whether the collector could free the blocks, whose addresses libc keeps as
// numbers.
var collected = sync.OnceValue(func() bool { return galloc.GarbageCollected(source) })

var errCollected = errors.New("memory: the global allocator returns memory that is garbage collected, and libc keeps " +
	"addresses as numbers: choose another one, such as GALLOC=heap")

// failed is called if Alloc of the global allocator has failed. It returns the reason.
func failed(l galloc.Layout, zeroed bool) (unsafe.Pointer, error) {
	allocate := source.Allocate
	if zeroed {
		allocate = source.AllocateZeroed
	}
	b, err := allocate(l) // which may succeed now
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	return unsafe.Pointer(unsafe.SliceData(b)), nil
}

func (a *Allocator) malloc(size int, zeroed bool) (p unsafe.Pointer, err error) {
	if size < 0 {
		panic("memory: invalid malloc size")
	}
	if size == 0 {
		return nil, nil
	}
	if collected() {
		return nil, errCollected
	}
	l, err := layout(size)
	if err != nil {
		return nil, err
	}
	if zeroed {
		p = allocZeroed(l)
	} else {
		p = alloc(l)
	}
	if p == nil {
		if p, err = failed(l, zeroed); err != nil {
			return nil, err
		}
	}
	return a.made(p, l), nil
}

// find returns the header of the block at p.
func find(p unsafe.Pointer, caller string) *header {
	h := (*header)(unsafe.Add(p, -int(align)))
	if h.check != h.size^seal {
		reason := "it is no block, or what is before it was overwritten"
		if h.check == h.size^broken {
			reason = "it is freed already"
		}
		panic(fmt.Sprintf("memory: %s of %p: %s", caller, p, reason))
	}
	return h
}

// layout returns the layout of the block, with its header.
func (h *header) layout() galloc.Layout {
	l, _ := galloc.NewLayout(h.size+align, align)
	return l
}

func (a *Allocator) free(p unsafe.Pointer) {
	if p == nil {
		return
	}
	h := find(p, "Free")
	l := h.layout()
	h.check = h.size ^ broken
	a.count(-1, h.size)
	dealloc(unsafe.Pointer(h), l)
}

// minShrink is the size from which on Realloc returns the unused half of a block.
const minShrink = 4096

func (a *Allocator) realloc(p unsafe.Pointer, size int) (unsafe.Pointer, error) {
	switch {
	case p == nil:
		return a.malloc(size, false)
	case size == 0:
		a.free(p)
		return nil, nil
	}
	l, err := layout(size)
	if err != nil {
		return nil, err
	}
	h := find(p, "Realloc")
	old := h.size
	if uintptr(size) <= old && (old < minShrink || uintptr(size) > old/2) {
		return p, nil
	}
	q := resize(unsafe.Pointer(h), h.layout(), l.Size())
	if q == nil {
		if uintptr(size) <= old {
			return p, nil
		}
		return nil, fmt.Errorf("memory: %w", galloc.ErrOutOfMemory.For(l))
	}
	a.count(-1, old)
	return a.made(q, l), nil
}

func usableSize(p unsafe.Pointer, caller string) int {
	if p == nil {
		return 0
	}
	return int(find(p, caller).size)
}

// Close makes a an Allocator without blocks. If the program has not freed all of them, Close
// returns an error with their number. They are leaks, which GALLOC=debug shows.
func (a *Allocator) Close() error {
	n := a.live.Swap(0)
	a.Allocs, a.Bytes, a.Mmaps = 0, 0, 0
	if n != 0 {
		return fmt.Errorf("memory: Close: %d blocks are not freed", n)
	}
	return nil
}

// Trim returns the unused memory of the global allocator to the system, if it is the heap of the
// process.
func (a *Allocator) Trim() error {
	trim()
	return nil
}
