// What is said about a mistake. See debug.go for overview.

package debug

import (
	"fmt"
	"strings"
	"unsafe"
)

// A Kind is a kind of mistake.
type Kind uint8

// The kinds.
const (
	DoubleFree   Kind = iota + 1 // a block was freed that was freed before
	ForeignFree                  // what was freed or resized is no block of this allocator
	InteriorFree                 // the same, but lies in a block or the zones around it
	WrongLayout                  // the block has another size or alignment
	ZeroSize                     // the address stands for blocks of size 0, and was given back with another size
	Overflow                     // bytes behind the block were written, or touched if they are guarded
	Underflow                    // bytes before it were
	UseAfterFree                 // bytes of the block were, after it was freed; or it was resized
	WildAccess                   // an access to guarded pages crashed, and no block is near
	Overlap                      // the inner allocator has handed out a block that it has not got back
)

var kinds = [...]string{"no mistake", "double free", "foreign free", "interior free", "wrong layout", "block of size 0", "overflow", "underflow", "use after free", "wild access", "overlap"}

func (k Kind) String() string { return kinds[min(int(k), len(kinds)-1)] }

// An Op says what the program was doing when the mistake was found.
type Op uint8

// The operations.
const (
	OpFree    Op = iota + 1 // gave a block back
	OpRealloc               // resized one
	OpVerify                // nothing: the block left the quarantine, its slot was taken up again, or CheckAll was called
	OpAccess                // touched a guarded page
	OpAlloc                 // asked for a block
)

var ops = [...]string{"", "free", "realloc", "verification", "access", "allocation"}

func (o Op) String() string { return ops[min(int(o), len(ops)-1)] }

// A Report says what is wrong. It is the caller's.
type Report struct {
	Kind    Kind
	Op      Op      // how it was found
	Addr    uintptr // what was given back, or the first byte that was written or touched
	Size    uintptr // as it was given back
	Align   uintptr // as it was given back
	Block   Block   // the block concerned; its Addr is 0 if there is none
	Offset  int     // Addr - Block.Addr
	Bytes   uintptr // that were written, as far as they differ from the pattern; 0 if something else is wrong
	Last    uintptr // the last of these
	Written []byte  // what the bytes from Addr to Last were found to be, the first 64 of them
	Stack   Stack   // where it was found, which need not be where it was done
}

// Block is what is known of a block.
type Block struct {
	Addr, Size, Align uintptr
	Number            uint64 // of its allocation, counted from 1
	Freed             bool
	AllocStack        Stack
	FreeStack         Stack
}

// Distance says where Addr lies, in words: "4 bytes past the end of", "1 byte before", "8 bytes into".
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

// Error is the first line of String without "galloc: ".
func (r *Report) Error() string {
	given := fmt.Sprintf("%s of %#x as %s (align %d)", r.Op, r.Addr, count(int(r.Size)), r.Align)
	where := r.Distance() + " " + r.Block.String()
	switch r.Kind {
	case DoubleFree:
		return fmt.Sprintf("double free: %s, which is free already", r.Block)
	case ForeignFree:
		return fmt.Sprintf("foreign free: %s: no block of this allocator is there, or was lately", given)
	case InteriorFree:
		return fmt.Sprintf("interior free: %s: that is %s", given, where)
	case WrongLayout:
		return fmt.Sprintf("wrong layout: %s, but it is %s", given, r.Block)
	case ZeroSize:
		if r.Op == OpVerify {
			return fmt.Sprintf("block of size 0: it was written to, %s from %#x on", count(int(r.Bytes)), r.Addr)
		}
		return fmt.Sprintf("block of size 0: %s: the address stands for blocks of size 0, and has no memory", given)
	case WildAccess:
		return fmt.Sprintf("wild access to %#x: no block is or was near", r.Addr)
	case Overlap:
		return fmt.Sprintf("overlap: the inner allocator has handed out the memory of %s, which it has not got back: was it reset, or that freed, behind this one?", r.Block)
	case 0:
		return fmt.Sprintf("no mistake: %#x is %s", r.Addr, where)
	}
	switch {
	case r.Op == OpAccess:
		return fmt.Sprintf("%s: access to %#x, %s", r.Kind, r.Addr, where)
	case r.Bytes == 0: // a freed block was resized
		return fmt.Sprintf("%s: %s: that is %s", r.Kind, given, r.Block)
	case r.Bytes == 1:
		return fmt.Sprintf("%s: 1 byte was written, %s, found at %s", r.Kind, where, r.Op)
	}
	return fmt.Sprintf("%s: %s were written, from %s, found at %s", r.Kind, count(int(r.Bytes)), where, r.Op)
}

// String is the report in full, on several lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "galloc: %s\n", r.Error())
	stack := func(what string, s Stack) {
		if len(s) > 0 {
			fmt.Fprintf(&b, "%s:\n%s", what, s)
		}
	}
	stack("found here", r.Stack)
	if r.Block.Addr != 0 {
		stack(fmt.Sprintf("the block at %#x was allocated here (allocation %d)", r.Block.Addr, r.Block.Number), r.Block.AllocStack)
		if r.Block.Freed {
			stack("it was freed here", r.Block.FreeStack)
		}
	}
	r.dump(&b)
	return b.String()
}

// dump shows what was written, 16 bytes on a line.
func (r *Report) dump(b *strings.Builder) {
	if len(r.Written) == 0 {
		return
	}
	pattern := byte(zonePattern)
	switch r.Kind {
	case UseAfterFree:
		pattern = freedPattern
	case ZeroSize:
		pattern = 0
	}
	b.WriteString("what was written (.. is as it was before):\n")
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

func count(n int) string { return plural(n, "byte") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (d *Debugger) describe(b *block) Block {
	return Block{b.addr, b.size, 1 << b.lg, b.number, b.freed, d.stacks.get(b.allocStack), d.stacks.get(b.freeStack)}
}

func (d *Debugger) damageReport(op Op, b *block, w wound) *Report {
	return &Report{
		Kind: w.kind, Op: op, Addr: w.at, Block: d.describe(b), Offset: int(w.at - b.addr),
		Bytes: w.count, Last: w.last, Written: w.seen[:min(int(w.last-w.at)+1, len(w.seen))],
	}
}

func (d *Debugger) tellDamage(op Op, b *block, damage [3]wound) {
	for _, w := range damage {
		if w.count != 0 {
			d.tell(d.damageReport(op, b, w))
		}
	}
}

// refuse reports what is wrong with op of p. b is the record of the block that began there, if known: it was not to be ended like that.
func (d *Debugger) refuse(op Op, p unsafe.Pointer, size, align uintptr, b block, known bool) {
	r := &Report{Op: op, Addr: uintptr(p), Size: size, Align: align, Kind: ForeignFree}
	if !known {
		b, known = d.around(r.Addr)
	}
	if known {
		r.Kind = InteriorFree
		if r.Addr == b.addr {
			r.Kind = b.mistaken(op, size, align)
		}
		r.Block, r.Offset = d.describe(&b), int(r.Addr-b.addr)
	}
	switch {
	case r.Kind == 0: // it was allocated meanwhile, so p was none when it was given back
		r.Kind, r.Block = ForeignFree, Block{}
	case !known && d.options.ZeroSize != nil && p == d.options.ZeroSize(align):
		r.Kind = ZeroSize
	}
	d.tell(r)
}

// around returns the record of the block that an address belongs to, with its zones, be it live or freed.
func (d *Debugger) around(addr uintptr) (block, bool) {
	if d.pool.containsAddr(addr) {
		return d.pool.nearest(addr)
	}
	if b, ok := d.exact(addr); ok {
		return b, true
	}
	for i := range d.tables {
		t := &d.tables[i]
		t.mu.Lock()
		for _, b := range t.blocks {
			if b.covers(addr) {
				t.mu.Unlock()
				return b, true
			}
		}
		t.mu.Unlock()
	}
	return d.history.find(addr)
}

// Explain says which block an address belongs to, is or was guarded near, or lies in the zones of, as a report of an access to it; or
// nil if there is no such block. Of several the pool's nearest counts, and live blocks before those that were freed long ago.
func (d *Debugger) Explain(addr uintptr) *Report {
	b, ok := d.around(addr)
	if !ok {
		if d.pool.containsAddr(addr) {
			return &Report{Kind: WildAccess, Op: OpAccess, Addr: addr}
		}
		return nil
	}
	r := &Report{Op: OpAccess, Addr: addr, Block: d.describe(&b), Offset: int(addr - b.addr)}
	switch {
	case b.freed:
		r.Kind = UseAfterFree
	case r.Offset < 0:
		r.Kind = Underflow
	case addr-b.addr >= b.size:
		r.Kind = Overflow
	}
	return r
}

// Fault turns what was recovered from a panic into a report, for Report to add the stack to, if it is an access to guarded pages of d. That is a panic only
// where [runtime/debug.SetPanicOnFault] is set, and the end of the program otherwise.
func (d *Debugger) Fault(recovered any) *Report {
	e, ok := recovered.(interface {
		error
		RuntimeError()
		Addr() uintptr
	})
	if !ok || !d.pool.containsAddr(e.Addr()) {
		return nil
	}
	r := d.Explain(e.Addr())
	if r.Kind == 0 { // there is a block again, and of the one that was meant nothing is known any more
		r.Kind, r.Block, r.Offset = WildAccess, Block{}, 0
	}
	return r
}

// Report tells the handler, with the stack that it is called on.
func (d *Debugger) Report(r *Report) { d.tell(r) }
