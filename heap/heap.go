// Package heap is galloc's own allocator: a general-purpose heap outside of the Go heap.
//
// [Default] is the heap of the process, the default of galloc.Alloc in executables. [New] makes
// others: with limits, with checks, or with a lifetime that ends with [Heap.Close]. A Heap is both
// a [galloc.GlobalAlloc] and a [galloc.Allocator]; a block of one interface may be freed through
// the other.
//
// # Blocks
//
// Blocks of up to 32 KiB come in size classes, which are at most an eighth apart above 128 bytes
// and at most a quarter above 8 KiB. The size of a layout is rounded up to its alignment first.
// Larger blocks, and blocks aligned to more than 4096 bytes, are large: they take whole pages of
// 4096 bytes, and between 64 KiB and 1 MiB their sizes are at most an eighth apart. Every alignment
// is supported as long as there is address space. All of a block is usable, to the end of its
// class: see [Heap.UsableSize]. Blocks have no headers, so blocks of 64 bytes are aligned to 64.
//
// # Footprint
//
// Unused memory returns to the operating system about one decay period after it was freed, see
// [Options.Decay], or at once by [Heap.Trim]. Address space stays reserved and is used again, after
// a Close by other heaps. [Heap.SetLimit] bounds the memory of a heap, and [Heap.Stats] reports it.
//
// # Misuse
//
// A block that is freed twice or with a wrong layout, or an address that is no block, is detected
// when it reaches its span. In a heap with [Options.Checked] that is at the call. In others it is
// when the block leaves the cache of a P; but if a block is freed twice in a row, mostly at once.
// The heap reports a [Misuse] and is otherwise unchanged. Until then the cache may return the block
// to another caller: only a Checked heap detects every misuse before it can do damage. No heap
// detects writes to a freed block or past the end of a block; package memcheck does.
package heap

import (
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// Heap is an allocator made by [New]. Any goroutine may call its methods at any time, except for
// Close. None allocates Go memory, except for String, and, rarely, for the heap's own needs: about
// 180 KiB for each P that uses it, and a goroutine for a call of OnSoftLimit.
type Heap struct {
	handle
	name   string
	closed atomic.Bool
}

// handle refers to the engine. Its method Engine is for the packages of galloc.
type handle = engine.Handle

// The optional interfaces that a Heap implements.
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
	_ galloc.StatsReader       = (*Heap)(nil)
)

// New returns a heap. If the options contradict themselves, it returns an error that says what to
// change. A new heap has 20 KiB of Go memory and no memory of the system. Each P that uses it adds
// about 180 KiB of Go memory without pointers, which is touched only as magazines fill. The caller
// must call Close when the heap is no longer needed: its memory is not garbage collected.
func New(o Options) (*Heap, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	h := &Heap{handle: handle{E: engine.New(o.config())}, name: o.String()}
	h.SetLimit(o.SoftLimit, o.HardLimit, o.OnSoftLimit)
	return h, nil
}

// Default returns the heap of the process, which galloc.Alloc and galloc.Global use in executables
// unless another allocator is chosen. It is always the same Heap. It has the default options and no
// limits, unless the environment variable GALLOC or the linker says otherwise (see the
// documentation of package galloc). It cannot be closed.
func Default() *Heap { return &defaultHeap }

// defaultHeap is complete before any code runs: package global/heap selects it before this package
// is initialized.
var defaultHeap = Heap{handle: handle{E: &engine.Default}, name: "galloc heap"}

// String returns a name that shows the options that are not the defaults.
func (h *Heap) String() string { return h.name }

// Trim releases all unused memory to the system, without waiting for it to decay, and returns the
// number of bytes released. It empties the caches of the Ps, which stops the world for some 10 µs.
// Misuse of blocks in the caches is reported here.
func (h *Heap) Trim() uintptr {
	h.mustBeOpen("Trim")
	return h.Engine().Trim()
}

// SetLimit sets the soft and the hard limit of the footprint, in bytes: see [Options.SoftLimit],
// [Options.HardLimit] and [Options.OnSoftLimit]. 0 means no limit. A footprint above a new limit is
// not an error: blocks stay valid, unused memory is released (at once if the footprint exceeds
// soft), and allocations that need more memory than the heap has fail until enough is freed.
// SetLimit panics if soft exceeds hard, if one of them exceeds math.MaxInt, or if onSoft would
// never be called.
func (h *Heap) SetLimit(soft, hard uintptr, onSoft func(footprint uintptr)) {
	if err := checkLimits(soft, hard, onSoft); err != nil {
		panic(err.Error())
	}
	h.mustBeOpen("SetLimit")
	h.Engine().SetLimit(soft, hard, onSoft)
}

// Limits returns the soft and the hard limit in bytes. 0 means no limit.
func (h *Heap) Limits() (soft, hard uintptr) { return h.Engine().Limit() }

// Close releases all memory of h. All its blocks become invalid. No other method may be running.
// Later calls of Limits and String are valid; allocations fail, frees are reported as foreign, and
// Trim, SetLimit, Stats and Close panic. Close of [Default] panics.
//
// The address space stays reserved for the next heap: a stale pointer into a closed heap does no
// harm as long as nobody uses it.
func (h *Heap) Close() {
	if h == &defaultHeap {
		panic("galloc/heap: Close of the default heap, which lives as long as the program")
	}
	if h.closed.Swap(true) {
		panic("galloc/heap: Close of a closed heap")
	}
	h.Engine().Close()
}

func (h *Heap) mustBeOpen(method string) {
	if h.closed.Load() {
		panic("galloc/heap: " + method + " of a closed heap")
	}
}

// Owns reports whether p is the address of a block of h that is currently allocated, or of a small
// block that was. p may be any address, but must not be freed at the same time. It costs a few
// nanoseconds.
func (h *Heap) Owns(p unsafe.Pointer) bool { return h.Engine().SizeOf(p) != 0 }

// SizeOf returns the usable size in bytes of the block p, currently allocated by h: the length when
// it was allocated, or the size it has been grown to, rounded up to pages. It returns 0 for blocks
// of size 0, and for addresses where no block of h starts. As with Owns, p must not be freed at the
// same time.
func (h *Heap) SizeOf(p unsafe.Pointer) uintptr { return h.Engine().SizeOf(p) }

// Free frees the block p, currently allocated by h, whatever its layout. It costs a nanosecond or
// two more than Dealloc, since it must find out the class of the block. It ignores nil and, unless
// they are aligned to more than 64 KiB, blocks of size 0.
func (h *Heap) Free(p unsafe.Pointer) {
	if p != nil && p != empty {
		h.Engine().FreeUnsized(p)
	}
}

var empty = galloc.Layout{}.Dangling()
