// Package memcheck finds misuse of memory: double frees, frees of wrong addresses and sizes, writes
// past the ends of blocks and to freed blocks, and leaks.
//
// A program need not be changed for it. Run it with the environment variable GALLOC=debug, and the
// memory of its global allocator is checked; package galloc describes the options. The import of
// package global/debug does the same. [Global] returns the Checker then, for a program that wants
// to list its leaks when it ends.
//
// [New] returns a [Checker] in front of any allocator:
//
//	a := memcheck.New(nil, memcheck.Options{})
//	defer a.ReportLeaks(os.Stderr)
//
// # Reports
//
// A report names the misuse, the block, and the stacks involved:
//
//	galloc: overflow: 1 byte was written, 0 bytes past the end of the 16-byte block (align 8) at 0x7f5c4a2aa020
//	detected by this free:
//		main.main
//			/home/gopher/demo/main.go:21
//	the block at 0x7f5c4a2aa020 was allocated here (allocation 1):
//		main.newNode
//			/home/gopher/demo/main.go:10
//		main.main
//			/home/gopher/demo/main.go:19
//	bytes written (.. is unchanged):
//		0x7f5c4a2aa030: 07                                               .
//	hint: with GALLOC=debug,guard=end, or Options.Guard, the program stops at the write
//
// By default, it is written to standard error, and the program is aborted (SIGABRT on Unix). With
// Options.OnMisuse, the program continues.
//
// # What is checked
//
// Every block has a zone of at least 32 bytes on each side, filled with the pattern 0xfb. The zones
// are verified when the block is freed or resized, and by CheckAll. New blocks are filled with
// 0xa5. Freed blocks are filled with 0x5a and kept in a quarantine of 64 MiB. Each free verifies
// two of them in turn, and a block is verified again when it leaves the quarantine. Of blocks
// larger than the quarantine the last one is kept, and each free verifies 16 KiB of it. A resize
// always moves the block.
//
// So a write is found later than it happens, and reported with the stacks of the block, not of the
// write. A write that no free and no CheckAll follows is not found: defer ReportLeaks in main, or
// call CheckLeaks in tests. Reads are found only in guarded memory.
//
// A guarded block occupies separate pages, next to inaccessible pages, and its pages become
// inaccessible when it is freed. An access past its end or after its free crashes at once: see
// Options.Guard and [Checker.CatchPageFaults].
//
// # Leaks
//
// Leaks lists the blocks that are still allocated, by place of allocation. The place is the nearest
// call in the program itself. All blocks of a collection that one call has filled are one [Leak],
// at that call.
//
// # In production
//
// With Options.Sample, one allocation in n is guarded, and all others are passed on to the
// allocator inside. A guarded block costs several microseconds, and a block that is passed on a few
// nanoseconds.
//
// A heap in a Checker with Sample of 4096 or more that is registered as the global allocator keeps
// its fast path. Then a block is picked when a cache is empty, with the chance of all the blocks
// that refill the cache, and once every 10 ms on each P. A free costs one comparison more.
//
// # Costs
//
// An allocation and a free take 2 to 3 µs together, mostly for the stacks, plus the time to fill
// the block; 10 µs if it is guarded. Each block, allocated or in quarantine, has a record of about
// 100 bytes of Go memory.
//
// The method follows AddressSanitizer (2012), without the compiler; guarded pages and sampling
// follow GWP-ASan (2018).
package memcheck

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/inside"
	"github.com/galloc-go/galloc/internal/libc"
	"github.com/galloc-go/galloc/internal/memcheck"
)

// A Checker is an allocator that checks the use of its blocks. Make one with [New]. It has all
// methods of a [galloc.GlobalAlloc] and of an [galloc.Allocator], and may be registered as the
// global allocator if the allocator inside is another one.
//
// Blocks are exactly as large as requested, and must be freed with exactly that layout. Blocks of
// size 0 take no memory. Freeing another block as one of size 0 is misuse too. Memory from
// AllocateTyped is known, but has no zones, since the garbage collector scans it.
//
// The allocator inside must not free blocks by itself. Reset an arena by [galloc.Reset] of the
// Checker, not by its own method and not to a mark. Otherwise the Checker reports an [Overlap], or
// writes that nobody has done.
//
// A Checker is safe for concurrent use if the allocator inside is. Failing does not allocate Go
// memory.
type Checker struct {
	_ block.NoCopy

	handle
	in      inside.Allocator
	c       *memcheck.Checker // nil if nothing is checked: see Global
	front   *memcheck.Checker // c, or nil if the allocator inside does the checking: see Global
	sampled bool              // front is in sampled mode
}

// pkg begins the messages of panics.
const pkg = "galloc/memcheck"

// handle is what package galloc finds a Checker by. The alias keeps its method out of the
// documentation.
type handle = memcheck.Handle

// New returns a Checker in front of inner; nil is the global allocator. It panics if an option is
// out of range, or if there are options of guarded blocks and none could be guarded.
func New(inner galloc.Allocator, o Options) *Checker {
	w := &Checker{in: inside.Resolve(pkg, inner)}
	options := o.internal()
	options.Abort, options.ZeroSize = libc.Abort, zeroSize
	w.c = memcheck.New(inside.Sized{In: &w.in}, options)
	w.front = w.c
	w.sampled = w.c.Sampled()
	w.handle = memcheck.HandleOf(w.c, w.in.A)
	return w
}

// Unwrap returns the allocator inside.
func (w *Checker) Unwrap() galloc.Allocator { return w.in.A }

// String returns "memcheck(" and the name of the allocator inside.
func (w *Checker) String() string { return fmt.Sprintf("memcheck(%v)", w.in) }

// passes reports whether the block at p is checked by nobody, or by the allocator inside.
func (w *Checker) passes(p unsafe.Pointer) bool {
	return w.front == nil || w.sampled && w.front.Passes(p)
}

// picks reports whether the next block must be checked.
func (w *Checker) picks() bool { return w.front != nil && (!w.sampled || w.front.Picks()) }

// Alloc implements [galloc.GlobalAlloc].
func (w *Checker) Alloc(l galloc.Layout) unsafe.Pointer {
	if !w.picks() {
		return w.in.Alloc(l)
	}
	return w.front.AllocChecked(l.Size(), l.Align())
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (w *Checker) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if !w.picks() {
		return w.in.AllocZeroed(l)
	}
	p := w.front.AllocChecked(l.Size(), l.Align())
	if p != nil {
		block.Clear(p, l.Size())
	}
	return p
}

// Dealloc implements [galloc.GlobalAlloc].
func (w *Checker) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if w.passes(p) {
		w.in.Dealloc(p, l)
		return
	}
	w.front.Free(p, l.Size(), l.Align())
}

// Realloc implements [galloc.GlobalRealloc].
func (w *Checker) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil {
		return nil
	}
	if w.passes(p) {
		return w.in.Realloc(p, l, newSize)
	}
	return w.front.Realloc(p, l.Size(), l.Align(), n.Size(), n.Align())
}

// Allocate implements [galloc.Allocator].
func (w *Checker) Allocate(l galloc.Layout) ([]byte, error) {
	if !w.picks() {
		return w.in.A.Allocate(l)
	}
	return w.block(w.front.AllocChecked(l.Size(), l.Align()), l)
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (w *Checker) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if !w.picks() {
		return galloc.AllocateZeroed(w.in.A, l)
	}
	b, err := w.block(w.front.AllocChecked(l.Size(), l.Align()), l)
	block.ClearBytes(b)
	return b, err
}

// Deallocate implements [galloc.Allocator].
func (w *Checker) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if w.passes(p) {
		w.in.A.Deallocate(p, l)
		return
	}
	w.front.Free(p, l.Size(), l.Align())
}

// Grow implements [galloc.Grower].
func (w *Checker) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow(pkg, old.Size(), to.Size())
	if w.passes(p) {
		return galloc.Grow(w.in.A, p, old, to)
	}
	return w.change(p, old, to)
}

// GrowZeroed implements [galloc.Grower].
func (w *Checker) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow(pkg, old.Size(), to.Size())
	if w.passes(p) {
		return galloc.GrowZeroed(w.in.A, p, old, to)
	}
	b, err := w.change(p, old, to)
	if err == nil {
		block.ClearBytes(b[old.Size():])
	}
	return b, err
}

// Shrink implements [galloc.Shrinker].
func (w *Checker) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink(pkg, old.Size(), to.Size())
	if w.passes(p) {
		return galloc.Shrink(w.in.A, p, old, to)
	}
	return w.change(p, old, to)
}

func (w *Checker) change(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	return w.block(w.front.Realloc(p, old.Size(), old.Align(), to.Size(), to.Align()), to)
}

// Resize implements [galloc.Resizer]. A checked block cannot be resized without moving.
func (w *Checker) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if w.passes(p) {
		return galloc.Resize(w.in.A, p, l, newSize)
	}
	return w.front.Resize(p, l.Size(), l.Align(), newSize)
}

// UsableSize implements [galloc.UsableSizer]. Of a checked block, nothing but l.Size() may be used.
func (w *Checker) UsableSize(l galloc.Layout) uintptr {
	if w.front == nil {
		return galloc.UsableSize(w.in.A, l)
	}
	return l.Size()
}

// Owns reports whether p is the address of a checked block, allocated or in quarantine, or of a
// block passed on to the allocator inside. If that does not know its blocks, the error wraps
// [errors.ErrUnsupported]. See [galloc.Owns].
func (w *Checker) Owns(p unsafe.Pointer) (bool, error) {
	if !w.passes(p) {
		return w.front.Owns(p), nil
	}
	return galloc.Owns(w.in.A, p)
}

// BeforeReset verifies all blocks. [galloc.Reset] calls it.
func (w *Checker) BeforeReset() {
	if w.front != nil {
		w.front.CheckAll()
	}
}

// AfterReset takes all blocks as freed. [galloc.Reset] calls it.
func (w *Checker) AfterReset() {
	if w.front != nil {
		w.front.Reset()
	}
}

// AllocateTyped implements [galloc.TypedAllocator], if the allocator inside does: see
// [galloc.HoldsPointers].
func (w *Checker) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	p, err := galloc.AllocateTyped(w.in.A, t, n)
	if err == nil && w.front != nil {
		w.front.Adopt(p, t.Size()*uintptr(n), uintptr(t.Align()))
	}
	return p, err
}

// block returns the memory of a checked block of layout l at p, or the error if p is nil.
func (w *Checker) block(p unsafe.Pointer, l galloc.Layout) ([]byte, error) {
	if p == nil {
		return nil, bridge.Refusal(w.in.A) // not wrapped: failing must not allocate
	}
	return block.Bytes(p, l.Size()), nil // checked blocks are exactly as large
}

// zeroSize returns the address of blocks of size 0.
func zeroSize(align uintptr) unsafe.Pointer {
	l, err := galloc.NewLayout(0, align)
	if err != nil {
		return nil
	}
	return l.Dangling()
}
