package memcheck

import (
	"fmt"
	"io"
	rtdebug "runtime/debug"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/inside"
	"github.com/galloc-go/galloc/internal/memcheck"
)

// Global returns a Checker that is the global allocator, and answers for the Checker inside of
// that: of GALLOC=debug, of the import of global/debug, or one that is registered. If there is
// none, it finds nothing and costs nothing. So a program can begin with
//
//	func main() {
//		defer memcheck.Global().ReportLeaks(os.Stderr)
//		defer memcheck.Global().CatchPageFaults()() // on this goroutine
//
// and a test with memcheck.Global().CheckLeaks(t). Global is a use of the global allocator: after
// it, none can be registered.
func Global() *Checker {
	return &Checker{in: inside.Resolve(pkg, galloc.Global), c: bridge.GlobalChecker()}
}

// CheckAll verifies the zones of all blocks and the content of freed blocks in quarantine, and
// returns the number of misuses that it has reported. Each is reported once. It reads all of that
// memory.
func (w *Checker) CheckAll() int {
	if w.c == nil {
		return 0
	}
	return w.c.CheckAll()
}

// Drain empties the quarantine: it verifies the freed blocks, and frees them in the allocator
// inside.
func (w *Checker) Drain() {
	if w.c != nil {
		w.c.Drain()
	}
}

// Misuses returns the number of reports so far.
func (w *Checker) Misuses() uint64 {
	if w.c == nil {
		return 0
	}
	return w.c.Misuses()
}

// Mark returns the number of the last allocation, for Leaks.
func (w *Checker) Mark() uint64 {
	if w.c == nil {
		return 0
	}
	return w.c.Mark()
}

// Leaks returns the blocks that were allocated after the given Mark, or ever if that is 0, and are
// still allocated: one Leak for each place of allocation, most bytes first. With Options.Sample it
// knows only the blocks that were picked.
func (w *Checker) Leaks(mark uint64) []Leak {
	if w.c == nil {
		return nil
	}
	var leaks []Leak
	for _, l := range w.c.Leaks(mark) {
		leaks = append(leaks, Leak{Stack(l.Stack), l.Blocks, l.Bytes, l.First})
	}
	return leaks
}

// TB is the part of testing.TB that CheckLeaks uses.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Cleanup(func())
}

// CheckLeaks makes the test t fail if blocks that are allocated from now on are still allocated
// when the test and its subtests end; the error lists the places of allocation. It also verifies
// all blocks then. Call it at the start of a test:
//
//	a := memcheck.New(nil, memcheck.Options{})
//	a.CheckLeaks(t)
//
// It counts the blocks of tests that run in parallel too: use a Checker for each.
func (w *Checker) CheckLeaks(t TB) {
	t.Helper()
	if w.c != nil {
		w.c.CheckLeaks(t)
	}
}

// ReportLeaks verifies all blocks, as CheckAll does. Then it writes the list of leaks to to, or
// nothing if there are none, and returns the number of blocks. Defer it in main; os.Exit and
// log.Fatal do not run deferred calls.
func (w *Checker) ReportLeaks(to io.Writer) (blocks int) {
	if w.c == nil {
		return 0
	}
	w.c.CheckAll()
	leaks := w.c.Leaks(0)
	for _, l := range leaks {
		blocks += l.Blocks
	}
	fmt.Fprint(to, memcheck.LeakText(leaks))
	return blocks
}

// Explain describes an address, from a crash for example: the block that it is in or near, whether
// that is freed, and its stacks. It returns nil if no block of this allocator is or was near. The
// Kind is 0 if the address is in an allocated block, so that nothing is wrong.
func (w *Checker) Explain(addr uintptr) *Report {
	if w.c == nil {
		return nil
	}
	return reportOf(w.c.Explain(addr))
}

// CatchPageFaults makes this goroutine report accesses to guarded memory, until the returned
// function is called. Defer that:
//
//	defer a.CatchPageFaults()()
//
// On other goroutines, such an access ends the program with Go's "unexpected fault address" and its
// stack. If Options.OnMisuse returns, the goroutine panics with the *Report. Other panics pass.
func (w *Checker) CatchPageFaults() (done func()) {
	if w.c == nil {
		return func() {}
	}
	was := rtdebug.SetPanicOnFault(true)
	return func() {
		rtdebug.SetPanicOnFault(was)
		v := recover()
		if v == nil {
			return
		}
		if r := w.c.PageFault(v); r != nil {
			w.c.Report(r)
			panic(reportOf(r))
		}
		panic(v)
	}
}
