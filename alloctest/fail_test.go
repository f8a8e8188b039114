package alloctest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// outcomes makes n allocations of sizes 1 to n and returns their results, as in "++-+".
func outcomes(a galloc.GlobalAlloc, n int) string {
	var s strings.Builder
	for i := range n {
		l := layout(uintptr(i+1), 1)
		if p := a.Alloc(l); p != nil {
			a.Dealloc(p, l)
			s.WriteByte('+')
		} else {
			s.WriteByte('-')
		}
	}
	return s.String()
}

func TestFaults(t *testing.T) {
	a := alloctest.Fail(galloc.System)
	for _, c := range []struct {
		faults []alloctest.Fault
		want   string
	}{
		{nil, "++++++++"},
		{[]alloctest.Fault{alloctest.After(3)}, "+++-----"},
		{[]alloctest.Fault{alloctest.After(0)}, "--------"},
		{[]alloctest.Fault{alloctest.At(2, 5)}, "+-++-+++"},
		{[]alloctest.Fault{alloctest.Sizes(3, 4), alloctest.At(8)}, "++--+++-"},
		{[]alloctest.Fault{alloctest.Randomly(0, 1)}, "++++++++"},
		{[]alloctest.Fault{alloctest.Randomly(1, 1)}, "--------"},
	} {
		a.SetFaults(c.faults...)
		if got := outcomes(a, 8); got != c.want || a.Calls() != 8 ||
			a.Failures() != uint64(strings.Count(c.want, "-")) {
			t.Errorf("%s, want %s; %d calls, %d failures", got, c.want, a.Calls(), a.Failures())
		}
	}
	faults := []alloctest.Fault{alloctest.After(0)}
	a.SetFaults(faults...)
	if faults[0] = alloctest.After(100); outcomes(a, 1) != "-" {
		t.Error("the caller's slice is not copied")
	}
	var seen []string
	for _, seed := range []uint64{1, 1, 2} {
		a.SetFaults(alloctest.Randomly(0.3, seed))
		got := outcomes(a, 2000)
		if n := strings.Count(got, "-"); n < 500 || n > 700 {
			t.Errorf("with probability 0.3, %d of 2000 failed", n)
		}
		seen = append(seen, got)
	}
	if seen[0] != seen[1] || seen[0] == seen[2] {
		t.Error("it does not depend on the seed, or on something else")
	}
}

// Growing and shrinking fail as allocating does, and leave the block unchanged. Calls that cannot
// fail do not count.
func TestFailedCallsLeaveTheBlock(t *testing.T) {
	a := alloctest.Fail(galloc.System, alloctest.After(1))
	l := layout(100, 8)
	b, err := a.Allocate(l)
	if err != nil {
		t.Fatal(err)
	}
	b[0], b[99] = 1, 2
	p := unsafe.Pointer(&b[0])
	if q := a.Realloc(p, l, 200); q != nil {
		t.Error("Realloc did not fail")
	}
	for _, f := range []func() ([]byte, error){
		func() ([]byte, error) { return a.Grow(p, l, layout(200, 8)) },
		func() ([]byte, error) { return a.Shrink(p, l, layout(20, 8)) },
	} {
		if c, err := f(); !isOutOfMemory(err) || c != nil {
			t.Errorf("%v, %v", c, err)
		}
	}
	if _, err := a.Allocate(galloc.Layout{}); err != nil {
		t.Error(err)
	}
	a.Resize(p, l, 100)
	if b[0] != 1 || b[99] != 2 || a.Calls() != 4 || a.Failures() != 3 {
		t.Errorf("block %d %d, %d calls, %d failures", b[0], b[99], a.Calls(), a.Failures())
	}
	a.Deallocate(p, l)
}

func TestNoAlloc(t *testing.T) {
	var handled []*alloctest.Attempt
	a := alloctest.NoAlloc(galloc.System, func(at *alloctest.Attempt) { handled = append(handled, at) })
	l := layout(100, 8)
	p, q := a.Alloc(l), a.Alloc(l)
	leave := a.Enter()
	inner := a.Enter()
	if second(a.Grow(p, l, layout(100, 4096))) == nil {
		t.Error("another alignment takes another block")
	}
	for _, err := range []error{
		second(a.Allocate(l)),
		second(a.AllocateZeroed(l)),
		second(a.Grow(p, l, layout(200, 8))),
		second(galloc.New[[100]byte](a)),
	} {
		var at *alloctest.Attempt
		if !errors.As(err, &at) || !isOutOfMemory(err) || !strings.HasSuffix(at.File, "fail_test.go") ||
			at.Layout.Size() < 100 {
			t.Errorf("error %v", err)
		} else if !strings.Contains(err.Error(), "TestNoAlloc") ||
			!strings.Contains(err.Error(), fmt.Sprint(at.Layout.Size())) {
			t.Errorf("the error names no caller or size: %v", err)
		}
	}
	if a.Alloc(l) != nil || a.AllocZeroed(l) != nil || a.Realloc(p, l, 200) != nil || a.Resize(p, l, 200) {
		t.Error("it allocates in the region")
	}
	if r := a.Realloc(p, l, 50); r == nil {
		t.Error("shrinking is not allowed")
	} else {
		a.Dealloc(r, layout(50, 8))
	}
	if b, err := a.Allocate(galloc.Layout{}); err != nil || len(b) != 0 {
		t.Error("size 0 is not allowed")
	}
	inner()
	if a.Alloc(l) != nil {
		t.Error("the outer region has ended with the inner one")
	}
	leave()
	if r := a.Alloc(l); r == nil {
		t.Error("it refuses outside of the region")
	} else {
		a.Dealloc(r, l)
	}
	a.Dealloc(q, l)
	first, n := a.Attempts()
	if n != 10 || len(first) != 10 || len(handled) != 10 || first[0].Line == first[9].Line {
		t.Errorf("%d attempts, %d kept, %d handled", n, len(first), len(handled))
	}
	defer func() {
		if m := fmt.Sprint(recover()); !strings.HasPrefix(m, "galloc/alloctest: ") {
			t.Errorf("leaving twice: panic %q", m)
		}
	}()
	leave()
}

func TestNoAllocRemembersSome(t *testing.T) {
	a := alloctest.NoAlloc(galloc.System, nil)
	defer a.Enter()()
	for range 20 {
		a.Alloc(layout(100, 8))
	}
	if first, n := a.Attempts(); len(first) != 16 || n != 20 {
		t.Errorf("%d of %d attempts", len(first), n)
	}
}

func second[T any](_ T, err error) error { return err }

func isOutOfMemory(err error) bool { return errors.Is(err, galloc.ErrOutOfMemory) }

func layout(size, align uintptr) galloc.Layout { return galloc.Must(galloc.NewLayout(size, align)) }
