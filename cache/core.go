package cache

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/vm"
)

// core is a cache of bytes. Text and Cache are faces of it.
type core struct {
	alloc  galloc.Allocator
	heap   *heap.Heap // alloc, if it is the cache's
	shards []shard
	shift  uint // the highest bits of a hash select the shard
	seed   maphash.Seed
	align  uintptr                              // of values
	same   func(key, other unsafe.Pointer) bool // compares keys; nil means byte by byte
	loads  loads

	limit   int64  // MaxBytes
	fixed   int64  // the part of limit that is not for blocks
	largest int64  // the largest block of an entry
	bytes   memory // usable sizes of all blocks
	entries budget
	costs   budget
	hand    atomic.Uint64 // selects the shards that evict

	ttl      int64
	sliding  bool
	costOf   func(key string, value []byte) int64
	onRemove func(key string, value []byte, why Reason)
	clock    func() time.Time // or nil
	start    time.Time
	sweeper  sweeper
	closed   atomic.Bool
}

// A cache has at most one shard for each MiB: so the least MaxBytes does not depend on the shards.
const (
	minBytes      = 64 << 10 // the least MaxBytes with an Allocator
	bytesOfShard  = 1 << 20
	entriesOf     = 512 // of a shard, if there is a limit of entries
	shardsOfProc  = 4
	maxShards     = 256
	goMemoryOf    = 192 << 10 // Go memory that a heap may take for a P
	goMemory      = 32 << 10  // and for itself
	minHeap       = 1 << 20   // the least HardLimit of a heap
	heapOverhead  = 640 << 10 // memory that a heap takes for itself
	checkedFactor = 16        // a heap has no caches if they could take this part of the limit
)

// newCore returns a cache. OnRemove and Cost of o are the caller's to set.
func newCore(o *OptionsOf[string, []byte], shards int) (*core, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	procs := runtime.GOMAXPROCS(0)
	if shards == 0 {
		n := min(int64(procs*shardsOfProc), maxShards, max(1, o.MaxBytes/bytesOfShard))
		if o.MaxEntries > 0 {
			n = min(n, max(1, o.MaxEntries/entriesOf))
		}
		shards = 1 << (bits.Len64(uint64(n)) - 1)
	}
	c := &core{
		alloc: o.Allocator, seed: maphash.MakeSeed(), align: 1, limit: o.MaxBytes,
		shards: make([]shard, shards), shift: uint(64 - bits.TrailingZeros(uint(shards))),
		ttl: int64(o.TTL), sliding: o.Sliding, costOf: o.Cost, onRemove: o.OnRemove, clock: o.Now,
	}
	if c.clock != nil {
		c.start = c.clock()
	} else {
		c.start = time.Now()
	}
	c.entries.max, c.costs.max = math.MaxInt64, math.MaxInt64
	if o.MaxEntries > 0 {
		c.entries.max = o.MaxEntries
	}
	if o.MaxCost > 0 {
		c.costs.max = o.MaxCost
	}
	for i := range c.shards {
		c.shards[i].core = c
	}
	c.fixed = int64(unsafe.Sizeof(*c)) + int64(shards)*int64(unsafe.Sizeof(shard{}))
	if err := c.openHeap(procs); err != nil {
		return nil, err
	}
	for i := range c.shards {
		if err := c.firstSegment(&c.shards[i]); err != nil {
			c.close()
			return nil, err
		}
	}
	c.largest = c.bytes.ceiling - c.bytes.used.Load()
	if c.heap != nil {
		// For what the heap keeps of its pages.
		c.largest -= c.bytes.ceiling/32 + extentsOverhead(c.limit)
	}
	return c, nil
}

// openHeap makes the heap, if the caller has no allocator, and divides the limit.
func (c *core) openHeap(procs int) error {
	if c.alloc != nil {
		c.bytes.init(c.limit - c.fixed)
		if c.limit < minBytes || c.bytes.ceiling < minBytes/2 {
			return fmt.Errorf("galloc/cache: MaxBytes %d: make it %d or more", c.limit, max(minBytes, c.fixed+minBytes/2))
		}
		return nil
	}
	caches := int64(procs) * goMemoryOf
	checked := caches > c.limit/checkedFactor
	c.fixed += goMemory
	if !checked {
		c.fixed += caches
	}
	hard := c.limit - c.fixed
	if hard < minHeap {
		return fmt.Errorf("galloc/cache: MaxBytes %d: make it %d or more", c.limit, c.fixed+minHeap)
	}
	if hard > math.MaxInt {
		return fmt.Errorf("galloc/cache: MaxBytes %d: there is not as much address space", c.limit)
	}
	h, err := heap.New(heap.Options{HardLimit: uintptr(hard), Checked: checked})
	if err != nil {
		return fmt.Errorf("galloc/cache: %w", err)
	}
	c.alloc, c.heap = h, h
	c.bytes.init(hard - heapOverhead)
	return nil
}

// extentsOverhead returns the metadata that a heap with that limit has beyond heapOverhead. There
// is much only where OS pages are long: each extent has a few pages, and the lengths of extents
// double from 4 MiB on.
func extentsOverhead(limit int64) int64 {
	const first, parts = 4 << 20, 8
	n := int64(bits.Len64(uint64(limit/first))) + 1
	return max(0, n*parts*int64(vm.PageSize())-heapOverhead)
}

func (o *OptionsOf[K, V]) check() error {
	switch {
	case o.MaxBytes <= 0:
		return fmt.Errorf("galloc/cache: MaxBytes %d: set it to the memory that the cache may take", o.MaxBytes)
	case o.MaxEntries < 0 || o.MaxCost < 0:
		return fmt.Errorf("galloc/cache: MaxEntries %d, MaxCost %d: a limit is positive, or 0 for none", o.MaxEntries, o.MaxCost)
	case o.TTL < 0:
		return fmt.Errorf("galloc/cache: TTL %v: it is positive, or 0 for none", o.TTL)
	case (o.Cost != nil) != (o.MaxCost > 0):
		return fmt.Errorf("galloc/cache: Cost and MaxCost need each other: set both")
	}
	if o.Allocator != nil {
		bridge.CheckAllocator("galloc/cache", o.Allocator)
		if galloc.GarbageCollected(o.Allocator) {
			return fmt.Errorf("galloc/cache: the garbage collector would free the blocks of %v: %w",
				block.Name(o.Allocator), galloc.ErrUnsupported)
		}
	}
	return nil
}

// firstSegment makes the table of a shard.
func (c *core) firstSegment(s *shard) error {
	for range 2 { // a directory and a segment
		p, err := c.allocate(s.table.missing(), optional)
		if err != nil {
			return err
		}
		s.table.install(p)
	}
	s.table.count = segmentBuckets
	return nil
}

// shardOf returns the shard of a hash.
func (c *core) shardOf(hash uint64) *shard {
	return &c.shards[hash>>(c.shift&63)&uint64(len(c.shards)-1)]
}

// match reports whether an entry has a key.
func (c *core) match(e *entry, key string) bool {
	if c.same != nil {
		return c.same(e.keyAt(), hidden(unsafe.Pointer(unsafe.StringData(key))))
	}
	return e.key() == key
}

// now returns the time since the cache was made, in nanoseconds.
func (c *core) now() int64 {
	if c.clock != nil {
		return int64(c.clock().Sub(c.start))
	}
	return int64(time.Since(c.start))
}

// close frees all memory. It waits for the calls that are running.
func (c *core) close() {
	if !c.closed.CompareAndSwap(false, true) {
		return
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
	for i := range c.shards {
		for s := &c.shards[i]; s.active.Load() != 0; {
			time.Sleep(20 * time.Microsecond)
		}
	}
	c.sweeper.stop()
	if c.heap != nil {
		c.heap.Close()
		return
	}
	for i := range c.shards {
		c.shards[i].freeAll()
	}
}

// freeAll frees all blocks of a shard. No call uses them.
func (s *shard) freeAll() {
	t := &s.table
	for _, q := range []*queue{&s.small, &s.main} {
		for r := q.end; r != 0; {
			e := r.entry()
			r = e.prev
			s.core.free(unsafe.Pointer(e), e.size(s.core.align))
		}
	}
	for i := range t.segments {
		s.core.free(t.segmentAt(i).pointer(), segmentSize)
	}
	for d, r := range t.directories {
		if r != 0 {
			s.core.free(r.pointer(), directorySize(d))
		}
	}
	s.small, s.main, s.table = queue{}, queue{}, table{}
}
