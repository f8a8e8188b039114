// Package shard gives each P a value of its own, which it changes without atomics and without locks.
//
// A [Table] holds one shard for each P: counters, for example, whose sum is what counts. Whoever runs on a P may change
// the shard of that P within a section: some lines in a function marked go:nosplit, where the runtime can neither preempt
// the goroutine nor stop the world (internal/engine/pin.go tells why that is so). The use is always the same:
//
//	//go:noinline
//	//go:nosplit
//	func (c *counter) add(n int) {
//		if s := c.table.Of(engine.ProcID()); s != nil {
//			s.n += n // plain code only: no call that is not inlined, nothing that can panic
//			return
//		}
//		c.addSlow(n)
//	}
//
//	func (c *counter) addSlow(n int) {
//		if s := c.table.Lock(); s != nil {
//			s.n += n
//			c.table.Unlock(s)
//			return
//		}
//		c.add(n) // there is a shard now
//	}
//
// The first must not be inlined, since what it is inlined into need not be marked. A goroutine can be on another P before and after
// a section, but not within.
//
// Where the number of the P cannot be had in a section (on architectures that the engine does not know), and in race builds, which
// must see locks, Of always returns nil, and each shard has a lock.
//
// Others may read the shards at any time, late and not all at the same moment, by [Table.Each]; or take all of them out of the table and
// wait until nobody is in a section any more, by [Table.Take]: then they belong to the taker.
package shard

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/engine"
)

// A Table is a shard of type T for each P. T should be a multiple of a cache line in size, or have padding at its end. The zero value
// is a table whose shards are zero, made when they are first used. A Table must not be copied.
type Table[T any] struct {
	slots [engine.MaxProcs]atomic.Pointer[entry[T]]

	mu     sync.Mutex
	all    []*entry[T] // every shard there is, in the table or not
	spare  []*entry[T] // those that are not in the table
	ps     int         // the Ps from here on have no shard
	shared entry[T]    // see Shared
}

// An entry is a shard and what guards it where sections are not possible.
type entry[T any] struct {
	shard T
	lock  sync.Mutex
	_     [64]byte // what is behind belongs to somebody else
}

// Of returns the shard of P id, which is what engine.ProcID has returned in the same section, or nil if there is none: then use Lock. It belongs
// to the caller until it calls a function, on the conditions that the package comment tells. (ProcID and Of are two because each is small
// enough to be inlined.)
//
//go:nosplit
func (t *Table[T]) Of(id uint32) *T {
	if id < engine.SectionLimit() {
		// SAFETY: Load does no more, but is a call where nothing is inlined. The shard is the first field of its entry; nil stays nil.
		return *(**T)(unsafe.Pointer(&t.slots[id%engine.MaxProcs]))
	}
	return nil
}

// At is Of for who knows that id is less than engine.SectionLimit(), or does not change what it gets unless that is so.
//
//go:nosplit
func (t *Table[T]) At(id uint32) *T {
	return *(**T)(unsafe.Pointer(&t.slots[id%engine.MaxProcs])) // SAFETY: as in Of
}

// Lock is for when Of has returned nil. It returns a shard that belongs to the caller until Unlock; or nil, once it has made the shard
// that Of has not found: then begin again.
func (t *Table[T]) Lock() *T {
	p := engine.ProcHint()
	switch {
	case p >= engine.MaxProcs:
		return t.Shared()
	case engine.SectionLimit() != 0:
		if t.slots[p].Load() == nil {
			t.fill(p)
		}
		return nil
	}
	for {
		e := t.slots[p].Load()
		if e == nil {
			t.fill(p)
			continue
		}
		e.lock.Lock()
		if e == t.slots[p].Load() {
			return &e.shard
		}
		e.lock.Unlock() // it has been taken meanwhile
	}
}

// Shared is Lock of one shard that belongs to no P: it is for what happens seldom, and for Ps that the table has no room for.
func (t *Table[T]) Shared() *T {
	t.shared.lock.Lock()
	return &t.shared.shard
}

// Unlock ends what Lock or Shared has begun.
func (t *Table[T]) Unlock(s *T) {
	// SAFETY: the shard is the first field of its entry.
	(*entry[T])(unsafe.Pointer(s)).lock.Unlock()
}

// fill puts a shard in place for P p, unless there is one.
func (t *Table[T]) fill(p int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[p].Load() != nil {
		return
	}
	var e *entry[T]
	if n := len(t.spare); n > 0 {
		e, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		e = new(entry[T])
		t.all = append(t.all, e)
		t.spare = append(make([]*entry[T], 0, cap(t.all)), t.spare...) // room for all, so that Take need not allocate
	}
	t.ps = max(t.ps, p+1)
	t.slots[p].Store(e)
}

// Each calls f with every shard that has ever been used, while others may be changing it: f must read by Load, and gets what is a little
// out of date. f must not use the table.
func (t *Table[T]) Each(f func(*T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.all {
		t.visit(e, f, engine.SectionLimit() == 0)
	}
	t.visit(&t.shared, f, true)
}

func (t *Table[T]) visit(e *entry[T], f func(*T), lock bool) {
	if lock {
		e.lock.Lock()
		defer e.lock.Unlock()
	}
	f(&e.shard)
}

// Load reads a number of a shard that others may be changing. (Where sections are possible, 64 bits are read and written at once; elsewhere Each
// has locked the shard.)
func Load(n *uint64) uint64 {
	if engine.SectionLimit() == 0 {
		return *n
	}
	return atomic.LoadUint64(n)
}

// LoadInt is Load of a signed number.
func LoadInt(n *int64) int64 {
	if engine.SectionLimit() == 0 {
		return *n
	}
	return atomic.LoadInt64(n)
}

// Take takes all shards out of the table, waits until nobody uses them any more, and calls f with each: it may change them. Then they are kept
// for when shards are needed again, with what f has left in them. Take costs some 10 µs if there is a shard in the table, and stops the world
// meanwhile. f must not use the table.
func (t *Table[T]) Take(f func(*T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.spare)
	for p := range t.ps {
		if e := t.slots[p].Swap(nil); e != nil {
			t.spare = append(t.spare, e)
		}
	}
	if engine.SectionLimit() != 0 && len(t.spare) > before {
		engine.Grace()
	}
	for _, e := range t.spare {
		t.visit(e, f, engine.SectionLimit() == 0) // the lock waits for whoever had it before
	}
	t.visit(&t.shared, f, true)
}
