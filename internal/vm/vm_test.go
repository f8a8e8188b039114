package vm

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// bytesAt returns the n bytes at p.
func bytesAt(p unsafe.Pointer, n uintptr) []byte {
	return unsafe.Slice((*byte)(p), n)
}

// fill writes a pattern that depends on the position and on seed, and never writes 0.
func fill(b []byte, seed int) {
	for i := range b {
		b[i] = byte(1 + (i*7+i>>8+seed)%255)
	}
}

// wantFill reports the first byte that differs from what fill wrote.
func wantFill(t *testing.T, what string, b []byte, seed int) {
	t.Helper()
	for i := range b {
		if want := byte(1 + (i*7+i>>8+seed)%255); b[i] != want {
			t.Fatalf("%s: byte %d is %#x, want %#x", what, i, b[i], want)
		}
	}
}

// wantZero reports the first byte that is not zero.
func wantZero(t *testing.T, what string, b []byte) {
	t.Helper()
	for i := range b {
		if b[i] != 0 {
			t.Fatalf("%s: byte %d of %d is %#x, want 0", what, i, len(b), b[i])
		}
	}
}

// reserveForTest reserves n bytes and releases them when the test ends.
func reserveForTest(t testing.TB, n, align uintptr) unsafe.Pointer {
	t.Helper()
	p, err := Reserve(n, align)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustSucceed(t, Release(p, n)) })
	return p
}

func mustSucceed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPageSizeIsAPowerOfTwo(t *testing.T) {
	if n := PageSize(); n < 512 || n&(n-1) != 0 {
		t.Fatalf("PageSize() = %d", n)
	}
}

// Commits of eight pages in address order, as an allocator makes them: each new page reads zero,
// and the older ones keep their contents.
func TestCommitAlongAFrontierReadsZero(t *testing.T) {
	page := PageSize()
	p := reserveForTest(t, 8*page, 0)
	for i := range uintptr(8) {
		at := unsafe.Add(p, i*page)
		mustSucceed(t, Commit(at, page))
		wantZero(t, "new page", bytesAt(at, page))
		fill(bytesAt(at, page), int(i))
	}
	for i := range uintptr(8) {
		wantFill(t, "older page", bytesAt(unsafe.Add(p, i*page), page), int(i))
	}
}

func TestPurgeZeroesItsPagesAndNoOthers(t *testing.T) {
	page := PageSize()
	const pages = 16
	p := reserveForTest(t, pages*page, 0)
	mustSucceed(t, Commit(p, pages*page))
	for _, c := range []struct{ first, n uintptr }{{4, 1}, {0, 3}, {13, 3}, {5, 7}, {0, pages}} {
		all := bytesAt(p, pages*page)
		for round := range 3 { // what was purged can be used and purged again
			fill(all, round)
			mustSucceed(t, Purge(unsafe.Add(p, c.first*page), c.n*page))
			wantZero(t, "purged pages", all[c.first*page:(c.first+c.n)*page])
			fill(all[c.first*page:(c.first+c.n)*page], -1)
			for i := range all {
				inside := uintptr(i) >= c.first*page && uintptr(i) < (c.first+c.n)*page
				if !inside && all[i] != byte(1+(i*7+i>>8+round)%255) {
					t.Fatalf("Purge of %d pages at page %d changed byte %d", c.n, c.first, i)
				}
			}
		}
	}
}

// readyForTest reserves n bytes, commits them, and fills them with seed.
func readyForTest(t testing.TB, n uintptr, seed int) unsafe.Pointer {
	t.Helper()
	p := reserveForTest(t, n, 0)
	mustSucceed(t, Commit(p, n))
	fill(bytesAt(p, n), seed)
	return p
}

// moveForTest calls Move, and skips the test where the system cannot move pages.
func moveForTest(t testing.TB, to, from unsafe.Pointer, n uintptr) {
	t.Helper()
	err := Move(to, from, n)
	if err == ErrNoMove || err == syscall.EINVAL {
		t.Skip(err)
	}
	mustSucceed(t, err)
}

// After PurgeLazy a page reads as before or zero, and a page that is written afterwards keeps its
// contents.
func TestPurgeLazyLeavesOldPagesOrZeroOnes(t *testing.T) {
	page := PageSize()
	const pages = 8
	p := readyForTest(t, pages*page, 1)
	before := slices.Clone(bytesAt(p, pages*page))
	for _, err := range []error{PurgeLazy(unsafe.Add(p, page), (pages-2)*page), PurgeLazy(unsafe.Add(p, page), page)} {
		if err != nil && err != syscall.EINVAL { // an old Linux
			t.Fatal(err)
		}
	}
	for i := range uintptr(pages) {
		now, was := bytesAt(unsafe.Add(p, i*page), page), before[i*page:(i+1)*page]
		outside := i == 0 || i == pages-1
		if !bytes.Equal(now, was) && (outside || !bytes.Equal(now, make([]byte, page))) {
			t.Errorf("page %d is neither as it was nor zero", i)
		}
	}
	fill(bytesAt(p, pages*page), 2)
	runtime.GC()
	wantFill(t, "pages written since", bytesAt(p, pages*page), 2)
	mustSucceed(t, Purge(p, pages*page))
	wantZero(t, "purged after all", bytesAt(p, pages*page))
}

// Moves between two reservations, and up and down within one.
func TestMoveTakesTheContentsAndLeavesZeros(t *testing.T) {
	page := PageSize()
	const pages = 16
	for _, c := range []struct {
		name        string
		to, from, n uintptr // pages; from the second reservation on, to is counted on
	}{
		{"all to another reservation", pages, 0, pages},
		{"the middle to another reservation", pages + 7, 4, 5},
		{"one page to another reservation", pages, pages - 1, 1},
		{"up", 10, 2, 5},
		{"up next to it", 8, 4, 4},
		{"down next to it", 4, 8, 4},
		{"down", 0, 15, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, two := readyForTest(t, pages*page, 1), readyForTest(t, pages*page, 2)
			to := unsafe.Add([]unsafe.Pointer{one, two}[c.to/pages], c.to%pages*page)
			from := unsafe.Add(one, c.from*page)
			want := [2][]byte{slices.Clone(bytesAt(one, pages*page)), slices.Clone(bytesAt(two, pages*page))}
			moved := slices.Clone(bytesAt(from, c.n*page))
			clear(want[0][c.from*page : (c.from+c.n)*page])
			copy(want[c.to/pages][c.to%pages*page:], moved)

			moveForTest(t, to, from, c.n*page)
			for i, p := range []unsafe.Pointer{one, two} {
				if !bytes.Equal(bytesAt(p, pages*page), want[i]) {
					t.Errorf("reservation %d is not as expected", i)
				}
			}
			// Both are Ready: to be written, purged, and moved back.
			fill(bytesAt(from, c.n*page), 3)
			fill(bytesAt(to, c.n*page), 4)
			moveForTest(t, from, to, c.n*page)
			wantFill(t, "moved back", bytesAt(from, c.n*page), 4)
			wantZero(t, "moved away again", bytesAt(to, c.n*page))
			mustSucceed(t, Purge(from, c.n*page))
			wantZero(t, "purged", bytesAt(from, c.n*page))
		})
	}
}

// Untouched pages move as zeros.
func TestMoveOfUntouchedPages(t *testing.T) {
	n := 4 * PageSize()
	from, to := reserveForTest(t, n, 0), readyForTest(t, n, 1)
	mustSucceed(t, Commit(from, n))
	moveForTest(t, to, from, n)
	wantZero(t, "untouched pages moved", bytesAt(to, n))
	wantZero(t, "untouched pages left", bytesAt(from, n))
}

// A block doubles several times, as append makes it: it consists of the pages moved so far and a
// fresh half.
func TestMoveOfABlockThatGrows(t *testing.T) {
	page := PageSize()
	p := readyForTest(t, page, 0)
	for k := uintptr(1); k < 64; k *= 2 {
		next := reserveForTest(t, 2*k*page, 0)
		mustSucceed(t, Commit(next, 2*k*page))
		moveForTest(t, next, p, k*page)
		wantZero(t, "old place", bytesAt(p, k*page))
		wantZero(t, "fresh half", bytesAt(unsafe.Add(next, k*page), k*page))
		fill(bytesAt(unsafe.Add(next, k*page), k*page), int(2*k))
		wantFill(t, "first page", bytesAt(next, page), 0)
		for half := uintptr(1); half <= k; half *= 2 {
			wantFill(t, "a half of old", bytesAt(unsafe.Add(next, half*page), half*page), int(2*half))
		}
		p = next
	}
}

func TestMoveElsewhereThanOnLinuxChangesNothing(t *testing.T) {
	if runtime.GOOS == "linux" && !GoMemory || runtime.GOOS == "android" {
		t.Skip("Linux moves")
	}
	n := 4 * PageSize()
	from, to := readyForTest(t, n, 1), readyForTest(t, n, 2)
	if err := Move(to, from, n); err != ErrNoMove {
		t.Fatal(err)
	}
	wantFill(t, "from", bytesAt(from, n), 1)
	wantFill(t, "to", bytesAt(to, n), 2)
}

// Huge and NoHuge change no contents, of Ready and of Reserved pages, whether or not the system
// follows the advice.
func TestAdviceChangesNothing(t *testing.T) {
	if n := HugePageSize(); n&(n-1) != 0 || n != 0 && n <= PageSize() {
		t.Errorf("HugePageSize() = %d", n)
	}
	page := PageSize()
	p := reserveForTest(t, 8*page, 0)
	mustSucceed(t, Commit(p, 4*page))
	fill(bytesAt(p, 4*page), 1)
	Huge(p, 8*page)
	NoHuge(unsafe.Add(p, 2*page), 4*page)
	wantFill(t, "Ready pages", bytesAt(p, 4*page), 1)
	mustSucceed(t, Commit(unsafe.Add(p, 4*page), 4*page))
	wantZero(t, "Reserved pages", bytesAt(unsafe.Add(p, 4*page), 4*page))
}

func TestReserveRoundsUpToPages(t *testing.T) {
	page := PageSize()
	p := reserveForTest(t, page+1, 0)
	mustSucceed(t, Commit(p, 2*page))
	fill(bytesAt(p, 2*page), 0)
}

func TestReserveAligns(t *testing.T) {
	page := PageSize()
	limit := uintptr(1 << 30)
	if GoMemory || math.MaxInt == math.MaxInt32 {
		limit = 16 << 20
	}
	for align := uintptr(1); align <= limit; align <<= 1 {
		for _, n := range []uintptr{1, page, 3 * page, 256 << 10} {
			p, err := Reserve(n, align)
			mustSucceed(t, err)
			if uintptr(p)&(max(align, page)-1) != 0 {
				t.Errorf("Reserve(%d, %d) = %#x", n, align, uintptr(p))
			}
			whole := roundUp(n)
			mustSucceed(t, Commit(p, whole))
			fill(bytesAt(p, whole), 0)
			wantFill(t, "aligned block", bytesAt(p, whole), 0)
			mustSucceed(t, Release(p, n))
		}
	}
}

func TestReserveRefusesWhatNoAddressSpaceHolds(t *testing.T) {
	page := PageSize()
	const maxInt = uintptr(math.MaxInt)
	for _, c := range []struct{ n, align uintptr }{
		{maxInt, 0},
		{maxInt &^ (page - 1), page},
		{maxInt - maxInt/64, page}, // on 32-bit, a 64-bit kernel may have that much
		{maxInt/2 + 1, maxInt/2 + 1},
		{page, maxInt + 1},
		{maxInt + 1, 1},
		{^uintptr(0), 1},
		{^uintptr(0), 64 << 10},
		{^uintptr(0) - page, maxInt/2 + 1},
	} {
		p, err := Reserve(c.n, c.align)
		if err == nil && c.n < maxInt && maxInt == math.MaxInt32 {
			mustSucceed(t, Release(p, c.n))
			continue
		}
		if p != nil || err == nil {
			t.Errorf("Reserve(%#x, %#x) = %v, %v", c.n, c.align, p, err)
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = Reserve(c.n, c.align) }); n != 0 && runtime.GOOS != "windows" {
			t.Errorf("Reserve(%#x, %#x) needs %v Go allocations to fail", c.n, c.align, n)
		}
	}
	p := reserveForTest(t, page, 0) // and goes on
	mustSucceed(t, Commit(p, page))
}

func TestReleaseOfAPart(t *testing.T) {
	page := PageSize()
	p, err := Reserve(4*page, 0)
	mustSucceed(t, err)
	mustSucceed(t, Commit(p, 4*page))
	fill(bytesAt(p, page), 5)
	err = Release(unsafe.Add(p, page), 2*page)
	if runtime.GOOS != "windows" && !GoMemory {
		mustSucceed(t, err)
		wantFill(t, "rest", bytesAt(p, page), 5)
		mustSucceed(t, Release(unsafe.Add(p, 3*page), page))
		mustSucceed(t, Release(p, page))
		return
	}
	if err == nil {
		t.Fatal("Release of a part succeeded")
	}
	if Release(p, page) == nil {
		t.Fatal("Release of the first part alone succeeded")
	}
	wantFill(t, "all", bytesAt(p, page), 5)
	mustSucceed(t, Release(p, 4*page))
}

func TestMisusePanics(t *testing.T) {
	page := PageSize()
	p := reserveForTest(t, 2*page, 0)
	odd := unsafe.Add(p, 8)
	for _, c := range []struct {
		name string
		call func()
		want string
	}{
		{"reserve nothing", func() { Reserve(0, 0) }, "Reserve of 0 bytes"},
		{"reserve with alignment 3", func() { Reserve(page, 3) }, "not a power of two"},
		{"reserve with all bits for alignment", func() { Reserve(page, ^uintptr(0)) }, "not a power of two"},
		{"commit nothing", func() { Commit(p, 0) }, "Commit of 0 bytes"},
		{"commit nil", func() { Commit(nil, page) }, "Commit of a nil address"},
		{"commit half a page", func() { Commit(p, page/2) }, "size that is not a multiple"},
		{"commit at an odd address", func() { Commit(odd, page) }, "address that is not a multiple"},
		{"commit too much", func() { Commit(p, ^(page - 1)) }, "more than any reservation"},
		{"purge nothing", func() { Purge(p, 0) }, "Purge of 0 bytes"},
		{"purge nil", func() { Purge(nil, page) }, "Purge of a nil address"},
		{"purge a page and a byte", func() { Purge(p, page+1) }, "size that is not a multiple"},
		{"purge at an odd address", func() { Purge(odd, page) }, "address that is not a multiple"},
		{"purge lazily nothing", func() { PurgeLazy(p, 0) }, "PurgeLazy of 0 bytes"},
		{"purge lazily a page and a byte", func() { PurgeLazy(p, page+1) }, "size that is not a multiple"},
		{"purge lazily at an odd address", func() { PurgeLazy(odd, page) }, "address that is not a multiple"},
		{"move nothing", func() { Move(p, unsafe.Add(p, page), 0) }, "Move of 0 bytes"},
		{"move to nil", func() { Move(nil, p, page) }, "Move of a nil address"},
		{"move from nil", func() { Move(p, nil, page) }, "Move of a nil address"},
		{"move to an odd address", func() { Move(odd, unsafe.Add(p, page), page) }, "address that is not a multiple"},
		{"move from an odd address", func() { Move(p, unsafe.Add(odd, page), page) }, "address that is not a multiple"},
		{"move half a page", func() { Move(p, unsafe.Add(p, page), page/2) }, "size that is not a multiple"},
		{"move to itself", func() { Move(p, p, page) }, "ranges that overlap"},
		{"move up onto itself", func() { Move(unsafe.Add(p, page), p, 2*page) }, "ranges that overlap"},
		{"move down onto itself", func() { Move(p, unsafe.Add(p, page), 2*page) }, "ranges that overlap"},
		{"advise nothing", func() { Huge(p, 0) }, "Huge of 0 bytes"},
		{"advise at an odd address", func() { Huge(odd, page) }, "address that is not a multiple"},
		{"advise against half a page", func() { NoHuge(p, page/2) }, "NoHuge of a size that is not a multiple"},
		{"release nothing", func() { Release(p, 0) }, "Release of 0 bytes"},
		{"release nil", func() { Release(nil, page) }, "Release of a nil address"},
		{"release at an odd address", func() { Release(odd, page) }, "address that is not a multiple"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "vm: ") || !strings.Contains(text, c.want) {
					t.Errorf("panic %q, want one with %q", text, c.want)
				}
			}()
			c.call()
		})
	}
}

// Eight goroutines reserve, use and release regions at the same time, each with its own pattern.
func TestConcurrentUse(t *testing.T) {
	page := PageSize()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for round := range 50 {
				n, align := uintptr(1+(g+round)%5)*page, uintptr(1)<<(12+(g+round)%8)
				p, err := Reserve(n, align)
				if err != nil {
					t.Error(err)
					return
				}
				err = Commit(p, n)
				fill(bytesAt(p, n), g)
				runtime.Gosched()
				for i, c := range bytesAt(p, n) {
					if c != byte(1+(i*7+i>>8+g)%255) {
						t.Errorf("byte %d of %d changed", i, n)
						break
					}
				}
				if err := errors.Join(err, Purge(p, n), Release(p, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Pages keep their contents during a garbage collection: in the Go memory port the table keeps the
// slices alive.
func TestPagesSurviveGarbageCollection(t *testing.T) {
	const n = 1 << 20
	type hidden struct{ at uintptr } // what the collector does not see
	var regions []hidden
	for i := range 16 {
		p := reserveForTest(t, n, 0)
		mustSucceed(t, Commit(p, n))
		fill(bytesAt(p, n), i)
		regions = append(regions, hidden{uintptr(p)})
	}
	runtime.GC()
	churn := make([][]byte, 64)
	for i := range churn {
		churn[i] = make([]byte, n/4)
		fill(churn[i][:4096], 3)
	}
	for i := range regions {
		p := *(*unsafe.Pointer)(unsafe.Pointer(&regions[i].at))
		wantFill(t, "region", bytesAt(p, n), i)
	}
	runtime.KeepAlive(churn)
}

// BenchmarkMove moves touched pages back and forth between two places, and for comparison copies
// them to pages that are backed by memory and to pages that are not. Each place begins at a
// multiple of 2 MiB plus shift.
func BenchmarkMove(b *testing.B) {
	const align = 2 << 20
	for _, c := range []struct {
		name  string
		n     uintptr
		shift uintptr // of the second place
	}{
		{"size=4K", 4 << 10, 64 << 10},
		{"size=64K", 64 << 10, 64 << 10},
		{"size=1M", 1 << 20, 64 << 10},
		{"size=64M", 64 << 20, 64 << 10},
		{"size=64M/shift=0", 64 << 20, 0},
	} {
		if GoMemory && c.n > 1<<20 || c.n < PageSize() {
			continue
		}
		for _, how := range []string{"move", "copy", "copyUntouched"} {
			b.Run(c.name+"/how="+how, func(b *testing.B) {
				from, to := reserveForTest(b, c.n, align), reserveForTest(b, c.n+align, align)
				mustSucceed(b, Commit(from, c.n))
				mustSucceed(b, Commit(to, c.n+align))
				to = unsafe.Add(to, c.shift)
				fill(bytesAt(from, c.n), 0)
				if how == "copy" {
					fill(bytesAt(to, c.n), 0)
				}
				b.SetBytes(int64(c.n))
				for b.Loop() {
					switch how {
					case "move":
						moveForTest(b, to, from, c.n)
						to, from = from, to
					case "copyUntouched":
						b.StopTimer()
						mustSucceed(b, Purge(to, c.n))
						b.StartTimer()
						fallthrough
					case "copy":
						copy(bytesAt(to, c.n), bytesAt(from, c.n))
					}
				}
			})
		}
	}
}

func BenchmarkPurge(b *testing.B) {
	for _, c := range []struct {
		name  string
		n     uintptr
		touch bool
	}{
		{"size=64K/touched=0", 64 << 10, false},
		{"size=64K/touched=1", 64 << 10, true},
		{"size=1M/touched=0", 1 << 20, false},
		{"size=1M/touched=1", 1 << 20, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := reserveForTest(b, c.n, 0)
			mustSucceed(b, Commit(p, c.n))
			for b.Loop() {
				if c.touch {
					b.StopTimer()
					fill(bytesAt(p, c.n), 0)
					b.StartTimer()
				}
				mustSucceed(b, Purge(p, c.n))
			}
		})
	}
}
