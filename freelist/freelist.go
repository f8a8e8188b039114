// Package freelist keeps freed blocks of one range of sizes for later allocations, in front of an
// upstream allocator that is slower, or shared, or does not reuse freed blocks.
//
// A [List] with the range [Min, Max] makes each block of that range Max bytes long, so that any
// block serves any request in the range. Freed blocks stay in the list, at most Keep blocks, or
// Keep·Max bytes. An allocation returns the block that was freed last. All other requests pass
// through to the upstream.
//
// A List is a [galloc.Allocator], but not a GlobalAlloc.
//
// # Costs
//
// Allocate and Deallocate of a block in the range take a few instructions while the list is neither
// empty nor full, and otherwise a call of the upstream. The list takes 8 bytes on the Go heap for
// each of Keep blocks, allocated by New. It is outside the blocks, so a write to a freed block
// cannot corrupt it, and the garbage collector sees kept blocks from galloc.GoHeap. Links within
// the freed blocks would save the 8 bytes but cost a cache miss for each block that is no longer in
// the cache: RATIONALE.md has the figures.
//
// # Limits
//
// A List is not safe for concurrent use, even if its upstream is. It does not track its blocks: a
// block that is freed twice is kept twice, and there is no Owns or Reset. It does not release kept
// blocks by itself: see [List.Trim].
//
// Free lists are as old as Lisp (McCarthy 1960). The range of sizes and the bound, in front of any
// upstream, are those of FreeList in D's std.experimental.allocator.
package freelist

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
)

// Options configures a List. Max must be set.
type Options struct {
	// Min and Max are the lowest and the highest size in bytes of the range. A block of the range
	// takes Max bytes, so Min should not be much lower. 0 for Min means Max/2+1, so that a block
	// takes less than twice the requested size.
	Min, Max uintptr
	// Align is the alignment in bytes of the blocks of the range. Requests with a higher alignment
	// pass through. 0 means 16.
	Align uintptr
	// Keep is the maximum number of kept blocks, at most 1<<28. 0 means 1024.
	Keep int
}

const (
	defaultAlign = 16
	defaultKeep  = 1024
	maxKeep      = 1 << 28 // more pointers may not fit in the Go heap, which ends the program
)

// List is a free list in front of an upstream allocator, made by [New]. It is not safe for
// concurrent use. Only the List may free its blocks, not its upstream.
//
//	len(kept) <= cap(kept) == Keep
//	each of kept was allocated upstream with the layout block, and is in kept once
//	a block of the range has Max bytes
//	a block for a size below Min has fewer than Min bytes, even if upstream returned more
//	so all layouts that fit a block are on the same side of the range
type List struct {
	_ block.NoCopy

	minSize uintptr
	block   galloc.Layout // Max bytes, aligned to Align
	kept    []unsafe.Pointer

	upstream galloc.Allocator
	reused   uint64
	fetched  uint64
}

// Outside of the range, these call the method of upstream, or the default if upstream has none.
var (
	_ galloc.ZeroedAllocator = (*List)(nil)
	_ galloc.Grower          = (*List)(nil)
	_ galloc.Shrinker        = (*List)(nil)
	_ galloc.Resizer         = (*List)(nil)
	_ galloc.UsableSizer     = (*List)(nil)
)

// New returns an empty List in front of upstream, or of galloc.Global if upstream is nil. It does
// not call upstream. If the options are invalid, New returns an error that says what to change. It
// panics if upstream is a nil pointer or a zero heap.Heap. Close releases the kept blocks.
func New(upstream galloc.Allocator, o Options) (*List, error) {
	if upstream == nil {
		upstream = galloc.Global
	}
	bridge.CheckAllocator("galloc/freelist", upstream)
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
		return nil, fmt.Errorf("galloc/freelist: Min is larger than Max (%d > %d): make it smaller", o.Min, o.Max)
	case o.Keep < 0 || uintptr(o.Keep) > min(math.MaxInt/o.Max, maxKeep):
		return nil, fmt.Errorf("galloc/freelist: Keep is %d blocks of %d bytes: make it 1 to %d",
			o.Keep, o.Max, min(math.MaxInt/o.Max, maxKeep))
	}
	block, err := galloc.NewLayout(o.Max, o.Align)
	if err != nil {
		return nil, err
	}
	return &List{minSize: o.Min, block: block, kept: make([]unsafe.Pointer, 0, o.Keep), upstream: upstream}, nil
}

// Trim releases all kept blocks to the upstream and returns the number of bytes released. Blocks in
// use stay valid.
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

// Close releases all kept blocks to the upstream. The program must have freed all others: the list
// keeps a block that is freed later.
func (f *List) Close() { f.Trim() }

// Stats is the state of a List.
type Stats struct {
	Kept       uintptr // bytes of the kept blocks
	KeptBlocks int     // number of kept blocks
	Reused     uint64  // number of allocations in the range from the list
	Fetched    uint64  // number of allocations in the range from upstream, including failed ones
}

// Stats returns the state of the list.
func (f *List) Stats() Stats {
	return Stats{uintptr(len(f.kept)) * f.block.Size(), len(f.kept), f.reused, f.fetched}
}

// Upstream returns the allocator of the blocks.
func (f *List) Upstream() galloc.Allocator { return f.upstream }

// GarbageCollected implements [galloc.CollectedAllocator]. Only the upstream knows, because the
// list holds no pointers to the blocks in use.
func (f *List) GarbageCollected() bool { return galloc.GarbageCollected(f.upstream) }

// String returns the range of sizes and the name of the upstream.
func (f *List) String() string {
	return fmt.Sprintf("free list of %d to %d bytes on %v", f.minSize, f.block.Size(), block.Name(f.upstream))
}

// inRange reports whether l is in the range.
func (f *List) inRange(l galloc.Layout) bool {
	// Below Min, the difference wraps around to a large number.
	return l.Size()-f.minSize <= f.block.Size()-f.minSize && l.Align() <= f.block.Align()
}

// Allocate returns a block of Max bytes if l is in the range. Otherwise it returns a block from
// upstream, cut to less than Min bytes if l is below Min. If upstream fails, Allocate returns its
// error. Blocks of size 0 come from upstream.
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

// AllocateZeroed is like Allocate but returns a block of zeros. It clears a block from the list,
// and calls galloc.AllocateZeroed on upstream for others.
func (f *List) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if !f.inRange(l) {
		b, err := galloc.AllocateZeroed(f.upstream, l)
		return f.cut(b, l), err
	}
	if p := f.pop(); p != nil {
		block.Clear(p, f.block.Size())
		return f.slice(p), nil
	}
	b, err := galloc.AllocateZeroed(f.upstream, f.block)
	return f.exact(b), err
}

// Deallocate keeps the block at p, which l must fit, if l is in the range and the list is not full.
// Otherwise it frees the block upstream.
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

// pop removes the last block from the list and returns it, or nil if the list is empty.
func (f *List) pop() unsafe.Pointer {
	n := len(f.kept) - 1
	if n < 0 {
		f.fetched++
		return nil
	}
	p := f.kept[n]
	f.kept[n] = nil // the garbage collector scans the whole array, and p may be from GoHeap
	f.kept = f.kept[:n]
	f.reused++
	return p
}

func (f *List) slice(p unsafe.Pointer) []byte {
	// SAFETY: kept blocks were allocated with Max bytes.
	return block.Bytes(p, f.block.Size())
}

// exact cuts a block of the range to Max bytes. b may be nil.
func (f *List) exact(b []byte) []byte {
	n := min(f.block.Size(), uintptr(len(b)))
	return b[:n:n]
}

// cut cuts a block of layout l, which is not in the range, to less than Min bytes if l is below
// Min, so that no layout that fits the block is in the range.
func (f *List) cut(b []byte, l galloc.Layout) []byte {
	if l.Size() < f.minSize && uintptr(len(b)) >= f.minSize {
		return b[: f.minSize-1 : f.minSize-1]
	}
	return b
}
