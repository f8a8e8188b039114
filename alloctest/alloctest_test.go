package alloctest_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/trace"
)

// The tests of the tests: for every rule an allocator that breaks it, and that must be
// found out by the rule that says so. Each runs in a child process, since Run fails the
// test that calls it.

const brokenVar = "GALLOC_TEST_BROKEN"

// broken allocates on the Go heap, where nothing that an allocator does wrong can crash the
// test, with one fault.
type broken struct {
	mu    sync.Mutex
	fault string
	next  []byte // what was grown last
	saved []byte // what was allocated last
	calls int
}

var faults = map[string][]string{ // fault: rules that must fail
	"not aligned":           {"SmallSizesAreAligned", "LargeAlignments"},
	"large not aligned":     {"LargeAlignments"},
	"too short":             {"EverySize"},
	"capacity":              {"EverySize"},
	"overlapping":           {"SmallSizesAreAligned", "RandomUse", "ConcurrentUse"},
	"size 0 fails":          {"SizeZero"},
	"size 0 is nil":         {"SizeZero"},
	"size 0 takes memory":   {"SizeZero"},
	"not zero":              {"ZeroedMemoryIsZero"},
	"slack not zero":        {"ZeroedMemoryIsZero"},
	"grow loses":            {"GrowKeepsTheContent", "ResizingSparesTheNeighbours"},
	"grow not zero":         {"GrowZeroedClearsTheGain"},
	"shrink loses":          {"ShrinkKeepsTheContent"},
	"grow overruns":         {"ResizingSparesTheNeighbours"},
	"grow too short":        {"GrowKeepsTheContent", "ResizingSparesTheNeighbours"},
	"grow is nil":           {"GrowKeepsTheContent", "SizeZero"},
	"grow forgets to align": {"GrowKeepsTheContent"},
	"dirty when large":      {"ZeroedMemoryIsZero"},
	"grow loses when large": {"GrowKeepsTheContent"},
	"resize lies":           {"ResizeInPlace"},
	"resize loses":          {"ResizeInPlace"},
	"failed grow writes":    {"HugeSizesFail"},
	"foreign error":         {"HugeSizesFail"},
	"panics on huge":        {"HugeSizesFail"},
	"usable size too large": {"UsableSize"},
	"usable size too small": {"UsableSize"},
	"not itself":            {"Equivalence"},
	"everybody's":           {"Equivalence"},
	"owns nothing":          {"OwnsItsBlocks"},
	"owns all":              {"OwnsItsBlocks"},
	"reset keeps":           {"ResetFreesAll"},
	"garbage":               {"NothingOnTheGoHeap"},
	"free writes":           {"AnyOrderOfFree", "RandomUse"},
}

func (b *broken) Allocate(l galloc.Layout) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	switch {
	case l.Size() == 0:
		switch b.fault {
		case "size 0 fails":
			return nil, galloc.ErrOutOfMemory
		case "size 0 is nil":
			return nil, nil
		case "size 0 takes memory":
			return make([]byte, 8), nil
		}
	case b.fault == "panics on huge" && l.Size() > 1<<30:
		panic("too much")
	case b.fault == "foreign error" && l.Size() > 1<<30:
		return nil, errors.New("too much")
	case b.fault == "overlapping" && b.calls%50 == 0 && uintptr(len(b.saved)) >= l.Size() && l.Align() <= 8:
		return b.saved[:l.Size():l.Size()], nil
	}
	n, err := galloc.NewLayout(l.Size()+b.slack(), max(l.Align(), 8))
	if err != nil {
		return nil, galloc.ErrUnsupported
	}
	mem, err := galloc.GoHeap.Allocate(n)
	if err != nil || len(mem) == 0 {
		return mem, err
	}
	for i := range mem {
		mem[i] = 0xcc
	}
	switch {
	case b.fault == "not aligned" && l.Align() > 1 || b.fault == "large not aligned" && l.Align() > 4096:
		return mem[1:len(mem):len(mem)], nil
	case b.fault == "too short":
		return mem[: len(mem)-1 : len(mem)-1], nil
	case b.fault == "capacity":
		return mem[:l.Size()], nil
	}
	b.saved = mem[:len(mem):len(mem)]
	return b.saved, nil
}

func (b *broken) slack() uintptr {
	switch b.fault {
	case "not aligned", "large not aligned", "capacity":
		return 1
	case "slack not zero", "usable size too small":
		return 8
	}
	return 0
}

func (b *broken) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if b.fault == "free writes" && l.Size() > 0 && len(b.saved) > 0 {
		b.saved[0]++ // mostly of another block
	}
}

func (b *broken) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	mem, err := b.Allocate(l)
	if err == nil {
		clear(mem[:l.Size()])
		switch {
		case b.fault == "not zero" && l.Size() > 4096 || b.fault == "dirty when large" && l.Size() > 1<<20:
			mem[l.Size()-1] = 1
		case b.fault != "slack not zero":
			clear(mem)
		}
	}
	return mem, err
}

func (b *broken) move(p unsafe.Pointer, l galloc.Layout, n uintptr) ([]byte, error) {
	mem, err := b.Allocate(l)
	if err == nil {
		copy(mem, unsafe.Slice((*byte)(p), n))
	}
	return mem, err
}

func (b *broken) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	kept := old.Size()
	switch {
	case b.fault == "grow loses" && kept > 0, b.fault == "grow loses when large" && kept > 1<<20:
		kept--
	case b.fault == "grow is nil":
		return nil, nil
	case b.fault == "grow too short" && kept > 0:
		new = old
	case b.fault == "grow forgets to align" && new.Align() > 1<<14:
		new, _ = galloc.NewLayout(new.Size(), 8)
	}
	mem, err := b.move(p, new, kept)
	switch {
	case err != nil && b.fault == "failed grow writes":
		*(*byte)(p)++
	case err == nil && b.fault == "grow overruns":
		if len(b.next) > 0 {
			b.next[0]++
		}
		b.next = mem
	}
	return mem, err
}

func (b *broken) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	mem, err := b.Grow(p, old, new)
	if err == nil && b.fault != "grow not zero" {
		clear(mem[old.Size():])
	}
	return mem, err
}

func (b *broken) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	kept := new.Size()
	if b.fault == "shrink loses" && kept > 0 {
		kept--
	}
	return b.move(p, new, kept)
}

func (b *broken) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	switch {
	case b.fault == "resize lies" && newSize < l.Size():
		*(*byte)(p)++
		return false
	case b.fault == "resize loses" && newSize < l.Size():
		*(*byte)(p)++
		return true
	}
	return newSize < l.Size()
}

func (b *broken) UsableSize(l galloc.Layout) uintptr {
	switch b.fault {
	case "usable size too large":
		return l.Size() + 1
	case "usable size too small":
		return max(l.Size(), 1) - 1
	}
	return l.Size()
}

func (b *broken) EquivalentTo(a galloc.Allocator) bool { return b.fault == "everybody's" }

func (b *broken) Owns(p unsafe.Pointer) bool {
	return b.fault == "owns all" || b.fault != "owns nothing" && p != nil && p == unsafe.Pointer(unsafe.SliceData(b.saved))
}

func (b *broken) Reset() {
	if b.fault == "reset keeps" {
		b.fault = "overlapping" // what it gives now is what it gave before
		b.calls = 48
	}
}

// incomparable is not equal to itself.
type incomparable struct {
	*broken
	_ []int
}

func (i incomparable) EquivalentTo(galloc.Allocator) bool { return false }

func TestFailingKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return alloctest.Failing(0) }, alloctest.GoGarbage)
}

// small has as much memory as Run says it needs, and no more.
type small struct{ live atomic.Int64 }

func (s *small) Allocate(l galloc.Layout) ([]byte, error) {
	if s.live.Add(int64(l.Size())) > 16<<20 {
		s.live.Add(-int64(l.Size()))
		return nil, galloc.ErrOutOfMemory
	}
	b, err := galloc.System.Allocate(l)
	if err != nil {
		s.live.Add(-int64(l.Size()))
	}
	return b, err
}

func (s *small) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	s.live.Add(-int64(l.Size()))
	galloc.System.Deallocate(p, l)
}

func TestSixteenMebibytesAreEnough(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return new(small) })
}

func TestBrokenAllocator(t *testing.T) {
	fault := os.Getenv(brokenVar)
	if fault == "" {
		t.Skip("this is the child process of TestRulesFindBrokenAllocators")
	}
	alloctest.Run(t, func() galloc.Allocator {
		if fault == "not itself" {
			return incomparable{broken: &broken{fault: fault}}
		}
		return &broken{fault: fault}
	}, options(fault)...)
}

func options(fault string) []alloctest.Option {
	if fault == "garbage" {
		return nil
	}
	return []alloctest.Option{alloctest.GoGarbage}
}

func TestRulesFindBrokenAllocators(t *testing.T) {
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(fault, rules string) string {
		cmd := exec.Command(exe, "-test.run=^TestBrokenAllocator$/^("+rules+")$", "-test.v")
		cmd.Env = append(os.Environ(), brokenVar+"="+fault)
		out, _ := cmd.CombinedOutput() // it fails, as it should
		return string(out)
	}
	// Without a fault no rule fails: what fails below is due to the fault.
	if out := run("none", ".*"); strings.Contains(out, "--- FAIL") || !strings.Contains(out, "--- PASS: TestBrokenAllocator/RandomUse") {
		t.Errorf("no fault:\n%s", out)
	}
	for fault, rules := range faults {
		if rules[0] == "HugeSizesFail" && math.MaxInt == math.MaxInt32 {
			continue // the rule is not checked there
		}
		out := run(fault, strings.Join(rules, "|"))
		for _, r := range rules {
			if !strings.Contains(out, "--- FAIL: TestBrokenAllocator/"+r) {
				t.Errorf("%s: the rule %s does not fail:\n%s", fault, r, out)
			}
		}
		if !strings.Contains(out, "the rule: ") && !strings.Contains(out, "panic: ") {
			t.Errorf("%s: the rule is not explained:\n%s", fault, out)
		}
	}
}

func TestOpsArePossible(t *testing.T) {
	data := make([]byte, 40_000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	var text strings.Builder
	w := trace.NewWriter(&text) // refuses what no program can do
	for _, op := range alloctest.Ops(data) {
		if err := w.Write(op); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(alloctest.Ops(data)); n < 8000 {
		t.Errorf("only %d events", n)
	}
	if len(alloctest.Ops([]byte{0, 0, 0})) != 0 {
		t.Error("an event of three bytes")
	}
}

func TestCheckShowsATrace(t *testing.T) {
	ops := []trace.Op{
		{Kind: trace.Malloc, ID: 1, Size: 24},
		{Kind: trace.Calloc, ID: 2, Size: 5000},
		{Kind: trace.Free, ID: 1},
	}
	err := alloctest.Check(&broken{fault: "not zero"}, ops)
	var v *alloctest.Violation
	want := "of this trace:\n# malloctrace 1\nm 0 1 24\nc 0 2 5000\n"
	if !errors.As(err, &v) || !strings.HasSuffix(fmt.Sprint(err), want) {
		t.Errorf("got %v, want it to end in %q", err, want)
	}
	if err := alloctest.Check(&broken{}, ops); err != nil {
		t.Errorf("no fault: %v", err)
	}
	// An allocation that fails is no violation; the object is simply not there.
	if err := alloctest.Check(alloctest.Failing(1), append(slices.Clone(ops), trace.Op{Kind: trace.Realloc, Old: 2, ID: 3, Size: 70_000})); err != nil {
		t.Error(err)
	}
}

// pair allocates two blocks and frees them again.
func pair(a galloc.Allocator) error {
	p, err := galloc.New[[10]int](a)
	if err != nil {
		return err
	}
	defer galloc.Free(a, p)
	s, err := galloc.MakeSlice[byte](a, 100)
	if err != nil {
		return fmt.Errorf("no slice: %w", err)
	}
	s, err = galloc.GrowSlice(a, s, 200)
	galloc.FreeSlice(a, s[:cap(s):cap(s)])
	return err
}

// recorder is a testing.TB that notes what a test would have failed with.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestCheckFailures(t *testing.T) {
	sloppy := 0
	for _, c := range []struct {
		name string
		f    func(galloc.Allocator) error
		want string // "" if it is right
	}{
		{"right", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err == nil {
				galloc.Free(a, p)
			}
			return err
		}, ""},
		{"no allocation", func(galloc.Allocator) error { return nil }, ""},
		{"leak always", func(a galloc.Allocator) error {
			_, err := galloc.New[int64](a)
			return err
		}, "nothing fails: blocks are left allocated: [Layout(size 8"},
		{"leak on failure", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err != nil {
				return err
			}
			q, err := galloc.New[int](a)
			if err != nil {
				return err // p is lost
			}
			galloc.Free(a, p)
			galloc.Free(a, q)
			return nil
		}, "allocation 2 of 2 fails: blocks are left allocated"},
		{"a failed grow loses the slice", pair, "allocation 3 of 3 fails: "},
		{"swallowed", func(a galloc.Allocator) error {
			if p, err := galloc.New[int](a); err == nil {
				galloc.Free(a, p)
			}
			return nil
		}, "allocation 1 of 1 fails: no error: the failure was swallowed\nthe allocation that failed came from"},
		{"other error", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err != nil {
				return errors.New("sorry")
			}
			galloc.Free(a, p)
			return nil
		}, "the error does not wrap ErrOutOfMemory: sorry"},
		{"error without failure", func(galloc.Allocator) error { return errors.New("sorry") }, "nothing fails: error sorry"},
		{"double free", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err == nil {
				galloc.Free(a, p)
				galloc.Free(a, p)
			}
			return err
		}, "which is not a live block, from\n"},
		{"wrong layout", func(a galloc.Allocator) error {
			s, err := galloc.MakeSlice[byte](a, 10)
			if err == nil {
				galloc.FreeSlice(a, s[:5:5])
			}
			return err
		}, "with Layout(size 5, align 1 = 1<<0), but it has Layout(size 10"},
		{"different each time", func(a galloc.Allocator) error {
			sloppy++
			for range 5 - min(sloppy, 5) {
				p, err := galloc.New[int](a)
				if err != nil {
					return err
				}
				galloc.Free(a, p)
			}
			return nil
		}, "not the same thing each time"},
	} {
		r := &recorder{TB: t}
		alloctest.CheckFailures(r, c.f)
		all := strings.Join(r.errors, "\n")
		if (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, all, c.want)
		}
	}
}

func TestFailingFailsTheNthCall(t *testing.T) {
	a := alloctest.Failing(3)
	var got []bool
	for range 5 {
		_, err := galloc.MakeSlice[byte](a, 0) // does not count
		if err != nil {
			t.Error(err)
		}
		p, err := galloc.New[int](a)
		got = append(got, err == nil)
		galloc.Free(a, p)
	}
	if !slices.Equal(got, []bool{true, true, false, true, true}) || a.Calls() != 5 || !a.Failed() || len(a.Live()) != 0 {
		t.Errorf("got %v, %d calls, %v", got, a.Calls(), a.Live())
	}
	if math.MaxInt == math.MaxInt32 {
		return // there may be that much
	}
	if _, err := galloc.MakeSlice[byte](a, math.MaxInt/16); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
}
