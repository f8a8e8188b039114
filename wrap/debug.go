package wrap

import (
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/libc"
)

// Debugging is an allocator that finds mistakes in the use of its blocks: see [Debug].
type Debugging interface {
	Allocator
	Checks
}

// These are what mistakes are reported as.
type (
	// Report says what is wrong. String is all of it, on several lines; it is an error too, whose message is the first of these. Fields:
	//
	//	Kind    MistakeKind
	//	Op      MistakeOp    how it was found
	//	Addr    uintptr      what was given back, or the first byte that was written or touched
	//	Size    uintptr      as it was given back, in bytes
	//	Align   uintptr      as it was given back, in bytes
	//	Block   BlockInfo    the block concerned; its Addr is 0 if there is none
	//	Offset  int          Addr - Block.Addr; Distance says it in words: "4 bytes past the end of"
	//	Bytes   uintptr      that were written, as far as they differ from what was there; 0 if something else is wrong
	//	Last    uintptr      the last of these
	//	Written []byte       what is in the bytes from Addr to Last, the first 64 of them
	//	Stack   Stack        where it was found, which need not be where it was done
	Report = debug.Report
	// Stack is a stack of calls, the latest first. Frames returns them with names and places, without those within galloc.
	Stack = debug.Stack
	// MistakeKind is the kind of mistake in a Report.
	MistakeKind = debug.Kind
	// MistakeOp is how a mistake was found.
	MistakeOp = debug.Op
	// BlockInfo is what a Report says about a block. Fields:
	//
	//	Addr, Size, Align uintptr  in bytes
	//	Number            uint64   of its allocation, counted from 1
	//	Freed             bool
	//	AllocStack        Stack    where it was allocated
	//	FreeStack         Stack    where it was freed, if it was
	BlockInfo = debug.Block
	// Leak is the blocks allocated at one place and not freed. Its String is several lines: how many they are, the file and line of the
	// place, what was called there, and the stack. Fields:
	//
	//	Stack  Stack    of the allocation; Stack.Place is the place
	//	Blocks int
	//	Bytes  uintptr  of all of them
	//	First  uint64   the number of the first of these allocations
	Leak = debug.Leak
	// TB is what CheckLeaks needs of a testing.TB: Helper, Errorf and Cleanup.
	TB = debug.TB
	// Side says where a guarded block lies in its pages.
	Side = debug.Side
)

// The kinds of mistakes.
const (
	DoubleFree   = debug.DoubleFree   // a block was freed that was freed before
	ForeignFree  = debug.ForeignFree  // what was freed or resized is no block of this allocator
	InteriorFree = debug.InteriorFree // the same, but it lies in a block or right beside one
	WrongLayout  = debug.WrongLayout  // the block has another size or alignment
	ZeroSize     = debug.ZeroSize     // what stands for blocks of size 0 was freed as a larger one, or written to
	Overflow     = debug.Overflow     // bytes behind the block were written, or touched if they are guarded
	Underflow    = debug.Underflow    // bytes before it were
	UseAfterFree = debug.UseAfterFree // bytes of the block were, after it was freed; or it was resized
	WildAccess   = debug.WildAccess   // guarded memory was touched, and no block is near
	Overlap      = debug.Overlap      // the inner allocator has handed out the memory of a block that it has not got back
)

// How mistakes are found.
const (
	AtFree    = debug.OpFree    // when a block was given back
	AtRealloc = debug.OpRealloc // when it was resized
	AtVerify  = debug.OpVerify  // when freed memory was to be used again, or by CheckAll: later than it was done
	AtAccess  = debug.OpAccess  // at the access to guarded memory
	AtAlloc   = debug.OpAlloc   // when a block was allocated
)

// The sides: see Guard.
const (
	AtEnd    = debug.AtEnd    // the block ends where its pages end: finds overflows
	AtStart  = debug.AtStart  // the block begins where its pages begin: finds underflows
	AtEither = debug.AtEither // the one or the other, by chance
)

// A DebugOption is an option of Debug.
type DebugOption func(*debug.Options)

// OnMistake has h called for each mistake, in place of ending the program, by the goroutine that has found it; several may at once. It
// may use the allocator, and may panic or fail a test. When it returns, a block that was given back in a way that cannot be obeyed is as it was before.
func OnMistake(h func(*Report)) DebugOption { return func(o *debug.Options) { o.Handler = h } }

// Quarantine sets how many bytes of freed blocks are held back, with their zones, from 0 on: 64 MiB if it is not given, 8 MiB
// on 32 bits.
func Quarantine(bytes uintptr) DebugOption {
	n := orNone("Quarantine", bytes)
	return func(o *debug.Options) { o.Quarantine = n }
}

// RedZone sets how many bytes on each side of a block are watched at least, from 0 to 1 MiB: 32 if it is not given. Beside larger blocks it is an
// eighth of their size, up to 2 KiB, unless bytes is 0. Those before a block
// are as many as a multiple of its alignment has; with alignments beyond 64 KiB there are none.
func RedZone(bytes uintptr) DebugOption {
	if bytes > 1<<20 {
		panic("galloc/wrap: RedZone of more than 1 MiB")
	}
	return func(o *debug.Options) { o.RedZone = orNone("RedZone", bytes) }
}

// Stacks sets how many calls are kept of each stack, from 0 to 64: 16 if it is not given.
func Stacks(depth uint) DebugOption {
	if depth > 64 {
		panic("galloc/wrap: Stacks of more than 64 calls")
	}
	return func(o *debug.Options) { o.Stacks = orNone("Stacks", uintptr(depth)) }
}

// Guard gives blocks of from smallest to largest bytes pages of their own, where beyond the one end of the block nothing can be read or written; nor can
// the block, when it is freed. A largest of 0 is no limit. Blocks with an alignment of more than a page, and those beyond GuardLimit,
// are not guarded. Each takes a page at least, and two system calls. See Debugging.Faults for how a mistake shows.
// Programs built with -race and those for WebAssembly cannot guard: there the block is watched as others are.
func Guard(s Side, smallest, largest uintptr) DebugOption {
	return func(o *debug.Options) { o.Guard, o.GuardMin, o.GuardMax = s, smallest, largest }
}

// GuardGap sets how many bytes are guarded between two guarded blocks, at least: a page if it is not given. More of them find
// overflows that go further, and take address space, and 8 bytes of memory for each page.
func GuardGap(bytes uintptr) DebugOption { return func(o *debug.Options) { o.Gap = bytes } }

// GuardLimit sets how many blocks are guarded at a time, at most: 16384 if it is not given, and 256 with Sample. On Linux before
// 6.13, and on other systems, each is two or three regions to the kernel, of which Linux allows a process 65530.
func GuardLimit(blocks uint) DebugOption {
	return func(o *debug.Options) { o.MaxGuarded = int(max(blocks, 1)) }
}

// Sample has one of n allocations, by chance, looked after, and all others passed on to the inner allocator: the mode for programs
// in production. Blocks that are picked are guarded (AtEither, unless Guard is given too).
//
// Registered as the global allocator, a heap with n of 4096 or more keeps its fast path: then a block is picked where a cache is
// empty, with a chance for all of those that it gets, and besides one every 10 ms on each P. A free costs one comparison more.
func Sample(n uint32) DebugOption {
	if n == 0 {
		panic("galloc/wrap: Sample(0): 1 of how many?")
	}
	return func(o *debug.Options) { o.Sample = n }
}

// orNone returns what stands for n in debug.Options, where 0 is the default.
func orNone(what string, n uintptr) int {
	switch {
	case n == 0:
		return -1
	case int(n) < 0:
		panic("galloc/wrap: " + what + " is too large")
	}
	return int(n)
}

// Debug returns an allocator that takes its memory from inner, nil being the global allocator, and finds mistakes in the use of it: double
// frees, frees of addresses that are no blocks or lie within one, wrong layouts, writes before and behind blocks and to freed ones,
// and leaks. It is for finding out what is wrong, and in sampled mode for finding out that something is.
//
// Every block gets a zone of 32 bytes or more on both sides, filled with a pattern (0xfb) that is verified when the block is freed or
// resized, and by CheckAll. New blocks are filled with 0xa5. Freed ones are filled with 0x5a and held back, 64 MiB of them, and
// verified in turn, two at each free, and when they are given back. A resize always moves. So reads of memory that is not one's own are not found, but
// see [Guard]; and writes are found later than they are done, with the stacks of the block and not of the write. A write that no free and no
// CheckAll comes after is not found: defer ReportLeaks or CheckAll in main, or use CheckLeaks in tests.
//
// A mistake is written to standard error, and the program is aborted (SIGABRT on Unix); or an [OnMistake] handler is told. Blocks are
// exactly as large as asked for, and only that layout fits. Blocks of size 0 take no memory; to give back a block as one
// of size 0 is a mistake, where it can be seen (the methods here; galloc.Dealloc does nothing with size 0). Memory from
// AllocateTyped is known, but not watched, since the garbage collector scans it.
//
// The inner allocator must not take blocks back by itself: reset an arena by the method Reset of this one, after which its blocks count as freed,
// and not by its own, nor to a mark. Otherwise there will be an [Overlap], or writes that nobody has done.
//
// The result may be registered as the global allocator, if inner is another. Safe for concurrent use if inner is. An allocation
// and a free cost 2 to 3 µs together, mostly for the stacks (see Stacks), and what filling the block takes; 10 µs if it is guarded; a record of some 100 bytes
// of Go memory for each block, growing with their number. Failing does not allocate Go memory. In sampled mode, those passed on cost two nanoseconds, or less: see Sample.
//
// The method is that of AddressSanitizer (2012), without the compiler, and for guarded blocks and sampling that of GWP-ASan (2018).
func Debug(inner galloc.Allocator, options ...DebugOption) Debugging {
	w := &debugger{inner: resolve(inner)}
	o := debug.Options{Abort: libc.Abort, ZeroSize: zeroSize}
	for _, set := range options {
		set(&o)
	}
	w.d = debug.New(beneath{w.alloc}, o)
	w.sampled = w.d.Sampled()
	switch has(w.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*debugger
		}{debugger: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*debugger
		}{debugger: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*debugger
		}{debugger: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*debugger
		}{debugger: w}
	case owns | resets:
		return &struct {
			noTyped
			*debugger
		}{debugger: w}
	case owns | typed:
		return &struct {
			noReset
			*debugger
		}{debugger: w}
	case resets | typed:
		return &struct {
			noOwns
			*debugger
		}{debugger: w}
	case owns | resets | typed:
		return w
	}
}

// zeroSize returns the address of blocks of size 0.
func zeroSize(align uintptr) unsafe.Pointer {
	l, err := galloc.NewLayout(0, align)
	if err != nil {
		return nil
	}
	return l.Dangling()
}

// beneath is the inner allocator as a debug.Inner.
type beneath struct{ g galloc.GlobalAlloc }

func (b beneath) Alloc(size, align uintptr) unsafe.Pointer {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		return nil
	}
	return b.g.Alloc(l)
}

func (b beneath) Free(p unsafe.Pointer, size, align uintptr) {
	l, _ := galloc.NewLayout(size, align) // it was allocated with that
	b.g.Dealloc(p, l)
}

// debugger is the core of Debug: layouts and both faces, in front of a debug.Debugger.
//
//	sampled == d.Sampled()
type debugger struct {
	inner
	checks
	sampled bool
}

func (w *debugger) String() string { return "debug(" + nameOf(w.a) + ")" }

// Sampling is for package galloc: a sampled heap that is registered as the global allocator keeps its fast path.
func (w *debugger) Sampling() (d *debug.Debugger, inner any) {
	if !w.sampled {
		return nil, nil
	}
	return w.d, w.a
}

// The methods of package galloc are documented there. Those that have it easy come first: what is passed on costs a look at chance, or at p.
func (w *debugger) Alloc(l galloc.Layout) unsafe.Pointer {
	if w.sampled && l.Size() != 0 && !w.d.Picks() {
		return w.alloc.Alloc(l)
	}
	return w.look(l)
}

// look returns a block that is looked after, or, if there cannot be one in sampled mode, one that is passed on.
func (w *debugger) look(l galloc.Layout) unsafe.Pointer {
	switch {
	case l.Size() == 0:
		return l.Dangling()
	case !w.sampled:
		return w.d.Alloc(l.Size(), l.Align())
	}
	if p := w.d.Guarded(l.Size(), l.Align()); p != nil {
		return p
	}
	return w.alloc.Alloc(l)
}

func (w *debugger) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if w.sampled && l.Size() != 0 && !w.d.Picks() {
		return w.zeroed.AllocZeroed(l)
	}
	p := w.look(l)
	if p != nil {
		clear(unsafe.Slice((*byte)(p), l.Size())) // SAFETY: it is as large
	}
	return p
}

func (w *debugger) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	switch {
	case l.Size() == 0:
		w.d.FreeZero(p, l.Align())
	case w.sampled && w.d.Passes(p):
		w.alloc.Dealloc(p, l)
	default:
		w.d.Free(p, l.Size(), l.Align())
	}
}

func (w *debugger) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	if w.sampled && l.Size() != 0 && newSize != 0 && w.d.Passes(p) {
		return w.realloc.Realloc(p, l, newSize)
	}
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil {
		return nil
	}
	return w.change(p, l, n)
}

// change makes the block at p, which is looked after, of layout old, one of layout new, or returns nil.
func (w *debugger) change(p unsafe.Pointer, old, new galloc.Layout) unsafe.Pointer {
	switch {
	case old.Size() == 0:
		w.d.FreeZero(p, old.Align())
		return w.Alloc(new)
	case new.Size() == 0:
		w.Dealloc(p, old)
		return new.Dangling()
	}
	return w.d.Change(p, old.Size(), old.Align(), new.Size(), new.Align())
}

func (w *debugger) Allocate(l galloc.Layout) ([]byte, error) {
	if w.sampled && !w.d.Picks() {
		return w.a.Allocate(l)
	}
	return debugBlock(w.look(l), l)
}

func (w *debugger) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	if w.sampled && !w.d.Picks() {
		return galloc.AllocateZeroed(w.a, l)
	}
	b, err := debugBlock(w.look(l), l)
	clear(b)
	return b, err
}

func (w *debugger) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if w.sampled && w.d.Passes(p) {
		w.a.Deallocate(p, l)
		return
	}
	w.Dealloc(p, l)
}

func (w *debugger) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	if w.sampled && w.d.Passes(p) {
		return galloc.Grow(w.a, p, old, new)
	}
	return debugBlock(w.change(p, old, new), new)
}

func (w *debugger) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	if w.sampled && w.d.Passes(p) {
		return galloc.GrowZeroed(w.a, p, old, new)
	}
	b, err := debugBlock(w.change(p, old, new), new)
	if err == nil {
		clear(b[old.Size():])
	}
	return b, err
}

func (w *debugger) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkShrink(old, new)
	if w.sampled && w.d.Passes(p) {
		return galloc.Shrink(w.a, p, old, new)
	}
	return debugBlock(w.change(p, old, new), new)
}

func (w *debugger) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	switch {
	case w.sampled && w.d.Passes(p):
		return galloc.Resize(w.a, p, l, newSize)
	case l.Size() == 0:
		w.d.FreeZero(p, l.Align())
		return newSize == 0
	}
	return w.d.Check(debug.OpRealloc, p, l.Size(), l.Align()) && newSize == l.Size()
}

func (w *debugger) UsableSize(l galloc.Layout) uintptr { return l.Size() }

// Owns is about blocks that are looked after, also freed ones that are held back, and about those that are passed on.
func (w *debugger) Owns(p unsafe.Pointer) bool {
	return w.d.Owns(p) || w.sampled && w.d.Passes(p) && w.inner.Owns(p)
}

// Reset verifies all blocks, and then resets the inner allocator and forgets them.
func (w *debugger) Reset() {
	w.d.CheckAll()
	w.inner.Reset()
	w.d.Reset()
}

func (w *debugger) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	p, err := w.inner.AllocateTyped(t, n)
	if err == nil {
		if l, err := typedLayout(t, n); err == nil {
			w.d.Adopt(p, l.Size(), l.Align())
		}
	}
	return p, err
}

// debugBlock returns the memory of a block of layout l at p, or the error if there is none.
func debugBlock(p unsafe.Pointer, l galloc.Layout) ([]byte, error) {
	if p == nil {
		return nil, galloc.ErrOutOfMemory // as it is: failing must not allocate
	}
	// SAFETY: blocks that are looked after are exactly as large.
	return unsafe.Slice((*byte)(p), l.Size()), nil
}
