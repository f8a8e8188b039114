// Package memcheck finds misuse of memory. A [Checker] is an allocator in front of another one, its
// inner allocator. It knows addresses, sizes and alignments only, so that the root package and the
// public package memcheck can both stand on it.
//
// # Three ways to treat a block
//
//	zoned      left zone | block | right zone                in one block of the inner allocator
//	guarded    guarded pages | zone | block | guarded pages  or block | zone; in the pool
//	passed on  block                                         of the inner allocator, not checked
//
// In full mode every block is zoned, unless the options ask for guarding. The zones hold a pattern,
// which is verified when the block is freed or resized, when it leaves the quarantine, and by
// CheckAll. A freed block is filled with another pattern and enters the quarantine, a queue bounded
// in bytes. So its address does not come back soon, a second free is recognized, and a write to it
// is found when the block is verified: two blocks at each free, and each block when it leaves the
// queue. A block larger than the bound does not enter the queue: the last such block is kept beside
// it. This finds writes, and finds them late.
//
// A guarded block has its own pages. It ends or starts where they do, next to inaccessible pages,
// and its own pages become inaccessible when it is freed. This finds reads too, at once, with the
// stack of the access. It costs at least a page for each block, and a system call for each
// allocation and free. So it is for blocks of some sizes, or for a sample.
//
// In sampled mode one block in n is picked and guarded, and all others are passed on. The idea
// comes from GWP-ASan (Serebryany and others, 2023; first in Chromium and tcmalloc, 2018-19), and
// so does the advice to leave it switched on in production. Red zones and quarantine follow
// AddressSanitizer (Serebryany and others, 2012) and the debugging mallocs before it; guarded pages
// follow Electric Fence (Perens, 1987).
//
// # Records
//
// Each block has a record, kept apart from it so that no overflow reaches the record: address,
// size, alignment, number, and the stacks of allocation and free. Equal stacks are stored once, in
// a table. Records of zoned blocks are in hash tables by address. Records of guarded blocks are in
// the pool's list of slots, in address order. Blocks that have left the quarantine stay known for a
// while, to distinguish a late second free from a foreign address. To report misuse, all tables are
// searched; that may be slow.
//
//	allocated      in its table or slot, not freed; zones hold zonePattern
//	quarantined    in its table, freed, and in the queue; filled with freedPattern
//	guarded, freed in its slot, freed; pages guarded, or else filled with freedPattern
//
// All tables are Go memory, and grow with the number of blocks, allocated and in quarantine. The
// table of stacks is bounded.
//
// # Limits
//
// Leaks lists what is allocated; whether it is still needed, a Checker cannot know. It does not see
// what happens to memory that has left the quarantine, nor reads of zoned blocks. Of a wrong write
// it knows the block, not the place of the write.
package memcheck

import (
	"math"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/sample"
	"github.com/galloc-go/galloc/internal/stacks"
	"github.com/galloc-go/galloc/internal/vm"
)

// Inner is the allocator that a Checker takes its memory from. Its methods are called from any
// goroutine, with sizes that are not 0. Methods that allocate return nil if memory is exhausted.
type Inner interface {
	Alloc(size, align uintptr) unsafe.Pointer
	AllocZeroed(size, align uintptr) unsafe.Pointer
	Free(p unsafe.Pointer, size, align uintptr)
	Realloc(p unsafe.Pointer, size, align, newSize uintptr) unsafe.Pointer
}

// A Guard says on which side of a guarded block the inaccessible pages are.
type Guard uint8

// The sides.
const (
	NoGuard     Guard = iota // blocks are not guarded
	GuardEnd                 // after the block: finds overflows
	GuardStart               // before the block: finds underflows
	GuardEither              // one of the two, at random
)

// Options are the options of a Checker. Where 0 means a default, a negative value means none.
type Options struct {
	RedZone    int     // minimum number of bytes on each side of a block: 0 is 32
	Quarantine int     // maximum number of bytes in the quarantine: 0 is 64 MiB, 8 MiB on 32 bits
	StackDepth int     // maximum number of calls in a stack: 0 is 16, and 64 the maximum
	Guard      Guard   // guard blocks in full mode
	GuardMin   uintptr // size of the smallest guarded block
	GuardMax   uintptr // size of the largest guarded block: 0 is no limit
	GuardGap   uintptr // minimum number of guarded bytes between two guarded blocks: 0 is a page
	GuardLimit int     // maximum number of guarded blocks: 0 is 16384, 256 in sampled mode
	Sample     uint32  // guard one allocation in n and pass the others on: 0 is full mode

	// GuardSpace is the number of bytes of address space for guarded blocks and gaps: 0 is 16 GiB,
	// or 64 MiB in sampled mode, or 16 MiB on 32 bits.
	GuardSpace uintptr

	// GuardDelay is the minimum time for which a freed guarded block stays inaccessible, even if no
	// other block can be guarded meanwhile.
	GuardDelay time.Duration

	// OnMisuse is called for each misuse, by the goroutine that has found it. If it is nil, the
	// report is printed and Abort is called.
	OnMisuse func(*Report)

	// Abort ends the program. If it is nil, the exit status is 2.
	Abort func()

	// ZeroSize returns the address of blocks of size 0. The address for alignment 1 must belong to
	// a variable of at least 256 bytes, all zero. If ZeroSize is nil, the Checker must not be
	// called with size 0.
	ZeroSize func(align uintptr) unsafe.Pointer
}

// A Stack is a stack of calls, the latest first, as [runtime.Callers] returns it.
type Stack = stacks.Stack

// A Checker is an allocator that checks the use of its blocks. All methods but Reset may be called
// concurrently.
type Checker struct {
	inner      Inner
	options    Options
	redZone    uintptr
	threshold  uint32 // in sampled mode, a block is picked if a random number is less
	pool       pool
	tables     [numTables]table
	quarantine quarantine
	history    history
	stacks     stacks.Table
	next       atomic.Uint64  // number of the last allocation
	zero       unsafe.Pointer // address of the variable for blocks of size 0, if it is known
	misuses    atomic.Uint64
	shortage   string // of address space for guarded blocks
}

const (
	defaultRedZone = 32
	defaultStack   = 16
	is32Bit        = bits.UintSize == 32
)

// New returns a Checker in front of inner. If the system does not provide address space for the
// pool, no blocks are guarded, and in sampled mode nothing is checked: see Guards.
func New(inner Inner, o Options) *Checker {
	c := &Checker{inner: inner, options: o}
	c.redZone = uintptr(orDefault(o.RedZone, defaultRedZone))
	if o.ZeroSize != nil {
		c.zero = o.ZeroSize(1)
	}
	c.stacks.Depth = min(orDefault(o.StackDepth, defaultStack), stacks.MaxDepth)
	quarantine := 64 << 20
	if is32Bit {
		quarantine = 8 << 20
	}
	c.quarantine.bound = uintptr(orDefault(o.Quarantine, quarantine))
	for i := range c.tables {
		c.tables[i].blocks = map[uintptr]record{}
	}
	if o.Sample > 0 {
		c.threshold = math.MaxUint32 / o.Sample
		if o.Guard == NoGuard {
			c.options.Guard = GuardEither
		}
	}
	if c.options.Guard != NoGuard {
		c.pool.open(c)
	}
	return c
}

// orDefault returns n, or def if n is 0, or 0 if n is negative.
func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return max(n, 0)
}

// Guards reports whether blocks can be guarded, and whether an access to guarded memory crashes.
func (c *Checker) Guards() (pool, crash bool) {
	return c.pool.size != 0, c.pool.size != 0 && !vm.GoMemory
}

// Shortage says that fewer blocks can be guarded than the options ask for, or none, or returns "".
func (c *Checker) Shortage() string { return c.shortage }

// Picks reports whether the next block must be checked: always in full mode, at random in sampled
// mode.
func (c *Checker) Picks() bool { return c.options.Sample == 0 || sample.Random() < c.threshold }

// PicksFor is Picks for a call that allocates n() blocks at once, at most limit. It nearly always
// decides without calling n.
func (c *Checker) PicksFor(limit uint32, n func() int) bool {
	draw := uint64(sample.Random())
	return draw < uint64(c.threshold)*uint64(limit) && draw < uint64(c.threshold)*uint64(n())
}

// Passes reports whether the block at p was passed on, so that the inner allocator must free it.
func (c *Checker) Passes(p unsafe.Pointer) bool { return c.options.Sample != 0 && !c.pool.contains(p) }

// Sampled reports whether c is in sampled mode.
func (c *Checker) Sampled() bool { return c.options.Sample != 0 }

// SampleRate returns n if one allocation in n is checked, and 0 in full mode.
func (c *Checker) SampleRate() uint32 { return c.options.Sample }

// PoolRange returns the address range of guarded blocks. The size is 0 if there is none.
func (c *Checker) PoolRange() (base unsafe.Pointer, size uintptr) { return c.pool.base, c.pool.size }

// Misuses returns the number of reports so far.
func (c *Checker) Misuses() uint64 { return c.misuses.Load() }

// report reports misuse. The caller holds no lock.
func (c *Checker) report(r *Report) {
	c.misuses.Add(1)
	if r.Stack == nil {
		r.Stack = c.stacks.Now(1)
	}
	if c.options.OnMisuse != nil {
		c.options.OnMisuse(r)
		return
	}
	printing.Lock() // for good: no other goroutine may end the program first
	_, _ = os.Stderr.WriteString(r.String())
	if c.options.Abort != nil {
		c.options.Abort()
	}
	os.Exit(2)
}

var printing sync.Mutex
