package wrap

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/percpu"
)

// budget is the bytes that a Limiter may use. A P that allocates takes more than it needs, as
// credit, and pays from that, in sections (see package percpu). Freed bytes become credit again. So
// at any time
//
//	limit == used + free + sum of the credits
//
// and the bytes in use never exceed the limit. A call that finds neither enough credit nor enough
// in free takes the credits of all Ps back before it fails, which stops the world for some 10 µs,
// so it fails only if the bytes are really in use. The limit is near then, and the next tightFor
// calls get no credit, so that they do not have to take it back again.
//
// Bytes on the way between a credit and free are counted nowhere, and could make another call fail.
// So a goroutine that moves them holds mu.
type budget struct {
	table percpu.Table[credit]
	free  atomic.Int64   // less than 0 only after the limit was set to less than is in use
	limit atomic.Int64   // noLimit if there is none, or none that can be reached
	asked atomic.Uintptr // the limit that set was called with

	mu        sync.Mutex
	creditMax atomic.Int64 // the maximum of a credit; 0 if there are no credits: see set
	tight     atomic.Int64 // the number of further calls that get no credit

	refused atomic.Bool // the limit refused the allocation that failed last, not what is inside
}

// credit is the bytes that a P may use. max is 0 until the P gets credit for the first time, and
// after all credits were taken back.
type credit struct {
	left uint64
	max  uint64
}

const (
	maxCredit = 64 << 10 // bytes
	minCredit = 1 << 10  // less is not worth the effort
	tightFor  = 4096     // calls

	noLimit = math.MaxInt64 / 2
)

// set sets the limit to n bytes, or to none if n is 0. There are no credits if the limit is small,
// or where there are no sections.
func (b *budget) set(n uintptr) {
	limit := int64(noLimit)
	if n != 0 {
		limit = int64(min(uint64(n), noLimit))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked.Store(n)
	b.takeBack()
	b.free.Add(limit - b.limit.Swap(limit))
	m := min(maxCredit, limit/int64(16*runtime.GOMAXPROCS(0)))
	if m < minCredit || percpu.Limit() == 0 {
		m = 0
	}
	b.creditMax.Store(m)
	b.tight.Store(0)
}

// get returns the limit in bytes that was set, or 0 if there is none.
func (b *budget) get() uintptr { return b.asked.Load() }

// reserve takes n bytes out of the budget, and reports whether it had as many.
//
//go:noinline
//go:nosplit
func (b *budget) reserve(n uintptr) bool {
	k := b.table.Of(percpu.ID())
	if k == nil || k.left < uint64(n) {
		return b.reserveSlow(n)
	}
	k.left -= uint64(n)
	return true
}

// release returns n bytes to the budget.
//
//go:noinline
//go:nosplit
func (b *budget) release(n uintptr) {
	k := b.table.Of(percpu.ID())
	if k == nil || k.left > k.max || uint64(n) > k.max-k.left {
		b.releaseSlow(n)
		return
	}
	k.left += uint64(n)
}

// reserveSlow is reserve where the P has not enough credit.
func (b *budget) reserveSlow(size uintptr) bool {
	n := int64(min(uint64(size), math.MaxInt64))
	if b.takeFree(n) {
		b.adjust(n)
		return true
	}
	if b.creditMax.Load() != 0 { // otherwise there are no credits
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tight.Store(tightFor)
		b.takeBack()
		if b.takeFree(n) {
			return true
		}
	}
	b.refused.Store(true)
	return false
}

// releaseSlow is release where the P has no room for more credit.
func (b *budget) releaseSlow(n uintptr) {
	b.free.Add(int64(n))
	b.adjust(int64(n))
}

// takeFree takes n bytes out of free, and reports whether there were as many.
func (b *budget) takeFree(n int64) bool {
	for {
		free := b.free.Load()
		if free < n {
			return false
		}
		if b.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}

// takeBack moves all credits to free. The caller holds mu.
func (b *budget) takeBack() {
	var sum int64
	b.table.Drain(func(k *credit) {
		sum += int64(k.left)
		*k = credit{}
	})
	b.free.Add(sum)
}

// adjust sets the credit of this P to half of its maximum, after a call for n bytes has found too
// little or too much of it.
func (b *budget) adjust(n int64) {
	if b.tight.Load() > 0 {
		b.tight.Add(-1)
		return
	}
	if m := b.creditMax.Load(); n > m/2 || b.free.Load() < 2*m {
		return // the block is too large for credit, or the limit is near
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.creditMax.Load()
	if m == 0 || b.tight.Load() > 0 || !b.takeFree(m/2) {
		return
	}
	left, ok := b.trySet(credit{uint64(m / 2), uint64(m)})
	if !ok {
		if k := b.table.Lock(); k != nil {
			b.table.Unlock(k) // the table has no room for this P
		} else {
			left, ok = b.trySet(credit{uint64(m / 2), uint64(m)})
		}
	}
	if !ok {
		left = m / 2 // the goroutine is on another P by now, without a shard
	}
	b.free.Add(left)
}

// trySet replaces the credit of this P, in a section, and returns what was left of it.
//
//go:noinline
//go:nosplit
func (b *budget) trySet(c credit) (left int64, ok bool) {
	k := b.table.Of(percpu.ID())
	if k == nil {
		return 0, false
	}
	left = int64(k.left)
	*k = c
	return left, true
}

// used returns the number of bytes in use.
func (b *budget) used() uintptr {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.free.Load()
	b.table.Each(func(k *credit) { left += int64(percpu.Load(&k.left)) })
	return uintptr(max(b.limit.Load()-left, 0))
}

// forget makes the whole limit free. No other goroutine may use the budget.
func (b *budget) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takeBack()
	b.free.Store(b.limit.Load())
}
