//go:build linux && !race

package vm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
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
		line := strings.Replace(lines.Text(), "-", " ", 1)
		if _, err := fmt.Sscanf(line, "%x %x %s", &m.from, &m.to, &m.access); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if m.from < uintptr(p)+n && uintptr(p) < m.to {
			found = append(found, m)
		}
	}
	return found
}

// resident returns how many of the n bytes at p are backed by memory.
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
	const n, tries = 1 << 20, 10
	for _, align := range []uintptr{0, 64 << 10, 64 << 20} {
		for try := 1; ; try++ {
			p, err := Reserve(n, align)
			mustSucceed(t, err)
			for _, m := range mappings(t, p, n) {
				if m.access != "---p" {
					t.Errorf("align %d: reserved pages are mapped %s", align, m.access)
				}
			}
			mustSucceed(t, Commit(p, n/2))
			mustSucceed(t, Release(p, n))
			left := mappings(t, p, n)
			if len(left) == 0 {
				break
			}
			// Go's runtime may have mapped pages there since then, but not each time.
			if try == tries {
				t.Errorf("align %d: after %d tries, %v is still mapped", align, tries, left)
				break
			}
		}
	}
}

// Reserve releases the extra address space of an alignment at once: address space grows by n for
// each reservation.
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
	// The Go heap may grow at the same time, but not by an eighth of the extra space.
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

// smaps returns the value of a field of /proc/self/smaps, such as "VmFlags", of each mapping that
// overlaps the n bytes at p.
func smaps(t *testing.T, p unsafe.Pointer, n uintptr, field string) (values []string) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	mustSucceed(t, err)
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if got, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); got == 2 {
			inside = from < uintptr(p)+n && uintptr(p) < to
		} else if value, ok := strings.CutPrefix(lines.Text(), field+":"); ok && inside {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

func TestPurgeLazyOffersThePagesAndLowersNothingYet(t *testing.T) {
	const n = 16 << 20
	p := readyForTest(t, n, 1)
	if err := PurgeLazy(p, n); err == unix.EINVAL {
		t.Skip("MADV_FREE:", err)
	} else if err != nil {
		t.Fatal(err)
	}
	sum := uintptr(0)
	for _, v := range smaps(t, p, n, "LazyFree") {
		kb, _ := strconv.Atoi(strings.TrimSuffix(v, " kB"))
		sum += uintptr(kb) << 10
	}
	// The kernel works in batches for each CPU, and may need some memory now.
	if got := resident(t, p, n); got == 0 || sum < got/2 {
		t.Errorf("%d bytes resident, and of them wait to be freed %d, want most of %d", got, sum, n)
	}
}

func TestPurgeLazyOfLockedPagesIsRefused(t *testing.T) {
	n := 4 * PageSize()
	p := readyForTest(t, n, 1)
	if err := unix.Mlock(bytesAt(p, n)); err != nil {
		t.Skip("mlock:", err)
	}
	if err := PurgeLazy(p, n); err != unix.EINVAL {
		t.Errorf("PurgeLazy of locked pages: %v", err)
	}
	wantFill(t, "locked pages", bytesAt(p, n), 1)
}

// twelve reserves 16 pages, 12 of them Ready: a VMA of those, and a VMA of the rest.
func twelve(t *testing.T, touch bool) unsafe.Pointer {
	t.Helper()
	page := PageSize()
	p := reserveForTest(t, 16*page, 0)
	mustSucceed(t, Commit(p, 12*page))
	if touch {
		fill(bytesAt(p, 12*page), 1)
	}
	wantMappings(t, "at first", p, 1)
	return p
}

// wantMappings checks the number of mappings of the 12 pages at p.
func wantMappings(t *testing.T, when string, p unsafe.Pointer, want int) {
	t.Helper()
	if got := mappings(t, p, 12*PageSize()); len(got) != want {
		t.Errorf("%s: %d mappings, want %d: %v", when, len(got), want, got)
	}
}

func TestMoveCostsTwoMappingsInTheMiddleAndNoneAtTheSource(t *testing.T) {
	page := PageSize()
	for _, c := range []struct {
		name     string
		touch    bool
		first, n uintptr // pages
		want     int     // mappings at the destination
		back     int     // mappings at the source, moved back
	}{
		{"the middle", true, 4, 4, 3, 1},
		{"the lower end", true, 0, 4, 2, 1},
		{"the upper end", true, 8, 4, 2, 1},
		{"all", true, 0, 12, 1, 1},
		// The kernel has nothing to remember. Moved back, the pages join a mapping that was
		// touched.
		{"the middle of what was never touched", false, 4, 4, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := twelve(t, c.touch), twelve(t, true)
			at := func(p unsafe.Pointer) unsafe.Pointer { return unsafe.Add(p, c.first*page) }
			moveForTest(t, at(to), at(from), c.n*page)
			wantMappings(t, "source", from, 1)
			wantMappings(t, "destination", to, c.want)
			mustSucceed(t, Purge(at(to), c.n*page))
			wantMappings(t, "purged destination", to, c.want)
			moveForTest(t, at(from), at(to), c.n*page)
			wantMappings(t, "source, moved back", from, c.back)
			wantMappings(t, "old destination, moved back", to, c.want)
		})
	}
}

func TestMoveOfNeighboursOneAfterTheOtherMakesOneMapping(t *testing.T) {
	page := PageSize()
	from, to := twelve(t, true), twelve(t, true)
	for i := range uintptr(8) {
		moveForTest(t, unsafe.Add(to, (2+i)*page), unsafe.Add(from, (2+i)*page), page)
	}
	wantMappings(t, "source", from, 1)
	wantMappings(t, "destination", to, 3)
}

// patchwork returns 12 Ready pages in the VMAs that begin at the given pages, and their contents.
func patchwork(t *testing.T, first ...uintptr) (unsafe.Pointer, []byte) {
	t.Helper()
	page := PageSize()
	p, other := twelve(t, true), readyForTest(t, 64*page, 2)
	for i, at := range first {
		// Move the patch from pages far from the pages of the other patches.
		end := uintptr(12)
		if i+1 < len(first) {
			end = first[i+1]
		}
		source := unsafe.Add(other, uintptr(i)*12*page+uintptr(i)*page)
		moveForTest(t, unsafe.Add(p, at*page), source, (end-at)*page)
	}
	return p, slices.Clone(bytesAt(p, 12*page))
}

func TestMoveOfPagesFromSeveralMappings(t *testing.T) {
	page := PageSize()
	for _, first := range [][]uintptr{{0}, {1}, {11}, {6}, {0, 1, 2, 3}, {3, 4, 9, 11}, {5, 10}} {
		from, want := patchwork(t, first...)
		k := len(mappings(t, from, 12*page))
		if first[0] != 0 && k < 2 {
			t.Errorf("%v: %d mappings", first, k)
		}
		to := twelve(t, true)
		mustSucceed(t, Move(to, from, 12*page))
		if string(bytesAt(to, 12*page)) != string(want) {
			t.Errorf("%v: the contents have changed", first)
		}
		wantZero(t, "source", bytesAt(from, 12*page))
		wantMappings(t, "destination", to, k)

		// Then a part, with neighbors on both sides.
		fill(bytesAt(from, 12*page), 3)
		mustSucceed(t, Move(unsafe.Add(from, 2*page), unsafe.Add(to, 2*page), 8*page))
		wantZero(t, "source of a part", bytesAt(unsafe.Add(to, 2*page), 8*page))
		outside := func(p unsafe.Pointer) string {
			return string(bytesAt(p, 2*page)) + string(bytesAt(unsafe.Add(p, 10*page), 2*page))
		}
		if outside(to) != string(want[:2*page])+string(want[10*page:]) {
			t.Errorf("%v: the neighbours of the source have changed", first)
		}
		part := string(want[2*page : 10*page])
		fill(want, 3)
		if outside(from) != string(want[:2*page])+string(want[10*page:]) {
			t.Errorf("%v: the neighbours of the destination have changed", first)
		}
		if string(bytesAt(unsafe.Add(from, 2*page), 8*page)) != part {
			t.Errorf("%v: the contents of a part have changed", first)
		}
	}
}

// After the VMA, in address order, there may be another VMA, Reserved pages, or a hole, which must
// stay a hole.
func TestASpanEndsWhereItsMappingEnds(t *testing.T) {
	page := PageSize()
	p, _ := patchwork(t, 0, 1, 6, 9)
	for _, c := range []struct{ first, n, want uintptr }{
		{0, 1, 1},
		{0, 2, 1},
		{0, 12, 1},
		{1, 5, 5},
		{1, 6, 5},
		{1, 11, 5},
		{3, 9, 3},
		{5, 2, 1},
		{6, 3, 3},
		{6, 4, 3},
		{9, 3, 3},
		{10, 1, 1},
	} {
		if got := spanOf(unsafe.Add(p, c.first*page), c.n*page); got != c.want*page {
			t.Errorf("the span at page %d, of at most %d pages, is %d bytes, want %d pages", c.first, c.n, got, c.want)
		}
	}
	q, err := Reserve(4*page, 0)
	mustSucceed(t, err)
	mustSucceed(t, Commit(q, 4*page))
	hole := unsafe.Add(q, 2*page)
	mustSucceed(t, Release(hole, page))
	if got := spanOf(q, 2*page); got != 2*page {
		t.Errorf("the span before a hole is %d bytes", got)
	}
	if left := mappings(t, hole, page); len(left) != 0 {
		t.Errorf("the hole is mapped: %v", left)
	}
	mustSucceed(t, Release(q, 2*page))
	mustSucceed(t, Release(unsafe.Add(q, 3*page), page))
}

func TestMoveAllocatesNothing(t *testing.T) {
	n := 4 * PageSize()
	from, to := readyForTest(t, n, 1), readyForTest(t, n, 2)
	moveForTest(t, to, from, n)
	if allocs := testing.AllocsPerRun(10, func() {
		mustSucceed(t, Move(from, to, n))
		mustSucceed(t, Move(to, from, n))
	}); allocs != 0 {
		t.Errorf("%v Go allocations", allocs)
	}
}

func TestMapAgainFillsAGapAndNothingElse(t *testing.T) {
	page := PageSize()
	p := readyForTest(t, 4*page, 1)
	mapAgain(p, 4*page)
	wantFill(t, "what was there", bytesAt(p, 4*page), 1)
	mustSucceed(t, Release(unsafe.Add(p, page), 2*page))
	mapAgain(unsafe.Add(p, page), 2*page)
	wantZero(t, "what was not", bytesAt(unsafe.Add(p, page), 2*page))
	fill(bytesAt(p, 4*page), 2)
	wantFill(t, "all", bytesAt(p, 4*page), 2)
	for _, m := range mappings(t, p, 4*page) {
		if m.access != "rw-p" {
			t.Errorf("mapped %s", m.access)
		}
	}
}

// The process has as many mappings as the system allows, or more address space. The test runs in a
// child process, because the system might refuse memory to the Go heap as well.
func TestMoveRefusedByTheSystem(t *testing.T) {
	const variable = "GALLOC_VM_TEST_REFUSAL"
	refusals := map[string]func(*testing.T){"mappings": moveWithoutMappings, "space": moveWithoutSpace}
	if name := os.Getenv(variable); name != "" {
		// The Go heap ends the program if the system refuses it memory. So it must not grow here.
		runtime.MemProfileRate = 0
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		runtime.GC()
		refusals[name](t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	for name := range refusals {
		child := exec.Command(self, "-test.run=^TestMoveRefusedByTheSystem$", "-test.v")
		child.Env = append(os.Environ(), variable+"="+name)
		output, err := child.CombinedOutput()
		t.Logf("%s", output)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func moveWithoutMappings(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	mustSucceed(t, err)
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	mustSucceed(t, err)
	page := PageSize()
	if limit > 300_000 || uintptr(limit) > 1<<30/page {
		t.Skip("a process may have too many mappings to use them up: ", limit)
	}
	from, to := twelve(t, true), twelve(t, true)
	moveForTest(t, unsafe.Add(to, 4*page), unsafe.Add(from, 4*page), page)
	fill(bytesAt(from, 12*page), 5)
	fill(bytesAt(to, 12*page), 6)

	patches, contents := patchwork(t, 6)
	middle := twelve(t, true)
	wantMappings(t, "patchwork", patches, 2)

	many := reserveForTest(t, uintptr(limit)*page, 0)
	made := 0
	for at := uintptr(0); err == nil && at < uintptr(limit); at += 2 {
		err = Commit(unsafe.Add(many, at*page), page)
		made++
	}
	refusal := Move(unsafe.Add(to, 7*page), unsafe.Add(from, 7*page), 2*page)
	// Release two mappings at a time, until there are enough for the first half of a Move, but not
	// for the second.
	halfway := error(unix.ENOMEM)
	for at := uintptr(2); halfway == unix.ENOMEM && at < 20; at += 2 {
		if string(bytesAt(patches, 12*page)) != string(contents) {
			t.Fatal("a refusal changed the source")
		}
		mustSucceed(t, unix.Mprotect(bytesAt(unsafe.Add(many, at*page), page), unix.PROT_NONE))
		halfway = Move(unsafe.Add(middle, 3*page), unsafe.Add(patches, 3*page), 6*page)
	}
	mustSucceed(t, Purge(many, uintptr(limit)*page))
	mustSucceed(t, unix.Mprotect(bytesAt(many, uintptr(limit)*page), unix.PROT_NONE))
	mustSucceed(t, halfway)
	wantZero(t, "source of what was copied", bytesAt(unsafe.Add(patches, 3*page), 6*page))
	if string(bytesAt(unsafe.Add(middle, 3*page), 6*page)) != string(contents[3*page:9*page]) {
		t.Error("what was moved by half and copied by half has changed")
	}
	wantMappings(t, "moved by half", middle, 3)
	if err != unix.ENOMEM || refusal != unix.ENOMEM {
		t.Fatalf("after %d commits here and there: Commit: %v, Move: %v, want %v", made, err, refusal, unix.ENOMEM)
	}
	wantFill(t, "source of what was refused", bytesAt(from, 12*page), 5)
	wantFill(t, "pages before the destination", bytesAt(to, 7*page), 6)
	fill(bytesAt(to, 12*page), 7)
	mustSucceed(t, Move(unsafe.Add(to, 7*page), unsafe.Add(from, 7*page), 2*page))
}

// The kernel unmaps the destination before it finds that the process is above RLIMIT_AS, and then
// does not map it again.
func moveWithoutSpace(t *testing.T) {
	page := PageSize()
	from, to := twelve(t, true), twelve(t, true)
	moveForTest(t, to, from, page)
	fill(bytesAt(from, 12*page), 5)
	fill(bytesAt(to, 12*page), 6)
	var limit unix.Rlimit
	mustSucceed(t, unix.Getrlimit(unix.RLIMIT_AS, &limit))
	lower := limit
	lower.Cur = 1 << 20

	text, refusal := "", error(nil)
	func() {
		defer func() { text, _ = recover().(string) }()
		mustSucceed(t, unix.Setrlimit(unix.RLIMIT_AS, &lower))
		defer unix.Setrlimit(unix.RLIMIT_AS, &limit)
		refusal = Move(unsafe.Add(to, 4*page), unsafe.Add(from, 4*page), 4*page)
	}()
	wantFill(t, "source", bytesAt(from, 12*page), 5)
	if text == "" { // a kernel that checks the limit before it unmaps
		fill(bytesAt(to, 12*page), 7)
		t.Skip("Move: ", refusal)
	}
	const want = "vm: Move lost the pages at its destination: the system refused to map them again"
	if text != want || len(mappings(t, unsafe.Add(to, 4*page), 4*page)) != 0 {
		t.Errorf("panic %q, and the destination is %v", text, mappings(t, to, 12*page))
	}
	wantFill(t, "pages before the destination", bytesAt(to, 4*page), 6)
}

func TestAdviceSplitsMappingsAndMergesThem(t *testing.T) {
	size := HugePageSize()
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
	if err != nil {
		if size != 0 {
			t.Errorf("HugePageSize() = %d without a file that says so: %v", size, err)
		}
		t.Skip(err)
	}
	if want := strings.TrimSpace(string(text)); strconv.Itoa(int(size)) != want {
		t.Errorf("HugePageSize() = %d, want %s", size, want)
	}
	page := PageSize()
	p := twelve(t, true)
	wantFlags := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, flags := range smaps(t, p, 12*page, "VmFlags") {
			advice := ""
			for _, flag := range strings.Fields(flags) {
				if flag == "hg" || flag == "nh" {
					advice += flag
				}
			}
			got = append(got, advice)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	wantFlags("no advice", "")
	Huge(unsafe.Add(p, 4*page), 4*page)
	wantFlags("advice about the middle", "", "hg", "")
	NoHuge(unsafe.Add(p, 6*page), 6*page)
	wantFlags("other advice about the rest", "", "hg", "nh")
	to := twelve(t, true)
	mustSucceed(t, Move(to, p, 12*page))
	wantFill(t, "moved with its advice", bytesAt(to, 12*page), 1)
	wantMappings(t, "moved with its advice", to, 3)
	Huge(p, 12*page)
	wantFlags("the same advice for all", "hg")
	NoHuge(p, 12*page)
	wantFlags("the opposite", "nh")
}

// wantReserved wants the n bytes at p to be inaccessible and not backed by memory.
func wantReserved(t *testing.T, p unsafe.Pointer, n uintptr) {
	t.Helper()
	for _, m := range mappings(t, p, n) {
		if m.access != "---p" {
			t.Errorf("mapped %s, want Reserved pages", m.access)
		}
	}
	if got := resident(t, p, n); got != 0 {
		t.Errorf("%d bytes resident, want 0", got)
	}
}
