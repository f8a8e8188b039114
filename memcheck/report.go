package memcheck

import (
	"runtime"

	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/misuse"
)

// A Kind is a kind of misuse.
type Kind uint8

// The kinds of misuse.
const (
	// DoubleFree: the block was freed before.
	DoubleFree Kind = iota + 1
	// ForeignFree: the address that was freed or resized is not of this allocator.
	ForeignFree
	// InteriorFree: the address that was freed or resized lies inside a block or next to one.
	InteriorFree
	// WrongLayout: the block has another size or alignment.
	WrongLayout
	// ZeroSize: the address of blocks of size 0 was freed with a size, or written to.
	ZeroSize
	// Overflow: bytes past the end of the block were written, or accessed if they are guarded.
	Overflow
	// Underflow: bytes before the block were written, or accessed if they are guarded.
	Underflow
	// UseAfterFree: bytes of a freed block were written, or accessed if they are guarded; or the
	// block was resized.
	UseAfterFree
	// WildAccess: guarded memory was accessed, and no block is near.
	WildAccess
	// Overlap: the allocator inside has returned memory that is in use.
	Overlap
)

// String returns the kind in words, such as "double free".
func (k Kind) String() string { return misuse.Kind(k).String() }

// An Op is what the program was doing when misuse was found.
type Op uint8

// The operations.
const (
	OpFree    Op = iota + 1 // it freed a block
	OpRealloc               // it resized a block
	OpVerify                // it verified a freed block or reused its memory, or called CheckAll
	OpAccess                // it accessed guarded memory
	OpAlloc                 // it allocated a block
)

// String returns the operation in words, such as "free".
func (o Op) String() string { return memcheck.Op(o).String() }

// A Report describes one misuse. It is an error.
type Report struct {
	Kind    Kind
	Op      Op        // how it was found
	Addr    uintptr   // the address that was freed, or the first byte that was written or accessed
	Size    uintptr   // in bytes, as the caller has passed it
	Align   uintptr   // in bytes, as the caller has passed it
	Block   BlockInfo // the block concerned; its Addr is 0 if there is none
	Offset  int       // Addr - Block.Addr, in bytes: see Distance
	Bytes   uintptr   // number of bytes that were changed by writing, or 0
	Last    uintptr   // address of the last of these bytes
	Written []byte    // the content of the bytes from Addr to Last, at most 64 of them
	Stack   Stack     // where the misuse was found
}

// reportOf returns the public form of r, which is made once.
func reportOf(r *memcheck.Report) *Report {
	if r == nil {
		return nil
	}
	if r.Public == nil {
		b := &r.Block
		r.Public = &Report{
			Kind(r.Kind), Op(r.Op), r.Addr, r.Size, r.Align,
			BlockInfo{b.Addr, b.Size, b.Align, b.Number, b.Guarded, b.Freed, Stack(b.AllocStack), Stack(b.FreeStack)},
			r.Offset, r.Bytes, r.Last, r.Written, Stack(r.Stack),
		}
	}
	return r.Public.(*Report)
}

func (r *Report) internal() *memcheck.Report {
	return &memcheck.Report{
		Kind: misuse.Kind(r.Kind), Op: memcheck.Op(r.Op), Addr: r.Addr, Size: r.Size, Align: r.Align,
		Block: r.Block.internal(), Offset: r.Offset, Bytes: r.Bytes, Last: r.Last, Written: r.Written,
		Stack: memcheck.Stack(r.Stack),
	}
}

// Error returns the first line of String, without the prefix "galloc: ".
func (r *Report) Error() string { return r.internal().Error() }

// String returns the whole report, on several lines: the misuse, the stacks, and the bytes that
// were written.
func (r *Report) String() string { return r.internal().String() }

// Distance returns in words where Addr lies: "4 bytes past the end of", "1 byte before", "8 bytes
// into".
func (r *Report) Distance() string { return r.internal().Distance() }

// BlockInfo describes a block.
type BlockInfo struct {
	Addr       uintptr
	Size       uintptr // in bytes
	Align      uintptr // in bytes
	Number     uint64  // of its allocation, counted from 1
	Guarded    bool    // it occupies separate pages
	Freed      bool
	AllocStack Stack // where it was allocated
	FreeStack  Stack // where it was freed, if it was
}

func (b *BlockInfo) internal() memcheck.Block {
	return memcheck.Block{
		Addr: b.Addr, Size: b.Size, Align: b.Align, Number: b.Number, Guarded: b.Guarded, Freed: b.Freed,
		AllocStack: memcheck.Stack(b.AllocStack), FreeStack: memcheck.Stack(b.FreeStack),
	}
}

// String describes the block in a few words.
func (b BlockInfo) String() string { return b.internal().String() }

// A Leak is the blocks that were allocated by one call of the program and not freed.
type Leak struct {
	Stack  Stack   // of the first allocation; Stack.Place is the call
	Blocks int     // number of blocks
	Bytes  uintptr // of all of them, without zones
	First  uint64  // number of the first of these allocations
}

// String returns several lines: the number of blocks, the file and line of the call, the function
// that it called, and the stack.
func (l Leak) String() string {
	return memcheck.Leak{Stack: memcheck.Stack(l.Stack), Blocks: l.Blocks, Bytes: l.Bytes, First: l.First}.String()
}

// A Stack is a stack of calls, the latest first, as [runtime.Callers] returns it.
type Stack []uintptr

// Frames returns the calls, without those at the top that are within galloc or handle a crash, and
// without runtime.main and runtime.goexit at the bottom.
func (s Stack) Frames() []runtime.Frame { return memcheck.Stack(s).Frames() }

// Place returns the latest call in the program itself: not in galloc, and not in Go's standard
// library. If there is none, it returns the first of Frames, or the zero Frame if no stack was
// kept.
func (s Stack) Place() runtime.Frame { return memcheck.Stack(s).Place() }

// String returns the function and the place of each call, on two lines, as Go's tracebacks show
// them.
func (s Stack) String() string { return memcheck.Stack(s).String() }
