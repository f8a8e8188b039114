// Package vm obtains pages of memory from the operating system.
//
// # States
//
// Every page of the address space is, to this package, in one of three states:
//
//   - None: not ours. The operating system may put anything there.
//   - Reserved: ours, but nothing stands behind it. It costs address space and no memory, and touching it crashes the program.
//   - Ready: ours, readable and writable. It costs memory from the first touch of each page; until then it reads zero.
//
// Every function is a transition:
//
//	        Reserve              Commit
//	None ────────────▶ Reserved ────────▶ Ready ──┐
//	 ▲                    │                │  ▲   │ Purge
//	 └─────── Release ────┴────────────────┘  └───┘
//
// The usual life of a region: Reserve much once, Commit its pages in address order as the need grows (the frontier), Purge what
// falls idle, and never Release while anybody may still hold a pointer into it: an address that went back to the operating
// system can come again as Go heap, and the garbage collector ends the program when it meets a stale pointer there.
//
// # Ports
//
// On Linux, macOS and the BSDs the pages are private anonymous mappings, on Windows they come from VirtualAlloc. Everywhere
// else, and in every program built with -race, they are pieces of the Go heap ([GoMemory]): the race detector sees only Go
// memory, and WebAssembly has no other. That port keeps every promise below except those about cost: Reserve costs what the Go
// heap charges, and nothing stops an access to a Reserved page. AIX, Solaris and illumos use it too, since their rules about
// mapping twice and about swap differ from all others.
//
// # Costs
//
// Each call is one to three system calls, on Windows sometimes more, so a microsecond and up; none allocates Go memory unless the
// port is that of Go memory. The kernel describes a region by runs of pages in the same state (on Linux: VMAs, of
// which a process may have 65530 by default). Committing along a frontier keeps a region at two of them however large it grows; committing here and there
// makes a new one at every border. Purge makes none.
//
// # Concurrency
//
// All functions may be called from any goroutine at the same time. The package locks nothing on behalf of the caller: pages
// belong to whoever reserved them, and calls and accesses that concern the same page must be ordered by their owner.
//
// # Errors
//
// A refusal by the operating system is returned as the system states it, usually a [syscall.Errno], so that it costs no memory:
// this is where running out begins. The caller knows what it asked for. A call that no state of the machine could satisfy, such
// as one for a misaligned address, is a bug of the caller and panics.
package vm

import (
	"errors"
	"math"
	"math/bits"
	"syscall"
	"unsafe"
)

// GoMemory says whether the pages are pieces of the Go heap rather than of the operating system; see Ports above.
const GoMemory = goMemory

// pageSize is the operating system's page size, a power of two.
var pageSize = uintptr(syscall.Getpagesize())

// PageSize returns the size in bytes of an OS page, a power of two. It is read when the program starts, because one binary may
// meet several: arm64 kernels have pages of 4, 16 or 64 KiB.
func PageSize() uintptr {
	return pageSize
}

// ErrTooLarge is the refusal that needs no system call to find out.
var ErrTooLarge = errors.New("vm: larger than the address space")

// Reserve takes n bytes of address space, rounded up to whole pages, from None to Reserved. The result is aligned to align
// bytes, a power of two; 0 and anything below the page size mean the page size.
//
// The caller owns the reservation until it gives it to [Release]. No memory stands behind it and none is accounted to the
// process; limits on address space do count it (RLIMIT_AS). An alignment above a page costs align further bytes of address
// space for the moment of the call.
//
// If n bytes in a row are not to be had, Reserve returns nil and an error, and nothing has changed. It panics if n is 0 or
// align is not a power of two.
func Reserve(n, align uintptr) (unsafe.Pointer, error) {
	if n == 0 {
		panic("vm: Reserve of 0 bytes")
	}
	if bits.OnesCount64(uint64(align)) > 1 {
		panic("vm: Reserve with an alignment that is not a power of two")
	}
	align = max(align, pageSize)
	if n > math.MaxInt-(pageSize-1) || align > math.MaxInt-roundUp(n) {
		return nil, ErrTooLarge
	}
	return reserve(roundUp(n), align)
}

// Commit takes the n bytes at p from Reserved to Ready. They read zero.
//
// p and n are multiples of the page size, and the pages lie within one reservation. The operating system provides a page when it
// is first touched. Systems that count promises (Windows; Linux with vm.overcommit_memory=2; any with RLIMIT_DATA) count all n
// bytes now and refuse here; others never refuse, and end some process when memory has truly run out.
//
// If the operating system refuses, Commit returns an error and the pages are still Reserved. It panics if p is nil or
// misaligned, or if n is 0 or not a multiple of the page size.
func Commit(p unsafe.Pointer, n uintptr) error {
	check("Commit", p, n)
	return commit(p, n)
}

// Purge gives the memory behind the n bytes at p back to the operating system and keeps the pages: Ready to Ready. They read
// zero, and the next touch of each costs a page fault, as after [Commit].
//
// p and n are multiples of the page size, and the pages lie within one reservation. On Linux it costs about a microsecond, and
// 0.3 µs for each page of 4 KiB that has memory behind it. Pages that the program has locked in memory (mlock) become zero and
// stay.
//
// Purge can fail only where zero pages are new pages, on Windows and the BSDs. It then returns an error and the pages are
// Reserved: their contents are gone, and they need Commit before the next use. It panics as Commit does.
func Purge(p unsafe.Pointer, n uintptr) error {
	check("Purge", p, n)
	return purge(p, n)
}

// Release takes the n bytes at p from any state to None. Pointers into them are invalid from now on.
//
// p and n are those of a call of [Reserve]; n is rounded up as there. On Unix, a page-aligned part of a reservation will do as
// well. Windows and the Go memory port know only whole reservations, and refuse a part.
//
// If the operating system refuses, Release returns an error and nothing has changed. On Linux that happens when a part from
// the middle would need one mapping more than vm.max_map_count allows. It panics if p is nil or misaligned, or if n is 0.
func Release(p unsafe.Pointer, n uintptr) error {
	n = roundUp(n)
	check("Release", p, n)
	return release(p, n)
}

// check panics unless the n bytes at p are whole pages that Reserve may have returned.
func check(op string, p unsafe.Pointer, n uintptr) {
	switch {
	case p == nil:
		panic("vm: " + op + " of a nil address")
	case n == 0:
		panic("vm: " + op + " of 0 bytes")
	case uintptr(p)&(pageSize-1) != 0:
		panic("vm: " + op + " of an address that is not a multiple of the page size")
	case n&(pageSize-1) != 0:
		panic("vm: " + op + " of a size that is not a multiple of the page size")
	case n > math.MaxInt:
		panic("vm: " + op + " of more than any reservation holds")
	}
}

// roundUp returns n rounded up to whole pages.
func roundUp(n uintptr) uintptr {
	return (n + pageSize - 1) &^ (pageSize - 1)
}
