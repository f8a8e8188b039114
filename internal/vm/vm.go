// Package vm obtains pages of memory from the operating system.
//
// # States
//
// Every page of the address space is, to this package, in one of four states:
//
//   - None: not ours. The operating system may put anything there.
//   - Reserved: ours, but nothing stands behind it. It costs address space and no memory, and touching it crashes the program.
//   - Ready: ours, readable and writable. It costs memory from the first touch of each page; until then it reads zero.
//   - Guarded: as Reserved, but meant to be few pages among others. [Guard] leads there from Ready, and [Unguard] back; the
//     picture leaves that out.
//
// Every function is a transition, apart from the advice of Huge and NoHuge, which changes no state:
//
//	        Reserve              Commit
//	None ────────────▶ Reserved ────────▶ Ready ──┐
//	 ▲                    │                │  ▲   │ Purge, PurgeLazy, Move
//	 └─────── Release ────┴────────────────┘  └───┘
//
// What a Ready page reads is certain: zero, or what has been written there since. PurgeLazy alone leaves it open, until the page is
// next written.
//
// The usual life of a region: Reserve much once, Commit its pages in address order as the need grows (the frontier), Purge what
// falls idle, Move what outgrows its place, and never Release while anybody may still hold a pointer into it: an address that
// went back to the operating system can come again as Go heap, and the garbage collector ends the program when it meets a stale
// pointer there.
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
// Each call is one to three system calls, for Move and on Windows sometimes more, so a microsecond and up; none allocates Go
// memory unless the port is that of Go memory. The kernel describes a region by runs of pages in the same state (on Linux: VMAs,
// of which a process may have 65530 by default). Committing along a frontier keeps a region at two of them however large it
// grows; committing here and there makes a new one at every border, and so do Huge and NoHuge. Move may make two. Purge and
// PurgeLazy make none.
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

// ErrNoMove is the refusal of [Move] wherever the system cannot move pages: anywhere but on Linux.
var ErrNoMove = errors.New("vm: the system does not move pages")

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
	n = roundUp(n)
	if err := fault(OpReserve, n); err != nil {
		return nil, err
	}
	return reserve(n, align)
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
	if err := fault(OpCommit, n); err != nil {
		return err
	}
	return commit(p, n)
}

// Purge gives the memory behind the n bytes at p back to the operating system and keeps the pages: Ready to Ready. They read
// zero, and the next touch of each costs a page fault, as after [Commit].
//
// p and n are multiples of the page size, and the pages lie within one reservation. On Linux it costs about a microsecond, and
// 0.3 µs for each page of 4 KiB that has memory behind it. Pages that the program has locked in memory (mlock) become zero and
// stay.
//
// Purge can fail only where zero pages are new pages, on Windows and the BSDs, and anywhere by [Inject]. It then returns an error
// and the pages are Reserved: their contents are gone, and they need Commit before the next use. It panics as Commit does.
func Purge(p unsafe.Pointer, n uintptr) error {
	check("Purge", p, n)
	if err := fault(OpPurge, n); err != nil {
		decommit(p, n)
		return err
	}
	return purge(p, n)
}

// PurgeLazy offers the memory behind the n bytes at p to the operating system, which takes it when it runs short: Ready to
// Ready, with contents that the caller has given up. Until it is next written, each page reads either as it was or, as a whole,
// zero, and turns from the one to the other at any moment, between two reads as well. So the pages must NOT be treated as zero:
// what needs zeros there clears them or calls [Purge]. The first write to a page ends the offer for that page, the rest of
// which then stays as it is at that moment.
//
// p and n are multiples of the page size, and the pages lie within one reservation. On Linux it costs 0.07 µs for each page of
// 4 KiB that has memory behind it, a quarter of Purge, and the next write 0.1 µs for each that has not been taken, where after
// Purge it costs 1.3 µs. The figures for resident memory do NOT fall until the system is short; who is judged by them should use
// Purge. Windows and systems of the BSD family take the offer as Linux does; pages out of the Go heap stay as they are.
//
// If the operating system refuses, as Linux does before 4.5 and for pages locked in memory, PurgeLazy returns an error and the
// contents are safe to keep for what they are. It panics as [Commit] does.
func PurgeLazy(p unsafe.Pointer, n uintptr) error {
	check("PurgeLazy", p, n)
	if err := fault(OpPurgeLazy, n); err != nil {
		return err
	}
	return purgeLazy(p, n)
}

// Move takes the memory behind the n bytes at from and puts it behind the n bytes at to, without copying: Ready to Ready for
// both. Then to holds what from held, from reads zero as after [Purge], and what to held is gone.
//
// to, from and n are multiples of the page size. The pages at to lie within one reservation, those at from within one, which may
// be the same; they do not overlap. Only Linux can do it, from 5.7 on.
//
// If the system cannot ([ErrNoMove], or EINVAL from an older Linux) or refuses, Move returns an error and nothing has changed at
// from. Both are Ready still, so the caller may copy instead, but the contents at to are undefined: as they were, or zero. On
// Linux that happens when the process is near vm.max_map_count. It panics as [Commit] does, and if the ranges overlap; and on
// Linux when to has become None and cannot be had again, which takes a limit lowered below what is in use, or no memory at all.
//
// On Linux, pages stay a run of their own (a VMA) in their new place, because the kernel remembers where they were first touched:
// a Move into the middle of Ready pages makes three VMAs of one, to either end two, one that fills a VMA makes none, and
// neighbours that are moved the same way one after the other become one. At from no VMA is added. Purge does not undo that;
// moving back does. Pages that come from k VMAs (moved there earlier, or advised differently) remain k, and are moved one VMA at
// a time. The advice of [Huge] and [NoHuge] goes with the memory. So does a lock (mlock), and the VMA that it leaves is unlocked
// as a whole.
//
// It costs 5 µs, and 10 to 20 if the program runs on other processors meanwhile, which must be told. To that come 0.02 µs for
// each page of 4 KiB that has memory behind it at from, or next to nothing if to and from are equal modulo 2 MiB; and 0.3 µs for
// each page that has memory behind it at to, as for Purge. Copying a page costs 0.1 µs, and 2 µs where there is no memory behind
// it yet: so move from about 64 KiB on to untouched pages, and from about 1 MiB on to others.
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

// Huge advises the operating system to back the n bytes at p with huge pages where it can; see [HugePageSize]. It changes neither
// state nor contents. A page touched later may cost as much memory as a huge one.
//
// p and n are multiples of the page size, and the pages lie within one reservation, Reserved or Ready. Only Linux takes the
// advice, when it has been set up to (/sys/kernel/mm/transparent_hugepage/enabled is madvise or always); whether it does is not
// told. A border between pages advised differently is a border between VMAs: advice about the middle of one makes three of it,
// and the same advice for all merges them again. A whole reservation advised before its first Commit costs none. Huge panics as
// [Commit] does.
func Huge(p unsafe.Pointer, n uintptr) {
	check("Huge", p, n)
	advise(p, n, true)
}

// NoHuge advises the operating system to back the n bytes at p with small pages, so that each costs memory from its own first
// touch. It does not break up huge pages that are there. The rest is as for [Huge]; to have said neither is a third thing to the
// kernel, which no call goes back to.
func NoHuge(p unsafe.Pointer, n uintptr) {
	check("NoHuge", p, n)
	advise(p, n, false)
}

// HugePageSize returns the size in bytes of the huge pages that [Huge] asks for, a power of two: mostly 2 MiB. It is 0 where the
// system has none. On Linux the first call reads it from /sys.
func HugePageSize() uintptr {
	return hugePageSize()
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
	if err := fault(OpRelease, n); err != nil {
		return err
	}
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
