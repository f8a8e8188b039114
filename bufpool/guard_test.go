package bufpool_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galloc-go/galloc/bufpool"
	"github.com/galloc-go/galloc/internal/vm"
)

// collect returns options with a handler, and a function that returns the reports since its last
// call.
func collect(g bufpool.GuardOptions) (o bufpool.Options, found func() []*bufpool.Misuse) {
	var mu sync.Mutex
	var all []*bufpool.Misuse
	g.OnMisuse = func(m *bufpool.Misuse) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, m)
	}
	return bufpool.Options{Guard: g}, func() []*bufpool.Misuse {
		mu.Lock()
		defer mu.Unlock()
		found := all
		all = nil
		return found
	}
}

func gets(p *bufpool.Pool) *bufpool.Buffer { return p.Get(1000) }

func puts(p *bufpool.Pool, b *bufpool.Buffer) { p.Put(b) }

// has reports whether a function is in a stack.
func has(stack []uintptr, function string) bool {
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "."+function) {
			return true
		}
		if !more {
			return false
		}
	}
}

// wantReport checks that there is one report, of that kind, with the stacks of the misuse, of Get
// and of Put.
func wantReport(t *testing.T, found []*bufpool.Misuse, kind string) {
	t.Helper()
	if len(found) != 1 {
		t.Fatalf("%d reports, not one: %v", len(found), found)
	}
	m := found[0]
	if m.Kind != kind || !has(m.Get, "gets") || !has(m.Put, "puts") || !has(m.Stack, "misuses") {
		t.Errorf("%s is reported as %s", kind, m)
	}
	if !strings.HasPrefix(m.Error(), kind) || !strings.Contains(m.String(), "bufpool_test.puts") {
		t.Errorf("the texts are %q, %q", m.Error(), m)
	}
}

//go:noinline
func misuses(f func()) { f() }

func TestGuardedDoublePut(t *testing.T) {
	o, found := collect(bufpool.GuardOptions{Rate: 1})
	p, check := tracked(t, o)
	b := gets(p)
	b.Bytes()[b.Cap()-1-(b.Cap()-b.Len())] = 1
	puts(p, b)
	misuses(func() { p.Put(b) })
	wantReport(t, found(), "double free")
	misuses(b.Release)
	wantReport(t, found(), "double free")
	for _, f := range []func(){func() { b.Bytes() }, func() { b.Retain() }, func() { b.Append(1) }} {
		misuses(func() { wantPanic(t, "after Put", f) })
		wantReport(t, found(), "use after free")
	}
	// Other Gets do not change what is known of it.
	for range 100 {
		p.Put(p.Get(1000))
	}
	misuses(func() { p.Put(b) })
	wantReport(t, found(), "double free")
	check()
}

func TestGuardedUseAfterPut(t *testing.T) {
	if vm.GoMemory {
		t.Skip("memory cannot be made inaccessible here")
	}
	o, found := collect(bufpool.GuardOptions{Rate: 1})
	p, check := tracked(t, o)
	b := gets(p)
	s := b.Bytes()
	s[0] = 1
	puts(p, b)
	func() {
		defer func() {
			if m, ok := recover().(*bufpool.Misuse); !ok || m.Kind != "use after free" {
				t.Errorf("panic with %v", m)
			}
		}()
		defer p.CatchPageFaults()()
		misuses(func() { s[0]++ })
	}()
	wantReport(t, found(), "use after free")
	// Other panics pass.
	failed := errors.New("failed")
	if got := panics(func() {
		defer p.CatchPageFaults()()
		panic(failed)
	}); got != "failed" {
		t.Errorf("panic %q", got)
	}
	check()
}

// About one Get in Rate is guarded.
func TestGuardRate(t *testing.T) {
	p, check := tracked(t, bufpool.Options{Guard: bufpool.GuardOptions{Rate: 10}})
	const n = 5000
	for range n {
		p.Put(p.Get(10))
	}
	if got := p.Stats().Guarded; got < n/20 || got > n/5 {
		t.Errorf("%d of %d were guarded", got, n)
	}
	check()
}

// At most Bytes are guarded at a time, and others after some are put back.
func TestGuardBytes(t *testing.T) {
	p, check := tracked(t, bufpool.Options{Guard: bufpool.GuardOptions{Rate: 1, Bytes: 10_000}})
	var all []*bufpool.Buffer
	for range 10 {
		all = append(all, p.Get(4096))
	}
	if got := p.Stats().Guarded; got != 2 {
		t.Errorf("%d are guarded, not 2", got)
	}
	for _, b := range all {
		p.Put(b)
	}
	p.Put(p.Get(4096))
	if got := p.Stats().Guarded; got != 3 {
		t.Errorf("%d were guarded, not 3", got)
	}
	check()
}

// The memory of a guarded buffer is not used again within Delay.
func TestGuardDelay(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Hour} {
		p, check := tracked(t, bufpool.Options{Guard: bufpool.GuardOptions{Rate: 1, Delay: delay, Space: 1 << 20}})
		var seen []*byte
		again := false
		for range 1000 {
			b := p.Get(4096)
			if before := p.Stats().Guarded; before == uint64(len(seen))+1 {
				again = again || slices.Contains(seen, &b.Bytes()[0])
				seen = append(seen, &b.Bytes()[0])
			}
			p.Put(b)
		}
		if n := p.Stats().Guarded; again != (delay == 0) || n == 0 || (n < 1000) != (delay != 0) {
			t.Errorf("delay %v: %d were guarded, and used again is %v", delay, n, again)
		}
		check()
	}
}

// Under GALLOC=debug each Put frees, so that the memory checker reports a use after Put.
func TestUnderTheMemoryChecker(t *testing.T) {
	const child = "GALLOC_TEST_CHILD"
	if os.Getenv(child) != "" {
		var p bufpool.Pool
		b := p.Get(100)
		s := b.Bytes()
		p.Put(b)
		fmt.Println("idle:", p.Stats().Idle)
		s[0] = 1
		for range 10 { // each free verifies two blocks
			p.Put(p.Get(100))
		}
		return
	}
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestUnderTheMemoryChecker$")
	cmd.Env = append(os.Environ(), child+"=1", "GALLOC=debug")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "idle: 0\n") || !strings.Contains(string(out), "galloc: use after free") {
		t.Errorf("%v\n%s", err, out)
	}
}
