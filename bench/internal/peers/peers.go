// Package peers has global allocators to compare galloc's heap with.
//
// Each has a file, in which it enters itself. Allocators that call C need cgo. A program with
// jemalloc linked in (build tag galloc_jemalloc) has only jemalloc of these, because jemalloc
// replaces malloc in the whole process.
package peers

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// A Peer is an allocator with its name.
type Peer struct {
	Name  string
	About string
	Open  func(Need) (galloc.GlobalAlloc, error)
}

// Need describes the blocks that will be requested, for allocators that must know.
type Need struct {
	Size    uintptr // of all blocks, or 0 if sizes differ
	MaxSize uint64  // of the largest block, or 0 if unknown
}

var entered []Peer

// enter is called by init functions.
func enter(p Peer) { entered = append(entered, p) }

// All returns the peers in order of their names.
func All() []Peer {
	return slices.SortedFunc(slices.Values(entered), func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
}

// Open returns the named allocator.
func Open(name string, need Need) (galloc.GlobalAlloc, error) {
	var names []string
	for _, p := range All() {
		if p.Name == name {
			return p.Open(need)
		}
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("unknown allocator %q: choose one of %s", name, strings.Join(names, ", "))
}

// maxRequest is the largest size requested from allocators that end the program if they run out of
// memory.
const maxRequest = 1 << 40

// version returns the version of a module that this program is built with.
func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == module {
				return m.Version
			}
		}
	}
	return "(unknown version)"
}

// padded returns a block at a multiple of align within a block from alloc, whose blocks are at
// multiples of 16. The 8 bytes before it hold its offset: see base.
func padded(size, align uintptr, alloc func(size uintptr) unsafe.Pointer) unsafe.Pointer {
	if size > maxRequest || align > maxRequest {
		return nil
	}
	b := alloc(size + align)
	if b == nil {
		return nil
	}
	// SAFETY: b is at a multiple of 16 and align of more, so p is 16 to align bytes after it,
	// within the block.
	p := unsafe.Add(b, align-uintptr(b)&(align-1))
	// SAFETY: these 8 bytes lie between b and p
	*(*uintptr)(unsafe.Add(p, -8)) = uintptr(p) - uintptr(b)
	return p
}

// base returns the block of alloc that contains the block at p of padded.
func base(p unsafe.Pointer) unsafe.Pointer {
	// SAFETY: padded has written the offset there
	return unsafe.Add(p, -int(*(*uintptr)(unsafe.Add(p, -8))))
}
