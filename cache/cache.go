// Package cache provides caches off the Go heap whose limit is the memory that they take.
//
// [Text] maps strings to byte slices. [Cache] maps keys to values of any types without Go pointers.
// Both are safe for concurrent use, and must be closed when they are no longer needed:
//
//	c, err := cache.NewText(cache.Options{MaxBytes: 64 << 20, TTL: time.Minute})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	err = c.Set("key", []byte("value"))
//	value, ok := c.Get(nil, "key")
//
// # The limit
//
// Options.MaxBytes bounds everything that the cache takes, at every moment: keys, values, headers,
// the table, what is lost to rounding and fragmentation, free memory that the cache holds, and its
// fixed part on the Go heap. All shards draw on this one budget, so a shard may take what the
// others do not need. If there is no memory for a new entry, Set evicts others until there is. An
// entry that is too large for the cache is refused with [ErrTooLarge], and nothing is evicted for
// it.
//
// The cache has a heap of package heap, and subtracts from the limit the Go memory that the heap
// may take: about 20 KiB, and in caches of more than 6 MiB for each P, 180 KiB for each P that New
// finds. Smaller caches use a heap without caches for the Ps. Two things are not counted: the calls
// of GetOrLoad that are running, and the stacks of their goroutines.
//
// With Options.Allocator, the cache allocates there, and MaxBytes bounds the usable sizes of its
// blocks. The memory that the allocator takes beyond them is then the caller's business.
//
// # What an entry costs
//
// An entry is one block: a header of 40 bytes on 64-bit systems, 32 more if it has a TTL or a cost,
// 8 more for a TTL that slides, then the key and the value. A heap rounds up blocks above 128 bytes
// by at most an eighth. The table has 12 bytes for each bucket, which include the memory of the
// policy for evicted keys, and one to two buckets for each entry. There is no Go memory for an
// entry, so the garbage collector does not see the entries.
//
// # Policy
//
// Entries are evicted by S3-FIFO (Yang and others, SOSP 2023), for each shard. New entries enter a
// small queue, which has a tenth of the bytes. At its end, an entry that was used moves to the main
// queue; any other is evicted, and its hash is remembered. If its key is set again soon, the entry
// enters the main queue directly. An entry at the end of the main queue goes back to its start as
// often as it was used lately, up to three times, and is evicted otherwise. So entries that are
// used once, as in a scan, do not displace the others. Which shard evicts is chosen as the larger
// one of two.
//
// An entry whose TTL has passed is never returned. Its memory is released about a second later, or
// when memory is needed: a timing wheel in each shard finds it without a search.
//
// # Saving
//
// SaveTo writes the entries to a stream, and LoadFrom adds them to a cache, perhaps of another
// process. A damaged save adds nothing, and the error is [ErrDamaged] with the position.
//
// # Cost
//
// Each shard has a mutex, which is held for a lookup, and for a copy of up to 1 KiB. Allocating,
// copying longer values, and the functions of the caller run without it. No call of Get, Set or
// Delete takes time in proportion to the number of entries: the table grows and shrinks by a few
// buckets at a time. Set evicts as many entries as the new one needs. A page of memory is free only
// when no block in it is left, so if the sizes of entries change, Set may evict more. Then it also
// moves entries that lie in pages with few others: up to about a thousand of them.
package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/galloc-go/galloc"
)

// OptionsOf configures a cache of keys K and values V. MaxBytes must be set; the other fields are
// optional.
type OptionsOf[K, V any] struct {
	// MaxBytes is the number of bytes that the cache takes at most: see the package comment. It
	// must be at least about 1.1 MiB, or, with an Allocator, 64 KiB.
	MaxBytes int64

	// MaxEntries is the number of entries that the cache has at most. 0 means no limit.
	MaxEntries int64

	// Cost returns the cost of an entry, for MaxCost. It must be from 0 to 2^32-1; other costs
	// count as the nearest of these. It must not keep key or value, nor call methods of the cache.
	Cost func(key K, value V) int64

	// MaxCost bounds the sum of the costs of all entries. It needs Cost.
	MaxCost int64

	// TTL is the time that an entry lives, unless SetWithTTL says otherwise. 0 means forever.
	TTL time.Duration

	// Sliding renews the TTL of an entry at each use: by Get, GetMany, GetOrLoad, View or Update.
	// So an entry expires when it has not been used for its TTL.
	Sliding bool

	// OnRemove is called after an entry has been removed, with the reason, by the goroutine whose
	// call removed it, or by the one that removes expired entries. The key and the value are valid
	// until it returns. It may call methods of the cache, except Close. Calls for different entries
	// come in no particular order. Close does not call it.
	OnRemove func(key K, value V, why Reason)

	// Allocator is where the entries and the table are allocated: see the package comment. nil
	// means a heap for the cache alone. The allocator must be safe for concurrent use, and its
	// blocks must not be garbage collected.
	Allocator galloc.Allocator

	// Now replaces time.Now, for tests. The time must not go backwards.
	Now func() time.Time
}

// Options configures a [Text].
type Options = OptionsOf[string, []byte]

// A Reason says why an entry was removed.
type Reason uint8

// The reasons.
const (
	Evicted  Reason = iota // to make room for other entries
	Expired                // its TTL has passed
	Deleted                // by Delete
	Replaced               // by Set with the same key
	Cleared                // by Clear
)

// String returns the name of the constant.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

var reasons = [...]string{"Evicted", "Expired", "Deleted", "Replaced", "Cleared"}

var (
	// ErrClosed is the error of a call after Close.
	ErrClosed = errors.New("galloc/cache: the cache is closed")

	// ErrTooLarge is the error of Set for an entry that never fits into the cache.
	ErrTooLarge = errors.New("galloc/cache: the entry is too large for the cache")
)

// errBusy: all memory is held by entries that are being read or set.
var errBusy = fmt.Errorf("galloc/cache: other goroutines hold all memory of the cache: %w", galloc.ErrLimit)
