package wrap

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/shard"
)

// budget is the bytes that a Limit has to give. A P that allocates takes some more than it
// needs, as credit, and pays from that, in sections (see package shard); what it frees is its
// credit again. So
//
//	max == used + free + sum of the credits
//
// holds at any time: no moment, however unlucky, has more in use than max. A call that finds
// neither credit nor enough in free takes the credits of all Ps back before it fails (which
// stops the world for some 10 µs), and so fails only if there really is not enough. Then the
// limit is near, and no credits are given for a while, lest many calls have to take them back.
//
// What is between a credit and free counts nowhere, and would make a call fail that need not:
// so whoever moves it holds mu.
type budget struct {
	table shard.Table[credit]
	free  atomic.Int64 // less than 0 only after the limit has been lowered below what is in use
	max   atomic.Int64

	mu    sync.Mutex
	most  atomic.Int64 // the most that a credit may be; 0 if none are given: see set
	tight atomic.Int64 // how many more calls get no credit
}

// credit is what a P may use. most is 0 in one that has not been given any since the last time
// all were taken back.
type credit struct {
	left uint64 // not signed, for shard.Load
	most uint64
}

const (
	maxCredit = 64 << 10 // bytes
	minCredit = 1 << 10  // less is not worth it
	tightFor  = 4096     // calls
)

// set makes the limit n bytes. What is in use stays so. There are no credits if the limit is small, or
// where there are no sections.
func (b *budget) set(n uintptr) {
	max := int64(min(uint64(n), math.MaxInt64/2))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takeBack()
	b.free.Add(max - b.max.Swap(max))
	most := min(maxCredit, max/int64(16*runtime.GOMAXPROCS(0)))
	if most < minCredit || engine.SectionLimit() == 0 {
		most = 0
	}
	b.most.Store(most)
	b.tight.Store(0)
}

// take is a section: it takes n bytes of credit, if there is as much.
//
//go:nosplit
func (b *budget) take(id uint32, n uintptr) bool {
	k := b.table.Of(id)
	if k == nil || k.left < uint64(n) {
		return false
	}
	k.left -= uint64(n)
	return true
}

// give is a section: it gives n bytes back as credit, if there is room.
//
//go:nosplit
func (b *budget) give(id uint32, n uintptr) bool {
	k := b.table.Of(id)
	if k == nil || k.left > k.most || uint64(n) > k.most-k.left {
		return false
	}
	k.left += uint64(n)
	return true
}

// reserve takes n bytes out of the budget, and reports whether there was as much.
func (b *budget) reserve(n uintptr) bool { return b.tryTake(n) || b.reserveSlow(n) }

// release puts n bytes back.
func (b *budget) release(n uintptr) {
	if !b.tryGive(n) {
		b.releaseSlow(n)
	}
}

//go:noinline
//go:nosplit
func (b *budget) tryTake(n uintptr) bool { return b.take(engine.ProcID(), n) }

//go:noinline
//go:nosplit
func (b *budget) tryGive(n uintptr) bool { return b.give(engine.ProcID(), n) }

// reserveSlow is reserve where there was not enough credit.
func (b *budget) reserveSlow(size uintptr) bool {
	n := int64(min(uint64(size), math.MaxInt64))
	if b.takeFree(n) {
		b.adjust(n)
		return true
	}
	if b.most.Load() == 0 {
		return false // there are no credits
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tight.Store(tightFor)
	b.takeBack()
	return b.takeFree(n)
}

// releaseSlow is release where there was not enough room for credit.
func (b *budget) releaseSlow(n uintptr) {
	b.free.Add(int64(n))
	b.adjust(int64(n))
}

// takeFree takes n bytes from what is free.
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

// takeBack makes all credits free. mu is held.
func (b *budget) takeBack() {
	var sum int64
	b.table.Take(func(k *credit) {
		sum += int64(k.left)
		*k = credit{}
	})
	b.free.Add(sum)
}

// adjust makes the credit of this P half of the most that it may be, after a call has found
// too little in it, or too much, for n bytes.
func (b *budget) adjust(n int64) {
	if b.tight.Load() > 0 {
		b.tight.Add(-1)
		return
	}
	if most := b.most.Load(); n > most/2 || b.free.Load() < 2*most {
		return // not for such blocks; and not so close to the limit
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.most.Load()
	if most == 0 || b.tight.Load() > 0 || !b.takeFree(most/2) {
		return
	}
	left, ok := b.trySet(credit{uint64(most / 2), uint64(most)})
	if !ok {
		if k := b.table.Lock(); k != nil {
			b.table.Unlock(k) // a P that the table has no room for
		} else {
			left, ok = b.trySet(credit{uint64(most / 2), uint64(most)})
		}
	}
	if !ok {
		left = most / 2 // on another P by now: nothing has changed
	}
	b.free.Add(left)
}

// trySet is a section: it replaces the credit of this P, and returns what was left of it.
//
//go:noinline
//go:nosplit
func (b *budget) trySet(c credit) (left int64, ok bool) {
	k := b.table.Of(engine.ProcID())
	if k == nil {
		return 0, false
	}
	left = int64(k.left)
	*k = c
	return left, true
}

// used returns how much is in use.
func (b *budget) used() uintptr {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.free.Load()
	b.table.Each(func(k *credit) { left += int64(shard.Load(&k.left)) })
	return uintptr(max(b.max.Load()-left, 0))
}

// forget makes all of it free. Nobody may be using it.
func (b *budget) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takeBack()
	b.free.Store(b.max.Load())
}
