// Reports of misuse. See memcheck.go for overview.

package memcheck

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/vm"
)

// An Op is what the program was doing when misuse was found.
type Op uint8

// The operations.
const (
	OpFree    Op = iota + 1 // it freed a block
	OpRealloc               // it resized a block
	OpVerify                // it verified a freed block or reused its slot, or called CheckAll
	OpAccess                // it accessed guarded memory
	OpAlloc                 // it allocated a block
)

var ops = [...]string{"", "free", "realloc", "verification", "access", "allocation"}

func (o Op) String() string { return ops[min(int(o), len(ops)-1)] }

// A Report describes one misuse. The receiver owns it.
type Report struct {
	Kind    misuse.Kind
	Op      Op      // how it was found
	Addr    uintptr // the address that was freed, or the first byte that was written or accessed
	Size    uintptr // as the caller has passed it
	Align   uintptr // as the caller has passed it
	Block   Block   // the block concerned; its Addr is 0 if there is none
	Offset  int     // Addr - Block.Addr
	Bytes   uintptr // number of bytes that differ from the pattern, or 0
	Last    uintptr // address of the last of these bytes
	Written []byte  // the content of the bytes from Addr to Last, at most maxSeen of them
	Stack   Stack   // where the misuse was found
	Public  any     // the Report of the public package memcheck made of this one, if it was made
}

// Block describes a block.
type Block struct {
	Addr, Size, Align uintptr
	Number            uint64 // of its allocation, counted from 1
	Guarded           bool
	Freed             bool
	AllocStack        Stack
	FreeStack         Stack
}

// Distance returns in words where Addr lies: "4 bytes past the end of", "1 byte before", "8 bytes
// into".
func (r *Report) Distance() string {
	switch size := int(r.Block.Size); {
	case r.Offset < 0:
		return count(-r.Offset) + " before"
	case r.Offset >= size:
		return count(r.Offset-size) + " past the end of"
	default:
		return count(r.Offset) + " into"
	}
}

// Error returns the first line of String, without the prefix "galloc: ".
func (r *Report) Error() string {
	call := fmt.Sprintf("%s of %#x as %s (align %d)", r.Op, r.Addr, count(int(r.Size)), r.Align)
	where := r.Distance() + " " + r.Block.String()
	switch r.Kind {
	case misuse.DoubleFree:
		b := r.Block
		b.Freed = false // String would say it twice
		return fmt.Sprintf("double free: %s was freed before", b)
	case misuse.ForeignFree:
		return fmt.Sprintf("foreign free: %s: no block of this allocator is there, or was recently", call)
	case misuse.InteriorFree:
		return fmt.Sprintf("interior free: %s: the address is %s", call, where)
	case misuse.WrongLayout:
		return fmt.Sprintf("wrong layout: %s, but it is %s", call, r.Block)
	case misuse.ZeroSize:
		if r.Op == OpVerify {
			return fmt.Sprintf("zero-size block: %s written at %#x, where blocks of size 0 are: they have no memory",
				were(r.Bytes), r.Addr)
		}
		return fmt.Sprintf("zero-size block: %s: it is the address of blocks of size 0, which have no memory", call)
	case misuse.WildAccess:
		return fmt.Sprintf("wild access: guarded memory was accessed at %#x, and no block is or was near", r.Addr)
	case misuse.Overlap:
		return fmt.Sprintf("overlap: the allocator inside has returned the memory of %s, which was not freed there: "+
			"was that allocator reset, or the block freed, without the checker?", r.Block)
	case 0:
		return fmt.Sprintf("no misuse: %#x is %s", r.Addr, where)
	}
	switch {
	case r.Op == OpAccess:
		return fmt.Sprintf("%s: access to %#x, %s", r.Kind, r.Addr, where)
	case r.Bytes == 0: // a freed block was resized
		return fmt.Sprintf("%s: %s: it is %s", r.Kind, call, r.Block)
	case r.Bytes == 1:
		return fmt.Sprintf("%s: 1 byte was written, %s", r.Kind, where)
	}
	return fmt.Sprintf("%s: %s written, from %s", r.Kind, were(r.Bytes), where)
}

// String returns the whole report, on several lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "galloc: %s\n", r.Error())
	stack := func(label string, s Stack) {
		if len(s) > 0 {
			fmt.Fprintf(&b, "%s:\n%s", label, s)
		}
	}
	label := "at this " + r.Op.String()
	if r.Bytes != 0 {
		label = "detected by this " + r.Op.String()
	}
	stack(label, r.Stack)
	if r.Block.Addr != 0 {
		label := fmt.Sprintf("the block at %#x was allocated here (allocation %d)", r.Block.Addr, r.Block.Number)
		stack(label, r.Block.AllocStack)
		if r.Block.Freed {
			stack("and freed here", r.Block.FreeStack)
		}
	}
	r.dump(&b)
	if side := r.guardSide(); side != "" {
		fmt.Fprintf(&b, "hint: with GALLOC=debug,guard=%s, or Options.Guard, the program stops at the write\n", side)
	}
	return b.String()
}

// guardSide returns the value of the option guard that finds such a write at once, or "" if none
// does.
func (r *Report) guardSide() string {
	switch {
	case r.Bytes == 0 || r.Block.Addr == 0 || r.Block.Guarded || vm.GoMemory:
		return ""
	case r.Kind == misuse.Underflow:
		return "start"
	}
	return "end"
}

// dump writes the bytes that the program has written, 16 on a line.
func (r *Report) dump(b *strings.Builder) {
	if len(r.Written) == 0 {
		return
	}
	pattern := byte(zonePattern)
	switch r.Kind {
	case misuse.UseAfterFree:
		pattern = freedPattern
	case misuse.ZeroSize:
		pattern = 0
	}
	b.WriteString("bytes written (.. is unchanged):\n")
	for i := 0; i < len(r.Written); i += 16 {
		line := r.Written[i:min(i+16, len(r.Written))]
		fmt.Fprintf(b, "\t%#x:", r.Addr+uintptr(i))
		for _, v := range line {
			if v == pattern {
				b.WriteString(" ..")
			} else {
				fmt.Fprintf(b, " %02x", v)
			}
		}
		fmt.Fprintf(b, "%*s", 3*(16-len(line))+2, "")
		for _, v := range line {
			if v < ' ' || v > '~' {
				v = '.'
			}
			b.WriteByte(v)
		}
		b.WriteByte('\n')
	}
}

func (b Block) String() string {
	freed := ""
	if b.Freed {
		freed = "freed "
	}
	return fmt.Sprintf("the %s%d-byte block (align %d) at %#x", freed, b.Size, b.Align, b.Addr)
}

// were returns "1 byte was" or "n bytes were".
func were(n uintptr) string {
	if n == 1 {
		return "1 byte was"
	}
	return count(int(n)) + " were"
}

func count(n int) string { return plural(n, "byte") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (c *Checker) describe(b *record) Block {
	return Block{
		Addr: b.addr, Size: b.size, Align: 1 << b.lg, Number: b.number,
		Guarded: c.pool.containsAddr(b.addr), Freed: b.freed,
		AllocStack: c.stacks.Get(b.allocStack), FreeStack: c.stacks.Get(b.freeStack),
	}
}

func (c *Checker) damageReport(op Op, b *record, d damage) *Report {
	return &Report{
		Kind: d.kind, Op: op, Addr: d.at, Block: c.describe(b), Offset: int(d.at - b.addr),
		Bytes: d.count, Last: d.last, Written: d.seen[:min(int(d.last-d.at)+1, len(d.seen))],
	}
}

func (c *Checker) reportDamage(op Op, b *record, found [3]damage) {
	for _, d := range found {
		if d.count != 0 {
			c.report(c.damageReport(op, b, d))
		}
	}
}

// refuse reports why op of p is misuse. If known, b is the record of the block that starts at p.
func (c *Checker) refuse(op Op, p unsafe.Pointer, size, align uintptr, b record, known bool) {
	r := &Report{Op: op, Addr: uintptr(p), Size: size, Align: align, Kind: misuse.ForeignFree}
	if !known {
		b, known = c.around(r.Addr)
	}
	if known {
		r.Kind = misuse.InteriorFree
		if r.Addr == b.addr {
			r.Kind = b.misuse(op, size, align)
		}
		r.Block, r.Offset = c.describe(&b), int(r.Addr-b.addr)
	}
	switch {
	case r.Kind == 0: // the block was allocated while this ran: p was no block when op began
		r.Kind, r.Block = misuse.ForeignFree, Block{}
	case !known && c.options.ZeroSize != nil && p == c.options.ZeroSize(align):
		r.Kind = misuse.ZeroSize
	}
	c.report(r)
}

// around returns the record of the block that an address belongs to, with its zones, allocated or
// freed.
func (c *Checker) around(addr uintptr) (record, bool) {
	if c.pool.containsAddr(addr) {
		return c.pool.nearest(addr)
	}
	if b, ok := c.exact(addr); ok {
		return b, true
	}
	for i := range c.tables {
		t := &c.tables[i]
		t.mu.Lock()
		for _, b := range t.blocks {
			if b.covers(addr) {
				t.mu.Unlock()
				return b, true
			}
		}
		t.mu.Unlock()
	}
	return c.history.find(addr)
}

// Explain describes an address as a report of an access to it: the block that contains it, that is
// or was guarded near it, or whose zones contain it. It returns nil if there is none. In the pool
// the nearest block counts; elsewhere, allocated blocks come before freed ones.
func (c *Checker) Explain(addr uintptr) *Report {
	b, ok := c.around(addr)
	if !ok {
		if c.pool.containsAddr(addr) {
			return &Report{Kind: misuse.WildAccess, Op: OpAccess, Addr: addr}
		}
		return nil
	}
	r := &Report{Op: OpAccess, Addr: addr, Block: c.describe(&b), Offset: int(addr - b.addr)}
	switch {
	case b.freed:
		r.Kind = misuse.UseAfterFree
	case r.Offset < 0:
		r.Kind = misuse.Underflow
	case addr-b.addr >= b.size:
		r.Kind = misuse.Overflow
	}
	return r
}

// PageFault returns a report if recovered is the value of a panic for an access to guarded memory
// of c, and nil otherwise. Go panics for such an access only if [runtime/debug.SetPanicOnFault] is
// set. Report adds the stack.
func (c *Checker) PageFault(recovered any) *Report {
	e, ok := recovered.(interface {
		error
		RuntimeError()
		Addr() uintptr
	})
	if !ok || !c.pool.containsAddr(e.Addr()) {
		return nil
	}
	r := c.Explain(e.Addr())
	if r.Kind == 0 { // the slot has been reused, and nothing is known of the block that was meant
		r.Kind, r.Block, r.Offset = misuse.WildAccess, Block{}, 0
	}
	return r
}

// Report reports r, with the stack of its caller.
func (c *Checker) Report(r *Report) { c.report(r) }
