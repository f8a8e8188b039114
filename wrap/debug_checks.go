package wrap

import (
	"fmt"
	"io"
	rtdebug "runtime/debug"
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc/internal/debug"
)

// Checks is what there is to ask of an allocator that finds mistakes: of a [Debugging], or by [GlobalChecks] of the global allocator.
// Safe for concurrent use.
type Checks interface {
	// CheckAll verifies the zones of all blocks and what freed blocks are filled with, and returns how many mistakes it
	// has reported. Each is reported once. It costs a pass over all of that memory.
	CheckAll() int

	// Drain verifies all freed blocks that are held back, and gives them to the inner allocator.
	Drain()

	// Mistakes returns how many mistakes have been reported.
	Mistakes() uint64

	// Mark returns the number of the last allocation, for Leaks.
	Mark() uint64

	// Leaks returns what was allocated after the given Mark (0: ever) and is allocated still, by place of allocation, most
	// bytes first. The place is the nearest call in the program itself: for a block of a collection, or for a chunk of an arena, the one
	// that has filled the collection; and the blocks that this call has filled are one Leak. Leak.Stack.Place returns it, its String says
	// it. In sampled mode Leaks knows the blocks that were picked.
	Leaks(mark uint64) []Leak

	// CheckLeaks verifies all blocks when the test t ends, its subtests included, and fails it, with a list by place of allocation, if anything is
	// still allocated that was allocated since the call. So it is called at the start:
	//
	//	a := wrap.Debug(nil)
	//	a.CheckLeaks(t)
	//
	// What another test allocates at the same time is taken to be of this one: give tests that run in parallel an allocator each.
	CheckLeaks(t TB)

	// ReportLeaks verifies all blocks, as CheckAll does; then it writes to w what is allocated, and nothing if nothing is, and returns the number
	// of blocks. Go has no way to have something done when a program exits: defer it in main, and mind that os.Exit and log.Fatal do
	// not run what is deferred.
	ReportLeaks(w io.Writer) int

	// Explain returns what is known about an address, as from a crash: which block it is in or near, whether that is freed,
	// and its stacks. It returns nil if no block of this allocator is or was near. The Kind is 0 if the address is in a block that is
	// allocated, so that nothing is wrong.
	Explain(addr uintptr) *Report

	// Faults makes accesses to guarded memory mistakes that are reported, on this goroutine, until the function that it
	// returns has been called. That has to be deferred:
	//
	//	defer a.Faults()()
	//
	// Otherwise such an access ends the program, with Go's own "unexpected fault address", and its stack: other goroutines need a Faults of
	// their own. If the handler returns, the panic goes on, with the *Report for a value. All other panics pass.
	Faults() (done func())
}

// GlobalChecks returns the checks of the global allocator, if mistakes in its use are looked for: by GALLOC=debug, by the import of
// global/debug, or by a Debug that is registered. If they are not, it returns checks that find nothing and cost nothing. So a program
// can have, for whenever it is run with GALLOC=debug,
//
//	func main() {
//		defer wrap.GlobalChecks().ReportLeaks(os.Stderr) // and what was written since the last free
//		defer wrap.GlobalChecks().Faults()()             // accesses to guarded memory, on this goroutine
//
// and a test wrap.GlobalChecks().CheckLeaks(t). To call it is a use of the global allocator, so that none can be registered any more.
func GlobalChecks() Checks { return checks{debuggerInForce()} }

// debuggerInForce is a function of package galloc.
//
//go:linkname debuggerInForce github.com/galloc-go/galloc.debuggerInForce
func debuggerInForce() *debug.Debugger

// checks is the Checks of d, or of nothing if that is nil.
type checks struct{ d *debug.Debugger }

// Debugger is for package galloc.
func (c checks) Debugger() *debug.Debugger { return c.d }

func (c checks) CheckAll() int {
	if c.d == nil {
		return 0
	}
	return c.d.CheckAll()
}

func (c checks) Drain() {
	if c.d != nil {
		c.d.Drain()
	}
}

func (c checks) Mistakes() uint64 {
	if c.d == nil {
		return 0
	}
	return c.d.Mistakes()
}

func (c checks) Mark() uint64 {
	if c.d == nil {
		return 0
	}
	return c.d.Mark()
}

func (c checks) Leaks(mark uint64) []Leak {
	if c.d == nil {
		return nil
	}
	return c.d.Leaks(mark)
}

func (c checks) CheckLeaks(t TB) {
	t.Helper()
	if c.d != nil {
		c.d.CheckLeaks(t)
	}
}

func (c checks) ReportLeaks(to io.Writer) (blocks int) {
	if c.d == nil {
		return 0
	}
	c.d.CheckAll()
	leaks := c.d.Leaks(0)
	for _, l := range leaks {
		blocks += l.Blocks
	}
	fmt.Fprint(to, debug.LeakText(leaks))
	return blocks
}

func (c checks) Explain(addr uintptr) *Report {
	if c.d == nil {
		return nil
	}
	return c.d.Explain(addr)
}

func (c checks) Faults() (done func()) {
	if c.d == nil {
		return func() {}
	}
	was := rtdebug.SetPanicOnFault(true)
	return func() {
		rtdebug.SetPanicOnFault(was)
		v := recover()
		if v == nil {
			return
		}
		if r := c.d.Fault(v); r != nil {
			c.d.Report(r)
			panic(r)
		}
		panic(v)
	}
}
