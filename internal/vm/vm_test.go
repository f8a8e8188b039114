package vm

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
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

// reserveForTest reserves, and releases when the test ends.
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

// Eight pages are committed in address order, as an allocator grows; each new one reads zero and leaves the older ones alone.
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

// Eight goroutines take, use and return regions at the same time; each fills its own with its own pattern.
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

// A collection between the transitions takes nothing away: in the Go memory port the table keeps the slices alive.
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
