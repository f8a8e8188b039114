package cache

import (
	"math"
	"time"
)

// A Change is what the function of an Update does with the entry.
type Change uint8

// The changes.
const (
	Keep   Change = iota // leave it as it is, or absent
	Store                // set the value
	Remove               // delete it
)

// keepLife is the TTL of an update that leaves the deadline as it is.
const keepLife = math.MinInt64

// update calls f with the value of a key, and changes the entry as f says, unless the entry has
// changed since: then it begins again. The value is pinned while f runs, so another entry of the
// key has another address.
func (c *core) update(hash uint64, key string, ttl time.Duration, f func(old *entry) ([]byte, Change)) (Change, error) {
	s := c.shardOf(hash)
	if !s.enter() {
		return Keep, ErrClosed
	}
	defer s.leave()
	for touch := true; ; touch = false {
		s.mu.Lock()
		old := s.live(hash, key, touch)
		l := life{}
		if old != nil {
			old.pin()
			l = old.life()
		}
		s.mu.Unlock()
		change, done, err := c.tryUpdate(s, hash, key, old, l, ttl, f)
		if done || err != nil {
			return change, err
		}
	}
}

// life returns the life of a linked entry. The mutex is held.
func (e *entry) life() (l life) {
	if e.has(hasTTL) {
		l.deadline = e.extra().deadline
	}
	if e.has(slides) {
		l.ttl = *e.ttl()
	}
	return l
}

// tryUpdate is update for the entry old, which it releases, or nil if there is none. It reports
// whether that is still the entry of the key, or f keeps it.
func (c *core) tryUpdate(s *shard, hash uint64, key string, old *entry, l life, ttl time.Duration,
	f func(old *entry) ([]byte, Change),
) (change Change, done bool, err error) {
	if old != nil {
		defer c.release(old)
	}
	v, change := f(old)
	switch {
	case ttl < 0 && ttl != keepLife && change == Store:
		change = Remove
	case ttl != keepLife:
		l = c.life(ttl)
	case old == nil:
		l = c.life(time.Duration(c.ttl))
	}
	permit := func(s *shard) bool {
		done = s.closed || s.live(hash, key, false) == old
		return done && !s.closed
	}
	switch change {
	case Store:
		r, err := c.newEntry(hash, key, v, l)
		if err != nil {
			return Keep, false, err
		}
		if err := c.add(s, r, hash, permit); err != nil {
			return Keep, false, err
		}
		return Store, done, nil
	case Remove:
		if old == nil {
			return Keep, true, nil
		}
		var list ref
		c.loads.cancel(key)
		s.mu.Lock()
		if permit(s) {
			s.unlink(refOf(old), Deleted, &list)
		}
		s.mu.Unlock()
		c.finish(list)
		return change, done, nil
	}
	return Keep, true, nil
}

// manyAtOnce is the number of keys whose entries getMany pins at once.
const manyAtOnce = 32

// getMany calls f with the entry of each of n keys, or nil, in their order.
func (c *core) getMany(n int, hash func(i int) uint64, key func(i int) string, f func(i int, e *entry)) {
	if !c.shards[0].enter() {
		for i := range n {
			f(i, nil)
		}
		return
	}
	defer c.shards[0].leave()
	for first := 0; first < n; first += manyAtOnce {
		c.getSome(first, min(n-first, manyAtOnce), hash, key, f)
	}
}

// getSome is getMany for the n keys from first on, at most manyAtOnce. It locks each of their
// shards once.
func (c *core) getSome(first, n int, hash func(i int) uint64, key func(i int) string, f func(i int, e *entry)) {
	var entries [manyAtOnce]*entry
	var shards [manyAtOnce]*shard
	var hashes [manyAtOnce]uint64
	defer func() {
		for _, e := range entries[:n] {
			if e != nil {
				c.release(e)
			}
		}
	}()
	for i := range n {
		hashes[i] = hash(first + i)
		shards[i] = c.shardOf(hashes[i])
	}
	for i := range n {
		s := shards[i]
		if s == nil {
			continue // it was locked for an earlier key
		}
		s.mu.Lock()
		for j := i; j < n; j++ {
			if shards[j] != s {
				continue
			}
			shards[j] = nil
			if e := s.live(hashes[j], key(first+j), true); e != nil {
				e.pin()
				entries[j] = e
			}
		}
		s.mu.Unlock()
	}
	for i := range n {
		f(first+i, entries[i])
	}
}

// appendMany appends the values of keys to buf, and a part of buf for each to values.
func (c *core) appendMany(buf []byte, values [][]byte, n int, hash func(i int) uint64, key func(i int) string) ([]byte, [][]byte) {
	c.getMany(n, hash, key, func(_ int, e *entry) {
		if e == nil {
			values = append(values, nil)
			return
		}
		old := len(buf)
		buf = appendBytes(buf, e.valueAt(c.align), int(e.valueLen))
		values = append(values, buf[old:len(buf):len(buf)])
	})
	return buf, values
}
