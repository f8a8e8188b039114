package cache

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// copyLocked is the length up to which a value is copied while the mutex is held. Copying more
// takes longer than to pin the entry.
const copyLocked = 1 << 10

// get appends the value of a key to buf.
func (c *core) get(buf []byte, hash uint64, key string, touch bool) ([]byte, bool) {
	s := c.shardOf(hash)
	s.mu.Lock()
	e := s.live(hash, key, touch)
	if e == nil {
		s.mu.Unlock()
		return buf, false
	}
	if e.valueLen <= copyLocked && cap(buf)-len(buf) >= int(e.valueLen) {
		buf = appendBytes(buf, e.valueAt(c.align), int(e.valueLen))
		s.mu.Unlock()
		return buf, true
	}
	s.read(e)
	defer s.unread(e)
	return appendBytes(buf, e.valueAt(c.align), int(e.valueLen)), true
}

// appendBytes appends the n bytes at p to buf.
func appendBytes(buf []byte, p unsafe.Pointer, n int) []byte {
	old := len(buf)
	buf = slices.Grow(buf, n)[:old+n]
	block.Copy(unsafe.Pointer(unsafe.SliceData(buf[old:])), p, uintptr(n))
	return buf
}

// view calls f with the value of a key.
func (c *core) view(hash uint64, key string, f func(value []byte)) bool {
	s := c.shardOf(hash)
	s.mu.Lock()
	e := s.live(hash, key, true)
	if e == nil {
		s.mu.Unlock()
		return false
	}
	s.read(e)
	defer s.unread(e)
	f(e.value(c.align))
	return true
}

// read pins an entry and unlocks the mutex.
func (s *shard) read(e *entry) {
	e.pin()
	s.active.Add(1) // not enter: the shard was not closed when the mutex was locked
	s.mu.Unlock()
}

func (s *shard) unread(e *entry) {
	s.core.release(e)
	s.leave()
}

// has reports whether a key is present.
func (c *core) has(hash uint64, key string) bool {
	s := c.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live(hash, key, false) != nil
}

// set sets the value of a key, or deletes it if ttl is negative.
func (c *core) set(hash uint64, key string, value []byte, ttl time.Duration) error {
	if ttl < 0 {
		c.delete(hash, key)
		if c.closed.Load() {
			return ErrClosed
		}
		return nil
	}
	return c.put(hash, key, value, c.life(ttl), nil)
}

// len returns the number of entries.
func (c *core) len() int {
	if c.closed.Load() {
		return 0
	}
	return int(c.entries.used.Load())
}

// A life says how long an entry lives, in nanoseconds. The zero life is forever.
type life struct {
	ttl      int64
	deadline int64 // since the cache was made
}

// life returns a life that begins now. ttl is not negative.
func (c *core) life(ttl time.Duration) life {
	if ttl == 0 {
		return life{}
	}
	now := c.now()
	return life{int64(ttl), now + min(int64(ttl), math.MaxInt64-now)}
}

// flags returns the flags of an entry with this life.
func (c *core) flags(l life) (flags uint32) {
	if c.costOf != nil {
		flags |= hasExtra
	}
	if l != (life{}) {
		flags |= hasExtra | hasTTL
		if c.sliding {
			flags |= slides
		}
	}
	return flags
}

// put sets the value of a key. If permit is not nil, it does so only if permit returns true, with
// the mutex of the shard held.
func (c *core) put(hash uint64, key string, value []byte, l life, permit func(*shard) bool) error {
	s := c.shardOf(hash)
	if !s.enter() {
		return ErrClosed
	}
	defer s.leave()
	r, err := c.newEntry(hash, key, value, l)
	if err != nil {
		return err
	}
	return c.add(s, r, hash, permit)
}

// add links a new entry in the place of the one with its key, or frees it if permit does not let
// it, or there is no room. The caller has entered the shard.
func (c *core) add(s *shard, r ref, hash uint64, permit func(*shard) bool) error {
	e := r.entry()
	if permit == nil {
		c.loads.cancel(e.key())
	}
	timed := e.has(hasTTL)
	for tries := 0; ; {
		var list ref
		s.mu.Lock()
		done := s.closed || permit != nil && !permit(s)
		if done {
			c.free(r.pointer(), e.size(c.align))
		} else {
			done = s.put(r, hash, e.key(), &list)
		}
		s.mu.Unlock()
		c.finish(list)
		if done {
			break
		}
		if c.evict(1) == 0 && !c.again(&tries) {
			c.free(r.pointer(), e.size(c.align))
			return errBusy
		}
	}
	c.growTable(s)
	if timed {
		c.sweeper.start(c)
	}
	return nil
}

// put links a new entry. It returns false if a limit other than the bytes must be met first.
func (s *shard) put(r ref, hash uint64, key string, list *ref) bool {
	s.expire(expireAtOnce, list)
	old, c := s.find(hash, key), s.core
	cost := r.entry().cost()
	if old != 0 {
		if d := cost - old.entry().cost(); !c.costs.take(d) {
			return false
		}
		why := Replaced
		if s.expired(old.entry()) {
			why = Expired
		}
		s.replace(old, r)
		s.retire(old, why, list)
	} else {
		if !c.entries.take(1) {
			return false
		}
		if !c.costs.take(cost) {
			c.entries.give(1)
			return false
		}
		s.link(r)
	}
	s.counts.sets++
	return true
}

// expireAtOnce bounds the expired entries that a Set removes.
const expireAtOnce = 4

// newEntry returns an entry that is not linked.
func (c *core) newEntry(hash uint64, key string, value []byte, l life) (ref, error) {
	if err := c.fits(len(key), len(value), c.flags(l)); err != nil {
		return 0, err
	}
	cost := int64(0)
	if c.costOf != nil {
		if cost = clampCost(c.costOf(hiddenString(key), hiddenBytes(value))); cost > c.costs.max {
			return 0, fmt.Errorf("%w: its cost is %d, more than MaxCost %d", ErrTooLarge, cost, c.costs.max)
		}
	}
	r, err := c.blankEntry(hash, key, uint32(len(value)), l, mandatory)
	if err != nil {
		return 0, err
	}
	e := r.entry()
	if e.has(hasExtra) {
		e.extra().cost = uint32(cost)
	}
	if len(value) > 0 {
		block.Copy(e.valueAt(c.align), unsafe.Pointer(unsafe.SliceData(value)), uintptr(len(value)))
	}
	return r, nil
}

// clampCost returns the cost that counts.
func clampCost(cost int64) int64 { return min(max(cost, 0), math.MaxUint32) }

// costOfEntry returns the cost of an entry by its key and value.
func (c *core) costOfEntry(e *entry) int64 {
	if c.costOf == nil {
		return 0
	}
	return clampCost(c.costOf(e.key(), e.value(c.align)))
}

// blankEntry returns an entry that is not linked, without a value and a cost. It fits.
func (c *core) blankEntry(hash uint64, key string, valueLen uint32, l life, why need) (ref, error) {
	flags := c.flags(l)
	p, err := c.allocate(sizeOf(uintptr(len(key)), uintptr(valueLen), c.align, flags), why)
	if err != nil {
		return 0, err
	}
	e := (*entry)(p)
	*e = entry{tag: uint32(hash) & hashMask, valueLen: valueLen, bits: uint32(len(key))<<keyBits | flags}
	atomic.StoreUint32(&e.refs, 1)
	if e.has(hasExtra) {
		*e.extra() = extra{deadline: l.deadline, slot: noSlot}
	}
	if e.has(slides) {
		*e.ttl() = l.ttl
	}
	block.Copy(e.keyAt(), unsafe.Pointer(unsafe.StringData(key)), uintptr(len(key)))
	return ref(p), nil
}

// fits returns an error if an entry never fits.
func (c *core) fits(key, value int, flags uint32) error {
	if key > maxKey {
		return fmt.Errorf("%w: the key has %d bytes, more than %d", ErrTooLarge, key, maxKey)
	}
	size := int64(math.MaxInt64)
	if uint64(value) <= math.MaxUint32 && int64(value) <= c.largest {
		size = c.usableSize(sizeOf(uintptr(key), uintptr(value), c.align, flags))
	}
	if size > c.largest {
		return fmt.Errorf("%w: the value has %d bytes, and an entry takes %d at most", ErrTooLarge, value, c.largest)
	}
	return nil
}

// growTable allocates what the table of a shard needs to grow. If there is no memory, lists become
// longer until there is.
func (c *core) growTable(s *shard) {
	for {
		s.mu.Lock()
		n := s.table.missing()
		s.mu.Unlock()
		if n == 0 {
			return
		}
		p, err := c.allocate(n, useful)
		if err != nil {
			return
		}
		s.mu.Lock()
		used := s.table.missing() == n
		if used {
			s.table.install(p)
			s.table.grow()
		}
		s.mu.Unlock()
		if !used {
			c.free(p, n)
		}
	}
}

// delete removes a key.
func (c *core) delete(hash uint64, key string) bool {
	s := c.shardOf(hash)
	if !s.enter() {
		return false
	}
	defer s.leave()
	c.loads.cancel(key)
	var list ref
	s.mu.Lock()
	r := s.find(hash, key)
	there := r != 0 && !s.expired(r.entry())
	if there {
		s.unlink(r, Deleted, &list)
	} else if r != 0 {
		s.unlink(r, Expired, &list)
	}
	s.mu.Unlock()
	c.finish(list)
	return there
}
