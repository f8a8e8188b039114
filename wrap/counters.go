package wrap

import (
	"math/bits"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/percpu"
)

// counters are the counts of a Counter, in a shard for each P.
//
// No P knows how many bytes are live in all. For the peak, each P adds the change of its count to
// live whenever the count has changed by flushAt bytes, and remembers how high its count was since
// it did so:
//
//	bytes live == sum of (allocated - freed) of all shards
//	           == live + sum of (net - flushed) of all shards
//	peak       >= live + high - flushed of each shard, when it flushes
//
// A shard flushes in the section that finds that it must, so the second line holds whenever no P is
// in a section.
type counters struct {
	table percpu.Table[counts]
	live  atomic.Int64
	peak  atomic.Int64
}

// flushAt is the number of bytes by which a shard may differ from what it has added to live. It is
// also the error of the peak, for each P but one.
const flushAt = 64 << 10

// counts is the shard of one P. Invariants:
//
//	high >= net, low <= net, where net = allocated - freed
//	low == flushed - flushAt    (0 in a new one, so that its first free flushes)
type counts struct {
	allocated uint64 // bytes of allocated blocks, and bytes by which blocks have grown
	freed     uint64 // bytes of freed blocks, and bytes by which blocks have shrunk
	high      int64  // the maximum of net since the last flush
	low       int64  // the shard flushes when net is less
	flushed   int64  // net at the last flush
	failures  uint64
	flushes   atomic.Uint64 // twice the flushes that have ended; odd during one
	_         [8]byte
	buckets   [64]bucket // by bucketOf
}

// bucket counts the blocks of a range of sizes: see bucketOf.
type bucket struct {
	allocs, frees uint64
	in, out       uint64 // reallocations to a size of the range, and from one
}

// bucketOf returns the bucket of a block of n bytes, n > 0: the binary logarithm rounded up. Bucket
// b has the sizes from 1<<(b-1)+1 to 1<<b.
//
//go:nosplit
func bucketOf(n uintptr) int { return bits.Len64(uint64(n)-1) & 63 }

// add counts an allocated block of n bytes and reports whether the shard must flush. Like all
// methods of counts, it must be called in a section or with the lock of the shard.
//
//go:nosplit
func (k *counts) add(n uintptr) (flush bool) {
	return k.addTo(classInfo{uint64(n), bucketOf(n)})
}

// addTo is add where the caller knows the bucket.
//
//go:nosplit
func (k *counts) addTo(i classInfo) (flush bool) {
	k.buckets[i.bucket&63].allocs++
	k.allocated += i.size
	if net := int64(k.allocated - k.freed); net > k.high {
		k.high = net
		return net > k.flushed+flushAt
	}
	return false
}

// sub counts a freed block of n bytes and reports whether the shard must flush.
//
//go:nosplit
func (k *counts) sub(n uintptr) (flush bool) {
	return k.subFrom(classInfo{uint64(n), bucketOf(n)})
}

// subFrom is sub where the caller knows the bucket.
//
//go:nosplit
func (k *counts) subFrom(i classInfo) (flush bool) {
	k.buckets[i.bucket&63].frees++
	k.freed += i.size
	return int64(k.allocated-k.freed) < k.low
}

// resize counts a reallocation and reports whether the shard must flush.
//
//go:nosplit
func (k *counts) resize(old, size uintptr) (flush bool) {
	k.buckets[bucketOf(old)].out++
	k.buckets[bucketOf(size)].in++
	if size >= old {
		k.allocated += uint64(size - old)
	} else {
		k.freed += uint64(old - size)
	}
	net := int64(k.allocated - k.freed)
	k.high = max(k.high, net)
	return net > k.flushed+flushAt || net < k.low
}

// flush returns the change of net since the last flush, and the maximum of that change. It sets
// high and low for the next one.
//
//go:nosplit
func (k *counts) flush() (change, high int64) {
	net := int64(k.allocated - k.freed)
	change, high = net-k.flushed, k.high-k.flushed
	k.flushed, k.high, k.low = net, net, net-flushAt
	return change, high
}

// An event is a call to be counted: an allocation if old is 0, a free if size is 0, a failure if
// both are, and otherwise a reallocation.
type event struct{ old, size uintptr }

//go:nosplit
func (k *counts) count(e event) (flush bool) {
	switch {
	case e.old == 0 && e.size == 0:
		k.failures++
		return false
	case e.old == 0:
		return k.add(e.size)
	case e.size == 0:
		return k.sub(e.old)
	}
	return k.resize(e.old, e.size)
}

// add counts an allocated block of n bytes.
//
//go:noinline
//go:nosplit
func (c *counters) add(n uintptr) {
	k := c.table.Of(percpu.ID())
	if k == nil {
		c.countSlow(event{size: n})
		return
	}
	if k.add(n) {
		c.flush(k)
	}
}

// sub counts a freed block of n bytes.
//
//go:noinline
//go:nosplit
func (c *counters) sub(n uintptr) {
	k := c.table.Of(percpu.ID())
	if k == nil {
		c.countSlow(event{old: n})
		return
	}
	if k.sub(n) {
		c.flush(k)
	}
}

// count counts e.
//
//go:noinline
//go:nosplit
func (c *counters) count(e event) {
	k := c.table.Of(percpu.ID())
	if k == nil {
		c.countSlow(e)
		return
	}
	if k.count(e) {
		c.flush(k)
	}
}

// countSlow is count where the P has no shard.
func (c *counters) countSlow(e event) {
	k := c.table.Lock()
	if k == nil {
		c.count(e) // this P has a shard now
		return
	}
	if k.count(e) {
		c.flush(k)
	}
	c.table.Unlock(k)
}

// flush adds the change of a shard to live, and raises the peak. It must be called in the section,
// or under the lock, in which the shard has found that it must flush.
//
//go:noinline
//go:nosplit
func (c *counters) flush(k *counts) {
	k.flushes.Add(1)
	change, high := k.flush()
	high += c.live.Add(change) - change // the stack has no room for another variable: see .ci/link
	k.flushes.Add(1)
	for { // with one Load: see above
		if was := c.peak.Load(); was >= high || c.peak.CompareAndSwap(was, high) {
			return
		}
	}
}

// forget counts all live blocks as freed. No other goroutine may use the counters.
func (c *counters) forget() {
	c.snapshot() // for the peak
	var total counts
	c.read(&total)
	k := c.table.LockShared()
	for i := range total.buckets {
		t := &total.buckets[i]
		k.buckets[i].frees += t.allocs + t.in - t.frees - t.out
	}
	k.freed += total.allocated - total.freed
	c.table.Unlock(k)
	c.table.Drain(func(k *counts) { k.flush() })
	c.live.Store(0)
}

// read adds up the shards. It reads the counts of frees before the counts of allocations, so that
// no block appears freed but not allocated; a block that is allocated and freed while it reads
// appears live. So it also returns the bytes freed at the end.
func (c *counters) read(total *counts) (freed uint64) {
	c.table.Each(func(k *counts) {
		total.freed += percpu.Load(&k.freed)
		for i := range k.buckets {
			t, b := &total.buckets[i], &k.buckets[i]
			t.frees += percpu.Load(&b.frees)
			t.out += percpu.Load(&b.out)
		}
	})
	c.table.Each(func(k *counts) {
		total.allocated += percpu.Load(&k.allocated)
		for i := range k.buckets {
			t, b := &total.buckets[i], &k.buckets[i]
			t.allocs += percpu.Load(&b.allocs)
			t.in += percpu.Load(&b.in)
		}
		total.failures += percpu.Load(&k.failures)
	})
	c.table.Each(func(k *counts) { freed += percpu.Load(&k.freed) })
	return freed
}

// snapshot returns the totals. Blocks are counted before their bytes, so a block may be counted
// without its bytes.
//
// If bytes were freed while it read, which is rare unless the reader was interrupted, it reads
// again, up to three times. If that does not help, it takes the number of freed bytes, between the
// first and the last that it read, that agrees with live. Otherwise the peak, which never falls,
// would rise by bytes that were never live at once.
func (c *counters) snapshot() (s Snapshot) {
	var total counts
	for range 4 {
		total = counts{}
		freed := c.read(&total)
		if freed == total.freed {
			break
		}
		live := uint64(max(c.live.Load(), 0))
		total.freed = max(total.freed, min(freed, total.allocated-min(live, total.allocated)))
	}
	for i := range total.buckets {
		b := &total.buckets[i]
		s.Allocs += b.allocs
		s.Frees += b.frees
		s.Reallocs += b.in
		s.Sizes[i] = SizeCount{Allocs: b.allocs, Frees: b.frees, ReallocsIn: b.in, ReallocsOut: b.out}
	}
	s.AllocatedBytes, s.FreedBytes, s.Failures = total.allocated, total.freed, total.failures

	// The peak as if each shard flushed now. A shard that flushes while this reads raises the peak
	// itself. Whether one did is seen by the number of its flushes: flushed alone may have returned
	// to the same value, with another value of live in between.
	peak := s.LiveBytes()
	c.table.Each(func(k *counts) {
		flushes := k.flushes.Load()
		flushed, high, live := percpu.LoadInt(&k.flushed), percpu.LoadInt(&k.high), c.live.Load()
		if flushes&1 == 0 && k.flushes.Load() == flushes {
			peak = max(peak, live+high-flushed)
		}
	})
	for was := c.peak.Load(); was < peak && !c.peak.CompareAndSwap(was, peak); was = c.peak.Load() {
	}
	s.PeakBytes = uint64(c.peak.Load())
	return s
}
