package alloctest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// FailingAllocator is an allocator on [galloc.System] that fails when it is told to, and
// watches what its user does: see [Failing]. It has none of the optional methods, so
// that every growth is an allocation that can fail. It is safe for concurrent use.
type FailingAllocator struct {
	mu       sync.Mutex
	n        int
	onwards  bool // fails from the n-th call on, not only at it
	calls    int
	live     map[unsafe.Pointer]galloc.Layout
	failedAt string // the stack of the first failure
	mistakes []string
}

// Failing returns an allocator whose n-th call of Allocate fails with ErrOutOfMemory,
// counted from 1; blocks of size 0 do not count, as they cannot fail. If n is 0, none
// fails.
func Failing(n int) *FailingAllocator {
	return &FailingAllocator{n: n, live: map[unsafe.Pointer]galloc.Layout{}}
}

// Allocate fails, or allocates from System.
func (f *FailingAllocator) Allocate(l galloc.Layout) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.Size() == 0 {
		return galloc.System.Allocate(l)
	}
	f.calls++
	if f.n != 0 && (f.calls == f.n || f.onwards && f.calls > f.n) {
		if f.failedAt == "" {
			f.failedAt = stack()
		}
		return nil, galloc.ErrOutOfMemory.For(l)
	}
	b, err := galloc.System.Allocate(l)
	if err == nil {
		f.live[unsafe.Pointer(&b[0])] = l
	}
	return b, err
}

// Deallocate gives a block back to System. If it is not a live block of this allocator
// with this layout, it notes the mistake instead: see [FailingAllocator.Mistakes].
func (f *FailingAllocator) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.Size() == 0 {
		return
	}
	was, ok := f.live[p]
	switch {
	case !ok:
		f.mistakes = append(f.mistakes, fmt.Sprintf("Deallocate of %p, which is not a live block, from\n%s", p, stack()))
	case was != l:
		f.mistakes = append(f.mistakes, fmt.Sprintf("Deallocate of %p with %v, but it has %v, from\n%s", p, l, was, stack()))
	default:
		delete(f.live, p)
		galloc.System.Deallocate(p, l)
	}
}

// Calls returns how many times Allocate was called for a size other than 0.
func (f *FailingAllocator) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Failed reports whether a call was made to fail.
func (f *FailingAllocator) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failedAt != ""
}

// Live returns the layouts of the blocks that are allocated now, smallest first.
func (f *FailingAllocator) Live() []galloc.Layout {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ls []galloc.Layout
	for _, l := range f.live {
		ls = append(ls, l)
	}
	slices.SortFunc(ls, func(a, b galloc.Layout) int { return int(a.Size()) - int(b.Size()) })
	return ls
}

// Mistakes returns the calls of Deallocate that were wrong, each with its stack.
func (f *FailingAllocator) Mistakes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.mistakes)
}

// CheckFailures tests what f does when memory runs out. It runs f once to count the
// allocations it makes, then again and again with each of them failing in turn: once with
// only that one failing, once with all after it failing too. Each time f gets a new
// allocator. f must then return an error that wraps [galloc.ErrOutOfMemory], and it must
// always free what it allocated, exactly once and with its layout. It must do the same
// thing each time: one more run, in which the call after the last would fail, must
// succeed.
//
// f must not call HandleAllocError, nor [galloc.Must], which ends the process.
func CheckFailures(t testing.TB, f func(a galloc.Allocator) error) {
	t.Helper()
	run := func(a *FailingAllocator, when string) bool {
		t.Helper()
		err := f(a)
		bad := true
		switch {
		case len(a.Mistakes()) > 0:
			t.Errorf("%s: %s", when, strings.Join(a.Mistakes(), "\n"))
		case len(a.Live()) > 0:
			t.Errorf("%s: blocks are left allocated: %v%s", when, a.Live(), a.origin())
		case !a.Failed() && err != nil:
			t.Errorf("%s: error %v", when, err)
		case a.Failed() && err == nil:
			t.Errorf("%s: no error: the failure was swallowed%s", when, a.origin())
		case a.Failed() && !errors.Is(err, galloc.ErrOutOfMemory):
			t.Errorf("%s: the error does not wrap ErrOutOfMemory: %v%s", when, err, a.origin())
		default:
			bad = false
		}
		return !bad
	}
	count := Failing(0)
	if !run(count, "nothing fails") {
		return
	}
	total := count.Calls()
	for n := 1; n <= total; n++ {
		for _, onwards := range []bool{false, true} {
			a := Failing(n)
			a.onwards = onwards
			when := fmt.Sprintf("allocation %d of %d fails", n, total)
			if onwards {
				when = fmt.Sprintf("allocations from %d of %d on fail", n, total)
			}
			if !run(a, when) {
				return
			}
			if !a.Failed() {
				t.Errorf("only %d allocations this time, %d the first time: not the same thing each time", a.Calls(), total)
				return
			}
		}
	}
	last := Failing(total + 1)
	if run(last, "nothing fails again") && last.Calls() != total {
		t.Errorf("%d allocations this time, %d the first time: not the same thing each time", last.Calls(), total)
	}
}

func (f *FailingAllocator) origin() string {
	if f.failedAt == "" {
		return ""
	}
	return "\nthe allocation that failed came from\n" + f.failedAt
}

// stack returns the callers of the allocator's method, one a line.
func stack() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var b strings.Builder
	for more := true; more; {
		var fr runtime.Frame
		fr, more = frames.Next()
		fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", fr.Function, fr.File, fr.Line)
	}
	return b.String()
}
