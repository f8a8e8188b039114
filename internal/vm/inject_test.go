package vm

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

var errInjected = errors.New("injected")

// failing makes every op fail until the test ends or restore is called, and records the sizes.
func failing(t *testing.T, op Op) (asked *[]uintptr, restore func()) {
	t.Helper()
	asked = new([]uintptr)
	undo := Inject(func(o Op, n uintptr) error {
		if o != op {
			return nil
		}
		*asked = append(*asked, n)
		return errInjected
	})
	restore = sync.OnceFunc(undo)
	t.Cleanup(restore)
	return asked, restore
}

// wantInjected checks that err is the error of failing, and that there was one operation, of n
// bytes.
func wantInjected(t *testing.T, err error, asked *[]uintptr, n uintptr) {
	t.Helper()
	if err != errInjected {
		t.Errorf("error %v, want %v", err, errInjected)
	}
	if len(*asked) != 1 || (*asked)[0] != n {
		t.Errorf("asked about %d bytes, want %d", *asked, n)
	}
}

func TestInjectedReserveReservesNothing(t *testing.T) {
	page := PageSize()
	asked, restore := failing(t, OpReserve)
	p, err := Reserve(page+1, 0)
	if p != nil {
		t.Errorf("Reserve returned %p and an error", p)
	}
	wantInjected(t, err, asked, 2*page)
	if _, err := Reserve(^uintptr(0), 0); err != ErrTooLarge || len(*asked) != 1 {
		t.Errorf("what is too large: %v, asked %d times", err, len(*asked))
	}
	restore()
	mustSucceed(t, Commit(reserveForTest(t, page+1, 0), 2*page))
}

func TestInjectedCommitLeavesPagesReserved(t *testing.T) {
	n := 2 * PageSize()
	p := reserveForTest(t, n, 0)
	asked, restore := failing(t, OpCommit)
	wantInjected(t, Commit(p, n), asked, n)
	wantReserved(t, p, n)
	restore()
	mustSucceed(t, Commit(p, n))
	wantZero(t, "committed after all", bytesAt(p, n))
	fill(bytesAt(p, n), 1)
}

func TestInjectedPurgeTakesPagesToReserved(t *testing.T) {
	page := PageSize()
	p := readyForTest(t, 4*page, 1)
	fill(bytesAt(unsafe.Add(p, 3*page), page), 3)
	asked, restore := failing(t, OpPurge)
	wantInjected(t, Purge(unsafe.Add(p, page), 2*page), asked, 2*page)
	wantReserved(t, unsafe.Add(p, page), 2*page)
	wantFill(t, "page before", bytesAt(p, page), 1)
	wantFill(t, "page after", bytesAt(unsafe.Add(p, 3*page), page), 3)
	restore()
	mustSucceed(t, Commit(unsafe.Add(p, page), 2*page))
	wantZero(t, "committed again", bytesAt(unsafe.Add(p, page), 2*page))
	fill(bytesAt(p, 4*page), 2)
	mustSucceed(t, Purge(p, 4*page))
	wantZero(t, "purged after all", bytesAt(p, 4*page))
}

func TestInjectedPurgeLazyKeepsTheContents(t *testing.T) {
	n := 2 * PageSize()
	p := readyForTest(t, n, 1)
	asked, restore := failing(t, OpPurgeLazy)
	wantInjected(t, PurgeLazy(p, n), asked, n)
	wantFill(t, "pages kept", bytesAt(p, n), 1)
	restore()
	if err := PurgeLazy(p, n); err == errInjected {
		t.Error("PurgeLazy still fails")
	}
}

func TestInjectedMoveChangesNothing(t *testing.T) {
	n := 2 * PageSize()
	from, to := readyForTest(t, n, 1), readyForTest(t, n, 2)
	asked, restore := failing(t, OpMove)
	wantInjected(t, Move(to, from, n), asked, n)
	wantFill(t, "from", bytesAt(from, n), 1)
	wantFill(t, "to", bytesAt(to, n), 2)
	restore()
	moveForTest(t, to, from, n)
	wantFill(t, "moved after all", bytesAt(to, n), 1)
}

func TestInjectedReleaseKeepsThePages(t *testing.T) {
	page := PageSize()
	p, err := Reserve(page+1, 0)
	mustSucceed(t, err)
	mustSucceed(t, Commit(p, 2*page))
	fill(bytesAt(p, 2*page), 1)
	asked, restore := failing(t, OpRelease)
	wantInjected(t, Release(p, page+1), asked, 2*page)
	wantFill(t, "pages kept", bytesAt(p, 2*page), 1)
	restore()
	mustSucceed(t, Release(p, page+1))
}

// The injected function is not called for a misuse.
func TestInjectIsNotAskedAboutMisuse(t *testing.T) {
	page := PageSize()
	p := reserveForTest(t, page, 0)
	defer Inject(func(op Op, n uintptr) error {
		t.Errorf("asked about %v of %d bytes", op, n)
		return errInjected
	})()
	for _, misuse := range []func(){
		func() { Reserve(0, 0) },
		func() { Commit(p, 1) },
		func() { Purge(p, 1) },
		func() { PurgeLazy(p, 1) },
		func() { Move(p, p, page) },
		func() { Release(nil, page) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			misuse()
		}()
	}
}

func TestInjectNestsAndRestores(t *testing.T) {
	page := PageSize()
	p := reserveForTest(t, page, 0)
	inner := errors.New("inner")
	want := func(when string, want error) {
		t.Helper()
		if err := Commit(p, page); err != want {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	want("before", nil)
	one := Inject(func(Op, uintptr) error { return errInjected })
	want("one", errInjected)
	two := Inject(func(Op, uintptr) error { return inner })
	want("two", inner)
	three := Inject(nil)
	want("three, of nil", nil)
	three()
	want("two again", inner)
	two()
	want("one again", errInjected)
	one()
	want("after", nil)
	if injected.Load() != nil {
		t.Error("something is left")
	}
}

// An injected function that returns nil changes nothing, and may use the package itself.
func TestInjectedPermission(t *testing.T) {
	page := PageSize()
	other := reserveForTest(t, page, 0)
	var ops []Op
	restore := Inject(func(op Op, _ uintptr) error {
		ops = append(ops, op)
		if op == OpPurge {
			return Commit(other, page)
		}
		return nil
	})
	p, err := Reserve(2*page, 0)
	mustSucceed(t, err)
	mustSucceed(t, Commit(p, 2*page))
	fill(bytesAt(p, 2*page), 1)
	PurgeLazy(p, page)
	Move(unsafe.Add(p, page), p, page)
	mustSucceed(t, Purge(p, 2*page))
	wantZero(t, "purged", bytesAt(p, 2*page))
	mustSucceed(t, Release(p, 2*page))
	restore()
	want := []Op{OpReserve, OpCommit, OpPurgeLazy, OpMove, OpPurge, OpCommit, OpRelease}
	if !slices.Equal(ops, want) {
		t.Errorf("asked about %v, want %v", ops, want)
	}
}

func TestInjectDuringUse(t *testing.T) {
	page := PageSize()
	var asked atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	q := readyForTest(t, page, 1)
	for range 4 {
		p := readyForTest(t, page, 1)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := Commit(p, page); err != nil && err != errInjected {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := 0; i < 200 || asked.Load() == 0; i++ {
		restore := Inject(func(Op, uintptr) error {
			asked.Add(1)
			return errInjected
		})
		if err := Commit(q, page); err != errInjected {
			t.Errorf("error %v while it is injected", err)
		}
		restore()
	}
	close(stop)
	wg.Wait()
}

func TestOpString(t *testing.T) {
	for op, want := range map[Op]string{
		OpReserve: "Reserve", OpCommit: "Commit", OpPurge: "Purge", OpPurgeLazy: "PurgeLazy", OpMove: "Move",
		OpRelease: "Release", OpGuard: "Guard", OpUnguard: "Unguard",
		OpDecommit: "Decommit",
		9:          "Op(9)", 255: "Op(255)",
	} {
		if got := op.String(); got != want {
			t.Errorf("Op(%d).String() = %q, want %q", uint8(op), got, want)
		}
	}
}
