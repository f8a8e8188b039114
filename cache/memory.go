package cache

import (
	"errors"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// budget is a limit that all shards share:
//
//	0 <= used <= max
type budget struct {
	used atomic.Int64
	max  int64
}

// take adds n to what is used, unless that exceeds the limit.
func (b *budget) take(n int64) bool {
	for {
		u := b.used.Load()
		if n > b.max-u {
			return false
		}
		if b.used.CompareAndSwap(u, u+n) {
			return true
		}
	}
}

func (b *budget) give(n int64) {
	if n != 0 {
		b.used.Add(-n)
	}
}

// memory is the budget of bytes. Beside the blocks, a heap has pages that are used in part, and how
// many is known only when it refuses a block. Then target becomes what is used, after some entries
// have been evicted or moved. It grows with the bytes that are allocated, and as long as the heap
// has pages to spare, up to ceiling. So nearly all calls evict just as many bytes as they need, and
// the heap seldom refuses.
//
//	used <= ceiling
type memory struct {
	used    atomic.Int64
	target  atomic.Int64
	ceiling int64
}

func (m *memory) init(n int64) {
	m.ceiling = n
	m.target.Store(n)
}

// take adds n to what is used if that does not exceed the target. Otherwise it returns the number
// of bytes that must be freed first.
func (m *memory) take(n int64) (lack int64) {
	for {
		u, t := m.used.Load(), m.target.Load()
		if u+n > t {
			return u + n - t
		}
		if m.used.CompareAndSwap(u, u+n) {
			if t < m.ceiling {
				m.target.CompareAndSwap(t, min(m.ceiling, t+n/creep+1))
			}
			return 0
		}
	}
}

// creep is the number of bytes allocated for which the target grows by one.
const creep = 32

// raise makes the target what suffices for n more bytes, if the ceiling permits it.
func (m *memory) raise(n int64) bool {
	need := m.used.Load() + n
	if need > m.ceiling {
		return false
	}
	for {
		t := m.target.Load()
		if t >= need || m.target.CompareAndSwap(t, need) {
			return true
		}
	}
}

// loss is about the number of bytes that are lost in pages that are used in part.
func (m *memory) loss() int64 { return m.ceiling - m.target.Load() }

// lower makes the target what is used.
func (m *memory) lower() { m.target.Store(min(m.ceiling, m.used.Load())) }

// A need says what an allocation may do if there is no memory.
type need uint8

const (
	optional  need = iota // fail
	useful                // evict entries for the budget, but fail if the allocator refuses
	mandatory             // evict entries until there is memory
)

// allocate returns a block of n bytes. If it may evict entries, no mutex is held.
func (c *core) allocate(n uintptr, why need) (unsafe.Pointer, error) {
	l, err := galloc.NewLayout(n, blockAlign)
	if err != nil {
		return nil, err
	}
	size := int64(galloc.UsableSize(c.alloc, l))
	for tries := 0; ; {
		lack := c.bytes.take(size)
		if lack == 0 {
			break
		}
		if c.heap != nil && c.bytes.loss() > 0 && c.hasRoom(size) && c.bytes.raise(size) {
			continue
		}
		if why == optional || c.evict(lack) == 0 && !c.bytes.raise(size) && !c.again(&tries) {
			return nil, errBusy
		}
	}
	goal := max(size, min(c.bytes.ceiling/512, maxRefusal)) / 2
	for compacted := c.heap == nil; ; {
		b, err := c.alloc.Allocate(l)
		if err == nil {
			return unsafe.Pointer(unsafe.SliceData(b)), nil
		}
		again := why == mandatory && errors.Is(err, galloc.ErrOutOfMemory)
		if again && !compacted && c.compactFor(size) {
			compacted = true
			continue
		}
		if !again || c.evict(goal) == 0 {
			c.bytes.used.Add(-size)
			return nil, err
		}
		c.bytes.lower()
		compacted = c.heap == nil
		goal += goal / 2 // the more often the heap refuses, the more is evicted
	}
}

// hasRoom reports whether the heap has pages for n more bytes, and some more: if none were left, it
// would have to purge some for each new span.
func (c *core) hasRoom(n int64) bool {
	return int64(c.heap.Engine().Slack()) >= n+min(max(c.bytes.ceiling/spare, minSpare), maxRefusal)
}

// again reports whether a call should try again if there is nothing to evict, after it has let
// other goroutines run: they may have entries that they have not linked yet, or just unlinked.
func (c *core) again(tries *int) bool {
	if *tries++; *tries > maxTries || c.closed.Load() {
		return false
	}
	runtime.Gosched()
	return true
}

const (
	maxTries   = 1000
	blockAlign = 8
	spare      = 128      // part of the memory that hasRoom leaves to the heap
	minSpare   = 32 << 10 // a span
	maxRefusal = 1 << 20  // bytes that are evicted after the first refusal, if the block is smaller
)

// free frees a block of n bytes, as it was allocated.
func (c *core) free(p unsafe.Pointer, n uintptr) {
	l, _ := galloc.NewLayout(n, blockAlign) // no error: the block has it
	size := int64(galloc.UsableSize(c.alloc, l))
	c.alloc.Deallocate(p, l)
	c.bytes.used.Add(-size)
}

// usable returns the number of bytes that the block of an entry takes.
func (c *core) usable(e *entry) int64 { return c.usableSize(e.size(c.align)) }

// usableSize returns the number of bytes that a block allocated with n bytes takes.
func (c *core) usableSize(n uintptr) int64 {
	l, _ := galloc.NewLayout(n, blockAlign) // no error: there is such a block
	return int64(galloc.UsableSize(c.alloc, l))
}

// evict removes entries until need bytes are free again, or there are no entries. It returns the
// number of bytes of the removed entries, some of which may still be read. If much memory is lost
// in pages that are used in part, it also moves entries.
func (c *core) evict(need int64) (removed int64) {
	compact := c.heap != nil && c.bytes.loss() > c.bytes.ceiling/much
	for removed < need {
		s := c.fullest()
		if s == nil {
			break
		}
		var list ref
		s.mu.Lock()
		s.evict(need-removed, &list)
		s.mu.Unlock()
		n := c.finish(list)
		removed += n
		if compact {
			s.compactAfter(n)
		}
	}
	return removed
}

// much is the part of the memory from which a loss is much.
const much = 8

// fullest returns the larger one of two shards, or any that has entries if both are empty, or nil.
func (c *core) fullest() *shard {
	h := c.hand.Add(1) * 0x9e3779b97f4a7c15 >> 32
	mask := uint64(len(c.shards) - 1)
	s, o := &c.shards[h&mask], &c.shards[h>>16&mask]
	if o.weight.Load() > s.weight.Load() {
		s = o
	}
	if s.weight.Load() > 0 {
		return s
	}
	for i := range c.shards {
		if o := &c.shards[(h+uint64(i))&mask]; o.weight.Load() > 0 {
			return o
		}
	}
	return nil
}

// finish ends the removal of the entries of a list: it calls OnRemove, and frees them if nobody
// reads them. It returns the number of their bytes. No mutex is held.
func (c *core) finish(list ref) (removed int64) {
	if list == 0 {
		return 0
	}
	if c.onRemove != nil {
		defer func() { // also if OnRemove panics
			for list != 0 {
				e := list.entry()
				list = e.chain
				c.release(e)
			}
		}()
	}
	for list != 0 {
		e := list.entry()
		removed += c.usable(e)
		if c.onRemove != nil {
			c.onRemove(e.key(), e.value(c.align), e.why())
		}
		list = e.chain
		c.release(e)
	}
	return removed
}

// release ends what pin has begun. The last one to release an entry frees it.
func (c *core) release(e *entry) {
	if atomic.AddUint32(&e.refs, ^uint32(0)) == 0 {
		c.free(unsafe.Pointer(e), e.size(c.align))
	}
}
