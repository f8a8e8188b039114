//go:build linux && !race

package vm

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A mapping is one line of /proc/self/maps.
type mapping struct {
	from, to uintptr
	access   string // "rw-p", "---p"
}

// mappings returns the lines that overlap the n bytes at p.
func mappings(t *testing.T, p unsafe.Pointer, n uintptr) []mapping {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	mustSucceed(t, err)
	defer f.Close()
	var found []mapping
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m mapping
		if _, err := fmt.Sscanf(strings.Replace(lines.Text(), "-", " ", 1), "%x %x %s", &m.from, &m.to, &m.access); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if m.from < uintptr(p)+n && uintptr(p) < m.to {
			found = append(found, m)
		}
	}
	return found
}

// resident returns how many of the n bytes at p have memory behind them.
func resident(t *testing.T, p unsafe.Pointer, n uintptr) uintptr {
	t.Helper()
	in := make([]byte, n/PageSize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(p), n, uintptr(unsafe.Pointer(&in[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	var sum uintptr
	for _, b := range in {
		sum += uintptr(b&1) * PageSize()
	}
	return sum
}

// rss returns the resident bytes of the whole process.
func rss(t *testing.T) uintptr {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	mustSucceed(t, err)
	var total, pages uintptr
	_, err = fmt.Sscan(string(text), &total, &pages)
	mustSucceed(t, err)
	return pages * PageSize()
}

func TestPurgeLowersRSS(t *testing.T) {
	const n = 64 << 20
	p := reserveForTest(t, n, 0)
	mustSucceed(t, Commit(p, n))
	if got := resident(t, p, n); got != 0 {
		t.Errorf("%d bytes resident after Commit, want 0", got)
	}
	fill(bytesAt(p, n), 0)
	full := rss(t)
	if got := resident(t, p, n); got != n {
		t.Errorf("%d bytes resident after the touch, want %d", got, n)
	}
	mustSucceed(t, Purge(p, n))
	if got := resident(t, p, n); got != 0 {
		t.Errorf("%d bytes resident after Purge, want 0", got)
	}
	if fell := int(full) - int(rss(t)); fell < n*7/8 {
		t.Errorf("RSS fell by %d bytes, want about %d", fell, n)
	}
}

func TestPurgeOfLockedPagesZeroes(t *testing.T) {
	n := 4 * PageSize()
	p := reserveForTest(t, n, 0)
	mustSucceed(t, Commit(p, n))
	if err := unix.Mlock(bytesAt(p, n)); err != nil {
		t.Skip("mlock:", err)
	}
	fill(bytesAt(p, n), 0)
	mustSucceed(t, Purge(p, n))
	wantZero(t, "locked pages", bytesAt(p, n))
}

func TestReservedPagesAreInaccessibleAndReleaseLeavesNone(t *testing.T) {
	for _, align := range []uintptr{0, 64 << 10, 64 << 20} {
		const n = 1 << 20
		p, err := Reserve(n, align)
		mustSucceed(t, err)
		for _, m := range mappings(t, p, n) {
			if m.access != "---p" {
				t.Errorf("align %d: reserved pages are mapped %s", align, m.access)
			}
		}
		mustSucceed(t, Commit(p, n/2))
		mustSucceed(t, Release(p, n))
		if left := mappings(t, p, n); len(left) != 0 {
			t.Errorf("align %d: %v is still mapped", align, left)
		}
	}
}

// The surplus that an alignment costs is given back at once: address space grows by n for each reservation.
func TestReserveTrims(t *testing.T) {
	size := func() (pages uintptr) {
		text, err := os.ReadFile("/proc/self/statm")
		mustSucceed(t, err)
		_, err = fmt.Sscan(string(text), &pages)
		mustSucceed(t, err)
		return pages * PageSize()
	}
	const n, align, count = 3 << 20, 32 << 20, 16
	before := size()
	for range count {
		reserveForTest(t, n, align)
	}
	// The Go heap may grow meanwhile, but not by an eighth of the surplus.
	if grown := size() - before; grown < count*n || grown > count*(n+align/8) {
		t.Errorf("address space grew by %d bytes, want %d", grown, count*n)
	}
}

func TestCommitAlongAFrontierKeepsMappingsFew(t *testing.T) {
	const step, n = 64 << 10, 16 << 20
	p := reserveForTest(t, n, 0)
	for at := uintptr(0); at < n/2; at += step {
		mustSucceed(t, Commit(unsafe.Add(p, at), step))
		fill(bytesAt(unsafe.Add(p, at), step), 0)
		mustSucceed(t, Purge(unsafe.Add(p, at/2/step*step), step))
	}
	if got := mappings(t, p, n); len(got) > 2 {
		t.Errorf("%d mappings, want a Ready one and a Reserved one: %v", len(got), got)
	}
}
