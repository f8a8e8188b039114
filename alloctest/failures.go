package alloctest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
)

// CheckFailures tests how f behaves when memory runs out. It runs f once to count its allocations,
// and then twice for each of them: once with only that allocation failing, once with all later ones
// failing too. Each run gets a new allocator: a [*Failer] on a [Tracker] of [galloc.System].
//
//   - If an allocation failed, f must return an error that wraps [galloc.ErrOutOfMemory].
//   - If none failed, f must return nil.
//   - f must free what it allocated, exactly once and with its layout, in any case.
//   - f must make the same allocations each time: one more run, in which the call after the last
//     would fail, must succeed.
//
// f must not call [galloc.HandleAllocError], which ends the process. If f may go on with less
// memory after a failure, see [FailureCheck].
func CheckFailures(t testing.TB, f func(a galloc.Allocator) error) {
	t.Helper()
	FailureCheck{}.Run(t, f)
}

// FailureCheck holds the options of [CheckFailures]. The zero value is what CheckFailures does.
type FailureCheck struct {
	// Retries says that f may ask for less memory after an allocation has failed, as growing
	// collections do. Then f may return nil although an allocation failed, unless all later ones
	// failed too.
	Retries bool
}

// Run is CheckFailures with the options c.
func (c FailureCheck) Run(t testing.TB, f func(a galloc.Allocator) error) {
	t.Helper()
	retries := false // in this run
	run := func(when string, faults ...Fault) (a *Failer, ok bool) {
		t.Helper()
		blocks := Track(galloc.System)
		a = Fail(blocks, faults...)
		err := f(a)
		failed := a.Failures() > 0
		switch {
		case len(blocks.Misuses()) > 0:
			t.Errorf("%s: %s", when, strings.Join(blocks.Misuses(), "\n"))
		case len(blocks.Live()) > 0:
			t.Errorf("%s: blocks are left allocated: %v%s", when, blocks.Live(), a.origin())
		case !failed && err != nil:
			t.Errorf("%s: error %v", when, err)
		case failed && err == nil && !retries:
			t.Errorf("%s: no error: the failure was swallowed%s", when, a.origin())
		case failed && err != nil && !errors.Is(err, galloc.ErrOutOfMemory):
			t.Errorf("%s: the error does not wrap ErrOutOfMemory: %v%s", when, err, a.origin())
		default:
			ok = true
		}
		return a, ok
	}
	count, ok := run("nothing fails")
	if !ok {
		return
	}
	total := count.Calls()
	for n := uint64(1); n <= total; n++ {
		for _, r := range []struct {
			when    string
			fault   Fault
			retries bool
		}{
			{fmt.Sprintf("allocation %d of %d fails", n, total), At(n), c.Retries},
			{fmt.Sprintf("allocations from %d of %d on fail", n, total), After(n - 1), false},
		} {
			retries = r.retries
			a, ok := run(r.when, r.fault)
			switch {
			case !ok:
				return
			case a.Failures() == 0:
				t.Errorf("%d allocations in this run, %d in the first: every run must make the same", a.Calls(), total)
				return
			}
		}
	}
	retries = false
	if last, ok := run("nothing fails again", At(total+1)); ok && last.Calls() != total {
		t.Errorf("%d allocations in this run, %d in the first: every run must make the same", last.Calls(), total)
	}
}
