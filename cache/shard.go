package cache

import (
	"math"
	"sync"
	"sync/atomic"
)

// A shard is the part of a cache whose keys have the same highest bits of the hash:
//
//	table.len    == small.len + main.len
//	weight       == small.bytes + main.bytes
//	wheel.count  == the number of entries with a TTL
//
// An entry is linked if it is in the table, and so in a queue. unlink takes it out of everything;
// the caller then owns the reference of the table, and calls core.finish without the mutex.
type shard struct {
	mu          sync.Mutex
	core        *core
	table       table
	small, main queue
	wheel       wheel
	walked      uint32 // the bucket that compact has visited last
	effort      uint32 // of compact
	closed      bool
	counts      counts

	weight atomic.Int64 // the bytes of the linked entries
	active atomic.Int64 // calls that use memory of the cache without the mutex: see enter

	_ [64]byte // so that two shards are not in one cache line
}

// counts are the counters of a shard.
type counts struct {
	hits, misses, sets    uint64
	moved                 uint64
	removed               [len(reasons)]uint64
	keys, values, headers int64 // bytes of the linked entries
}

// enter begins a call that uses memory of the cache without the mutex, so that Close waits for it.
// It returns false if the cache is closed.
func (s *shard) enter() bool {
	if s.active.Add(1); s.core.closed.Load() {
		s.active.Add(-1)
		return false
	}
	return true
}

// leave ends what enter has begun.
func (s *shard) leave() { s.active.Add(-1) }

// find returns the entry of a key, or 0. It may have expired. The mutex is held.
func (s *shard) find(hash uint64, key string) ref {
	if s.closed {
		return 0
	}
	h := uint32(hash) & hashMask
	for r := *s.table.head(s.table.bucket(h)); r != 0; {
		e := r.entry()
		if e.hash() == h && s.core.match(e, key) {
			return r
		}
		r = e.chain
	}
	return 0
}

// live returns the entry of a key that has not expired, or 0, and counts a use if touch is set.
func (s *shard) live(hash uint64, key string, touch bool) *entry {
	r := s.find(hash, key)
	if r == 0 {
		return s.miss(touch)
	}
	e := r.entry()
	if e.has(hasTTL) {
		now := s.core.now()
		if e.extra().deadline <= now {
			return s.miss(touch)
		}
		if touch && e.has(slides) {
			// The entry stays in its slot of the wheel, and leaves it later, when it is due there.
			e.extra().deadline = now + min(*e.ttl(), math.MaxInt64-now)
		}
	}
	if touch {
		e.use()
		s.counts.hits++
	}
	return e
}

// miss counts a miss if touch is set, and returns nil.
func (s *shard) miss(touch bool) *entry {
	if touch {
		s.counts.misses++
	}
	return nil
}

// expired reports whether the TTL of an entry has passed.
func (s *shard) expired(e *entry) bool {
	return e.has(hasTTL) && e.extra().deadline <= s.core.now()
}

// link adds an entry whose key is not in the table.
func (s *shard) link(r ref) {
	e := r.entry()
	n := s.core.usable(e)
	s.table.add(r)
	s.enqueue(r, n)
	s.account(e, n, 1)
	s.schedule(r)
}

// replace links an entry in the place of old, which has the same key.
func (s *shard) replace(old, r ref) {
	e, o := r.entry(), old.entry()
	n, m := s.core.usable(e), s.core.usable(o)
	link := s.table.linkTo(old)
	e.chain, *link = o.chain, r
	e.tag = o.tag // the hash is the same
	e.use()
	s.queueOf(o).replace(old, m, r, n)
	if o.onWheel() {
		s.wheel.cut(old)
	}
	s.account(o, m, -1)
	s.account(e, n, 1)
	s.schedule(r)
}

// unlink removes an entry from the shard, and adds it to a list of removed entries.
func (s *shard) unlink(r ref, why Reason, list *ref) {
	e := r.entry()
	n := s.core.usable(e)
	s.table.cut(r)
	s.queueOf(e).cut(r, n)
	if e.onWheel() {
		s.wheel.cut(r)
	}
	s.account(e, n, -1)
	s.core.entries.give(1)
	s.core.costs.give(e.cost())
	for _, f := range s.table.shrink() {
		if f.block != 0 {
			s.core.free(f.block.pointer(), f.size)
		}
	}
	s.retire(r, why, list)
}

// retire adds an entry that is no longer linked to a list.
func (s *shard) retire(r ref, why Reason, list *ref) {
	e := r.entry()
	e.prev = ref(why)
	e.chain, *list = *list, r
	s.counts.removed[why]++
}

func (s *shard) schedule(r ref) {
	if r.entry().has(hasTTL) {
		s.wheel.add(r)
	}
}

// account adds an entry of n bytes to the counts, or subtracts it.
func (s *shard) account(e *entry, n, sign int64) {
	s.weight.Add(sign * n)
	s.counts.keys += sign * int64(e.keyLen())
	s.counts.values += sign * int64(e.valueLen)
	s.counts.headers += sign * int64(e.size(s.core.align)-e.keyLen()-uintptr(e.valueLen))
}

// expire removes up to steps entries that have expired, and reports whether there may be more.
func (s *shard) expire(steps int, list *ref) (more bool) {
	if s.wheel.count == 0 || s.closed {
		return false
	}
	to := s.core.now() >> tickBits
	for steps > 0 {
		r := s.wheel.next(to, &steps)
		if r == 0 {
			break
		}
		if tickOf(r.entry().extra().deadline) > to {
			s.wheel.add(r) // it has been used since
			continue
		}
		s.unlink(r, Expired, list)
	}
	return steps <= 0
}

// evict removes entries that have expired, and then others, until they have need bytes or there are
// none, but few at a time.
func (s *shard) evict(need int64, list *ref) {
	if s.closed {
		return
	}
	before := s.weight.Load()
	s.expire(sweepAtOnce, list)
	for range evictAtOnce {
		if before-s.weight.Load() >= need {
			return
		}
		r := s.victim()
		if r == 0 {
			return
		}
		if e := r.entry(); !e.main() {
			s.table.remember(e.hash())
		}
		s.unlink(r, Evicted, list)
	}
}

// evictAtOnce bounds the entries that are evicted while the mutex is held.
const evictAtOnce = 16
