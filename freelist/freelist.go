// Package freelist keeps freed blocks of one range of sizes for the next who asks, in front of an
// upstream allocator that is slower, or shared, or wastes what is freed.
//
// A List with the range [Min, Max] makes each block of that range Max bytes long, so that any of
// them serves any request in the range. What is freed stays in the list, up to Keep blocks, that
// is Keep·Max bytes; the last block that was freed is the first to be handed out. Everything else
// passes through to upstream.
//
// # Costs
//
// Allocate and Deallocate of a block in the range are some instructions while the list is neither
// empty nor full, and otherwise a call of upstream. The list itself takes Keep pointers, 8 bytes
// each, on the Go heap, made by New. They stand apart from the blocks: what is written to a block
// that has been freed cannot corrupt the list, and where upstream is galloc.GoHeap, the garbage
// collector sees what is kept. Links within the freed blocks would save those 8 bytes, and cost a
// cache miss for each block that has got cold: RATIONALE.md has the figures.
//
// # What it cannot do
//
// It is not safe for concurrent use, even if upstream is. It does not know its blocks, so a block
// that is given back twice is kept twice, and it has neither Owns nor Reset. Blocks that are kept
// are never given back by themselves: see [List.Trim].
//
// The idea is as old as Lisp (McCarthy 1960); a range of sizes and a bound in front of any parent
// is that of FreeList in D's std.experimental.allocator.
package freelist

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Options says which blocks a List keeps, and how many. Max must be set.
type Options struct {
	// Min and Max are the range of the sizes in bytes, both included. A block of the range takes
	// Max bytes, so Min should not be much less. If Min is 0, it is Max/2+1: no block then takes
	// twice what was asked for.
	Min, Max uintptr
	// Align is the alignment in bytes of the blocks in the range. What needs a higher one passes
	// through. 0 stands for 16.
	Align uintptr
	// Keep is how many blocks are kept at most, up to 1<<28. 0 stands for 1024.
	Keep int
}

const (
	defaultAlign = 16
	defaultKeep  = 1024
	mostKeep     = 1 << 28 // for more pointers there may be no Go memory, which would end the program
)

// List is a free list in front of an upstream allocator, made by [New]. It is not safe for
// concurrent use. It is equivalent to itself only: upstream cannot take back its blocks.
//
//	len(kept) <= cap(kept) == Keep
//	each of kept was allocated upstream with the layout block, and is in kept once
//	a block of the range is block.Size() = Max bytes long; one of a size below Min has less than
//	Min bytes, even if upstream gave more: so the layouts that fit a block agree on where it belongs
type List struct {
	min   uintptr
	block galloc.Layout // Max bytes, aligned to Align
	kept  []unsafe.Pointer

	upstream galloc.Allocator
	reused   uint64
	fetched  uint64
}

// The abilities of a List. Those with a default pass through to upstream's, or its default.
var (
	_ galloc.ZeroedAllocator = (*List)(nil)
	_ galloc.Grower          = (*List)(nil)
	_ galloc.Shrinker        = (*List)(nil)
	_ galloc.Resizer         = (*List)(nil)
	_ galloc.UsableSizer     = (*List)(nil)
)

// New returns a List, empty, in front of upstream; nil stands for [galloc.Global]. It fails if the
// options cannot be met, with an error that says what to change; upstream is not called. The caller
// gives what is kept back by [List.Trim], when everything is freed.
func New(upstream galloc.Allocator, o Options) (*List, error) {
	if upstream == nil {
		upstream = galloc.Global
	}
	if o.Min == 0 {
		o.Min = o.Max/2 + 1
	}
	if o.Align == 0 {
		o.Align = defaultAlign
	}
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	switch {
	case o.Max == 0:
		return nil, fmt.Errorf("galloc/freelist: Max is 0: make it the size in bytes of the largest blocks to keep")
	case o.Min > o.Max:
		return nil, fmt.Errorf("galloc/freelist: Min %d exceeds Max %d: make it less", o.Min, o.Max)
	case o.Keep < 0 || uintptr(o.Keep) > min(math.MaxInt/o.Max, mostKeep):
		return nil, fmt.Errorf("galloc/freelist: Keep is %d blocks of %d bytes: make it 1 to %d", o.Keep, o.Max, min(math.MaxInt/o.Max, mostKeep))
	}
	block, err := galloc.NewLayout(o.Max, o.Align)
	if err != nil {
		return nil, err
	}
	return &List{min: o.Min, block: block, kept: make([]unsafe.Pointer, 0, o.Keep), upstream: upstream}, nil
}

// Trim gives all blocks that are kept back upstream, and returns how many bytes that were. Blocks that
// are allocated stay so, and the List may be used on.
func (f *List) Trim() uintptr {
	n := len(f.kept)
	for i := n - 1; i >= 0; i-- {
		p := f.kept[i]
		f.kept[i] = nil
		f.kept = f.kept[:i]
		f.upstream.Deallocate(p, f.block)
	}
	return uintptr(n) * f.block.Size()
}

// Stats is what a List has and what it has done.
type Stats struct {
	Kept    int     // blocks in the list
	Bytes   uintptr // their size together
	Reused  uint64  // blocks of the range that came from the list
	Fetched uint64  // blocks of the range that came from upstream, or would have if it had any
}

// Stats tells what there is now. It costs nothing.
func (f *List) Stats() Stats {
	return Stats{len(f.kept), uintptr(len(f.kept)) * f.block.Size(), f.reused, f.fetched}
}

// Upstream returns where the blocks come from.
func (f *List) Upstream() galloc.Allocator { return f.upstream }

// String returns a name with the range of sizes, and the upstream.
func (f *List) String() string {
	var up any = f.upstream
	if _, ok := up.(fmt.Stringer); !ok {
		up = fmt.Sprintf("%T", up) // and not what is in it
	}
	return fmt.Sprintf("free list of %d to %d bytes on %v", f.min, f.block.Size(), up)
}

// inRange reports whether blocks of layout l are those of the list.
func (f *List) inRange(l galloc.Layout) bool {
	// Below Min, the difference comes out too large.
	return l.Size()-f.min <= f.block.Size()-f.min && l.Align() <= f.block.Align()
}

// Allocate returns a block of Max bytes if l is in the range, and otherwise one from upstream, cut
// off below Min if l is. It fails if upstream does, with its error. Blocks of size 0 are upstream's.
func (f *List) Allocate(l galloc.Layout) ([]byte, error) {
	if !f.inRange(l) {
		b, err := f.upstream.Allocate(l)
		return f.cut(b, l), err
	}
	if p := f.pop(); p != nil {
		return f.slice(p), nil
	}
	b, err := f.upstream.Allocate(f.block)
	return f.exact(b), err
}

// AllocateZeroed is Allocate with all bytes zero: those of a block from the list are cleared, and
// for others it is upstream's AllocateZeroed or its default.
func (f *List) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if !f.inRange(l) {
		b, err := galloc.AllocateZeroed(f.upstream, l)
		return f.cut(b, l), err
	}
	if p := f.pop(); p != nil {
		b := f.slice(p)
		clear(b)
		return b, nil
	}
	b, err := galloc.AllocateZeroed(f.upstream, f.block)
	return f.exact(b), err
}

// Deallocate keeps the block at p if l, which must fit it, is in the range and the list is not full.
// Otherwise it gives the block back upstream.
func (f *List) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	switch {
	case !f.inRange(l):
		f.upstream.Deallocate(p, l)
	case len(f.kept) < cap(f.kept):
		f.kept = append(f.kept, p)
	default:
		f.upstream.Deallocate(p, f.block)
	}
}

// pop returns the block that was kept last, or nil.
func (f *List) pop() unsafe.Pointer {
	n := len(f.kept) - 1
	if n < 0 {
		f.fetched++
		return nil
	}
	p := f.kept[n]
	f.kept[n] = nil // the garbage collector looks at all of the array, and p may be GoHeap's
	f.kept = f.kept[:n]
	f.reused++
	return p
}

func (f *List) slice(p unsafe.Pointer) []byte {
	// SAFETY: a block that is kept was allocated with Max bytes.
	return unsafe.Slice((*byte)(p), f.block.Size())
}

// exact makes a block of the range Max bytes long; b is nil if there is none.
func (f *List) exact(b []byte) []byte {
	n := min(f.block.Size(), uintptr(len(b)))
	return b[:n:n]
}

// cut makes a block of layout l, which is not in the range, end below Min if l does, so that no layout
// that fits it is in the range.
func (f *List) cut(b []byte, l galloc.Layout) []byte {
	if l.Size() < f.min && uintptr(len(b)) >= f.min {
		return b[: f.min-1 : f.min-1]
	}
	return b
}
