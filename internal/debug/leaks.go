// What is still allocated. See debug.go for overview.

package debug

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Leak is the live blocks that were allocated at one place.
type Leak struct {
	Stack  Stack // of their allocation
	Blocks int
	Bytes  uintptr // without zones
	First  uint64  // the number of the first of these allocations
}

// String says it on several lines.
func (l Leak) String() string {
	return fmt.Sprintf("%s in %s, from allocation %d on, allocated here:\n%s", plural(int(l.Bytes), "byte"), plural(l.Blocks, "block"), l.First, l.Stack)
}

// Mark returns the number of the last allocation, for Leaks.
func (d *Debugger) Mark() uint64 { return d.next.Load() }

// Leaks returns the blocks that are allocated and have a number greater than mark, grouped by place, most bytes first. In
// sampled mode it knows the guarded blocks only.
func (d *Debugger) Leaks(mark uint64) []Leak {
	found := map[stackID]Leak{}
	note := func(b *block) {
		if b.freed || b.plain || b.number <= mark {
			return
		}
		l, ok := found[b.allocStack]
		if !ok {
			l.First = b.number
		}
		l.Blocks++
		l.Bytes += b.size
		l.First = min(l.First, b.number)
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
	var all []Leak
	for id, l := range found {
		l.Stack = d.stacks.get(id)
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Leak) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.First, b.First))
	})
	return all
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
