package alloctest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

// The tests of the tests: each allocator of this table is broken, and the rules beside it must find
// that. "" is the fault of a good allocator.
var broken = []struct {
	fault string
	rules []string
}{
	{"aligned only to 8", []string{"SmallSizesAreAligned", "LargeAlignments"}},
	{"aligned only to pages", []string{"LargeAlignments"}},
	{"small blocks are not aligned", []string{"LargeAlignments"}},
	{"too short", []string{"EverySize"}},
	{"too short when large", []string{"EverySize"}},
	{"capacity", []string{"EverySize"}},
	{"overlaps its neighbor", []string{"EverySize", "RandomUse"}},
	{"overlaps sometimes", []string{"SmallSizesAreAligned", "RandomUse", "ConcurrentUse"}},
	{"reuses a freed block twice", []string{"RandomUse"}},
	{"size 0 fails", []string{"SizeZero"}},
	{"size 0 is nil", []string{"SizeZero"}},
	{"size 0 is not aligned", []string{"SizeZero"}},
	{"size 0 takes memory", []string{"SizeZero"}},
	{"size 0 is freed", []string{"SizeZero"}},
	{"zeroed memory is dirty", []string{"ZeroedMemoryIsZero", "ZeroedMemoryIsZeroAfterShrinking"}},
	{"zeroed memory is dirty when large", []string{"ZeroedMemoryIsZero"}},
	{"slack is dirty", []string{"ZeroedMemoryIsZero"}},
	{"the last byte is dirty", []string{"ZeroedMemoryIsZero"}},
	{"Grow loses a byte", []string{"GrowKeepsTheContent", "ResizingSparesTheNeighbours"}},
	{"Grow loses a byte when large", []string{"GrowKeepsTheContent"}},
	{"Grow loses all if it stays", []string{"GrowKeepsTheContent"}},
	{"Grow is nil", []string{"GrowKeepsTheContent", "SizeZero"}},
	{"Grow is too short", []string{"GrowKeepsTheContent"}},
	{"Grow forgets to align", []string{"GrowKeepsTheContent"}},
	{"Grow frees first", []string{"FailuresChangeNothing"}},
	{"Grow in place runs into the next block", []string{"ResizingSparesTheNeighbours"}},
	{"Grow leaks the old block", []string{"FreedMemoryComesBack"}},
	{"Grow leaks the old block when large", []string{"FreedMemoryComesBack"}},
	{"GrowZeroed does not clear", []string{"GrowZeroedClearsTheGain"}},
	{"GrowZeroed clears what was asked for", []string{"GrowZeroedClearsTheGain"}},
	{"GrowZeroed clears too much", []string{"GrowZeroedClearsTheGain"}},
	{"Shrink loses a byte", []string{"ShrinkKeepsTheContent"}},
	{"Shrink forgets to align", []string{"ShrinkKeepsTheContent"}},
	{"Shrink leaks the old block", []string{"FreedMemoryComesBack"}},
	{"Shrink to 0 leaks", []string{"FreedMemoryComesBack"}},
	{"Shrink to 0 is nil", []string{"SizeZero"}},
	{"Resize says no and writes", []string{"ResizeInPlace"}},
	{"Resize says no and shrinks", []string{"ResizeInPlace"}},
	{"Resize loses a byte", []string{"ResizeInPlace"}},
	{"Resize says yes always", []string{"ResizeInPlace"}},
	{"Resize says yes to huge sizes", []string{"ResizeInPlace"}},
	{"Resize leaks the end", []string{"FreedMemoryComesBack"}},
	{"free writes to another block", []string{"AnyOrderOfFree", "RandomUse"}},
	{"free writes past the end", []string{"AnyOrderOfFree"}},
	{"free frees the neighbor too", []string{"AnyOrderOfFree", "RandomUse"}},
	{"only the last block may be freed", []string{"AnyOrderOfFree"}},
	{"free does nothing", []string{"FreedMemoryComesBack"}},
	{"free of large blocks does nothing", []string{"FreedMemoryComesBack"}},
	{"free of blocks below 5000 bytes does nothing", []string{"FreedMemoryComesBack"}},
	{"free with the usable size does nothing", []string{"FreedMemoryComesBack"}},
	{"free loses half of a block", []string{"FreedMemoryComesBack"}},
	{"failed Allocate leaks", []string{"FreedMemoryComesBack"}},
	{"failed Allocate forgets the free memory", []string{"HugeSizesFail"}},
	{"failed Grow frees the block", []string{"FailuresChangeNothing"}},
	{"failed Grow writes to the block", []string{"FailuresChangeNothing", "HugeSizesFail", "FullMemory"}},
	{"failed Grow writes to the end of the block", []string{"FailuresChangeNothing"}},
	{"failed Grow frees the end of the block", []string{"FailuresChangeNothing"}},
	{"failed Grow leaks the block", []string{"FreedMemoryComesBack"}},
	{"failed Grow leaks a new block", []string{"FreedMemoryComesBack"}},
	{"failed Grow panics", []string{"FailuresChangeNothing", "HugeSizesFail"}},
	{"failed GrowZeroed frees the block", []string{"FailuresChangeNothing"}},
	{"failed GrowZeroed leaks the block", []string{"FreedMemoryComesBack"}},
	{"failed Shrink frees the block", []string{"FailuresChangeNothing"}},
	{"failed Shrink writes to the block", []string{"FailuresChangeNothing", "FullMemory"}},
	{"failed Shrink frees the end of the block", []string{"FailuresChangeNothing"}},
	{"failed Shrink leaks the block", []string{"FreedMemoryComesBack"}},
	{"failed Shrink leaks a new block", []string{"FreedMemoryComesBack"}},
	{"failed Shrink panics", []string{"FailuresChangeNothing"}},
	{"panics on huge", []string{"HugeSizesFail"}},
	{"foreign error", []string{"HugeSizesFail", "FailuresChangeNothing"}},
	{"huge is nil", []string{"HugeSizesFail"}},
	{"huge is short", []string{"HugeSizesFail"}},
	{"crashes on large", []string{"GrowKeepsTheContent"}},
	{"UsableSize is too large", []string{"UsableSize"}},
	{"UsableSize is too large when large", []string{"UsableSize"}},
	{"UsableSize is too large at 64 KiB", []string{"UsableSize"}},
	{"UsableSize is too small", []string{"UsableSize"}},
	{"UsableSize is too small when large", []string{"UsableSize"}},
	{"UsableSize has 32 bits", []string{"UsableSize"}},
	{"UsableSize is 0 when huge", []string{"UsableSize"}},
	{"zeroed: UsableSize is too large", []string{"UsableSize"}},
	{"not itself", []string{"Equivalence"}},
	{"equivalent to all", []string{"Equivalence"}},
	{"Owns: nothing", []string{"OwnsItsBlocks"}},
	{"Owns: everything", []string{"OwnsItsBlocks"}},
	{"Owns: nil", []string{"OwnsItsBlocks"}},
	{"Owns: all of the Go heap", []string{"OwnsItsBlocks"}},
	{"Owns: not large blocks", []string{"OwnsItsBlocks"}},
	{"Owns: the last block only", []string{"OwnsItsBlocks"}},
	{"Owns: not blocks that have grown", []string{"OwnsItsBlocks"}},
	{"Owns: the end of a block", []string{"OwnsItsBlocks"}},
	{"Owns: behind a block", []string{"OwnsItsBlocks"}},
	{"Owns: before a block", []string{"OwnsItsBlocks"}},
	{"Owns: the first half of a block", []string{"OwnsItsBlocks"}},
	{"Owns: the second byte", []string{"OwnsItsBlocks"}},
	{"Owns: inside of a block while it is live", []string{"OwnsItsBlocks"}},
	{"Owns: true after the memory is used again", []string{"OwnsItsBlocks"}},
	{"Reset does nothing", []string{"ResetGivesBack", "ResetFreesAll"}},
	{"Reset frees nothing large", []string{"ResetGivesBack"}},
	{"Reset frees the free blocks again", []string{"ResetFreesAll"}},
	{"Reset panics", []string{"ResetFreesAll"}},
	{"keeps its free list over Reset", []string{"ResetFreesAll"}},
	{"frees before Reset are free again", []string{"ResetFreesAll"}},
	{"memory is known to be zero after Reset", []string{"ResetFreesAll"}},
	{"a wrapper forgets Owns", []string{"OwnsItsBlocks", "WrapperPassesOn"}},
	{"a wrapper's Owns fails", []string{"WrapperPassesOn"}},
	{"typed memory is not zero", []string{"TypedMemory"}},
	{"typed memory is hidden", []string{"TypedMemory"}},
	{"no Reset: failed Grow leaks the block", []string{"FullMemory", "FreedMemoryComesBack"}},
	{"no Reset: failed GrowZeroed leaks the block", []string{"FullMemory", "FreedMemoryComesBack"}},
	{"no Reset: failed Shrink leaks the block", []string{"FullMemory", "FreedMemoryComesBack"}},
	{"no Reset: failed Shrink leaks a new block", []string{"FreedMemoryComesBack"}},
	{"no Reset: free does nothing", []string{"FullMemory", "FreedMemoryComesBack"}},
	{"no Reset: free of large blocks does nothing", []string{"FreedMemoryComesBack"}},
	{"no Reset: Shrink to 0 leaks", []string{"FreedMemoryComesBack"}},
	{"no Reset: Grow leaks the old block", []string{"FreedMemoryComesBack"}},
	{"garbage", []string{"NothingOnTheGoHeap"}},
	{"not for two goroutines", []string{"ConcurrentUse"}},
}

func create(fault string) galloc.Allocator {
	s := newSource(fault)
	if fault, ok := strings.CutPrefix(fault, "no Reset: "); ok {
		s.fault = fault
		return unresettable{s}
	}
	switch fault {
	case "not itself":
		return incomparable{source: s}
	case "a wrapper forgets Owns", "a wrapper's Owns fails":
		return wrapping{s, fault}
	case "typed memory is not zero", "typed memory is hidden":
		return typed{s}
	case "not for two goroutines":
		return unlocked{s, make(chan struct{}, 1)}
	}
	return s
}

func optionsFor(fault string) []Option {
	if fault == "garbage" {
		return nil
	}
	return []Option{GoGarbage}
}

// verdict is the testing.TB of one rule.
type verdict struct {
	testing.TB
	failed, skipped bool
	log             strings.Builder
}

func (v *verdict) Helper()                   {}
func (v *verdict) Logf(f string, a ...any)   { fmt.Fprintf(&v.log, f+"\n", a...) }
func (v *verdict) Errorf(f string, a ...any) { v.failed = true; v.Logf(f, a...) }
func (v *verdict) Fatalf(f string, a ...any) { v.Errorf(f, a...); runtime.Goexit() }
func (v *verdict) Skip(a ...any)             { v.skipped = true; v.Logf("%s", fmt.Sprint(a...)); runtime.Goexit() }

// judge checks a rule, as Run does, with an allocator that has a fault.
func judge(t *testing.T, rule, fault string) *verdict {
	all := allRules()
	i := 0
	for all[i].name != rule {
		i++ // panics if there is no such rule
	}
	v := &verdict{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all[i].run(v, func() subject { return subject{create(fault), nil} }, optionsFor(fault), volume{true, time.Minute})
	}()
	<-done
	return v
}

func TestRulesFindBrokenAllocators(t *testing.T) {
	if testing.Short() && runtime.GOARCH == "wasm" {
		t.Skip("it takes half a minute, and the rules are the same everywhere")
	}
	for _, r := range allRules() { // so the failures below are due to the fault
		if v := judge(t, r.name, ""); v.failed {
			t.Errorf("no fault: the rule %s fails:\n%s", r.name, v.log.String())
		}
	}
	found := map[string]bool{}
	for _, b := range broken {
		for _, r := range b.rules {
			found[r] = true
			if raceEnabled && (b.fault == "overlaps sometimes" && r == "ConcurrentUse" || r == "FreedMemoryComesBack") {
				continue // the race detector finds it first, or too few calls are made to find it
			}
			if runtime.GOARCH == "wasm" && b.fault == "not for two goroutines" {
				continue // no two goroutines run at a time, and none is interrupted within a call
			}
			if !hugeIsTooMuch && strings.Contains(b.fault, "failed ") {
				continue // the fault is in a failure, and an allocation of any size may succeed
			}
			v := judge(t, r, b.fault)
			if math.MaxInt == math.MaxInt32 && (v.skipped || b.fault == "UsableSize has 32 bits") {
				continue // the rule needs more address space, or there is no fault
			}
			if !v.failed || !strings.Contains(v.log.String(), "the rule: ") {
				t.Errorf("%s: the rule %s does not fail:\n%s", b.fault, r, v.log.String())
			}
		}
	}
	for _, r := range allRules() {
		if !found[r.name] && r.name != "FreeOnAnotherGoroutine" {
			t.Errorf("no allocator breaks the rule %s", r.name)
		}
	}
}

const brokenVar = "GALLOC_TEST_BROKEN"

func TestBrokenAllocator(t *testing.T) {
	fault := os.Getenv(brokenVar)
	if fault == "" {
		t.Skip("this is the child process of TestRunFailsRuleByRule")
	}
	Run(t, func() galloc.Allocator { return create(fault) }, GoGarbage)
}

// A rule that fails, or panics, ends no other rule.
func TestRunFailsRuleByRule(t *testing.T) {
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	if !hugeIsTooMuch {
		t.Skip("the fault is in a failure, and here an allocation of any size may succeed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestBrokenAllocator$", "-test.v", "-test.short")
	cmd.Env = append(os.Environ(), brokenVar+"=panics on huge")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("Run does not fail")
	}
	for _, want := range []string{
		"--- FAIL: TestBrokenAllocator/HugeSizesFail", "panic: too much", "the rule: a size or alignment that is too large",
		"--- PASS: TestBrokenAllocator/RandomUse", "--- FAIL: TestBrokenAllocator/FailuresChangeNothing",
		"--- PASS: TestBrokenAllocator/FreeOnAnotherGoroutine",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestCheckShowsATrace(t *testing.T) {
	ops := []trace.Op{
		{Kind: trace.Malloc, ID: 1, Size: 24},
		{Kind: trace.Calloc, ID: 2, Size: 5000},
		{Kind: trace.Free, ID: 1},
	}
	dirty := newSource("zeroed memory is dirty")
	for i := range dirty.mem {
		dirty.mem[i] = 0xA5
	}
	err := Check(dirty, ops)
	var v *Violation
	want := "of this trace:\n# malloctrace 1\nm 0 1 24\nc 0 2 5000\n"
	if !errors.As(err, &v) || !strings.HasSuffix(fmt.Sprint(err), want) {
		t.Errorf("got %v, want it to end in %q", err, want)
	}
	if err := Check(newSource(""), ops); err != nil {
		t.Errorf("no fault: %v", err)
	}
	// An allocation that fails is no violation, and its object does not exist.
	if err := Check(Fail(galloc.System, At(1)),
		append(slices.Clone(ops), trace.Op{Kind: trace.Realloc, Old: 2, ID: 3, Size: 70_000})); err != nil {
		t.Error(err)
	}
}
