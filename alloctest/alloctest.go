// Package alloctest tests allocators.
//
// [Run] checks an [galloc.Allocator], and [RunGlobal] a [galloc.GlobalAlloc], against
// every rule of their contract, one named test per rule:
//
//	func TestMine(t *testing.T) {
//		alloctest.Run(t, func() galloc.Allocator { return mine.New() })
//	}
//
// [Fuzz] makes a fuzz target of an allocator, whose failing input is printed as a
// trace that a person can read and galloc replay can run. Both stand on [Model], which
// knows what every byte of every block must be.
//
// The other way round, [Failing] and [CheckFailures] test code that uses an allocator:
// what it does when each of its allocations fails in turn.
package alloctest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Option says what an allocator promises.
type Option int

const (
	// SingleGoroutine says that the allocator is not safe for concurrent use, so that is not tested.
	SingleGoroutine Option = iota + 1
	// GoGarbage says that the allocator allocates on the Go heap when it is used, so that
	// it does not is not tested. Those that are a [galloc.TypedAllocator] need not say it.
	GoGarbage
	// Slow says that a call takes a microsecond or more, as of an allocator that records each: then fewer
	// are made at once.
	Slow
)

// fewer returns n, or less in programs built with the race detector, which makes everything take ten times
// as long, and needs fewer calls to see that they race.
func fewer(n int) int {
	if raceEnabled {
		return n / 4
	}
	return n
}

// Run tests the allocators that new returns; it is called once for every rule, and may
// return the same one each time. They must be able to have 16 MiB allocated at a time.
// Rules about optional interfaces are checked through the package functions of galloc,
// and so hold for allocators with and without them.
func Run(t *testing.T, new func() galloc.Allocator, options ...Option) {
	for _, r := range slices.Concat(blockRules, abilityRules, concurrentRules) {
		t.Run(r.name, func(t *testing.T) {
			if slices.Contains(options, r.except) {
				t.Skip("the allocator is excepted from this rule")
			}
			a := new()
			c := &checker{T: t, a: a, m: NewModel(a), rule: r, random: rand.New(rand.NewPCG(1, 2)), slow: slices.Contains(options, Slow)}
			r.check(c)
			c.must(c.m.Verify())
			c.must(c.m.FreeAll())
		})
	}
}

// RunGlobal tests the allocators that new returns, as Run does. Everything goes through
// the four methods, or their defaults, and every block is given back with exactly the
// layout it was allocated with.
func RunGlobal(t *testing.T, new func() galloc.GlobalAlloc, options ...Option) {
	Run(t, func() galloc.Allocator { return galloc.AsAllocator(bare{new()}) }, options...)
	t.Run("BlocksGoBothWays", func(t *testing.T) {
		g := new()
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

// bare shows the methods of a GlobalAlloc and hides all others, so that AsAllocator
// cannot take a short cut.
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

// A rule is one sentence of the contract and what checks it.
type rule struct {
	name    string
	explain string // printed when the check fails
	except  Option // allocators with this option are not checked
	check   func(*checker)
}

// checker is a running check: the test, the allocator, and the model of it that all
// blocks go through, numbered in the order they are made.
type checker struct {
	*testing.T
	a      galloc.Allocator
	m      *Model
	rule   rule
	random *rand.Rand
	next   uint64
	slow   bool
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
