package galloc_test

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// refusing is an Allocator that has no memory.
type refusing struct{ err error }

func (r refusing) Allocate(galloc.Layout) ([]byte, error)       { return nil, r.err }
func (r refusing) Deallocate(p unsafe.Pointer, l galloc.Layout) {}

func TestAllocErrorForLayout(t *testing.T) {
	l := layout(t, 1000, 16)
	err := galloc.ErrOutOfMemory.For(l)
	if !errors.Is(err, galloc.ErrOutOfMemory) || errors.Is(err, galloc.ErrUnsupported) || err.Layout() != l {
		t.Errorf("got %#v", err)
	}
	if got, want := err.Error(), "galloc: memory allocation of 1000 bytes (align 16) failed: out of memory"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := galloc.ErrOutOfMemory.Error(), "galloc: out of memory"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Kept errors never change, and are never returned for another layout or kind.
	for size := range uintptr(1000) {
		for _, kind := range []*galloc.AllocError{galloc.ErrOutOfMemory, galloc.ErrUnsupported} {
			l := layout(t, size, 1<<(size%13))
			if e := kind.For(l); e.Layout() != l || !errors.Is(e, kind) {
				t.Fatalf("%v: got %v", l, e)
			}
		}
	}
	if err.Layout() != l || !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("an error changed to %v", err)
	}
}

func TestFailingAllocatesNothing(t *testing.T) {
	l := layout(t, 1<<20, 8)
	a := galloc.Allocator(refusing{galloc.ErrOutOfMemory})
	huge := uintptr(math.MaxInt) - 1<<20
	for name, f := range map[string]func(){
		"For":       func() { _ = galloc.ErrUnsupported.For(l) },
		"New":       func() { _, _ = galloc.New[[100]int](a) },
		"MakeSlice": func() { _, _ = galloc.MakeSlice[int](a, 100) },
		"Grow":      func() { _, _ = galloc.Grow(a, nil, galloc.Layout{}, l) },
		"System, another size each time": func() {
			huge += 16
			if _, err := galloc.System.Allocate(layout(t, huge, 8)); err == nil && bits.UintSize == 64 {
				t.Error("no error")
			}
		},
		"GoHeap, another size each time": func() {
			huge += 16
			if _, err := galloc.GoHeap.Allocate(layout(t, huge, 8)); err == nil {
				t.Error("no error")
			}
		},
		"both kinds for one Layout": func() { _, _ = galloc.ErrOutOfMemory.For(l), galloc.ErrUnsupported.For(l) },
		"pointers":                  func() { _, _ = galloc.New[*int](a) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations on the Go heap per failure", name, n)
		}
	}
}

func TestTypedErrorsCarryTheLayout(t *testing.T) {
	foreign := errors.New("quota reached")
	for _, cause := range []error{galloc.ErrOutOfMemory, galloc.ErrUnsupported, foreign} {
		a := refusing{cause}
		_, err1 := galloc.New[[10]uint32](a)
		_, err2 := galloc.MakeSlice[uint32](a, 10)
		_, err3 := galloc.GrowSlice[uint32](a, nil, 10)
		for _, err := range []error{err1, err2, err3} {
			var e *galloc.AllocError
			if !errors.Is(err, cause) || !errors.As(err, &e) || e.Layout() != layout(t, 40, 4) {
				t.Errorf("got %v, want %v of 40 bytes", err, cause)
			}
		}
	}
}

// An allocator should return an AllocError. If it does not, its error has a kind all the same.
func TestForeignErrorsHaveAKind(t *testing.T) {
	wrapped := fmt.Errorf("no: %w", galloc.ErrUnsupported)
	for _, c := range []struct{ err, kind, other error }{
		{errors.New("quota reached"), galloc.ErrOutOfMemory, galloc.ErrUnsupported},
		{fmt.Errorf("no: %w", errors.ErrUnsupported), galloc.ErrUnsupported, galloc.ErrOutOfMemory},
		{wrapped, galloc.ErrUnsupported, galloc.ErrOutOfMemory},
		{fmt.Errorf("no: %w", galloc.ErrOutOfMemory), galloc.ErrOutOfMemory, galloc.ErrUnsupported},
	} {
		a := refusing{c.err}
		_, err1 := galloc.New[[10]uint32](a)
		_, err2 := galloc.NewUninit[[10]uint32](a)
		_, err3 := galloc.MakeSlice[uint32](a, 10)
		_, err4 := galloc.MakeSliceCap[uint32](a, 1, 10)
		_, err5 := galloc.GrowSlice[uint32](a, nil, 10)
		_, err6 := galloc.AppendSlice(a, []uint32(nil), make([]uint32, 10)...)
		_, err7 := galloc.NewBox(a, [10]uint32{})
		v, m, d := collections.NewVec[uint32](a), collections.NewMap[int, int](a), collections.NewDeque[uint32](a)
		_, err8 := collections.NewString(a, "text")
		_, err9 := collections.NewRc(a, 1)
		for i, err := range []error{
			err1, err2, err3, err4, err5, err6, err7, v.TryReserve(10), m.TryReserve(10), d.TryReserve(10), err8, err9,
		} {
			var e *galloc.AllocError
			if !errors.Is(err, c.kind) || errors.Is(err, c.other) || !errors.Is(err, c.err) || !errors.As(err, &e) ||
				errors.Is(err, errors.ErrUnsupported) != (c.kind == galloc.ErrUnsupported) {
				t.Errorf("%v: %d: %v is not an %v", c.err, i, err, c.kind)
			}
		}
	}
}

func TestMust(t *testing.T) {
	if v := galloc.Must(42, nil); v != 42 {
		t.Errorf("got %d", v)
	}
	_, negative := galloc.MakeSlice[int](nil, -1)
	_, pointers := galloc.New[string](nil)
	_, memory := galloc.New[[50]int](refusing{galloc.ErrOutOfMemory})
	for _, err := range []error{negative, pointers, memory, galloc.ErrOutOfMemory} {
		if got := recovered(func() { galloc.Must(0, err) }); err == nil || got != err {
			t.Errorf("panicked with %v, want %v", got, err)
		}
	}
}

func recovered(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestHooks(t *testing.T) {
	defer galloc.SetAllocErrorHook(nil)
	l := layout(t, 42, 2)
	var got []galloc.Layout
	hook := func(l galloc.Layout) {
		got = append(got, l)
		if len(got) < 3 {
			galloc.HandleAllocError(l) // the hook stays set: an ordinary recursive call
		}
		panic("unwound")
	}
	galloc.SetAllocErrorHook(hook)
	if v := recovered(func() { galloc.HandleAllocError(l) }); v != "unwound" {
		t.Errorf("panicked with %v", v)
	}
	if len(got) != 3 || got[0] != l || got[2] != l {
		t.Errorf("hook called with %v", got)
	}
	taken := galloc.SetAllocErrorHook(nil)
	got = make([]galloc.Layout, 3) // so that the hook does not recurse
	if v := recovered(func() { taken(l) }); v != "unwound" || len(got) != 4 {
		t.Error("SetAllocErrorHook did not return the hook")
	}
	if galloc.SetAllocErrorHook(nil) == nil {
		t.Error("SetAllocErrorHook did not return the default hook")
	}
	galloc.SetAllocErrorHook(hook)
	galloc.SetAllocErrorHook(nil) // the default again; the children below see that it prints
}

// Sixteen absurd allocations are sixteen panics that can be recovered from.
func TestHookThatPanicsUnwinds(t *testing.T) {
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) })
	defer galloc.SetAllocErrorHook(nil)
	for range 16 {
		_, err := galloc.MakeSlice[uint64](refusing{galloc.ErrOutOfMemory}, 1<<20)
		got := recovered(func() { abortOn(err) })
		if err, ok := got.(error); !ok || !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Fatalf("panicked with %v", got)
		}
	}
}

//go:noinline
func needsMemory() { galloc.HandleAllocError(testLayout(42, 1)) }

// abortOn does what a method of a collection does with an error.
//
//go:noinline
func abortOn(err error) {
	var e *galloc.AllocError
	if errors.As(err, &e) {
		galloc.HandleAllocError(e.Layout())
	}
}

func init() {
	children["alloc error"] = func() { needsMemory() }
	children["default hook set by hand"] = func() {
		galloc.SetAllocErrorHook(galloc.SetAllocErrorHook(nil))
		needsMemory()
	}
	children["default hook called by another"] = func() {
		defaultHook := galloc.SetAllocErrorHook(nil)
		galloc.SetAllocErrorHook(func(l galloc.Layout) { defaultHook(l) })
		needsMemory()
	}
	children["hook returns"] = func() {
		galloc.SetAllocErrorHook(func(l galloc.Layout) { fmt.Println("hook saw", l.Size()) })
		needsMemory()
	}
	children["hook exits"] = func() {
		galloc.SetAllocErrorHook(func(l galloc.Layout) {
			s := galloc.Must(galloc.MakeSlice[byte](nil, 5)) // the hook may allocate itself
			copy(s, "tried")
			fmt.Printf("%s %d\n", s, l.Size())
			os.Exit(0)
		})
		needsMemory()
	}
	children["allocator out of memory"] = func() {
		_, err := galloc.MakeSlice[uint64](refusing{galloc.ErrOutOfMemory}, 100)
		abortOn(err)
	}
	children["system out of memory"] = func() {
		_, err := galloc.MakeSlice[byte](nil, int(^uint(0)>>2))
		abortOn(err)
	}
}

// wantAbort fails the test unless the child has ended by an abort.
func wantAbort(t *testing.T, o outcome) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(o.err, &exit) {
		t.Fatalf("ended with %v", o.err)
	}
	if runtime.GOOS == "linux" && exit.Error() != "signal: aborted" && exit.Error() != "signal: aborted (core dumped)" {
		t.Errorf("ended with %v, want SIGABRT", exit)
	}
}

func TestAllocErrorPrintsAndAborts(t *testing.T) {
	for _, c := range []struct{ child, size, caller string }{
		{"alloc error", "42", "galloc_test.needsMemory"},
		{"default hook set by hand", "42", "galloc_test.needsMemory"},
		{"default hook called by another", "42", "galloc_test.needsMemory"},
		{"allocator out of memory", "800", "galloc_test.abortOn"},
		{"system out of memory", fmt.Sprint(^uint(0) >> 2), "galloc_test.abortOn"},
	} {
		t.Run(c.child, func(t *testing.T) {
			if c.child == "system out of memory" && bits.UintSize == 32 {
				t.Skip("1 GiB may be there")
			}
			o := runChild(t, c.child, "GOTRACEBACK=none")
			wantAbort(t, o)
			lines := strings.Split(o.stderr, "\n")
			if lines[0] != "memory allocation of "+c.size+" bytes failed" {
				t.Errorf("first line is %q", lines[0])
			}
			if len(lines) != 3 || !strings.Contains(lines[1], c.caller) || !strings.Contains(lines[1], "error_test.go:") || lines[2] != "" {
				t.Errorf("then comes %q", lines[1:])
			}
			if o.stdout != "" {
				t.Errorf("stdout has %q", o.stdout)
			}
			if o := runChild(t, c.child, "GOTRACEBACK="); !strings.Contains(o.stderr, "goroutine 1 [running]") {
				t.Errorf("no stack in:\n%s", o.stderr)
			}
		})
	}
}

func TestHookThatReturnsAborts(t *testing.T) {
	o := runChild(t, "hook returns")
	wantAbort(t, o)
	if o.stdout != "hook saw 42\n" || o.stderr != "" {
		t.Errorf("got %q and %q", o.stdout, o.stderr)
	}
}

func TestHookThatExits(t *testing.T) {
	if o := runChild(t, "hook exits"); o.err != nil || o.stdout != "tried 42\n" {
		t.Errorf("got %v, %q, %q", o.err, o.stdout, o.stderr)
	}
}

// The error of a full heap and of System says who refused.
func TestTheErrorSaysWhoRefused(t *testing.T) {
	for sentinel, says := range map[*galloc.AllocError]string{galloc.ErrLimit: "a limit", galloc.ErrSystem: "the system"} {
		for _, err := range []error{sentinel, sentinel.For(layout(t, 100, 8))} {
			if !errors.Is(err, sentinel) || !errors.Is(err, galloc.ErrOutOfMemory) ||
				errors.Is(err, galloc.ErrUnsupported) || galloc.ErrOutOfMemory.Is(sentinel) ||
				!strings.Contains(err.Error(), says) {
				t.Errorf("%v", err)
			}
		}
		_, err := galloc.MakeSlice[int](refusing{sentinel}, 10)
		if !errors.Is(err, sentinel) || !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Errorf("MakeSlice: %v", err)
		}
	}
	if _, err := galloc.System.Allocate(layout(t, math.MaxInt/4*3, 1)); !errors.Is(err, galloc.ErrSystem) {
		t.Errorf("System: %v", err)
	}
}

// Every typed function of the global heap says that its limit is reached: also the short ways for
// small blocks.
func TestTypedErrorsSayWhoRefused(t *testing.T) {
	for _, setting := range []string{"heap,limit=1MiB", "heap,limit=1MiB,checked=on"} {
		if o := runChild(t, "typed refusals", "GALLOC="+setting); o.err != nil || o.stdout != "" {
			t.Errorf("%s: %v, %q, %q", setting, o.err, o.stdout, o.stderr)
		}
	}
}

func init() {
	children["typed refusals"] = func() {
		type list struct {
			next uintptr
			_    [4]uintptr
		}
		full := func(name string, allocate func() error) {
			for {
				if err := allocate(); err != nil {
					if !errors.Is(err, galloc.ErrLimit) {
						fmt.Printf("%s: %v\n", name, err)
					}
					return
				}
			}
		}
		full("New", func() error { _, err := galloc.New[list](nil); return err })
		full("NewBox", func() error { _, err := galloc.NewBox(nil, list{}); return err })
		full("MakeSlice", func() error { _, err := galloc.MakeSlice[list](nil, 3); return err })
		full("MakeSlice of large blocks", func() error { _, err := galloc.MakeSlice[list](nil, 3000); return err })
		var grown []list
		full("GrowSlice", func() error {
			s, err := galloc.GrowSlice(nil, grown, len(grown)+1)
			if err == nil {
				grown = s
			}
			return err
		})
		full("Allocate", func() error { _, err := galloc.Global.Allocate(galloc.LayoutOf[list]()); return err })
	}
}
