// Package alloctest tests allocators, and programs that use allocators.
//
// [Run] checks a [galloc.Allocator], and [RunGlobal] a [galloc.GlobalAlloc], against every rule of
// their contracts, with one named test for each rule:
//
//	func TestMine(t *testing.T) {
//		alloctest.Run(t, func() galloc.Allocator { return mine.New() })
//	}
//
// [Fuzz] makes a fuzz target of an allocator. It prints a failing input as a trace that a person
// can read and the command "galloc replay" can run. All of them use a [Model], which knows every
// byte of every block.
//
// To test a program that uses allocators, [CheckFailures] runs it with each of its allocations
// failing in turn. [Fail] makes chosen calls fail, [NoAlloc] refuses to allocate in regions, and
// [Track] finds leaks and misuses.
package alloctest

import (
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// An Option excepts an allocator from rules, or says what it costs to test.
type Option int

const (
	// SingleGoroutine means that the allocator is not safe for concurrent use.
	SingleGoroutine Option = iota + 1
	// GoGarbage means that calls of the allocator allocate on the Go heap. An allocator that holds
	// Go pointers does not need this option.
	GoGarbage
	// Slow means that a call takes a microsecond or more: the tests make fewer calls.
	Slow
)

// fewer returns n, or less with the race detector, which makes every call take ten times as long,
// and needs fewer calls to find a race.
func fewer(n int) int {
	if raceEnabled {
		return n / 4
	}
	return n
}

// Run tests the allocators that create returns. It calls create once for each rule; the result may
// be the same each time. An allocator must be able to have 16 MiB allocated at a time. Run uses
// optional interfaces through the package functions of galloc, so their rules hold for every
// allocator. A rule that panics fails, and the other rules are checked all the same.
//
// A leak shows where memory is bounded. So give the allocator a source of some tens of MiB: Run
// allocates and frees up to 2 GiB in all, in a few hundred calls without touching the memory, and
// 128 MiB under go test -short. If the source is full at 192 MiB, Run also checks what happens when
// memory runs out.
func Run(t *testing.T, create func() galloc.Allocator, options ...Option) {
	runAll(t, func() subject { return subject{create(), nil} }, options)
}

// A subject is an allocator to test, and the GlobalAlloc that it was made of, or nil. That can be
// reset, even if only its four methods are tested.
type subject struct {
	a galloc.Allocator
	g galloc.GlobalAlloc
}

// reset deallocates all blocks, if the allocator can.
func (s subject) reset() {
	if s.g != nil {
		s.a = galloc.AsAllocator(s.g)
	}
	_ = galloc.Reset(s.a)
}

func runAll(t *testing.T, create func() subject, options []Option) {
	volume := volume{false, 300 * time.Millisecond}
	if testing.Short() || raceEnabled { // what is long uses one goroutine, where there are no races
		volume.short, volume.limit = true, 30*time.Millisecond
	}
	for _, r := range allRules() {
		t.Run(r.name, func(t *testing.T) { r.run(t, create, options, volume) })
	}
}

func allRules() []rule {
	return slices.Concat(blockRules, abilityRules, memoryRules, concurrentRules)
}

// A volume says how much the rules allocate that allocate much: less if short is true, and no more
// once a rule has repeated the same thing for as long as the limit.
type volume struct {
	short bool
	limit time.Duration
}

// run checks one rule.
func (r rule) run(t testing.TB, create func() subject, options []Option, v volume) {
	if slices.Contains(options, r.except) {
		t.Skip("the allocator is excepted from this rule")
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			t.Logf("the rule: %s", r.explain)
			t.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	s := create()
	c := &checker{
		TB: t, subject: s, m: NewModel(s.a), rule: r,
		random: rand.New(rand.NewPCG(1, 2)), slow: slices.Contains(options, Slow),
		volume: v,
	}
	r.check(c)
	c.must(c.m.Verify())
	c.must(c.m.FreeAll())
}

// contained calls f, and returns a panic of it as a Violation. It is for goroutines, where a panic
// would end all rules.
func contained(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = violation("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// RunGlobal tests the allocators that create returns, as Run does. It uses the four methods or
// their defaults only, and frees every block with exactly the layout that it was allocated with.
func RunGlobal(t *testing.T, create func() galloc.GlobalAlloc, options ...Option) {
	runAll(t, func() subject {
		g := create()
		return subject{galloc.AsAllocator(bare{g}), g}
	}, options)
	t.Run("BlocksGoBothWays", func(t *testing.T) {
		g := create()
		a, l := galloc.AsAllocator(g), mustLayout(100, 8)
		b, err := a.Allocate(l)
		if err != nil {
			t.Fatal(err)
		}
		g.Dealloc(unsafe.Pointer(&b[0]), l)
		if p := g.Alloc(l); p != nil {
			a.Deallocate(p, l)
		} else {
			t.Fatal("Alloc returned nil")
		}
	})
}

// bare hides all methods of a GlobalAlloc but the four, so that AsAllocator cannot take a shorter
// way.
type bare struct{ g galloc.GlobalAlloc }

func (b bare) Alloc(l galloc.Layout) unsafe.Pointer      { return b.g.Alloc(l) }
func (b bare) Dealloc(p unsafe.Pointer, l galloc.Layout) { b.g.Dealloc(p, l) }

func (b bare) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if z, ok := b.g.(galloc.GlobalAllocZeroed); ok {
		return z.AllocZeroed(l)
	}
	return galloc.DefaultAllocZeroed(b.g, l)
}

func (b bare) Realloc(p unsafe.Pointer, l galloc.Layout, n uintptr) unsafe.Pointer {
	if r, ok := b.g.(galloc.GlobalRealloc); ok {
		return r.Realloc(p, l, n)
	}
	return galloc.DefaultRealloc(b.g, p, l, n)
}

// A rule is one sentence of the contract and its check.
type rule struct {
	name    string
	explain string // printed when the check fails
	except  Option // the option of allocators that are not checked
	check   func(*checker)
}

// checker is a running check: the test, the allocator, and the model of it. All blocks go through
// the model, and are numbered in order.
type checker struct {
	testing.TB
	subject
	m      *Model
	rule   rule
	random *rand.Rand
	next   uint64
	slow   bool
	volume volume
}

func (c *checker) fail(format string, args ...any) {
	c.Helper()
	c.Logf("the rule: %s", c.rule.explain)
	c.Fatalf(format, args...)
}

func (c *checker) must(err error) {
	c.Helper()
	if err != nil {
		c.fail("%v", err)
	}
}

// allocate makes a block, fills it, and returns its number.
func (c *checker) allocate(size, align uintptr) uint64 {
	c.Helper()
	c.next++
	c.must(c.m.Allocate(c.next, mustLayout(size, align)))
	return c.next
}

func (c *checker) allocateZeroed(size, align uintptr) uint64 {
	c.Helper()
	c.next++
	c.must(c.m.AllocateZeroed(c.next, mustLayout(size, align)))
	return c.next
}

// resize grows or shrinks a block, and checks what is kept.
func (c *checker) resize(id uint64, size, align uintptr) {
	c.Helper()
	c.must(c.m.Resize(id, mustLayout(size, align), false))
}

func (c *checker) free(ids ...uint64) {
	c.Helper()
	for _, id := range ids {
		c.must(c.m.Free(id))
	}
}

func mustLayout(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic("alloctest: " + err.Error())
	}
	return l
}
