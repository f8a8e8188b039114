package heap_test

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
)

// flagsAt returns the flags that the system shows for the mapping of address p: "nh" for small
// pages, "hg" for huge ones.
func flagsAt(t *testing.T, p unsafe.Pointer) string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = f.Close() }()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			inside = from <= uintptr(p) && uintptr(p) < to
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && inside {
			return flags + " "
		}
	}
	t.Skip("the system does not show the flags of mappings")
	return ""
}

func needHugePages(t *testing.T) {
	needPages(t)
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(text), "[never]") || vm.HugePageSize() != 2*mib {
		t.Skipf("no huge pages of 2 MiB: %s, %v", text, err)
	}
}

// The heap asks for small pages, or for huge ones, at all its addresses, also after they were
// decommitted or belonged to another heap.
func TestAdviceAboutHugePages(t *testing.T) {
	needHugePages(t)
	for _, c := range []struct {
		o    heap.Options
		want string
	}{
		{heap.Options{Decay: -1}, " nh "},
		{heap.Options{Decay: -1, HugePages: true}, " hg "},
	} {
		for range 2 {
			h, err := heap.New(c.o)
			if err != nil {
				t.Fatal(err)
			}
			var after []unsafe.Pointer // blocks after the large one
			for round := range 4 {
				small, large := h.Alloc(layout(64, 8)), h.Alloc(layout(64*mib, 8))
				after = append(after, h.Alloc(layout(mib, 8)))
				for what, p := range map[string]unsafe.Pointer{
					"a small block": small, "a large block": large, "the middle of one": unsafe.Add(large, 32*mib),
				} {
					fill(view(p, 1), 1)
					if flags := flagsAt(t, p); !strings.Contains(flags, c.want) {
						t.Errorf("%v, round %d: %s has the flags%s, want%s", h, round, what, flags, c.want)
					}
				}
				h.Free(large)
				if round%2 == 1 { // the frontier moves back
					for _, p := range after {
						h.Free(p)
					}
					after = nil
				}
				h.Free(small)
				h.Trim() // decommits the pages of the large block
			}
			h.Close()
		}
	}
}

// By default, memory that was returned stays away, and what is touched is no more than the
// footprint, whatever the system would do unasked. With HugePages a touch brings a huge page.
func TestHugePagesAreOnlyUsedIfAskedFor(t *testing.T) {
	needHugePages(t)
	touched := func(o heap.Options) (growth int) {
		h := open(t, o)
		p := h.Alloc(layout(64*mib, 8))
		before := resident()
		for off := uintptr(0); off < 64*mib; off += 2 * mib {
			*(*byte)(unsafe.Add(p, off)) = 1
		}
		return int(resident() - before)
	}
	if n := touched(heap.Options{}); n > 4*mib {
		t.Errorf("32 pages take %d KiB", n>>10)
	}
	// The system need not have huge pages left.
	t.Logf("with HugePages, 32 pages take %d KiB", touched(heap.Options{HugePages: true})>>10)
}

// A heap with HugePages, of which little is left and everywhere, keeps little more.
func TestHugePagesAreSplitIfLittleOfThemIsUsed(t *testing.T) {
	needPages(t)
	for name, decay := range map[string]time.Duration{"Trim": -1, "decay": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			h := open(t, heap.Options{HugePages: true, Decay: decay})
			advice := func(p unsafe.Pointer, want string) {
				t.Helper()
				if flags := flagsAt(t, p); vm.HugePageSize() != 0 && !strings.Contains(flags, want) {
					t.Errorf("the flags are%s, want%s", flags, want)
				}
			}
			ps := make([]unsafe.Pointer, 8<<10)
			for i := range ps {
				ps[i] = h.Alloc(layout(40_000, 8))
			}
			for i, p := range ps {
				if i%64 != 0 {
					h.Free(p)
				}
			}
			if decay < 0 {
				h.Trim()
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
				s := h.Stats()
				most := 16*mib + s.InUse/4 + 2*mib
				if s.Dirty <= most {
					break
				}
				if decay < 0 || time.Now().After(deadline) {
					t.Fatalf("%d KiB are dirty, want at most %d\n%v", s.Dirty>>10, most>>10, s)
				}
			}
			advice(ps[0], " nh ") // or the system would join the pages again
			for i := 0; i < len(ps); i += 64 {
				h.Free(ps[i])
			}
			h.Trim()
			if math.MaxInt == math.MaxInt32 {
				return // extents have no holes that are decommitted, which ends the advice
			}
			for range 16 {
				advice(h.Alloc(layout(mib, 8)), " hg ")
			}
		})
	}
}

// BenchmarkHugePages reads a heap of 256 MiB at random, and then reports how much memory stays of
// it when 63 of 64 blocks have been freed.
func BenchmarkHugePages(b *testing.B) {
	if vm.GoMemory {
		b.Skip("no pages of the system")
	}
	for _, huge := range []bool{false, true} {
		b.Run(fmt.Sprintf("huge=%v", huge), func(b *testing.B) {
			h, err := heap.New(heap.Options{HugePages: huge, Decay: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			const size = 40 << 10
			ps := make([]unsafe.Pointer, 256*mib/size)
			before, start := resident(), time.Now()
			for i := range ps {
				ps[i] = h.Alloc(layout(size, 8))
				fill(view(ps[i], size), 1)
			}
			filled := time.Since(start)
			r, sum := rand.New(rand.NewPCG(1, 1)), uint32(0)
			for b.Loop() {
				n := r.Uint32()
				sum += uint32(*(*byte)(unsafe.Add(ps[n%uint32(len(ps))], n>>17)))
			}
			if sum == 0 {
				b.Error("the blocks are empty")
			}
			b.ReportMetric(float64(filled.Milliseconds()), "ms-to-fill")
			for i, p := range ps {
				if i%64 != 0 {
					h.Free(p)
				}
			}
			h.Trim()
			b.ReportMetric(float64(resident()-before)/mib, "MiB-left")
			b.ReportMetric(float64(h.Stats().Footprint)/mib, "MiB-footprint")
		})
	}
}
