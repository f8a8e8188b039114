// Package debug finds mistakes in the use of memory. A [Debugger] stands in front of an allocator, its inner one, and works with
// addresses, sizes and alignments only, so that whatever the vocabulary of its user is, it can be put on top.
//
// # Three ways to look after a block
//
//	red zones   left zone | block | right zone       in one block of the inner allocator
//	guarded     guarded pages | zone | block | guarded pages      or block | zone; in pages of the pool
//	passed on   block                                of the inner allocator, which nobody looks after
//
// In full mode every block is of the first kind. The zones hold a pattern, which is verified when the block is freed or resized,
// when it leaves the quarantine, and by CheckAll. A freed block is filled with another pattern and goes to the quarantine, a queue
// bounded in bytes: so its address does not come again soon, a second free is known for one, and a write to it shows when its turn has
// come, two with each free, or when it leaves the queue. This finds writes, and finds them late, where they happened nearby.
//
// A guarded block has pages of its own. It ends (or begins) where they do, and beyond lies nothing that could be read or written;
// when it is freed, the same goes for all of it. This finds reads too, at once, with the stack of who did it, and costs a page or
// more for each block and a system call for each allocation and free. So it is for blocks of some sizes, or for some of the blocks.
//
// In sampled mode one block in so many is guarded and all others are passed on. The idea, and that one should leave it switched on
// where programs really run, is that of GWP-ASan (Serebryany and others, 2023; first in Chromium and tcmalloc, 2018-19). Red zones
// and quarantine are those of AddressSanitizer (Serebryany and others, 2012) and of debugging mallocs before it; guarded
// pages those of Electric Fence (Perens, 1987).
//
// # What it knows of a block
//
// A record, kept apart from the block so that no overflow reaches it: address, size, alignment, number, and the stacks of allocation
// and free. A stack is captured into a table in which equal ones are one, and is an index otherwise. Records of blocks with red zones are in
// hash tables, sharded by address; those of guarded blocks in the list of slots of the pool, ordered by address. Blocks that
// have left the quarantine stay known for a while, to tell a late second free from a foreign address. Where something is wrong, all
// tables are searched from one end to the other: that may take its time.
//
//	live block:         in its table or slot, state live; zones hold zonePattern
//	quarantined block:  in its table, state freed, and in the queue; filled with freedPattern
//	guarded, freed:     in its slot, state freed; pages Guarded, or filled with freedPattern where pages cannot be guarded
//
// # What it cannot know
//
// Whether a block that was never freed is still wanted: Leaks lists what is allocated. What happened to memory that has left the
// quarantine. Reads of blocks with red zones. Where a wrong write came from: only where the block did.
//
// All tables are Go memory, and grow with the number of blocks, live and in quarantine; none of it comes from the inner allocator. The table of stacks
// has a bound.
package debug

import (
	"bytes"
	"math"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// Inner is the allocator that a Debugger takes its memory from. It is called with sizes that are not 0 and from any goroutine,
// and returns nil if it has no memory.
type Inner interface {
	Alloc(size, align uintptr) unsafe.Pointer
	Free(p unsafe.Pointer, size, align uintptr)
}

// A Side says where a guarded block lies in its pages.
type Side uint8

// The sides.
const (
	Nowhere  Side = iota // not guarded
	AtEnd                // before guarded pages: finds overflows
	AtStart              // behind guarded pages: finds underflows
	AtEither             // the one or the other, by chance
)

// Options are those of a Debugger. Where 0 stands for a default, a negative value stands for none.
type Options struct {
	RedZone    int                                // bytes on each side of a block, at least: 0 is 32
	Quarantine int                                // bytes in the quarantine, at most: 0 is 64 MiB, or 8 MiB where an int has 32 bits
	Stacks     int                                // calls in a stack, at most: 0 is 16, and 64 the most
	Guard      Side                               // blocks are guarded, in full mode
	GuardMin   uintptr                            // those of at least so many bytes
	GuardMax   uintptr                            // and at most so many: 0 is no limit
	Gap        uintptr                            // bytes guarded between two guarded blocks, at least: 0 is a page
	Pool       uintptr                            // bytes of address space for guarded blocks and gaps: 0 is 16 GiB, or 64 MiB in sampled mode; much less on 32 bits
	MaxGuarded int                                // guarded blocks at a time: 0 is 16384, or 256 in sampled mode
	Sample     uint32                             // one of so many allocations is guarded, and all others are passed on: 0 is full mode
	Handler    func(*Report)                      // is told of each mistake, by the goroutine that has found it: nil prints it and ends the program
	Abort      func()                             // how it ends: nil is exit status 2
	ZeroSize   func(align uintptr) unsafe.Pointer // the address that stands for blocks of size 0, which for alignment 1 is that of a variable of 256 bytes or more, all zero: nil if there is none
}

// A Debugger is an allocator that looks after its blocks. All methods may be called by several goroutines at once, but for Reset.
type Debugger struct {
	inner      Inner
	options    Options
	redZone    uintptr
	threshold  uint32 // of cheaprand, in sampled mode
	pool       pool
	tables     [shards]table
	quarantine quarantine
	history    history
	stacks     stackTable
	next       atomic.Uint64  // the number of the last allocation
	zero       unsafe.Pointer // where blocks of size 0 are said to be, if that is known
	mistakes   atomic.Uint64
}

const (
	defaultRedZone = 32
	defaultStack   = 16
	maxStack       = 64
	small          = bits.UintSize == 32
)

// New returns a Debugger in front of inner. If the system does not give the pool, there are no guarded blocks, and in sampled mode
// nothing is looked after at all: see Guards.
func New(inner Inner, o Options) *Debugger {
	d := &Debugger{inner: inner, options: o}
	d.redZone = uintptr(orDefault(o.RedZone, defaultRedZone))
	if o.ZeroSize != nil {
		d.zero = o.ZeroSize(1)
	}
	d.stacks.depth, d.stacks.most = min(orDefault(o.Stacks, defaultStack), maxStack), mostStacks/stackShards
	quarantine := 64 << 20
	if small {
		quarantine = 8 << 20
	}
	d.quarantine.bound = uintptr(orDefault(o.Quarantine, quarantine))
	for i := range d.tables {
		d.tables[i].blocks = map[uintptr]block{}
	}
	if o.Sample > 0 {
		d.threshold = math.MaxUint32 / o.Sample
		if o.Guard == Nowhere {
			d.options.Guard = AtEither
		}
	}
	if d.options.Guard != Nowhere {
		d.pool.open(d)
	}
	return d
}

// orDefault returns n, or def for 0, or 0 for what is negative.
func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return max(n, 0)
}

// Guards reports whether there is a pool, so that blocks can be guarded, and whether an access to what is guarded there really crashes.
func (d *Debugger) Guards() (pool, crash bool) {
	return d.pool.size != 0, d.pool.size != 0 && !vm.GoMemory
}

// Picks reports whether the next block is one to be looked after: always in full mode, now and then in sampled mode.
func (d *Debugger) Picks() bool { return d.options.Sample == 0 || cheaprand() < d.threshold }

// PicksFor is Picks for a call that stands for as many allocations as n returns, which are most at most. It is nearly always done without n.
func (d *Debugger) PicksFor(most uint32, n func() int) bool {
	draw := uint64(cheaprand())
	return draw < uint64(d.threshold)*uint64(most) && draw < uint64(d.threshold)*uint64(n())
}

// Passes reports whether the block at p was passed on, so that its end is the inner allocator's business.
func (d *Debugger) Passes(p unsafe.Pointer) bool { return d.options.Sample != 0 && !d.pool.contains(p) }

// Sampled reports whether d is in sampled mode.
func (d *Debugger) Sampled() bool { return d.options.Sample != 0 }

// SampleRate returns that one of how many allocations is guarded, in sampled mode.
func (d *Debugger) SampleRate() uint32 { return d.options.Sample }

// PoolRange returns where guarded blocks are: nothing if there is no pool.
func (d *Debugger) PoolRange() (base unsafe.Pointer, size uintptr) { return d.pool.base, d.pool.size }

// Alloc returns a block of size bytes, not 0, at a multiple of align, a power of two; or nil if the inner allocator has no memory, even
// after the quarantine was emptied. In full mode, the block is filled with a pattern (0xa5).
func (d *Debugger) Alloc(size, align uintptr) unsafe.Pointer {
	if !d.Picks() {
		return d.inner.Alloc(size, align)
	}
	if p := d.Guarded(size, align); p != nil {
		return p
	}
	if d.Sampled() {
		return d.inner.Alloc(size, align)
	}
	return d.zoned(size, align)
}

// Guarded returns a guarded block, or nil if a block of that size and alignment is not to be guarded, or cannot be.
func (d *Debugger) Guarded(size, align uintptr) unsafe.Pointer {
	if d.pool.size == 0 || size < d.options.GuardMin || d.options.GuardMax != 0 && size > d.options.GuardMax {
		return nil
	}
	return d.pool.alloc(size, align)
}

// zoned returns a block with red zones.
func (d *Debugger) zoned(size, align uintptr) unsafe.Pointer {
	left, total := d.extent(size, align)
	if total == 0 {
		return nil
	}
	base := d.inner.Alloc(total, align)
	if base == nil {
		d.Drain()
		if base = d.inner.Alloc(total, align); base == nil {
			return nil
		}
	}
	// SAFETY: left < total.
	p := unsafe.Add(base, left)
	b := block{base: base, addr: uintptr(p), size: size, total: total, lg: log2(align), allocStack: d.stacks.here(), number: d.next.Add(1)}
	fill(b.zoneBefore(), zonePattern)
	fill(b.bytes(), freshPattern)
	fill(b.zoneAfter(), zonePattern)
	t := d.table(b.addr)
	t.mu.Lock()
	old, taken := t.blocks[b.addr]
	t.blocks[b.addr] = b
	t.mu.Unlock()
	if taken && !old.plain { // the garbage collector may have taken back one that is plain
		d.tell(&Report{Kind: Overlap, Op: OpAlloc, Addr: b.addr, Size: size, Align: align, Block: d.describe(&old)})
	}
	return p
}

// zone returns how many bytes on each side of a block are watched at least: more of them beside larger blocks, since what goes wrong there
// goes further, as with AddressSanitizer.
func (d *Debugger) zone(size uintptr) uintptr {
	if d.redZone == 0 {
		return 0
	}
	return max(d.redZone, min(size/8, maxGrownZone))
}

// maxGrownZone is the largest zone that nobody has asked for.
const maxGrownZone = 2048

// maxZoneAlign is the greatest alignment of blocks that have a left zone, which must be a multiple of it.
const maxZoneAlign = 64 << 10

// extent returns the bytes before a block, and those of all of it with its zones: 0 if that is too large.
func (d *Debugger) extent(size, align uintptr) (left, total uintptr) {
	zone := d.zone(size)
	if align <= maxZoneAlign {
		left = roundUp(zone, align)
	}
	if size > math.MaxInt+1-align-left-zone-8 {
		return 0, 0
	}
	return left, roundUp(left+size+zone, 8)
}

// Free takes back the block at p, of that size and alignment. A mistake is reported; if it is about which block is meant, nothing else is done.
func (d *Debugger) Free(p unsafe.Pointer, size, align uintptr) {
	if d.Passes(p) {
		d.inner.Free(p, size, align)
		return
	}
	d.free(OpFree, p, size, align)
}

func (d *Debugger) free(op Op, p unsafe.Pointer, size, align uintptr) {
	if d.pool.contains(p) {
		d.pool.free(op, p, size, align)
		return
	}
	stack := d.stacks.here()
	d.checkZero()
	t := d.table(uintptr(p))
	t.mu.Lock()
	b, ok := t.blocks[uintptr(p)]
	if !ok || b.mistaken(op, size, align) != 0 {
		t.mu.Unlock()
		d.refuse(op, p, size, align, b, ok)
		return
	}
	freed := b
	freed.freed, freed.freeStack = true, stack
	if b.plain {
		d.forget(t, freed)
		t.mu.Unlock()
		d.inner.Free(p, size, align)
		return
	}
	damage := b.damage()
	fill(b.bytes(), freedPattern)
	// The handler may panic: so it is told when all is done that must be.
	if b.total > d.quarantine.bound { // it would push all others out of the quarantine, and follow them
		d.forget(t, freed)
		t.mu.Unlock()
		d.inner.Free(b.base, b.total, align)
		d.tellDamage(op, &b, damage)
		return
	}
	t.blocks[b.addr] = freed
	t.mu.Unlock()
	d.quarantine.push(&b)
	d.tellDamage(op, &b, damage)
	for range verifiedPerFree {
		d.verifyNext()
	}
	d.release(d.quarantine.bound)
}

// So many freed blocks are verified for each that is freed: more than one, so that all have had their turn after as many frees as there are
// of them, also while their number grows by one with each. Larger blocks wait until they leave the quarantine, which is sooner.
const (
	verifiedPerFree  = 2
	mostVerifiedSize = 16 << 10
)

// verifyNext verifies the freed block whose turn it is.
func (d *Debugger) verifyNext() {
	w, ok := d.quarantine.inTurn()
	if !ok || w.bytes > mostVerifiedSize {
		return
	}
	t := d.table(w.addr)
	t.mu.Lock()
	b := t.blocks[w.addr]
	var damage [3]wound
	if b.number == w.number {
		damage = b.damage()
	}
	t.mu.Unlock()
	d.tellDamage(OpVerify, &b, damage)
}

// forget moves the record of a freed block to the history. So at any time it is either in its table, which is locked, or there.
func (d *Debugger) forget(t *table, b block) {
	d.history.add(b)
	delete(t.blocks, b.addr)
}

// Adopt makes the block at p one that is known, and that is all: it has no zones, and is given back to the inner allocator at once when it is
// freed. It is for memory that the garbage collector scans, and may collect: no pointer to it is kept.
func (d *Debugger) Adopt(p unsafe.Pointer, size, align uintptr) {
	if d.Passes(p) || size == 0 {
		return
	}
	b := block{addr: uintptr(p), size: size, lg: log2(align), plain: true, allocStack: d.stacks.here(), number: d.next.Add(1)}
	t := d.table(b.addr)
	t.mu.Lock()
	t.blocks[b.addr] = b
	t.mu.Unlock()
}

// FreeZero is told of the end of a block of size 0. They have no memory: so p is not to be the address of one that has, or had lately.
func (d *Debugger) FreeZero(p unsafe.Pointer, align uintptr) {
	if d.Passes(p) {
		return
	}
	d.checkZero()
	if b, ok := d.exact(uintptr(p)); ok {
		d.refuse(OpFree, p, 0, align, b, ok)
	}
}

// Change makes the block at p, of the given size and alignment, one of newSize, not 0, and newAlign, and returns where it now is: always elsewhere, so that
// whoever goes on to use the old address is found out. The first min(size, newSize) bytes are kept. If there is no memory, or if p is
// not such a block, which is reported, it returns nil, and nothing has changed.
func (d *Debugger) Change(p unsafe.Pointer, size, align, newSize, newAlign uintptr) unsafe.Pointer {
	if d.Passes(p) {
		return d.move(OpFree, p, size, align, newSize, newAlign)
	}
	if !d.Check(OpRealloc, p, size, align) {
		return nil
	}
	return d.move(OpRealloc, p, size, align, newSize, newAlign)
}

func (d *Debugger) move(op Op, p unsafe.Pointer, size, align, newSize, newAlign uintptr) unsafe.Pointer {
	q := d.Alloc(newSize, newAlign)
	if q == nil {
		return nil
	}
	n := min(size, newSize)
	// SAFETY: both blocks are allocated, with n bytes at least.
	copy(unsafe.Slice((*byte)(q), n), unsafe.Slice((*byte)(p), n))
	if d.Passes(p) {
		d.inner.Free(p, size, align)
	} else {
		d.free(op, p, size, align)
	}
	return q
}

// Check reports whether there is a live block of that size and alignment at p, and tells the handler if not, in the name of op. It knows nothing of
// blocks that were passed on, and does not complain.
func (d *Debugger) Check(op Op, p unsafe.Pointer, size, align uintptr) bool {
	if d.Passes(p) {
		return true
	}
	d.checkZero()
	b, ok := d.exact(uintptr(p))
	if ok && b.mistaken(op, size, align) == 0 {
		return true
	}
	d.refuse(op, p, size, align, b, ok)
	return false
}

// exact returns the record of the block that begins at addr, and is live or freed not long ago.
func (d *Debugger) exact(addr uintptr) (block, bool) {
	if d.pool.containsAddr(addr) {
		b, ok := d.pool.nearest(addr)
		return b, ok && b.addr == addr
	}
	t := d.table(addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.blocks[addr]
	return b, ok
}

// Owns reports whether a block begins at p that is live, or was freed not long ago. It knows nothing of blocks that were passed on.
func (d *Debugger) Owns(p unsafe.Pointer) bool {
	_, ok := d.exact(uintptr(p))
	return ok
}

// release takes blocks out of the quarantine until no more than bound bytes are in it, and gives them back to the inner allocator.
func (d *Debugger) release(bound uintptr) {
	for {
		w, ok := d.quarantine.pop(bound)
		if !ok {
			return
		}
		t := d.table(w.addr)
		t.mu.Lock()
		b := t.blocks[w.addr]
		if b.number != w.number {
			t.mu.Unlock()
			continue
		}
		d.forget(t, b)
		t.mu.Unlock()
		damage := b.damage()
		d.inner.Free(b.base, b.total, 1<<b.lg)
		d.tellDamage(OpVerify, &b, damage)
	}
}

// Drain empties the quarantine: all that is in it is verified, and given back.
func (d *Debugger) Drain() {
	d.release(0)
	d.checkZero()
}

// Reset makes all blocks freed ones, after the inner allocator has taken them back. It verifies nothing. It must not be called at the same time as
// another method.
func (d *Debugger) Reset() {
	stack := d.stacks.here()
	for i := range d.tables {
		for _, b := range d.tables[i].blocks {
			if !b.freed {
				b.freed, b.freeStack = true, stack
			}
			d.history.add(b)
		}
		clear(d.tables[i].blocks)
	}
	d.quarantine.ring, d.quarantine.first, d.quarantine.count, d.quarantine.turn, d.quarantine.bytes = nil, 0, 0, 0, 0
	d.pool.reset(stack)
}

// CheckAll verifies all blocks, live and freed, and returns how many are damaged. Each is reported, once.
func (d *Debugger) CheckAll() int {
	var found []*Report
	for i := range d.tables {
		t := &d.tables[i]
		t.mu.Lock()
		for _, b := range t.blocks {
			for _, w := range b.damage() {
				if w.count != 0 {
					found = append(found, d.damageReport(OpVerify, &b, w))
				}
			}
		}
		t.mu.Unlock()
	}
	found = append(found, d.pool.verify()...)
	found = append(found, d.verifyZero()...)
	for _, r := range found {
		d.tell(r)
	}
	return len(found)
}

// checkZero reports what was written where blocks of size 0 are said to be. It is called often, since it costs some nanoseconds, and nothing else says
// when that was.
func (d *Debugger) checkZero() {
	for _, r := range d.verifyZero() {
		d.tell(r)
	}
}

// verifyZero looks whether something was written where blocks of size 0 are said to be, and zeros are.
func (d *Debugger) verifyZero() []*Report {
	if d.zero == nil {
		return nil
	}
	// SAFETY: the variable is larger; see Options.
	part := view(d.zero, zeroSizeBytes)
	if bytes.Equal(part, patternOf(0)[:zeroSizeBytes]) {
		return nil
	}
	healing.Lock()
	defer healing.Unlock()
	w := inspect(ZeroSize, part, 0)
	if w.count == 0 {
		return nil
	}
	r := d.damageReport(OpVerify, &block{addr: uintptr(d.zero)}, w)
	r.Block = Block{} // there is none
	return []*Report{r}
}

const zeroSizeBytes = 256

var healing sync.Mutex // of that variable, which is one for all

// Mistakes returns how many have been reported.
func (d *Debugger) Mistakes() uint64 { return d.mistakes.Load() }

// tell reports a mistake. No lock is held.
func (d *Debugger) tell(r *Report) {
	d.mistakes.Add(1)
	if r.Stack == nil {
		r.Stack = d.stacks.now()
	}
	if d.options.Handler != nil {
		d.options.Handler(r)
		return
	}
	printing.Lock() // and for ever: nobody else is to end the program before this is written
	_, _ = os.Stderr.WriteString(r.String())
	if d.options.Abort != nil {
		d.options.Abort()
	}
	os.Exit(2)
}

var printing sync.Mutex
