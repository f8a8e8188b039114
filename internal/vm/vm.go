// Package vm obtains pages of memory from the operating system.
//
// # States
//
// Every page of the address space is in one of four states:
//
//   - None: not ours. The operating system may put anything there.
//   - Reserved: ours, but not backed by memory. It costs address space only, and an access crashes
//     the program.
//   - Ready: ours, readable and writable. Each page costs memory from its first touch; until then
//     it reads zero.
//   - Guarded: as Reserved, but for few pages among others. [Guard] leads there from Ready, and
//     [Unguard] back; the picture leaves that out.
//
// Every function is a transition, except for Huge and NoHuge, which change no state:
//
//	        Reserve              Commit
//	None ────────────▶ Reserved ◀───────▶ Ready ──┐
//	 ▲                    │     Decommit   │  ▲   │ Purge, PurgeLazy, Move
//	 └─────── Release ────┴────────────────┘  └───┘
//
// A Ready page reads zero, or the bytes that were last written to it. Only after PurgeLazy it may
// read either, until it is next written.
//
// A region usually lives like this: Reserve a large range once; Commit its pages in address order
// as the need grows (the frontier); Purge pages that fall idle; Move blocks that outgrow their
// place; never Release the range while the program may still hold a pointer into it. The operating
// system can return a released address to the Go heap, and the garbage collector ends the program
// when it meets a stale pointer there.
//
// # Ports
//
// On Linux, macOS and the BSDs the pages are private anonymous mappings, on Windows they come from
// VirtualAlloc. Everywhere else, and in every program built with -race, they are pieces of the Go
// heap ([GoMemory]): the race detector sees only Go memory, and WebAssembly has no other. That port
// keeps every promise below except about cost: Reserve allocates Go memory, and nothing stops an
// access to a Reserved page. AIX, Solaris and illumos use it too, since their rules for mapping
// twice and for swap differ from all others.
//
// # Costs
//
// A call makes one to three system calls, for Move and on Windows sometimes more, so it takes a
// microsecond or longer. No call allocates Go memory, except in the port of Go memory. The kernel
// describes a region by runs of pages in the same state (on Linux: VMAs, of which a process may
// have 65530 by default). A region that is committed along a frontier has two of them however large
// it grows; commits here and there add one at every border, and so do Huge and NoHuge. Move may add
// two. Purge and PurgeLazy add none.
//
// # Concurrency
//
// All functions are safe for concurrent use. The package locks nothing on behalf of the caller:
// pages belong to the caller of Reserve, which must order all calls and accesses that concern the
// same page.
//
// # Errors
//
// A refusal by the operating system is returned unchanged, usually as a [syscall.Errno], so that it
// costs no memory: these are the first calls to fail when memory runs out. A call that cannot
// succeed in any state of the machine, such as one with a misaligned address, is a misuse and
// panics.
package vm

import (
	"errors"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// GoMemory reports whether the pages are pieces of the Go heap and not from the operating system;
// see Ports above.
const GoMemory = goMemory

// pageSize is the operating system's page size, a power of two.
var pageSize = uintptr(syscall.Getpagesize())

// PageSize returns the size in bytes of an OS page, a power of two. It is read when the program
// starts, because it can differ from machine to machine: arm64 kernels have pages of 4, 16 or 64
// KiB.
func PageSize() uintptr {
	return pageSize
}

// ErrTooLarge is returned for a size that no address space holds, without a system call.
var ErrTooLarge = errors.New("vm: larger than the address space")

// ErrNoMove is returned by [Move] where the system cannot move pages: everywhere but on Linux.
var ErrNoMove = errors.New("vm: the system does not move pages")

// Reserve takes n bytes of address space, rounded up to whole pages, from None to Reserved. The
// result is aligned to align bytes, a power of two; 0 and anything below the page size mean the
// page size.
//
// The caller owns the reservation until [Release]. It is not backed by memory, and no memory is
// accounted to the process; limits on address space do count it (RLIMIT_AS). An alignment above a
// page costs align more bytes of address space for the duration of the call.
//
// Reserve leaves the Go runtime and others half of the address space: it refuses what would exceed
// the other half. If n contiguous bytes are not available, it also returns nil and an error, and
// nothing has changed. It panics if n is 0 or align is not a power of two.
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
	n = roundUp(n)
	if err := fault(OpReserve, n); err != nil {
		return nil, err
	}
	p, err := reserve(n, align)
	if err != nil {
		return nil, err
	}
	if !leavesHalf(reserved.Add(int64(n))) {
		reserved.Add(-int64(n))
		_ = release(p, n)
		return nil, errHalf
	}
	return p, nil
}

// reserved is the sum of all reservations in bytes.
var reserved atomic.Int64

// errHalf is the error of Reserve when the reservations have taken half of the address space.
var errHalf = errors.New("vm: the other half of the address space is for the rest of the program")

var asking sync.Mutex

// askFrom is the sum in bytes from which on Reserve asks whether half of the address space is left.
const askFrom = 256 << 30

// leavesHalf reports whether total bytes of reservations leave others as much address space. They
// do if there is room for a reservation of as much again. The Go runtime needs some for each
// garbage collection, and without it the program ends, or crashes with a nil pointer.
func leavesHalf(total int64) bool {
	if goMemory || total < askFrom {
		return true
	}
	asking.Lock() // so that two who ask do not take the room from each other
	defer asking.Unlock()
	p, err := reserve(uintptr(total), pageSize)
	if err != nil {
		return false
	}
	return release(p, uintptr(total)) == nil
}

// Commit takes the n bytes at p from Reserved to Ready. They read zero.
//
// p and n must be multiples of the page size, and the pages must lie within one reservation. The
// operating system provides a page when it is first touched. Systems that account for committed
// memory (Windows; Linux with vm.overcommit_memory=2; any with RLIMIT_DATA) count all n bytes now
// and refuse here; others never refuse, and kill some process when memory has run out.
//
// If the operating system refuses, Commit returns an error and the pages are still Reserved. It
// panics if p is nil or misaligned, or if n is 0 or not a multiple of the page size.
func Commit(p unsafe.Pointer, n uintptr) error {
	check("Commit", p, n)
	if err := fault(OpCommit, n); err != nil {
		return err
	}
	return commit(p, n)
}

// Purge returns the memory of the n bytes at p to the operating system and keeps the pages: Ready
// to Ready. They read zero, and the next touch of each costs a page fault, as after [Commit].
//
// p and n must be multiples of the page size, and the pages must lie within one reservation. On
// Linux Purge costs about a microsecond, and 0.3 µs for each page of 4 KiB that is backed by
// memory. Pages that the program has locked in memory (mlock) become zero and keep their memory.
//
// Purge can fail only on Windows and the BSDs, where it replaces the pages by new ones, and
// anywhere by [Inject]. Then it returns an error, and the pages are Reserved: their contents are
// lost, and they need Commit before the next use. It panics as Commit does.
func Purge(p unsafe.Pointer, n uintptr) error {
	check("Purge", p, n)
	if err := fault(OpPurge, n); err != nil {
		_ = purge(p, n)
		_ = decommit(p, n)
		return err
	}
	return purge(p, n)
}

// Decommit takes the n bytes at p from Ready to Reserved. Their memory is returned to the system,
// and they no longer count as committed memory where the system counts it: against RLIMIT_DATA,
// vm.overcommit_memory=2 or the commit limit of Windows.
//
// p and n must be multiples of the page size, and the pages must lie within one reservation; pages
// that are Reserved already stay so. Decommit costs about as much as [Purge]. The advice of [Huge]
// and [NoHuge] is lost, and so are the VMAs that Move made: the pages join Reserved neighbors.
//
// If the operating system refuses, Decommit returns an error and nothing has changed. On Linux that
// happens near vm.max_map_count. It panics as [Commit] does.
func Decommit(p unsafe.Pointer, n uintptr) error {
	check("Decommit", p, n)
	if err := fault(OpDecommit, n); err != nil {
		return err
	}
	return decommit(p, n)
}

// PurgeLazy offers the memory of the n bytes at p to the operating system, which takes it when it
// runs short: Ready to Ready, with contents that the caller no longer needs. Until it is next
// written, each page reads either as it was or, as a whole, zero, and can change from the one to
// the other at any moment, even between two reads. So the caller must NOT treat the pages as zero:
// a caller that needs zeros clears them or calls [Purge]. The first write to a page ends the offer
// for that page; the rest of the page then stays as it is at that moment.
//
// p and n must be multiples of the page size, and the pages must lie within one reservation. On
// Linux PurgeLazy costs 0.07 µs for each page of 4 KiB that is backed by memory, a quarter of
// Purge, and the next write costs 0.1 µs for each page that the system has not taken; after Purge
// it costs 1.3 µs. The figures for resident memory do NOT fall until the system runs short: use
// Purge if they matter. Windows and the BSDs take the offer as Linux does; pages of the Go heap
// stay as they are.
//
// If the operating system refuses, as Linux does before 4.5 and for pages locked in memory,
// PurgeLazy returns an error and the contents are unchanged. It panics as [Commit] does.
func PurgeLazy(p unsafe.Pointer, n uintptr) error {
	check("PurgeLazy", p, n)
	if err := fault(OpPurgeLazy, n); err != nil {
		return err
	}
	return purgeLazy(p, n)
}

// Move moves the memory of the n bytes at from to the n bytes at to, without copying: Ready to
// Ready for both. Afterwards the pages at to have the contents of the pages at from, and the pages
// at from read zero, as after [Purge]. The old contents at to are lost.
//
// to, from and n must be multiples of the page size. The pages at to must lie within one
// reservation, and the pages at from within one, which may be the same; the ranges must not
// overlap. Only Linux can move pages, from 5.7 on.
//
// If the system cannot move them ([ErrNoMove], or EINVAL from an older Linux) or refuses, Move
// returns an error and nothing has changed at from. Both ranges are still Ready, so the caller may
// copy instead, but the contents at to are undefined: unchanged or zero. On Linux that happens when
// the process is near vm.max_map_count. Move panics as [Commit] does, and if the ranges overlap. It
// also panics on Linux if the pages at to have become None and cannot be mapped again: the address
// space limit is below its use, or there is no memory at all.
//
// On Linux, moved pages remain a separate run of pages (a VMA), because the kernel remembers where
// they were first touched. A Move into the middle of Ready pages turns one VMA into three; a Move
// to either end, into two; a Move that fills a VMA adds none; and neighbors that are moved the same
// way, one after the other, become one. At from no VMA is added. Purge does not undo that; moving
// back does. Pages from k VMAs (moved there earlier, or advised differently) remain k VMAs, and are
// moved one VMA at a time. The advice of [Huge] and [NoHuge] goes with the memory. So does a lock
// (mlock), and the VMA at from is unlocked as a whole.
//
// Move costs 5 µs, and 10 to 20 µs if the program also runs on other processors, which the kernel
// must notify. Each page of 4 KiB at from that is backed by memory adds 0.02 µs, or nearly nothing
// if to and from are equal modulo 2 MiB; each such page at to adds 0.3 µs, as for Purge. Copying a
// page costs 0.1 µs, and 2 µs if the target is not backed by memory yet. So Move pays from about 64
// KiB on if the pages at to are untouched, and from about 1 MiB on if they are not.
func Move(to, from unsafe.Pointer, n uintptr) error {
	check("Move", to, n)
	check("Move", from, n)
	if uintptr(to)-uintptr(from) < n || uintptr(from)-uintptr(to) < n {
		panic("vm: Move between ranges that overlap")
	}
	if err := fault(OpMove, n); err != nil {
		return err
	}
	return move(to, from, n)
}

// Huge advises the operating system to back the n bytes at p with huge pages where it can; see
// [HugePageSize]. It changes neither state nor contents. A page touched later may cost as much
// memory as a huge page.
//
// p and n must be multiples of the page size, and the pages, Reserved or Ready, must lie within one
// reservation. Only Linux follows the advice, if it is configured to
// (/sys/kernel/mm/transparent_hugepage/enabled is madvise or always); Huge does not report whether
// it does. A border between pages with different advice is a border between VMAs: advice about the
// middle of a VMA turns it into three, and the same advice for all merges them again. Advice about
// a whole reservation before its first Commit adds none. Huge panics as [Commit] does.
func Huge(p unsafe.Pointer, n uintptr) {
	check("Huge", p, n)
	advise(p, n, true)
}

// NoHuge advises the operating system to back the n bytes at p with small pages, so that each page
// costs memory from its own first touch. It does not split huge pages that are already there. Apart
// from that it is like [Huge]. Pages without any advice differ from both, and no call leads back to
// that.
func NoHuge(p unsafe.Pointer, n uintptr) {
	check("NoHuge", p, n)
	advise(p, n, false)
}

// HugePageSize returns the size in bytes of the huge pages that [Huge] requests, a power of two,
// usually 2 MiB. It returns 0 if the system has none. On Linux the first call reads the size from
// /sys.
func HugePageSize() uintptr {
	return hugePageSize()
}

// Release takes the n bytes at p from any state to None. Pointers into them are invalid afterwards.
//
// p and n must be the result and the argument of a call of [Reserve]; n is rounded up in the same
// way. On Unix, they may also describe a page-aligned part of a reservation. Windows and the Go
// memory port release only whole reservations, and refuse a part.
//
// If the operating system refuses, Release returns an error and nothing has changed. On Linux that
// happens when a part from the middle would need one mapping more than vm.max_map_count allows. It
// panics if p is nil or misaligned, or if n is 0.
func Release(p unsafe.Pointer, n uintptr) error {
	n = roundUp(n)
	check("Release", p, n)
	if err := fault(OpRelease, n); err != nil {
		return err
	}
	err := release(p, n)
	if err == nil {
		reserved.Add(-int64(n))
	}
	return err
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
