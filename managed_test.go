package galloc_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

// collectUntil collects garbage and lets cleanups run, until done reports true.
func collectUntil(t *testing.T, done func() bool) {
	t.Helper()
	for range 20 {
		if done() {
			return
		}
		ran := make(chan struct{})
		func() { runtime.AddCleanup(new([16]int), func(c chan struct{}) { close(c) }, ran) }()
		for waiting := true; waiting; {
			runtime.GC()
			select {
			case <-ran:
				waiting = false
			default:
			}
		}
	}
	t.Error("the cleanups have not run")
}

//go:noinline
func forget(t *testing.T, a galloc.Allocator) {
	m, err := galloc.NewManaged(a, point{1, 2, 3})
	if err != nil || m.Load() != (point{1, 2, 3}) {
		t.Fatal(err)
	}
}

func TestForgottenManagedIsFreed(t *testing.T) {
	a := alloctest.Track(galloc.System)
	for range 10 {
		forget(t, a)
	}
	collectUntil(t, func() bool { return len(a.Live()) == 0 })
	if m := a.Misuses(); len(m) != 0 {
		t.Error(m)
	}
}

// A value that is freed or leaked is not freed again when the handle is garbage.
func TestManagedIsFreedOnce(t *testing.T) {
	a := alloctest.Track(galloc.System)
	var leaked *point
	func() {
		m := galloc.Must(galloc.NewManaged(a, point{x: 1}))
		m.Use(func(p *point) { p.y = 2 })
		if *m.Get() != (point{1, 2, 0}) || m.Freed() {
			t.Error(*m.Get())
		}
		m.Free()
		if len(a.Live()) != 0 || !m.Freed() {
			t.Error("Free does not free")
		}
		m = galloc.Must(galloc.NewManaged(a, point{x: 3}))
		leaked = m.Leak()
		forget(t, a)
	}()
	collectUntil(t, func() bool { return len(a.Live()) == 1 })
	if leaked.x != 3 {
		t.Error(*leaked)
	}
	m := galloc.Manage(a, leaked)
	m.Free()
	if len(a.Live()) != 0 || len(a.Misuses()) != 0 {
		t.Errorf("%d blocks are live; misuses: %v", len(a.Live()), a.Misuses())
	}
}

// A value that is in use is not freed, also if nothing else refers to the handle.
func TestManagedInUseIsKept(t *testing.T) {
	a := alloctest.Track(galloc.System)
	galloc.Must(galloc.NewManaged(a, point{x: 7})).Use(func(p *point) {
		forget(t, a)
		collectUntil(t, func() bool { return len(a.Live()) == 1 })
		if p.x != 7 {
			t.Error(*p)
		}
	})
	collectUntil(t, func() bool { return len(a.Live()) == 0 })
}

func TestManagedMisuse(t *testing.T) {
	m := galloc.Must(galloc.NewManaged(nil, 1))
	m.Free()
	var zero galloc.Managed[int]
	for want, f := range map[string]func(){
		"galloc: Managed.Get after":  func() { m.Get() },
		"galloc: Managed.Use after":  func() { m.Use(func(*int) { t.Error("called") }) },
		"galloc: Managed.Load after": func() { m.Load() },
		"galloc: Managed.Free after": func() { m.Free() },
		"galloc: Managed.Leak after": func() { zero.Leak() },
		"galloc: Manage of a nil":    func() { galloc.Manage[int](nil, nil) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

func TestManagedFails(t *testing.T) {
	if m, err := galloc.NewManaged(galloc.Null, 1); m != nil || !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := galloc.NewManaged(nil, "text"); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	m := galloc.Must(galloc.NewManaged(galloc.GoHeap, "text"))
	if m.Load() != "text" {
		t.Error(m.Load())
	}
	m.Free()
	galloc.Must(galloc.NewManaged(nil, struct{}{})).Free()
}

// A managed value is no leak, whether the program still refers to it or not. A leaked one is.
func TestManagedIsNoLeak(t *testing.T) {
	outer := memcheck.New(galloc.System, memcheck.Options{OnMisuse: func(r *memcheck.Report) { t.Error(r) }})
	inner := memcheck.New(outer, memcheck.Options{OnMisuse: func(r *memcheck.Report) { t.Error(r) }})
	leaks := func(c *memcheck.Checker) int {
		var b strings.Builder
		return c.ReportLeaks(&b)
	}
	for name, a := range map[string]galloc.Allocator{
		"a checker": outer, "wrapped": wrap.Stats(outer), "of two": wrap.Fallback(galloc.Null, outer), "nested": inner,
	} {
		m := galloc.Must(galloc.NewManaged(a, point{x: 1}))
		if n := leaks(outer); n != 0 {
			t.Errorf("%s: %d leaks", name, n)
		}
		p := m.Leak()
		if n := leaks(outer); n != 1 {
			t.Errorf("%s: %d leaks after Leak", name, n)
		}
		galloc.Free(a, p)
		inner.Drain() // its quarantine is on outer
		if n := leaks(outer); n != 0 {
			t.Errorf("%s: %d leaks after Free", name, n)
		}
	}
	if leaks(inner) != 0 {
		t.Error("the inner checker has leaks")
	}
}

func init() {
	children["managed and leaked"] = func() {
		for range 3 {
			m := galloc.Must(galloc.NewManaged(nil, point{x: 1}))
			if os.Getenv("GALLOC_TEST_CORRECT") == "" {
				m.Leak()
			}
		}
		memcheck.Global().ReportLeaks(os.Stdout)
	}
}

func TestManagedWithGallocDebug(t *testing.T) {
	for _, env := range []string{"GALLOC=debug", "GALLOC=debug,guard=either"} {
		if o := runChild(t, "managed and leaked", env); !strings.Contains(o.stdout, "3 blocks") {
			t.Errorf("%s: %v:\n%s%s", env, o.err, o.stdout, o.stderr)
		}
		if o := runChild(t, "managed and leaked", env, "GALLOC_TEST_CORRECT=1"); o.err != nil || o.stdout != "" {
			t.Errorf("%s, correct: %v:\n%s%s", env, o.err, o.stdout, o.stderr)
		}
	}
}

func BenchmarkManaged(b *testing.B) {
	for b.Loop() {
		galloc.Must(galloc.NewManaged(nil, point{})).Free()
	}
}
