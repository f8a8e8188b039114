package main

import "hash/maphash"

// cache keeps values under keys, both any bytes, and forgets the oldest when it is full. All methods but free may be called by
// several goroutines at once.
//
// It is divided into shards, each with a lock of its own. So goroutines seldom wait for each other, and what takes
// time in proportion to the size of a table, such as making it larger, is done to one shard at a time, and short.
type cache struct {
	shards []shard // a power of two
	seed   maphash.Seed
}

// shard is a part of a cache: the keys whose hash says so. It keeps copies of keys and values, since its caller has them in
// a buffer, as servers do, that soon has something else in it.
type shard interface {
	// get appends the value of key to dst, and reports whether there is one.
	get(dst, key []byte) ([]byte, bool)

	// set makes value that of key. If the key is new and the shard is full, it forgets the key that came first. If there
	// is no memory, it returns an error, and the shard is as it was.
	set(key, value []byte) error

	// size returns how many entries there are.
	size() int

	// free gives back all memory. The shard must not be used any more.
	free()
}

const (
	maxShards    = 256
	minShardSize = 1024 // there are fewer shards rather than smaller ones
)

// newCache returns a cache of capacity entries, rounded up so that all shards, which newShard makes, have the same.
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
