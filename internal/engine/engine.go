// Package engine is a general-purpose memory allocator: sizes and alignments in, addresses outside of the Go heap out. It scales over
// the Ps of the Go runtime, keeps what it knows about memory apart from that memory, and gives back what is not used.
//
// # Cast
//
//	page       4 KiB, the unit of everything large                          classes.go
//	extent     a reservation of address space; pages below its frontier are in runs      extent.go
//	run        a row of pages: free, a large block, or a span               pages.go
//	span       a run cut into blocks of one size class, with a bitmap of the free ones   record.go
//	class      a size of blocks, and how its spans are cut                  classes.go
//	central    the spans of one class that one P has asked for and that have free blocks central.go
//	magazine   up to 128 blocks of one class, ready to be handed out; 1024 in a room    cache.go
//	cache      the magazines of one P                                       cache.go
//	stash      two large blocks that one P has freed last                   stash.go
//
// # A block of 24 bytes, from the cheapest way to the dearest
//
//  1. The layout knows its class ([ClassOf], a table): 24 bytes. The magazine of the class, in the cache of the P that we run on, gives
//     the block that was put in last ([Cache.Pop]). Nobody else can be there (pin.go says why), so there is no lock and no
//     atomic operation. In the heap in force this takes some 20 instructions (fast_amd64.s; fast.go says the same in Go), and is nearly
//     always the end.
//  2. The magazine is empty: AllocSlow, refill. Half a magazine of blocks comes from the central of this class and P, under
//     its lock. They are taken out of the bitmap of a span, lowest address first: the bits are cleared, the blocks not touched.
//  3. The central has no span with free blocks. It adopts one of another P's that will not miss it, or else gets a new one: the
//     run is taken out of the bin of free runs of that length, or cut from the shortest run that is longer, under the lock of
//     the pages. A record is made, all its bits are set, and the page map is pointed at it.
//  4. No free run is long enough: the frontier of an extent moves on, and now and then commits pages ahead of it (a system call). What
//     is known about them is committed along with them, elsewhere.
//  5. The extent is full, or there is none: address space is reserved; if the system refuses, half of it, and so on down to what is needed.
//  6. The system refuses, or the hard limit is reached: everything that others hold in reserve is taken back (limit.go), and steps
//     3 to 5 are tried again. In the end the answer is nil, and nothing has changed.
//
// A free goes the same way back. The caller says the size, so the class is known without a look at the block, which goes into the magazine of
// the P that frees it, whichever P it came from. A full magazine gives half of its blocks back, those that have been there
// for longest: grouped by the P whose spans they belong to, they become bits again, and here all mistakes show, since every block must be in a
// span of its class, at a multiple of its size, with its bit clear (fault.go). A span whose blocks are all free becomes a free
// run, joined at once with the free runs on both sides. Free runs keep their memory for a while (decay.go), then it goes back to the
// system, and the addresses stay.
//
// Blocks above 32 KiB, and those with alignments above a page, are runs of their own (large.go). They can grow and shrink where they are, and
// be moved by moving their pages. One of up to 4 MiB that is freed goes into the stash of the P, and comes out again if the next one
// has as many pages: no lock is taken either way. It pushes out an older one, which becomes a free run; so do all that have not
// been asked for between two ticks. A heap that is checked, or has a limit, stashes nothing.
//
// # Why it is so
//
// Magazines belong to Ps because goroutines have no other place of their own that costs nothing to find; and because goroutines move between
// Ps, a block is as a rule not freed where it was allocated, so a magazine takes any block. Centrals belong to Ps too, so
// that Ps at work do not meet. What is bound to a span stays with the central that looks after it, so blocks that were neighbours when they were
// handed out become neighbours again: locality decides more than instructions do.
//
// Nothing is stored in free blocks. A write after a free, or past the end of a block, damages other blocks at worst, and never what
// this package relies on. Records and bitmaps lie in reservations of their own between pages without access.
//
// # Rules
//
//   - Who has a cache, pinned or by Mine, does nothing but what is in cache.go: no lock, no panic, no call that could grow far.
//   - Locks, in this order: Heap.draining; Heap.seating; central.mu, two at most and by ascending P; pages.mu; the leaves Heap.sparing and spareExtents.mu. No system
//     call is made under central.mu; under pages.mu only those that commit and reserve.
//   - Whether a large block of up to 4 MiB is the caller's is said by its tag, an atomic word (stash.go). Who changes the record of one
//     takes the tag away first, by compare-and-swap: then the run is its own, with the lock of the pages or without.
//   - Nothing here allocates Go memory, except for the first use of something: of a P (its cache and its centrals), of an extent.
//   - Metadata holds addresses as numbers (ref). The garbage collector does not see them, and need not.
//   - Everything that can fail leaves all as it was.
//
// # Ports
//
// Under the race detector pages are Go memory (internal/vm), which the detector sees, and caches have locks (pin_race.go). Elsewhere
// without pages of their own (WebAssembly) pages are Go memory too. Windows, macOS, the BSDs and 32 bits differ in constants only.
package engine

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// A Heap is an allocator with memory of its own. Its methods may be called by any goroutine at any time.
type Heap struct {
	// Read by every call.
	caches [MaxProcs]atomic.Pointer[Cache]

	main atomic.Pointer[extent] // the first extent: most blocks are there

	shards     [MaxProcs]atomic.Pointer[shard]
	shardCount atomic.Uint32 // shards below it may be there
	procs      atomic.Uint32 // GOMAXPROCS at the last tick
	spans      [classLimit]atomic.Int64
	spanBlocks [classLimit]atomic.Int64 // blocks of those spans
	pages      pages

	checked  bool
	lazy     bool // purge with PurgeLazy
	huge     bool // purge whole huge pages only
	first    uintptr
	decay    time.Duration
	timer    Timer
	ticking  atomic.Bool
	closed   atomic.Bool
	limited  atomic.Bool // there is a limit, so nothing is stashed
	onMisuse func(Misuse)

	inTick   sync.Mutex // a tick is under way
	draining sync.Mutex // guards taken
	taken    []*Cache
	seating  sync.Mutex // guards changes of caches
	sparing  sync.Mutex // guards spares
	spares   []*Cache

	roomFor                        atomic.Uintptr // bytes that a cache may have in rooms
	stashFrom                      uintptr
	stashing                       atomic.Bool // when a run was taken the last time, at least stashFrom bytes were in use
	cacheCount                     atomic.Int64
	ticks, softHits, faults, moves atomic.Uint64
}

// Config says how a heap is to be. The zero value is the default.
type Config struct {
	Decay    time.Duration // 0 is DefaultDecay; negative: never give anything back unasked
	Lazy     bool
	Huge     bool
	Checked  bool         // no caches: every free is checked at once
	OnMisuse func(Misuse) // default: panic with it
	First    uintptr      // bytes of address space to reserve first
	Timer    func(f func()) Timer
}

// DefaultDecay is the decay period of heaps that do not say otherwise.
const DefaultDecay = time.Second

// MinDecay is the shortest decay period that can be asked for: what is shorter keeps the program busy giving back.
const MinDecay = time.Millisecond

// Process is the heap of the process. It is there for others to have its address in variables that need no initialization.
var Process Heap

func init() { Process.init(Config{First: firstExtent}) }

// Default returns the heap of the process.
func Default() *Heap { return &Process }

// Configure makes the heap of the process as c says, with these limits. It is for package galloc, when it is initialized: nobody has used
// the heap yet.
func Configure(c Config, soft, hard uintptr) {
	c.First = firstExtent
	Process.init(c)
	Process.SetLimit(soft, hard, nil)
}

// New returns a heap. It takes memory when it is first used.
func New(c Config) *Heap {
	h := new(Heap)
	h.init(c)
	return h
}

func (h *Heap) init(c Config) {
	for p := range h.caches {
		h.caches[p].Store(&noCache)
	}
	h.main.Store(&noExtent)
	h.pages.heap = h
	h.checked, h.lazy, h.huge = c.Checked, c.Lazy && !vm.GoMemory, c.Huge
	h.first = c.First
	if h.first == 0 {
		h.first = firstExtent >> 6
	}
	h.onMisuse = c.OnMisuse
	if h.onMisuse == nil {
		h.onMisuse = func(m Misuse) { panic(m) }
	}
	h.decay = c.Decay
	if h.decay == 0 {
		h.decay = DefaultDecay
	}
	if c.Timer == nil {
		c.Timer = func(f func()) Timer {
			t := time.AfterFunc(time.Hour, f)
			t.Stop()
			return t
		}
	}
	h.timer = c.Timer(h.tick)
	h.procs.Store(MaxProcs)
	h.roomFor.Store(leastRoom)
	h.stashFrom = stashFrom
}

// reserve returns a new extent with room for n pages aligned to align, or nil.
func (h *Heap) reserve(n, align uintptr, have []*extent) *extent {
	const unit = mapUnit >> pageShift
	want := roundUp(n, unit)
	size := h.first >> pageShift
	for _, x := range have {
		size = max(size, uintptr(x.pages)) // each twice as large as all before, roughly
	}
	if len(have) > 0 {
		size *= 2
	}
	if x := reuseExtent(want, align); x != nil {
		return x
	}
	for size = roundUp(max(size, want), unit); ; size = max(roundUp(size/2, unit), want) {
		if size <= maxRun {
			if x, err := newExtent(size, align); err == nil {
				return x
			}
		}
		if size == want {
			return nil
		}
	}
}

// Alloc returns a block of at least size bytes, aligned to align, or nil. The size is not 0 and, rounded up to the alignment, at most
// MaxInt; the alignment is a power of two.
//
// The heap in force has a shorter way: see fast.go.
//
//go:nosplit
func (h *Heap) Alloc(size, align uintptr) unsafe.Pointer {
	c := ClassOf(size, align)
	k := h.Mine(ProcID())
	if p := k.Pop(c); p != nil {
		k.Done()
		return p
	}
	k.Done()
	return h.AllocSlow(size, align)
}

// ClassSize returns the size of the blocks of class c, or 0 if there is no such class.
func ClassSize(c uint32) uintptr {
	if c == 0 || c >= numClasses {
		return 0
	}
	return uintptr(classes[c].size)
}

// Pop returns a block of class c if the cache of the P has one, else nil, and then Alloc is to be called. It is for who knows the class
// already: c == ClassOf(size, align). It is not inlined because go:nosplit would be lost with that.
//
//go:nosplit
//go:noinline
func (h *Heap) Pop(c uint32) unsafe.Pointer {
	k := h.Mine(ProcID())
	p := k.Pop(uint8(c))
	k.Done()
	return p
}

// Push puts a block of class c into the cache of the P, and reports false if it could not: then Free is to be called.
//
//go:nosplit
//go:noinline
func (h *Heap) Push(c uint32, p unsafe.Pointer) bool {
	k := h.Mine(ProcID())
	ok := k.Push(uint8(c), p)
	k.Done()
	return ok
}

// AllocZeroed is Alloc with the first size bytes zero. Large blocks are cleared only where they are not known to be zero.
func (h *Heap) AllocZeroed(size, align uintptr) unsafe.Pointer {
	c := ClassOf(size, align)
	if c == 0 {
		return h.allocLarge(size, align, true)
	}
	k := h.Cache(Pin())
	p := k.Pop(c)
	k.Leave()
	if p == nil {
		if p = h.refill(c); p == nil {
			return nil
		}
	}
	// SAFETY: the block has size bytes, and nobody else has it yet.
	clear(unsafe.Slice((*byte)(p), size))
	return p
}

// Free takes back the block at p, which Alloc has returned for a size and alignment of the same class.
//
//go:nosplit
func (h *Heap) Free(p unsafe.Pointer, size, align uintptr) {
	c := ClassOf(size, align)
	k := h.Mine(ProcID())
	if k.Push(c, p) {
		k.Done()
		return
	}
	k.Done()
	h.FreeSlow(p, size, align)
}

// Resize makes the block at p newSize bytes large where it is, and reports whether it has; if not, nothing has changed.
func (h *Heap) Resize(p unsafe.Pointer, size, align, newSize uintptr) bool {
	c := ClassOf(size, align)
	if c != ClassOf(newSize, align) {
		return false
	}
	if c != 0 {
		return true
	}
	ok, _ := h.resizeLarge(p, size, newSize)
	return ok
}

// Realloc makes the block at p newSize bytes large, keeping its contents as far as they fit, and returns where it now is; or
// nil, and nothing has changed.
func (h *Heap) Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer {
	c, d := ClassOf(size, align), ClassOf(newSize, align)
	if c == d {
		if c != 0 {
			return p
		}
		switch ok, found := h.resizeLarge(p, size, newSize); {
		case ok:
			return p
		case found:
			return h.moveLarge(p, size, align, newSize)
		}
		return nil
	}
	q := h.Alloc(newSize, align)
	if q != nil {
		copyBytes(q, p, min(size, newSize))
		h.Free(p, size, align)
	}
	return q
}

// UsableSize returns how large a block is that Alloc returns for size and align.
func UsableSize(size, align uintptr) uintptr {
	if c := ClassOf(size, align); c != 0 {
		return uintptr(classes[c].size)
	}
	return pagesFor(size) << pageShift
}

// blockAt returns the run that p is in, if p may be the start of a block, or nil.
func (h *Heap) blockAt(b unsafe.Pointer) *span {
	p := refOf(b)
	x := extentAt(p)
	if x == nil || x.heap != h {
		return nil
	}
	s := x.spanAt(p)
	if s == nil {
		return nil
	}
	switch s.kind {
	case kindLarge:
		if p == s.base && s.tag().what() != tagStashed {
			return s
		}
	case kindSpan:
		k := &classes[s.class]
		off := uintptr(p - s.base)
		if off%uintptr(k.size) == 0 && off/uintptr(k.size) < uintptr(s.blocks) {
			return s
		}
	}
	return nil
}

// SizeOf returns the usable size of the block at p, or 0 if no block of this heap starts there.
func (h *Heap) SizeOf(p unsafe.Pointer) uintptr {
	switch s := h.blockAt(p); {
	case s == nil:
		return 0
	case s.kind == kindLarge:
		return s.bytes()
	default:
		return uintptr(classes[s.class].size)
	}
}

// FreeUnsized is Free for those who do not know the size of the block.
//
//go:nosplit
func (h *Heap) FreeUnsized(p unsafe.Pointer) {
	x := h.main.Load()
	i := (uintptr(p) - uintptr(x.base)) >> pageShift
	if i < uintptr(atomic.LoadUint32(&x.frontier)) {
		c := *(*uint8)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(x.classMap)), i)) // SAFETY: it has an element for every page below the frontier
		k := h.Mine(ProcID())
		ok := k.Push(c, p) // never if c is 0
		k.Done()
		if ok {
			return
		}
	}
	h.freeUnsized(p)
}

// freeUnsized is FreeUnsized where the cache has no room, for blocks that are runs, for those of other extents, and for misuse.
func (h *Heap) freeUnsized(p unsafe.Pointer) {
	if c := h.classAt(refOf(p)); c != 0 {
		h.store(c, p)
		return
	}
	if s := h.blockAt(p); s != nil && s.kind == kindLarge {
		h.freeLarge(p, 0, true)
		return
	}
	h.report(refOf(p), 0)
}

// classAt returns the class of the blocks of the span that address r lies in, or 0 if that is no span of this heap.
func (h *Heap) classAt(r ref) uint8 {
	x := extentAt(r)
	if x == nil || x.heap != h {
		return 0
	}
	i := (uintptr(r) - uintptr(x.base)) >> pageShift
	if i >= uintptr(atomic.LoadUint32(&x.frontier)) {
		return 0
	}
	return x.classMap[i]
}

// noExtent is the first extent of heaps that have none.
var noExtent extent
