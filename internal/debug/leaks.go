// What is still allocated. See debug.go for overview.

package debug

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Leak is the live blocks that were allocated by one call of the program, reached in one way.
type Leak struct {
	Stack  Stack // of their allocation; Stack.Place is that call
	Blocks int
	Bytes  uintptr // without zones
	First  uint64  // the number of the first of these allocations
}

// String says it on several lines, with the place and what has allocated there on the first.
func (l Leak) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s, from allocation %d on", plural(int(l.Bytes), "byte"), plural(l.Blocks, "block"), l.First)
	if place, by := l.Stack.place(); place.File != "" {
		fmt.Fprintf(&b, ", allocated at %s:%d", place.File, place.Line)
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
func (d *Debugger) Mark() uint64 { return d.next.Load() }

// Leaks returns the blocks that are allocated and have a number greater than mark, grouped by stack, most bytes first. What is above the
// place in a stack does not count there: so the blocks of a collection that one call has filled are one Leak. In sampled mode it
// knows the guarded blocks only.
func (d *Debugger) Leaks(mark uint64) []Leak {
	found := map[stackID]Leak{}
	note := func(b *block) {
		if b.freed || b.plain || b.number <= mark {
			return
		}
		l := Leak{Blocks: 1, Bytes: b.size, First: b.number}
		l.add(found[b.allocStack])
		found[b.allocStack] = l
	}
	for i := range d.tables {
		t := &d.tables[i]
		t.mu.Lock()
		for _, b := range t.blocks {
			note(&b)
		}
		t.mu.Unlock()
	}
	d.pool.mu.Lock()
	for i := range d.pool.slots {
		note(&d.pool.slots[i])
	}
	d.pool.mu.Unlock()

	places := map[string]Leak{}
	for id, l := range found {
		l.Stack = d.stacks.get(id)
		key := l.Stack.key()
		l.add(places[key])
		places[key] = l
	}
	return slices.SortedFunc(maps.Values(places), func(a, b Leak) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.First, b.First))
	})
}

// add adds the blocks of another leak, if there are any.
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

// TB is what CheckLeaks needs of a testing.TB.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Cleanup(func())
}

// CheckLeaks fails the test, when it ends, for what was allocated since now and is allocated still, and verifies all blocks.
func (d *Debugger) CheckLeaks(t TB) {
	t.Helper()
	mark := d.Mark()
	t.Cleanup(func() {
		t.Helper()
		d.CheckAll()
		if text := LeakText(d.Leaks(mark)); text != "" {
			t.Errorf("%s", text)
		}
	})
}

// LeakText is a list of leaks in words, or "" for none.
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
	fmt.Fprintf(&b, "galloc: %s in %s allocated at %s are not freed\n", plural(int(bytes), "byte"), plural(blocks, "block"), plural(len(leaks), "place"))
	for _, l := range leaks {
		b.WriteString(l.String())
	}
	return b.String()
}
