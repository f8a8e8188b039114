package wrap_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

// outcomes makes n allocations of sizes 1 to n, and returns which have succeeded, as in "++-+".
func outcomes(a wrap.Allocator, n int) string {
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
	a := wrap.Fail(galloc.System)
	for _, c := range []struct {
		faults []wrap.Fault
		want   string
	}{
		{nil, "++++++++"},
		{[]wrap.Fault{wrap.After(3)}, "+++-----"},
		{[]wrap.Fault{wrap.After(0)}, "--------"},
		{[]wrap.Fault{wrap.At(2, 5)}, "+-++-+++"},
		{[]wrap.Fault{wrap.Sizes(3, 4), wrap.At(8)}, "++--+++-"},
		{[]wrap.Fault{wrap.Randomly(0, 1)}, "++++++++"},
		{[]wrap.Fault{wrap.Randomly(1, 1)}, "--------"},
	} {
		a.SetFaults(c.faults...)
		if got := outcomes(a, 8); got != c.want || a.Calls() != 8 || a.Failures() != uint64(strings.Count(c.want, "-")) {
			t.Errorf("%s, want %s; %d calls, %d failures", got, c.want, a.Calls(), a.Failures())
		}
	}
	faults := []wrap.Fault{wrap.After(0)}
	a.SetFaults(faults...)
	if faults[0] = wrap.After(100); outcomes(a, 1) != "-" {
		t.Error("the caller's slice is not copied")
	}
	var seen []string
	for _, seed := range []uint64{1, 1, 2} {
		a.SetFaults(wrap.Randomly(0.3, seed))
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

// Growing and shrinking fail as allocating does, and leave the block as it is; what cannot
// fail does not count.
func TestFailedCallsLeaveTheBlock(t *testing.T) {
	a := wrap.Fail(galloc.System, wrap.After(1))
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
	var handled []*wrap.Attempt
	a := wrap.NoAlloc(galloc.System, func(at *wrap.Attempt) { handled = append(handled, at) })
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
		var at *wrap.Attempt
		if !errors.As(err, &at) || !isOutOfMemory(err) || !strings.HasSuffix(at.File, "faults_test.go") || at.Layout.Size() < 100 {
			t.Errorf("error %v", err)
		} else if !strings.Contains(err.Error(), "TestNoAlloc") || !strings.Contains(err.Error(), fmt.Sprint(at.Layout.Size())) {
			t.Errorf("the error does not tell: %v", err)
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
		t.Error("nothing outside of the region")
	} else {
		a.Dealloc(r, l)
	}
	a.Dealloc(q, l)
	first, n := a.Attempts()
	if n != 10 || len(first) != 10 || len(handled) != 10 || first[0].Line == first[9].Line {
		t.Errorf("%d attempts, %d kept, %d handled", n, len(first), len(handled))
	}
	defer func() {
		if m := fmt.Sprint(recover()); !strings.HasPrefix(m, "galloc/wrap: ") {
			t.Errorf("leaving twice: panic %q", m)
		}
	}()
	leave()
}

func TestNoAllocRemembersSome(t *testing.T) {
	a := wrap.NoAlloc(galloc.System, nil)
	defer a.Enter()()
	for range 20 {
		a.Alloc(layout(100, 8))
	}
	if first, n := a.Attempts(); len(first) != 16 || n != 20 {
		t.Errorf("%d of %d attempts", len(first), n)
	}
}

func second[T any](_ T, err error) error { return err }

func TestFallback(t *testing.T) {
	h := newHeap(t)
	first := wrap.Limit(h, 1000)
	next := wrap.Stats(galloc.System)
	a := wrap.Fallback(first, next)
	l := layout(400, 8)
	p, q := a.Alloc(l), a.Alloc(l)
	r := a.Alloc(l) // does not fit
	if p == nil || q == nil || r == nil || next.Snapshot().Live() != 1 || !h.Owns(p) || h.Owns(r) {
		t.Fatalf("next has %v", next.Snapshot())
	}
	*(*byte)(p) = 7
	g, err := a.Grow(p, l, layout(5000, 8)) // goes over
	if err != nil || g[0] != 7 || next.Snapshot().Live() != 2 || first.Used() >= 900 {
		t.Errorf("growing: %v, next has %v, first %d", err, next.Snapshot(), first.Used())
	}
	a.Dealloc(unsafe.Pointer(&g[0]), layout(5000, 8))
	a.Dealloc(q, l)
	a.Dealloc(r, l)
	if next.Snapshot().Live() != 0 || first.Used() != 0 {
		t.Errorf("freed in the wrong one: next has %v, first %d", next.Snapshot(), first.Used())
	}
	if n := a.UsableSize(layout(98, 8)); n != 98 { // of the first 112, but a block may be System's
		t.Errorf("UsableSize is %d", n)
	}
	// None comes back: what second cannot grow does not go to first.
	a = wrap.Fallback(wrap.Fail(h, wrap.At(1)), wrap.Fail(galloc.System, wrap.After(1)))
	p = a.Alloc(l)
	if a.Realloc(p, l, 500) != nil || second(a.Grow(p, l, layout(500, 8))) == nil {
		t.Error("a block of the second has gone to the first")
	}
	a.Dealloc(p, l)
	defer func() {
		if m := fmt.Sprint(recover()); !strings.Contains(m, "has no method Owns") {
			t.Errorf("panic %q", m)
		}
	}()
	wrap.Fallback(galloc.System, h)
}

func TestSegregate(t *testing.T) {
	small, large := wrap.Stats(newHeap(t)), wrap.Stats(newHeap(t))
	a := wrap.Segregate(100, small, large)
	where := func(what string, s, l int64) {
		t.Helper()
		if small.Snapshot().Live() != s || large.Snapshot().Live() != l {
			t.Errorf("%s: small has %v, large %v", what, small.Snapshot(), large.Snapshot())
		}
	}
	l := layout(98, 8)
	b, _ := a.Allocate(l)
	where("98 bytes", 1, 0)
	if len(b) != 100 || a.UsableSize(l) != 100 { // the heap's are of 112
		t.Errorf("a small block has %d bytes, usable %d", len(b), a.UsableSize(l))
	}
	b[97] = 9
	b, err := a.Grow(unsafe.Pointer(&b[0]), layout(100, 8), layout(101, 8))
	where("grown to 101", 0, 1)
	if err != nil || b[97] != 9 {
		t.Errorf("growing across the border: %v", err)
	}
	if a.Resize(unsafe.Pointer(&b[0]), layout(101, 8), 100) {
		t.Error("a large block cannot become a small one where it is")
	}
	p := a.Realloc(unsafe.Pointer(&b[0]), layout(101, 8), 100)
	where("shrunk to 100", 1, 0)
	if *(*byte)(unsafe.Add(p, 97)) != 9 {
		t.Error("shrinking across the border loses the content")
	}
	a.Dealloc(p, layout(100, 8))
	where("freed", 0, 0)
}

func TestStackFallback(t *testing.T) {
	next := wrap.Stats(galloc.System)
	a := wrap.StackFallback(make([]byte, 1024), next)
	l := layout(100, 1)
	for range 1000 { // all room comes back
		var p [10]unsafe.Pointer
		for i := range p {
			p[i] = a.Alloc(l)
		}
		for i := range p {
			a.Dealloc(p[i*7%10], l)
		}
	}
	if s := next.Snapshot(); s.Allocs != 0 {
		t.Errorf("next has been used: %v", s)
	}
	p := a.Alloc(l)
	if !a.Resize(p, l, 1000) || a.Resize(p, layout(1000, 1), 1100) {
		t.Error("the topmost block cannot be resized where it is, or beyond the end")
	}
	q := a.Alloc(l)
	if next.Snapshot().Live() != 1 {
		t.Error("it did not fall back")
	}
	a.Dealloc(q, l)
	a.Dealloc(p, layout(1000, 1))
	r := a.Alloc(layout(1024, 1))
	if next.Snapshot().Live() != 0 || r == nil {
		t.Error("the whole buffer is not to be had")
	}
	a.Dealloc(r, layout(1024, 1))
	p = a.Alloc(l)
	for range 3 { // what is on top makes room at once, also where something lies below
		a.Dealloc(a.Alloc(layout(900, 1)), layout(900, 1))
	}
	if next.Snapshot().Allocs != 1 || !a.Resize(p, l, 1024) {
		t.Errorf("the room on top was not given back, or the last byte is not to be had: next has %v", next.Snapshot())
	}
}

func TestStackFallbackIsAsGoodAsNewAfterReset(t *testing.T) {
	in := newAble(t)
	a := wrap.StackFallback(make([]byte, 1024), in)
	l := layout(100, 1)
	a.Alloc(l)
	a.(galloc.Resetter).Reset()
	p, q := a.Alloc(l), a.Alloc(l)
	a.Dealloc(p, l)
	a.Dealloc(q, l)
	if a.Alloc(layout(1024, 1)); len(in.blocks) != 0 {
		t.Error("the whole buffer is not to be had")
	}
}

func TestTraceRecordsWhatHappens(t *testing.T) {
	var out bytes.Buffer
	a := wrap.Trace(newAble(t), &out)
	l := layout(100, 8)
	p := a.Alloc(l)
	p = a.Realloc(p, l, 200)
	a.Dealloc(p, layout(200, 8))
	a.Alloc(l)
	a.Alloc(l)
	a.(galloc.Resetter).Reset()
	b, _ := a.AllocateZeroed(l)
	a.Deallocate(unsafe.Pointer(&b[0]), l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.Dealloc(a.Alloc(l), l) // not recorded
	var kinds []string
	r, err := trace.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	for {
		op, err := r.Next()
		if err != nil {
			break
		}
		kinds = append(kinds, op.Kind.String())
	}
	if got, want := strings.Join(kinds, " "), "malloc realloc free malloc malloc free free calloc free"; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
}

func TestLockExcludesInEveryMethod(t *testing.T) {
	m := &meter{alone: true}
	drive(t, wrap.Lock(m), 200)
	if n := m.overlaps.Load(); n != 0 || m.live.Load() != 0 {
		t.Errorf("%d calls have begun in others; %d bytes are live", n, m.live.Load())
	}
}

// A lock excludes: an allocator that is not safe for concurrent use counts right.
func TestLockExcludes(t *testing.T) {
	in := &unsafeCounter{Allocator: galloc.System}
	a := wrap.Lock(in)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				l := layout(64, 8)
				b, _ := a.Allocate(l)
				a.Deallocate(unsafe.Pointer(&b[0]), l)
				a.Dealloc(a.Alloc(l), l)
			}
		})
	}
	wg.Wait()
	if in.n != 16*2000*4 {
		t.Errorf("%d calls counted", in.n)
	}
}

type unsafeCounter struct {
	galloc.Allocator
	n int
}

func (c *unsafeCounter) Allocate(l galloc.Layout) ([]byte, error) {
	c.n++
	return c.Allocator.Allocate(l)
}

func (c *unsafeCounter) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	c.n++
	c.Allocator.Deallocate(p, l)
}
