package vm

import "math/bits"

// A reservation or commit may take, beyond its need, the larger of an eighth of what is left and a
// quarter of it up to smallShare: pieces of little are of little use.
const smallShare = 64 << 20

func share(left uintptr) uintptr { return max(left/8, min(left/4, smallShare)) }

// shortSpace is what the address space of a 32-bit process is taken to have.
const shortSpace = 2 << 30

// Share returns how many of n bytes to reserve if least are needed and more is convenience: at most
// an eighth of the address space that the process has left (a quarter if it has little), but never
// less than least.
//
// Address space is shared with the Go runtime, which ends the program when it gets none. RLIMIT_AS
// (ulimit -v) limits it, and so does a 32-bit system. Where neither does, the result is n.
//
// Share and [CommitShare] make one system call if the process has no limits, and three more if it
// has.
func Share(n, least uintptr) uintptr {
	left := addressSpaceLeft()
	if bits.UintSize == 32 {
		left = min(left, shortSpace-min(addressSpaceUsed(), shortSpace))
	}
	return max(min(n, share(left)), least)
}

// IsPlausible reports whether the machine could ever have n bytes of memory for one block. On Linux
// that is the physical memory and the swap space, as for mmap, unless vm.overcommit_memory is 1:
// then everything is. Other systems say so themselves when the memory is committed, or never; there
// the result is true. It makes a system call, and three more for blocks that are too large.
func IsPlausible(n uintptr) bool { return isPlausible(n) }

// CommitShare is [Share] for [Commit]: it returns at most an eighth of the writable memory that
// RLIMIT_DATA (ulimit -d) leaves the process, but never less than least.
func CommitShare(n, least uintptr) uintptr {
	return max(min(n, share(dataLeft())), least)
}
