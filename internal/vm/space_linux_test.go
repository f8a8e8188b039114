//go:build linux && !race

package vm

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestIsPlausible(t *testing.T) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Skip(err)
	}
	units := uint64(info.Totalram) + uint64(info.Totalswap) //nolint:unconvert // for 386
	has := units * uint64(info.Unit)
	if has >= math.MaxInt {
		t.Skip("more memory than addresses")
	}
	if !IsPlausible(uintptr(has)) || IsPlausible(uintptr(has)+1) != overcommits() {
		t.Errorf("%d bytes: %v; one more: %v; overcommit %v", has, IsPlausible(uintptr(has)), IsPlausible(uintptr(has)+1), overcommits())
	}
	if n := testing.AllocsPerRun(10, func() { IsPlausible(math.MaxInt) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUsesAreThoseOfTheSystem(t *testing.T) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name string
		got  uintptr
	}{{"VmSize:", addressSpaceUsed()}, {"VmData:", dataUsed()}} {
		_, rest, _ := strings.Cut(string(text), c.name)
		kib, err := strconv.Atoi(strings.Fields(rest)[0])
		if diff := int(c.got>>10) - kib; err != nil || diff < -100<<10 || diff > 100<<10 {
			t.Errorf("%d KiB, but %s %d kB", c.got>>10, c.name, kib)
		}
	}
}

func TestLeftIsTheLimitWithoutTheUse(t *testing.T) {
	const n = 1 << 20
	for limit, want := range map[uint64]uintptr{0: 0, n: n - 10, ^uint64(0): math.MaxInt, 5: 0} {
		if got := left(limit, func() uintptr { return min(10, uintptr(limit)) }); got != want {
			t.Errorf("left(%d) == %d, want %d", limit, got, want)
		}
	}
}

// Moves are permitted while the process has few mappings, and again when it has few again.
func TestMayMoveCountsMappings(t *testing.T) {
	const calls = 2 * (maxUncounted + refusedBefore)
	may := func() (yes bool) {
		for range calls {
			yes = MayMove()
		}
		return yes
	}
	if !may() {
		t.Fatalf("no moves with %d mappings", countMappings())
	}
	page := PageSize()
	many := reserveForTest(t, 2*maxMappings*page, 0)
	for i := uintptr(0); i < maxMappings; i += 2 {
		mustSucceed(t, Commit(unsafe.Add(many, i*page), page))
	}
	if n := countMappings(); n < maxMappings || may() {
		t.Errorf("%d mappings, and moves are permitted", n)
	}
	mustSucceed(t, Decommit(many, 2*maxMappings*page))
	if n := countMappings(); n > maxMappings/2 || !may() {
		t.Errorf("%d mappings, and moves are not permitted", n)
	}
	if n := testing.AllocsPerRun(10, func() { countMappings() }); n != 0 {
		t.Errorf("countMappings: %v Go allocations", n)
	}
}
