// Package peers makes global allocators of what Go programs get memory from besides galloc's heap, to measure it against.
//
// Each has a file of its own, in which it enters itself. Those that call C are there if cgo is. The program that has jemalloc linked in
// (build tag galloc_jemalloc) has only that one of them, because jemalloc takes the place of malloc in the whole process.
package peers

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// A Peer is an allocator by its name.
type Peer struct {
	Name  string
	About string
	Open  func(Need) (galloc.GlobalAlloc, error)
}

// Need is what an allocator may want to know beforehand of the blocks that will be asked for.
type Need struct {
	Size    uintptr // of all blocks, if it is the same, otherwise 0
	MaxSize uint64  // of the largest block, if known, otherwise 0
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
	return nil, fmt.Errorf("there is no allocator %q in this program: choose one of %s", name, strings.Join(names, ", "))
}

// most is the size of the largest block that is asked of those that end the program when they have none: 1 TiB.
const most = 1 << 40

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

// padded returns a block at a multiple of align from alloc, whose blocks are at multiples of 16 only. In front of the block stands how
// far it is from the beginning of the one that it is in: see base.
func padded(size, align uintptr, alloc func(size uintptr) unsafe.Pointer) unsafe.Pointer {
	if size > most || align > most {
		return nil
	}
	b := alloc(size + align)
	if b == nil {
		return nil
	}
	// SAFETY: b is at a multiple of 16 and align of more, so p is at least 16 and at most align bytes behind it, within the block.
	p := unsafe.Add(b, align-uintptr(b)&(align-1))
	*(*uintptr)(unsafe.Add(p, -8)) = uintptr(p) - uintptr(b) // SAFETY: these 8 bytes lie between b and p
	return p
}

// base returns the block in which padded has put the one at p.
func base(p unsafe.Pointer) unsafe.Pointer {
	return unsafe.Add(p, -int(*(*uintptr)(unsafe.Add(p, -8)))) // SAFETY: padded has written there how far it is
}
