package main

import "hash/maphash"

// cache maps keys to values, both of any bytes, and evicts the oldest entry when it is full. All
// methods but free may be called by several goroutines at once.
//
// It is divided into shards, each with a lock. So goroutines seldom wait for each other, and
// operations that take time in proportion to the size of a table, such as growing it, affect one
// shard at a time, and are short.
type cache struct {
	shards []shard // a power of two
	seed   maphash.Seed
}

// shard is a part of a cache, chosen by the hash of the key. It copies keys and values, since the
// caller has them in a buffer that it reuses, as servers do.
type shard interface {
	// get appends the value of key to dst, and reports whether the key is present.
	get(dst, key []byte) ([]byte, bool)

	// set sets the value of key. If the key is new and the shard is full, it evicts the oldest key.
	// If memory runs out, it returns an error, and the shard is unchanged.
	set(key, value []byte) error

	// size returns the number of entries.
	size() int

	// free frees all memory. The shard must not be used afterwards.
	free()
}

const (
	maxShards    = 256
	minShardSize = 1024 // a small cache has fewer shards
)

// newCache returns a cache of capacity entries, rounded up so that all shards, from newShard, have
// the same capacity.
func newCache(capacity int, newShard func(capacity int) (shard, error)) (*cache, error) {
	n := maxShards
	for n > 1 && capacity/n < minShardSize {
		n /= 2
	}
	c := &cache{seed: maphash.MakeSeed()}
	for range n {
		s, err := newShard((capacity + n - 1) / n)
		if err != nil {
			c.free()
			return nil, err
		}
		c.shards = append(c.shards, s)
	}
	return c, nil
}

func (c *cache) shard(key []byte) shard {
	return c.shards[maphash.Bytes(c.seed, key)&uint64(len(c.shards)-1)]
}

func (c *cache) get(dst, key []byte) ([]byte, bool) { return c.shard(key).get(dst, key) }

func (c *cache) set(key, value []byte) error { return c.shard(key).set(key, value) }

func (c *cache) size() (n int) {
	for _, s := range c.shards {
		n += s.size()
	}
	return n
}

func (c *cache) free() {
	for _, s := range c.shards {
		s.free()
	}
	c.shards = nil
}
