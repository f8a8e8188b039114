// Package engine is the heap: a general-purpose memory allocator. It takes sizes and alignments,
// and returns addresses outside of the Go heap. It scales over the Ps of the Go runtime, keeps its
// metadata apart from the blocks, and returns unused memory to the system.
//
// # Terms
//
// Package pages defines page, extent, run, span, class and tag. This package adds:
//
//	block     memory that the heap allocates
//	large     of a block: above 32 KiB, or aligned to more than a page; it has a span for itself
//	medium    of a large block: up to 256 KiB, aligned to at most a page       capacity.go
//	magazine  up to 128 free blocks of one class; up to 1024 in a room         cache.go
//	cache     the magazines of one P                                           cache.go
//	central   the spans of one class and one P that have free blocks           central.go
//	stash     the large blocks that one P has freed last, except medium ones   stash.go
//	tick      a call of the timer that returns unused memory                   decay.go
//
// # Allocating a block of 24 bytes
//
//  1. The layout knows its class ([pages.ClassOf], a table): 24 bytes. The magazine of the class,
//     in the cache of the current P, returns the block that was freed last ([Cache.Pop]). No other
//     goroutine can access it at the same time (package percpu says why), so there is no lock and
//     no atomic operation. For the global heap this takes 19 instructions (fast_amd64.s; fast.go is
//     the same in Go). Nearly every allocation ends here.
//  2. The magazine is empty: [Heap.AllocSlow], refill. The central of this class and P fills half
//     the magazine, under its lock. It clears bits in the bitmap of a span, lowest address first.
//     The blocks are not touched.
//  3. The central has no span with free blocks. It adopts one from another P that does not need it,
//     or else allocates a new one from the pages, under their lock.
//  4. No free run is long enough: the frontier of an extent moves, or a new extent is reserved. The
//     overview of package pages continues from here.
//  5. The system refuses, or the hard limit is reached: [Heap.relieve] purges free pages and takes
//     back what caches and stashes hold, and steps 3 and 4 are tried again, in the end while no
//     block moves (gate.go). If that fails too, Alloc returns nil, and the heap is unchanged.
//
// # Freeing it
//
//  1. The caller passes the size, so the class is known without access to the block. The block goes
//     into the magazine of the current P, whichever P allocated it ([Cache.Push]).
//  2. The magazine is full: [Heap.FreeSlow]. The older half of its blocks goes back to the centrals
//     that own their spans, grouped so that each central is locked once. Blocks become set bits
//     again. Here every misuse is found, since each block must lie in a span of its class, at a
//     multiple of its size, with its bit clear (misuse.go).
//  3. A span whose blocks are all free becomes a free run, joined with the free runs next to it.
//  4. Free runs keep their memory for a while (decay.go). Then the system gets it back; the
//     addresses stay reserved. So do pages of spans in which all blocks are free (hollow.go).
//
// # Large blocks
//
// A large block is a span for itself (large.go). It can grow and shrink in place, and be moved by
// moving its pages. Medium blocks have classes, one for each length, and magazines (medium.go):
// only a miss locks the pages. The magazines of a P are bounded in bytes (capacity.go). A longer
// block, of up to 4 MiB, that is freed goes into the stash of the P, and the next allocation of as
// many pages takes it from there; neither needs a lock. Before the heap grows, or moves a block
// that cannot grow, what the P keeps in either way becomes free pages. Heaps that are checked or
// limited keep no large blocks.
//
// # Why
//
// Magazines belong to Ps because nothing that belongs to a goroutine can be found at no cost.
// Goroutines move between Ps, so a block is rarely freed on the P that allocated it, and a magazine
// takes any block. Centrals belong to Ps too, so that busy Ps do not contend. A span stays with the
// central that owns it, so blocks that were neighbours when they were allocated become neighbours
// again: locality matters more than the number of instructions.
//
// Nothing is stored in free blocks. A write after a free, or past the end of a block, can damage
// other blocks, but nothing that this package relies on.
//
// # Rules
//
//   - While you hold a cache, by pin or by Enter, call only what is in cache.go: take no lock, do
//     not panic, do not grow the stack.
//   - The tag of a large block, an atomic word, says who owns it (pages.Tag).
//   - Nothing here allocates Go memory, except for the first use of a P (its cache and centrals)
//     and of an extent.
//   - Every operation that fails leaves the heap unchanged.
//   - No system call is made under central.mu.
//   - A file calls only functions of the files below it, or its own. TestFilesCallDown has the
//     order.
//
// Locks are taken in this order:
//
//  1. Heap.ticking: a tick, or Close
//  2. Heap.reclaiming: memory being reclaimed, by a tick, by Trim, or for an allocation
//  3. Heap.gate.mu: slow calls hold it shared, and the last try of an allocation holds it alone
//  4. Heap.draining: caches taken away from their Ps, and stashes being emptied
//  5. Heap.installing: changes of Heap.caches and globalCaches
//  6. central.mu: the spans of a central; at most two, by ascending P
//  7. Heap.pages: runs, their records, and the limits
//  8. Heap.sparing: spare caches; no other lock is taken while it is held
//
// # Ports
//
// Under the race detector pages are Go memory (package vm), which the detector sees, and caches
// have locks (access.go). On systems without virtual memory (WebAssembly) pages are Go memory too.
// Windows, macOS, the BSDs and 32-bit systems differ in constants only.
package engine

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/alarm"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

// A Heap is an allocator. Its methods may be called by any goroutine at any time.
type Heap struct {
	caches [maxProcs]atomic.Pointer[Cache] // first: every call reads it

	procs      [maxProcs]atomic.Pointer[proc]
	procCount  atomic.Uint32 // procs from it on are nil
	gomaxprocs atomic.Uint32 // at the last tick
	spans      [pages.ClassLimit]atomic.Int64
	spanBlocks [pages.ClassLimit]atomic.Int64 // blocks of these spans
	soft       softLimit                      // guarded by the lock of pages
	softCall   softCall
	pages      pages.Allocator

	checked    bool
	overcommit bool
	decay      time.Duration
	timer      Timer
	armed      atomic.Bool // the timer is set, or a tick is running
	closed     atomic.Bool
	limited    atomic.Bool   // there is a limit, so no medium or long block is kept for reuse
	refusal    atomic.Uint32 // the Refusal of the allocation that failed last
	gate       gate
	onMisuse   func(Misuse)
	late       lateMisuse

	ticking    sync.Mutex // held during a tick
	young      bool       // the last tick has left pages that become hollow at the next
	reclaiming sync.Mutex // held while memory is reclaimed
	draining   sync.Mutex // guards taken; held while caches and stashes are drained
	taken      []*Cache
	installing sync.Mutex // guards changes of caches
	sparing    sync.Mutex // guards spares
	spares     []*Cache

	maxRooms   atomic.Uintptr // bytes that the magazines of a cache may hold in rooms
	budget     atomic.Uintptr // bytes of medium blocks that a cache may hold: see capacity.go
	cacheCount atomic.Int64

	ticks, softHits, misuses, moves, drains atomic.Uint64
}

// A Handle is embedded in the public types of heaps, under an unexported alias. So the packages of
// galloc reach the Heap by a type assertion to Holder, and the documentation does not show it. The
// field is exported so that a composite literal can set it before any code runs.
type Handle struct{ E *Heap }

// A Holder is a type that embeds a Handle.
type Holder interface{ Engine() *Heap }

// Engine returns the heap of the Handle, or nil.
func (h Handle) Engine() *Heap { return h.E }

// Config configures a Heap. The zero value is the default.
type Config struct {
	Decay      time.Duration // 0 is DefaultDecay; if negative, memory is released on demand only
	Lazy       bool          // purge with vm.PurgeLazy
	Huge       bool          // purge whole huge pages only
	Overcommit bool          // blocks may be larger than the memory of the machine
	Checked    bool          // no caches: every free is checked at once
	OnMisuse   func(Misuse)  // by default, panic with it
	First      uintptr       // bytes of address space to reserve first
	Timer      func(f func()) Timer
}

// DefaultDecay is the default decay period.
const DefaultDecay = time.Second

// MinDecay is the shortest decay period. A shorter one would keep the program busy returning
// memory.
const MinDecay = time.Millisecond

// Default is the heap of the process. It is a variable, not a call, so that package-level variables
// can hold its address before init runs.
var Default Heap

func init() { Default.init(Config{First: pages.FirstExtent}) }

// ConfigureDefault configures Default, with these limits. Package galloc calls it while it is
// initialized, before Default is used.
func ConfigureDefault(c Config, soft, hard uintptr) {
	c.First = pages.FirstExtent
	Default.init(c)
	Default.SetLimit(soft, hard, nil)
}

// New returns a heap. It reserves memory when it is first used.
func New(c Config) *Heap {
	h := new(Heap)
	h.init(c)
	return h
}

func (h *Heap) init(c Config) {
	for p := range h.caches {
		h.caches[p].Store(&noCache)
	}
	h.pages.Init(pages.Config{Lazy: c.Lazy, Huge: c.Huge, First: c.First})
	h.checked, h.overcommit = c.Checked, c.Overcommit
	h.onMisuse = c.OnMisuse
	if h.onMisuse == nil {
		h.onMisuse = func(m Misuse) { panic(m) }
	}
	h.decay = c.Decay
	if h.decay == 0 {
		h.decay = DefaultDecay
	}
	if c.Timer == nil {
		c.Timer = func(f func()) Timer { return alarm.New(f) }
	}
	h.timer = c.Timer(h.tick)
	h.softCall.run = h.runSoft
	h.gomaxprocs.Store(maxProcs)
	h.maxRooms.Store(minRooms)
	if !h.checked {
		h.budget.Store(minBudget)
	}
}

// Close releases all memory of the heap. The heap must not be in use, nor be used again; all its
// blocks are invalid.
func (h *Heap) Close() {
	if h.closed.Swap(true) {
		panic("galloc: Close of a closed heap")
	}
	h.timer.Stop()
	h.ticking.Lock() // a tick that is running ends
	defer h.ticking.Unlock()
	h.verify()
	for p := range h.caches {
		h.install(p, h.caches[p].Load(), &noCache)
		h.procs[p].Store(nil)
	}
	h.pages.Close()
	h.spares, h.taken = nil, nil
}

// Alloc returns a block of at least size bytes, aligned to align, or nil if memory runs out. The
// size must not be 0 and, rounded up to the alignment, at most MaxInt; the alignment must be a
// power of two.
//
// The global heap has a shorter path: see fast.go.
//
//go:nosplit
func (h *Heap) Alloc(size, align uintptr) unsafe.Pointer {
	class := pages.ClassOf(size, align)
	c := h.Enter(percpu.ID())
	if p := c.Pop(class); p != nil {
		c.Exit()
		return p
	}
	c.Exit()
	return h.AllocSlow(size, align)
}

// Pop returns a block of the class if the cache of the current P has one. Otherwise it returns nil,
// and the caller calls Alloc. It is for callers that know the class, pages.ClassOf(size, align),
// already. It is not inlined because go:nosplit would be lost.
//
//go:nosplit
//go:noinline
func (h *Heap) Pop(class uint32) unsafe.Pointer {
	c := h.Enter(percpu.ID())
	p := c.Pop(uint8(class))
	c.Exit()
	return p
}

// Push frees the block p of the class into the cache of the current P. It returns false if the
// cache could not take it, and the caller calls Free.
//
//go:nosplit
//go:noinline
func (h *Heap) Push(class uint32, p unsafe.Pointer) bool {
	c := h.Enter(percpu.ID())
	ok := c.Push(uint8(class), p)
	c.Exit()
	return ok
}

// AllocZeroed is Alloc with the first size bytes zero. Large blocks are cleared only where they are
// not known to be zero.
func (h *Heap) AllocZeroed(size, align uintptr) unsafe.Pointer {
	class := pages.ClassOf(size, align)
	if class == 0 {
		return h.allocLarge(size, align, true)
	}
	if pages.IsMedium(class) {
		return h.allocMedium(class, size, true)
	}
	c := h.cache(pin())
	p := c.Pop(class)
	c.unpin()
	if p == nil {
		if p = h.refill(class); p == nil {
			return nil
		}
	}
	// SAFETY: the block has size bytes and belongs to the caller.
	clear(unsafe.Slice((*byte)(p), size))
	return p
}

// Free frees the block p, which Alloc returned for a size and alignment of the same class.
//
//go:nosplit
func (h *Heap) Free(p unsafe.Pointer, size, align uintptr) {
	class := pages.ClassOf(size, align)
	c := h.Enter(percpu.ID())
	if c.Push(class, p) {
		c.Exit()
		return
	}
	c.Exit()
	h.FreeSlow(p, size, align)
}

// FreeUnsized is Free for callers that do not know the size of the block.
//
//go:nosplit
func (h *Heap) FreeUnsized(p unsafe.Pointer) {
	c := h.Enter(percpu.ID())
	ok := c.Push(h.pages.Main().ClassAt(pages.RefOf(p)), p) // class 0 has no room
	c.Exit()
	if !ok {
		h.freeUnsizedSlow(p)
	}
}

// freeUnsizedSlow is FreeUnsized when the cache is full, for large blocks, for blocks outside of
// the main extent, and for misuse.
func (h *Heap) freeUnsizedSlow(p unsafe.Pointer) {
	r := pages.RefOf(p)
	if class := h.pages.ClassAt(r); class != 0 {
		h.freeSmall(class, p)
		return
	}
	if s := h.pages.SpanAt(r); s != nil && s.Kind == pages.KindLarge && s.HasBlock(r) {
		if class := pages.MediumClass(s.Pages()); class != 0 {
			h.freeMedium(class, p)
		} else {
			h.freeLarge(p, 0, true)
		}
		return
	}
	h.report(r, 0)
}

// Resize resizes the block p in place to newSize bytes, and reports whether it could. If not, the
// block is unchanged.
func (h *Heap) Resize(p unsafe.Pointer, size, align, newSize uintptr) bool {
	from, to := pages.ClassOf(size, align), pages.ClassOf(newSize, align)
	if from == to && from != 0 {
		return true
	}
	if pages.IsSmall(from) || pages.IsSmall(to) {
		return false
	}
	gated := h.gate.enter()
	ok, _ := h.resizeLarge(p, size, newSize)
	h.gate.leave(gated)
	h.reportLate()
	return ok
}

// Realloc resizes the block p to newSize bytes, keeps the contents up to the smaller size, and
// returns the address of the block, which may have moved. If memory runs out, it returns nil and
// the block is unchanged.
func (h *Heap) Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	from, to := pages.ClassOf(size, align), pages.ClassOf(newSize, align)
	if from == to && from != 0 {
		return p
	}
	if !pages.IsSmall(from) && !pages.IsSmall(to) {
		return h.reallocLarge(p, size, align, newSize)
	}
	q := h.Alloc(newSize, align)
	if q != nil {
		block.Copy(q, p, min(size, newSize))
		h.Free(p, size, align)
	}
	return q
}

// SizeOf returns the usable size of the block p, or 0 if no block of this heap starts at p.
func (h *Heap) SizeOf(p unsafe.Pointer) uintptr {
	s := h.pages.SpanAt(pages.RefOf(p))
	if s == nil {
		return 0
	}
	return s.SizeAt(pages.RefOf(p))
}
