package wrap

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/shard"
)

// counters is what Stats counts, a shard for each P.
//
// No P knows how much is live in all. For the peak, each adds what it has allocated and freed
// to a common number when that has changed by flushAt bytes, and meanwhile notes how high it
// has been:
//
//	bytes live == sum of allocated - freed         (of all shards)
//	           == live + sum of net - flushed
//	peak       >= live + high - flushed            (of any one shard, when it flushes)
//
// A shard flushes in the section that finds it is time, so that the second line holds whenever nobody is in one.
type counters struct {
	table shard.Table[counts]
	live  atomic.Int64
	peak  atomic.Int64
}

// flushAt is how far, in bytes, what one P has counted may be from what all know: the error of
// the peak, for each P but one.
const flushAt = 64 << 10

// counts is what one P has counted. Invariants:
//
//	high >= net, low <= net, where net = allocated - freed
//	low == flushed - flushAt    (0 in a new one, so that its first free flushes)
type counts struct {
	allocated uint64 // bytes: of what was allocated, and that reallocated blocks have grown by
	freed     uint64 // bytes: of what was freed, and that reallocated blocks have shrunk by
	high      int64  // the highest that net has been since the last flush
	low       int64  // when net is less, it is time to flush
	flushed   int64  // what net was at the last flush
	failures  uint64
	_         [16]byte
	buckets   [64]bucket // by bucketOf
}

// bucket is about the blocks of one bucket.
type bucket struct {
	allocs, frees uint64
	in, out       uint64 // reallocations: blocks that have become such, and that were such
}

// bucketOf returns the binary logarithm of n, which is not 0, rounded up: the bucket b has the
// sizes above 1<<(b-1), to 1<<b.
//
//go:nosplit
func bucketOf(n uintptr) int { return bits.Len64(uint64(n)-1) & 63 }

// add counts a block of n bytes, and reports whether to flush. As all methods of counts, it
// must be called in a section, or with a lock.
//
//go:nosplit
func (k *counts) add(n uintptr) (flush bool) {
	return k.addTo(classInfo{uint64(n), bucketOf(n)})
}

// addTo is add for who knows the bucket already.
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

// sub counts a block as freed.
//
//go:nosplit
func (k *counts) sub(n uintptr) (flush bool) {
	return k.subFrom(classInfo{uint64(n), bucketOf(n)})
}

// subFrom is sub for who knows the bucket already.
//
//go:nosplit
func (k *counts) subFrom(i classInfo) (flush bool) {
	k.buckets[i.bucket&63].frees++
	k.freed += i.size
	return int64(k.allocated-k.freed) < k.low
}

// resize counts a reallocation.
//
//go:nosplit
func (k *counts) resize(old, new uintptr) (flush bool) {
	k.buckets[bucketOf(old)].out++
	k.buckets[bucketOf(new)].in++
	if new >= old {
		k.allocated += uint64(new - old)
	} else {
		k.freed += uint64(old - new)
	}
	net := int64(k.allocated - k.freed)
	k.high = max(k.high, net)
	return net > k.flushed+flushAt || net < k.low
}

// flush begins anew with high and low, and returns by how much net has changed since the last
// time, and how high it has been.
//
//go:nosplit
func (k *counts) flush() (change, high int64) {
	net := int64(k.allocated - k.freed)
	change, high = net-k.flushed, k.high-k.flushed
	k.flushed, k.high, k.low = net, net, net-flushAt
	return change, high
}

// An event is what is counted off the hot path.
type event struct {
	old, new uintptr // both: a reallocation; none: a failure
}

//go:nosplit
func (k *counts) count(e event) (flush bool) {
	switch {
	case e.old == 0 && e.new == 0:
		k.failures++
		return false
	case e.old == 0:
		return k.add(e.new)
	case e.new == 0:
		return k.sub(e.old)
	}
	return k.resize(e.old, e.new)
}

// count counts e.
func (c *counters) count(e event) {
	if c.tryCount(e) {
		return
	}
	k := c.table.Lock()
	if k == nil {
		c.count(e) // there is a shard now
		return
	}
	if k.count(e) {
		c.flush(k)
	}
	c.table.Unlock(k)
}

//go:noinline
//go:nosplit
func (c *counters) tryCount(e event) bool {
	k := c.table.Of(engine.ProcID())
	if k == nil {
		return false
	}
	if k.count(e) {
		c.flush(k)
	}
	return true
}

// flush tells all what k has counted. It is for the section in which that is to be done, so that no
// shard is ever further than flushAt from what all know.
//
//go:noinline
//go:nosplit
func (c *counters) flush(k *counts) {
	change, high := k.flush()
	peak := c.live.Add(change) - change + high
	for was := c.peak.Load(); was < peak && !c.peak.CompareAndSwap(was, peak); was = c.peak.Load() {
	}
}

// forget counts all that is live as freed. Nobody may be counting.
func (c *counters) forget() {
	c.snapshot() // for the peak
	var total counts
	c.read(&total)
	k := c.table.Shared()
	for i := range total.buckets {
		t := &total.buckets[i]
		k.buckets[i].frees += t.allocs + t.in - t.frees - t.out
	}
	k.freed += total.allocated - total.freed
	c.table.Unlock(k)
	c.table.Take(func(k *counts) { k.flush() })
	c.live.Store(0)
}

// read adds up the shards. What ends blocks is read before what makes them, so that no block
// is seen freed that was not seen allocated; but what is allocated and freed meanwhile is seen as
// live. So it also returns the bytes that had been freed at the end.
func (c *counters) read(total *counts) (freed uint64) {
	c.table.Each(func(k *counts) {
		total.freed += shard.Load(&k.freed)
		for i := range k.buckets {
			t, b := &total.buckets[i], &k.buckets[i]
			t.frees += shard.Load(&b.frees)
			t.out += shard.Load(&b.out)
		}
	})
	c.table.Each(func(k *counts) {
		total.allocated += shard.Load(&k.allocated)
		for i := range k.buckets {
			t, b := &total.buckets[i], &k.buckets[i]
			t.allocs += shard.Load(&b.allocs)
			t.in += shard.Load(&b.in)
		}
		total.failures += shard.Load(&k.failures)
	})
	c.table.Each(func(k *counts) { freed += shard.Load(&k.freed) })
	return freed
}

// snapshot returns the totals. Blocks and their sizes are counted one after the other, so a
// block may be in the one number and not yet in the other.
//
// If bytes were freed while it read, which happens seldom unless the reader was interrupted, it begins anew,
// a few times. Then some number of them is right, and it takes the one by which as much is live as all know:
// otherwise the peak would rise by what has never been live at once.
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
		s.Sizes[i] = SizeCount{Allocs: b.allocs, Frees: b.frees, In: b.in, Out: b.out}
	}
	s.AllocatedBytes, s.FreedBytes, s.Failures = total.allocated, total.freed, total.failures

	// The peak, if any of them would flush now; one that has done so meanwhile has seen to it itself.
	peak := s.LiveBytes()
	c.table.Each(func(k *counts) {
		flushed, high := shard.LoadInt(&k.flushed), shard.LoadInt(&k.high)
		if live := c.live.Load(); shard.LoadInt(&k.flushed) == flushed {
			peak = max(peak, live+high-flushed)
		}
	})
	for was := c.peak.Load(); was < peak && !c.peak.CompareAndSwap(was, peak); was = c.peak.Load() {
	}
	s.Peak = uint64(c.peak.Load())
	return s
}

// Snapshot is what has been counted up to a moment; or, as the difference of two, between
// them. Size 0 counts as nothing. Bytes are those that blocks occupy, as the wrapped allocator
// tells by its UsableSize; if it does not, those that were asked for.
type Snapshot struct {
	// Allocs, Frees and Reallocs count calls that have succeeded. A block that grows, shrinks
	// or is resized is reallocated, moved or not; growing from size 0 is an allocation,
	// shrinking to it a free.
	Allocs, Frees, Reallocs uint64
	// Failures counts the calls that have returned nil or an error, and nothing else does. A
	// Resize that was not possible is not a failure.
	Failures uint64
	// AllocatedBytes is the size of what was allocated, and what blocks have grown by;
	// FreedBytes the size of what was freed, and what blocks have shrunk by.
	AllocatedBytes, FreedBytes uint64
	// Peak is the most bytes that were live at a time, of a difference how far that has risen.
	// It is exact as long as only one P allocates, and otherwise may be off by up to 64 KiB
	// for each other P that has.
	Peak uint64
	// Sizes is the same by size: Sizes[i] counts the blocks of more than 1<<(i-1) bytes, and
	// up to 1<<i.
	Sizes [64]SizeCount
}

// SizeCount counts the blocks of a range of sizes.
type SizeCount struct {
	Allocs, Frees uint64
	In, Out       uint64 // reallocations of blocks to such a size, and from such a size
}

// Live returns how many of the blocks are live. Of a difference, it may be negative.
func (s SizeCount) Live() int64 { return int64(s.Allocs + s.In - s.Frees - s.Out) }

// Live returns how many blocks are live, of a difference how many more: it may be negative.
func (s Snapshot) Live() int64 { return int64(s.Allocs - s.Frees) }

// LiveBytes returns how many bytes are live, of a difference how many more: it may be negative.
func (s Snapshot) LiveBytes() int64 { return int64(s.AllocatedBytes - s.FreedBytes) }

// Sub returns the difference between s and an earlier snapshot of the same counters.
func (s Snapshot) Sub(earlier Snapshot) Snapshot {
	s.add(&earlier, -1)
	return s
}

// add adds sign times o to s.
func (s *Snapshot) add(o *Snapshot, sign int64) {
	n := uint64(sign)
	s.Allocs += n * o.Allocs
	s.Frees += n * o.Frees
	s.Reallocs += n * o.Reallocs
	s.Failures += n * o.Failures
	s.AllocatedBytes += n * o.AllocatedBytes
	s.FreedBytes += n * o.FreedBytes
	s.Peak += n * o.Peak
	for i := range s.Sizes {
		a, b := &s.Sizes[i], &o.Sizes[i]
		a.Allocs += n * b.Allocs
		a.Frees += n * b.Frees
		a.In += n * b.In
		a.Out += n * b.Out
	}
}

// String returns the totals on one line, as in
// "2 blocks live, 192 bytes, peak 256; 3 allocated, 1 freed, 0 reallocated, 0 failed".
func (s Snapshot) String() string {
	return fmt.Sprintf("%d blocks live, %d bytes, peak %d; %d allocated, %d freed, %d reallocated, %d failed",
		s.Live(), s.LiveBytes(), s.Peak, s.Allocs, s.Frees, s.Reallocs, s.Failures)
}
