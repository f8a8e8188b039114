// Blocks that are still allocated. See memcheck.go for overview.

package memcheck

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc/internal/caller"
	"github.com/galloc-go/galloc/internal/stacks"
)

// A Leak is the allocated blocks that were allocated by one call of the program, reached in one
// way.
type Leak struct {
	Stack  Stack // of the first allocation; Stack.Place is the call
	Blocks int
	Bytes  uintptr // without zones
	First  uint64  // number of the first of these allocations
}

// String returns several lines. The first one names the call and the function that it called.
func (l Leak) String() string {
	var b strings.Builder
	later := ""
	if l.Blocks > 1 {
		later = " and later"
	}
	fmt.Fprintf(&b, "%s in %s (allocation %d%s)", count(int(l.Bytes)), plural(l.Blocks, "block"), l.First, later)
	if place, by := l.Stack.PlaceAndCallee(); place.File != "" {
		fmt.Fprintf(&b, ", allocated at %s", caller.Position(place))
		if by != "" {
			fmt.Fprintf(&b, " by %s", by)
		}
		fmt.Fprintf(&b, ":\n%s", l.Stack)
	} else {
		b.WriteString(", without a stack\n")
	}
	return b.String()
}

// Mark returns the number of the last allocation, for Leaks.
func (c *Checker) Mark() uint64 { return c.next.Load() }

// Leaks returns the blocks that are allocated and have a number greater than mark, grouped by
// stack, most bytes first. Calls after the place do not count: the blocks of a collection that one
// call has filled are one Leak. In sampled mode, Leaks knows only the guarded blocks.
func (c *Checker) Leaks(mark uint64) []Leak {
	found := map[stacks.ID]Leak{}
	note := func(b *record) {
		if b.freed || b.plain || b.managed || b.number <= mark {
			return
		}
		l := Leak{Blocks: 1, Bytes: b.size, First: b.number}
		l.add(found[b.allocStack])
		found[b.allocStack] = l
	}
	for i := range c.tables {
		t := &c.tables[i]
		t.mu.Lock()
		for _, b := range t.blocks {
			note(&b)
		}
		t.mu.Unlock()
	}
	c.pool.mu.Lock()
	for i := range c.pool.slots {
		note(&c.pool.slots[i])
	}
	c.pool.mu.Unlock()

	places := map[string]Leak{}
	for id, l := range found {
		l.Stack = c.stacks.Get(id)
		key := l.Stack.Key()
		l.add(places[key])
		places[key] = l
	}
	return slices.SortedFunc(maps.Values(places), func(a, b Leak) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.First, b.First))
	})
}

// Manage records that the allocated block at p has an owner who frees it when the program forgets
// it, or with managed == false that it has none any more: a block with such an owner is no leak. It
// returns the address of the block of the allocator inside, or nil if no checked block starts at p.
func (c *Checker) Manage(p unsafe.Pointer, managed bool) unsafe.Pointer {
	if c.pool.contains(p) {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		if i := c.pool.find(uintptr(p)); i >= 0 && c.pool.slots[i].addr == uintptr(p) {
			c.pool.slots[i].managed = managed
		}
		return nil // the pool has its own pages
	}
	t := c.table(uintptr(p))
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.blocks[uintptr(p)]
	if !ok || b.freed {
		return nil
	}
	b.managed = managed
	t.blocks[uintptr(p)] = b
	return b.base
}

// add adds the blocks of o to l.
func (l *Leak) add(o Leak) {
	if o.Blocks == 0 {
		return
	}
	if o.First < l.First {
		l.First, l.Stack = o.First, o.Stack
	}
	l.Blocks += o.Blocks
	l.Bytes += o.Bytes
}

// TB is the part of testing.TB that CheckLeaks uses.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Cleanup(func())
}

// CheckLeaks makes the test t fail when it ends, if blocks that are allocated from now on are still
// allocated then. It also verifies all blocks then.
func (c *Checker) CheckLeaks(t TB) {
	t.Helper()
	mark := c.Mark()
	t.Cleanup(func() {
		t.Helper()
		c.CheckAll()
		if text := LeakText(c.Leaks(mark)); text != "" {
			t.Errorf("%s", text)
		}
	})
}

// LeakText returns a list of leaks in words, or "" if there are none.
func LeakText(leaks []Leak) string {
	if len(leaks) == 0 {
		return ""
	}
	var bytes uintptr
	var blocks int
	var b strings.Builder
	for _, l := range leaks {
		bytes += l.Bytes
		blocks += l.Blocks
	}
	fmt.Fprintf(&b, "galloc: leaks: %s in %s not freed, allocated at %s\n",
		count(int(bytes)), plural(blocks, "block"), plural(len(leaks), "place"))
	for _, l := range leaks {
		b.WriteString(l.String())
	}
	return b.String()
}
