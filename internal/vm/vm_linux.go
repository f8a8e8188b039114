//go:build linux && !race

// The functions that are special on Linux. See vm.go for the states, vm_unix.go for the rest.

package vm

import (
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"golang.org/x/sys/unix"
)

// reserveFlags has MAP_NORESERVE so that Commit does not account for the pages either, unless
// vm.overcommit_memory is 2. Otherwise the kernel would refuse a commit that it thinks is too large
// for the machine.
const reserveFlags = unix.MAP_ANON | unix.MAP_PRIVATE | unix.MAP_NORESERVE

// purge uses MADV_DONTNEED: private anonymous pages read zero afterwards. MADV_FREE would be
// cheaper, but does not promise zeros, and the pages still count as resident, which misleads
// readers of that number.
func purge(p unsafe.Pointer, n uintptr) error {
	if unix.Madvise(pages(p, n), unix.MADV_DONTNEED) != nil {
		block.Clear(p, n) // The pages are locked in memory.
	}
	return nil
}

// move moves one VMA at a time. A range whose pages were moved there or advised in pieces spans
// several VMAs, for which mremap fails: before Linux 6.17 with EFAULT, after it has unmapped the
// destination; since then it may stop halfway.
func move(to, from unsafe.Pointer, n uintptr) error {
	for done := uintptr(0); done < n; {
		rest := n - done
		// SAFETY: done < n, so the rest bytes from both addresses on lie in their ranges.
		t, f := unsafe.Add(to, done), unsafe.Add(from, done)
		span := spanOf(f, rest)
		if err := moveSpan(t, f, span); err != nil {
			if done == 0 {
				return err
			}
			// The kernel may refuse to move the first part back. So copy the rest, as the caller
			// would copy all.
			block.Copy(t, f, rest)
			return purge(f, rest)
		}
		done += span
	}
	return nil
}

// moveSpan moves pages of one VMA.
//
// MREMAP_DONTUNMAP (EINVAL before Linux 5.7) makes the kernel leave the VMA at from in place,
// without its page tables. The kernel checks that the VMAs are available (ENOMEM at
// vm.max_map_count) before it changes anything. But it unmaps the destination before it allocates
// page tables, which the limit of the cgroup can refuse, and address space, which RLIMIT_AS and
// RLIMIT_DATA can refuse if they were set below the current use. Then from is unchanged and to is
// unmapped: ENOMEM too.
func moveSpan(to, from unsafe.Pointer, n uintptr) error {
	_, err := unix.MremapPtr(from, n, to, n, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP)
	if err == unix.ENOMEM || err == unix.EFAULT {
		mapAgain(to, n)
	}
	return err
}

// mapAgain makes the n bytes at p Ready if they are None, and leaves them alone if they are mapped.
//
// Another thread may have mapped the gap before us. mapAgain cannot distinguish that from our own
// mapping; it takes two accidents in a row. If the kernel refuses the pages, mapAgain panics: the
// owner of the reservation still uses them, and the kernel could hand them to any other part of the
// process.
func mapAgain(p unsafe.Pointer, n uintptr) {
	// A kernel without MAP_FIXED_NOREPLACE (before 4.17) does not get here: its mremap returned
	// EINVAL.
	_, err := unix.MmapPtr(-1, 0, p, n, unix.PROT_READ|unix.PROT_WRITE, reserveFlags|unix.MAP_FIXED_NOREPLACE)
	if err != nil && err != unix.EEXIST {
		// Without the text of err, since there may be no memory for it.
		panic("vm: Move lost the pages at its destination: the system refused to map them again")
	}
}

// spanOf returns the length of the longest prefix of the n bytes at p that lies in one VMA.
func spanOf(p unsafe.Pointer, n uintptr) uintptr {
	if isOneVMA(p, n) {
		return n
	}
	one, many := uintptr(1), n/pageSize // pages: one of them lie in one VMA, many in several
	for many-one > 1 {
		if middle := one + (many-one)/2; isOneVMA(p, middle*pageSize) {
			one = middle
		} else {
			many = middle
		}
	}
	return one * pageSize
}

// isOneVMA reports whether the n bytes at p lie in one VMA. It asks mremap to grow them by a page
// in place: EFAULT means no. Any other error means yes, and that the next page is mapped. If it is
// not, mremap succeeds, and isOneVMA unmaps the page.
func isOneVMA(p unsafe.Pointer, n uintptr) bool {
	_, err := unix.MremapPtr(p, n, nil, n+pageSize, 0)
	if err == nil {
		// SAFETY: the page after the n bytes was None until the line above.
		_ = unix.MunmapPtr(unsafe.Add(p, n), pageSize)
	}
	return err != unix.EFAULT
}

// advise ignores errors: a kernel without huge pages knows neither advice.
func advise(p unsafe.Pointer, n uintptr, huge bool) {
	advice := unix.MADV_NOHUGEPAGE
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(pages(p, n), advice)
}

var hugePageSize = sync.OnceValue(func() uintptr {
	fd, err := unix.Open("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	var text [32]byte
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return 0
	}
	size, err := strconv.ParseUint(strings.TrimSpace(string(text[:n])), 10, bits.UintSize)
	if err != nil {
		return 0
	}
	return uintptr(size)
})
