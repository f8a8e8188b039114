//go:build linux && !race

// What Linux does in its own way. See vm.go for the states, vm_unix.go for the rest.

package vm

import (
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserveFlags has MAP_NORESERVE so that the pages are not accounted at Commit either, unless vm.overcommit_memory is 2. The
// kernel would otherwise refuse to commit more than it guesses that the machine can bear.
const reserveFlags = unix.MAP_ANON | unix.MAP_PRIVATE | unix.MAP_NORESERVE

// purge uses MADV_DONTNEED: private anonymous pages read zero afterwards. MADV_FREE would be cheaper, but promises no zeros and
// leaves the pages counted as resident, which misleads everybody who reads that number.
func purge(p unsafe.Pointer, n uintptr) error {
	if unix.Madvise(pages(p, n), unix.MADV_DONTNEED) != nil {
		clear(pages(p, n)) // The pages are locked in memory.
	}
	return nil
}

// move takes one VMA at a time. A range that was moved to piece by piece, or advised in pieces, spans several, and mremap is no
// help there: before Linux 6.17 it fails with EFAULT, but has then unmapped the destination; since, it may stop halfway.
func move(to, from unsafe.Pointer, n uintptr) error {
	for done := uintptr(0); done < n; {
		rest := n - done
		// SAFETY: done < n, so both addresses lie in their ranges, and the rest bytes from there too.
		t, f := unsafe.Add(to, done), unsafe.Add(from, done)
		span := spanOf(f, rest)
		if err := moveSpan(t, f, span); err != nil {
			if done == 0 {
				return err
			}
			// What has been moved may be refused the way back. So do for the rest what the caller would do for all.
			copy(pages(t, rest), pages(f, rest))
			return purge(f, rest)
		}
		done += span
	}
	return nil
}

// moveSpan moves pages of one VMA.
//
// MREMAP_DONTUNMAP, since Linux 5.7 and EINVAL before, has the kernel leave the VMA at from in place, without its page tables. It
// makes sure that it can have the VMAs it needs (ENOMEM at vm.max_map_count) before it changes anything. But it unmaps the
// destination before it asks for page tables, which the cgroup's limit can deny, and for address space, which RLIMIT_AS and
// RLIMIT_DATA can deny if they were set lower than what is in use. Then from is as it was, and nothing is at to: ENOMEM too.
func moveSpan(to, from unsafe.Pointer, n uintptr) error {
	_, err := unix.MremapPtr(from, n, to, n, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP)
	if err == unix.ENOMEM || err == unix.EFAULT {
		mapAgain(to, n)
	}
	return err
}

// mapAgain makes the n bytes at p Ready if they are None, and leaves them alone if they are mapped.
//
// Another thread may have had a mapping made in the gap before us. That passes for our own, as nothing tells them apart; it takes
// two accidents in a row. If the kernel refuses the pages, mapAgain panics: the owner of the reservation believes them its own,
// and the next to be given them may be anybody.
func mapAgain(p unsafe.Pointer, n uintptr) {
	// A kernel that does not know MAP_FIXED_NOREPLACE (before 4.17) does not come here: it has said EINVAL.
	_, err := unix.MmapPtr(-1, 0, p, n, unix.PROT_READ|unix.PROT_WRITE, reserveFlags|unix.MAP_FIXED_NOREPLACE)
	if err != nil && err != unix.EEXIST {
		panic("vm: Move lost the pages it was to move to") // and no text of err, since there may be no memory for it
	}
}

// spanOf returns how many of the n bytes at p, from the first on, lie in one VMA.
func spanOf(p unsafe.Pointer, n uintptr) uintptr {
	if isOneVMA(p, n) {
		return n
	}
	one, many := uintptr(1), n/pageSize // pages: that many lie in one VMA, and that many in several
	for many-one > 1 {
		if middle := one + (many-one)/2; isOneVMA(p, middle*pageSize) {
			one = middle
		} else {
			many = middle
		}
	}
	return one * pageSize
}

// isOneVMA says whether the n bytes at p lie in one VMA. It asks mremap to grow them by a page where they are: EFAULT means that
// they do not. Other errors mean that they do, and that something follows. If nothing follows, it works, and the page goes back.
func isOneVMA(p unsafe.Pointer, n uintptr) bool {
	_, err := unix.MremapPtr(p, n, nil, n+pageSize, 0)
	if err == nil {
		// SAFETY: the page after the n bytes was None until the line above.
		_ = unix.MunmapPtr(unsafe.Add(p, n), pageSize)
	}
	return err != unix.EFAULT
}

// advise passes over errors: a kernel without huge pages knows neither advice.
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
