package vm

import (
	"math"
	"math/bits"
	"runtime"
	"testing"
	"unsafe"
)

func TestAShareIsAtMostAnEighthOrAQuarterOfLittle(t *testing.T) {
	for _, c := range []struct{ left, want uintptr }{
		{0, 0},
		{100 << 20, 25 << 20},
		{256 << 20, 64 << 20},
		{512 << 20, 64 << 20},
		{1 << 30, 128 << 20},
	} {
		if got := share(c.left); got != c.want {
			t.Errorf("share(%d) == %d, want %d", c.left, got, c.want)
		}
	}
}

func TestSharesTakeAllWithoutLimitsAndWhatIsNeededAlways(t *testing.T) {
	if addressSpaceLeft() != math.MaxInt || dataLeft() != math.MaxInt {
		t.Skip("the process is limited")
	}
	for _, share := range []func(n, least uintptr) uintptr{Share, CommitShare} {
		if got := share(8<<20, 1<<20); got != 8<<20 {
			t.Errorf("%d bytes of 8 MiB", got)
		}
		if got := share(1, math.MaxInt); got != math.MaxInt {
			t.Errorf("%d bytes, less than the least", got)
		}
		if n := testing.AllocsPerRun(10, func() { share(1, 1) }); n != 0 {
			t.Errorf("%v Go allocations", n)
		}
	}
}

func TestABlockLargerThanAnyMachineIsNotPlausible(t *testing.T) {
	for _, n := range []uintptr{1, 1 << 20, 64 << 20} {
		if !IsPlausible(n) {
			t.Errorf("%d bytes are not", n)
		}
	}
}

// The Go runtime crashes in the garbage collector if it finds no address space.
func TestReservationsLeaveHalfOfTheAddressSpace(t *testing.T) {
	if GoMemory || bits.UintSize == 32 {
		t.Skip("little address space: see the tests of Share")
	}
	piece := uintptr(1) << (bits.UintSize - 24) // 1 TiB
	var pieces []unsafe.Pointer
	defer func() {
		for _, p := range pieces {
			mustSucceed(t, Release(p, piece))
		}
	}()
	for {
		p, err := Reserve(piece, 0)
		if err != nil {
			t.Logf("%d TiB: %v", len(pieces), err)
			break
		}
		pieces = append(pieces, p)
	}
	again, err := reserve(uintptr(max(len(pieces), 1))*piece, PageSize())
	if err != nil {
		t.Fatalf("%d TiB are reserved, but not as much is left: %v", len(pieces), err)
	}
	mustSucceed(t, release(again, uintptr(max(len(pieces), 1))*piece))
	runtime.GC()
}
