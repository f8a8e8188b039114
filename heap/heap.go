// Package heap is galloc's own allocator: a general-purpose heap outside of the Go heap.
//
// [Default] is the heap of the process, on which galloc.Alloc works in executables unless
// another allocator is registered. [New] makes others: with limits, with checks, or with a
// life of their own that ends with [Heap.Close]. A Heap is a [galloc.GlobalAlloc] and a
// [galloc.Allocator] in one, and blocks may go both ways.
//
// # Blocks
//
// Blocks of up to 32 KiB come in size classes, at most an eighth apart above 128 bytes, a
// quarter above 8 KiB; a layout's size is rounded up to its alignment first. Larger blocks,
// and those aligned to more than 4096 bytes, are whole pages of 4096 bytes. Every alignment
// is supported for which there is address space. A block is as long as its class, all of it
// usable: see [Heap.UsableSize]. There are no headers, so blocks of 64 bytes are aligned to
// 64.
//
// # Footprint
//
// Memory that is not in use goes back to the operating system: about one decay period after
// it was freed, see [Options.Decay], or at once by [Heap.Trim]. Address space is never
// given back, but used again, also by other heaps after a Close. How much memory a heap may
// take can be limited, see [Heap.SetLimit], and how much it has is told by [Heap.Stats].
//
// # Mistakes
//
// A block that is given back twice, or with a wrong layout, or that is not one, is found
// out when it reaches its span: at the call in a heap with [Options.Checked], and otherwise
// once it leaves the cache that it was put into; but a block that is freed twice in a row
// mostly at once. It is then reported as a [Misuse], and the heap is as if it had not been
// given back. Until then the cache may hand it out: only a Checked heap is safe to make
// mistakes on. What is written to a block after it has been freed, or beyond its end, no heap
// sees.
package heap

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// Heap is an allocator with memory of its own, made by [New]. All methods but Close may be
// called by any goroutine at any time; none allocates on the Go heap, except for String,
// for SetLimit and, once in a while, for what the heap itself needs: 180 KiB for each P
// that uses it.
type Heap struct {
	e      *engine.Heap
	name   string
	closed atomic.Bool
}

// The abilities of a Heap.
var (
	_ galloc.GlobalAllocZeroed = (*Heap)(nil)
	_ galloc.GlobalRealloc     = (*Heap)(nil)
	_ galloc.ZeroedAllocator   = (*Heap)(nil)
	_ galloc.Grower            = (*Heap)(nil)
	_ galloc.Shrinker          = (*Heap)(nil)
	_ galloc.Resizer           = (*Heap)(nil)
	_ galloc.UsableSizer       = (*Heap)(nil)
	_ galloc.Owner             = (*Heap)(nil)
	_ galloc.Equivalencer      = (*Heap)(nil)
)

// New returns a heap. It fails if the options contradict themselves, with an error that
// says what to change. No memory is taken from the system before the first allocation, but
// 21 KiB of Go memory; each P that uses the heap adds 175 KiB, free of pointers, and
// touched as far as its magazines fill. A heap that is not needed any more must be closed:
// otherwise its memory is lost, even if nothing leads to the Heap any more.
func New(o Options) (*Heap, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	h := &Heap{e: engine.New(o.config()), name: o.String()}
	h.SetLimit(o.SoftLimit, o.HardLimit, o.OnSoftLimit)
	return h, nil
}

// Default returns the heap of the process: the one that galloc.Alloc and galloc.Global use
// in executables, unless another allocator is registered. It always returns the same one.
// It has the default options and no limits, unless the environment variable GALLOC or the
// linker says otherwise (see [galloc.RegisterGlobal]), and cannot be closed.
func Default() *Heap { return &defaultHeap }

// defaultHeap is complete before any code runs: package global/heap selects it before this package is initialized.
var defaultHeap = Heap{e: &engine.Process, name: "galloc heap"}

// Engine returns what does the work. It is for package galloc, which calls it without the
// detour over an interface if h is the global allocator; it is of no use to others.
func (h *Heap) Engine() *engine.Heap { return h.e }

// String returns a name with the options that are not the default ones.
func (h *Heap) String() string { return h.name }

// Trim gives all memory back to the system that is not in use, without waiting for it to
// decay, and returns how many bytes that were. It takes back what the Ps have in their
// caches, which stops the world for some 10 µs. Mistakes that were made with blocks in the
// caches come to light here.
func (h *Heap) Trim() uintptr {
	h.mustBeOpen("Trim")
	return h.e.Trim()
}

// SetLimit sets the limits, in bytes of footprint: see [Options.HardLimit], SoftLimit and
// OnSoftLimit. 0 stands for no limit. A footprint that exceeds a new limit is not an error:
// blocks stay where they are, what is not in use goes back, at once if it exceeds soft, and
// allocations that would need more memory than the heap has fail until enough has been
// freed. It panics if soft exceeds hard, or one of them math.MaxInt, or if there is an
// onSoft that would never be called.
func (h *Heap) SetLimit(soft, hard uintptr, onSoft func(footprint uintptr)) {
	if err := checkLimits(soft, hard, onSoft); err != nil {
		panic(err.Error())
	}
	h.mustBeOpen("SetLimit")
	h.e.SetLimit(soft, hard, oneAtATime(onSoft))
}

// Limits returns the limits in bytes, 0 where there is none.
func (h *Heap) Limits() (soft, hard uintptr) { return h.e.Limit() }

// oneAtATime returns f such that calls of it neither nest, if f allocates, nor overlap:
// those that would are left out.
func oneAtATime(f func(uintptr)) func(uintptr) {
	if f == nil {
		return nil
	}
	var running sync.Mutex
	return func(footprint uintptr) {
		if running.TryLock() {
			defer running.Unlock()
			f(footprint)
		}
	}
}

// Close gives all memory of h back to the system. All its blocks are invalid from now on.
// No other method may be running, nor be called later except for Limits, Engine and String:
// allocations fail, blocks that are given back are reported as foreign, and Trim, SetLimit
// and Stats panic, as does a second Close, and that of [Default].
//
// The address space remains reserved, for the next heap to use: a pointer into a closed
// heap that somebody has forgotten does no harm while nobody uses it.
func (h *Heap) Close() {
	if h == &defaultHeap {
		panic("galloc/heap: Close of the default heap, which lives as long as the program")
	}
	if h.closed.Swap(true) {
		panic("galloc/heap: Close of a heap that is closed")
	}
	h.e.Close()
}

func (h *Heap) mustBeOpen(what string) {
	if h.closed.Load() {
		panic("galloc/heap: " + what + " of a heap that is closed")
	}
}

// Owns reports whether p is the address of a block of h: one that is currently allocated,
// or a small one that was. It takes any address, but p must not be being freed at the same
// time. It costs a few nanoseconds.
func (h *Heap) Owns(p unsafe.Pointer) bool { return h.e.SizeOf(p) != 0 }

// SizeOf returns the usable size in bytes of the block at p, currently allocated by h: the
// length it had when it was allocated, or the size it has been grown to, rounded up to
// whole pages. It returns 0 for blocks of size 0, and for addresses at which no block of h
// starts. As for Owns, p must not be being freed.
func (h *Heap) SizeOf(p unsafe.Pointer) uintptr { return h.e.SizeOf(p) }

// Free takes back the block at p, currently allocated by h, whatever its layout. It costs
// a nanosecond or two more than Dealloc, which need not find out the class of the block. It ignores nil and, unless they are aligned to more than 64 KiB, blocks of
// size 0.
func (h *Heap) Free(p unsafe.Pointer) {
	if p != nil && p != empty {
		h.e.FreeUnsized(p)
	}
}

var empty = galloc.Layout{}.Dangling()
