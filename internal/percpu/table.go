package percpu

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Table holds a value of type T for each P, which the goroutine on that P changes without atomics
// and without locks: counters, for example, of which only the sum matters. A goroutine changes the
// value of its P in a section. The use is always the same:
//
//	//go:noinline
//	//go:nosplit
//	func (c *counter) add(n int) {
//		if v := c.table.Of(percpu.ID()); v != nil {
//			v.n += n // no call that is not inlined, nothing that can panic
//			return
//		}
//		c.addSlow(n)
//	}
//
//	func (c *counter) addSlow(n int) {
//		if v := c.table.Lock(); v != nil {
//			v.n += n
//			c.table.Unlock(v)
//			return
//		}
//		c.add(n) // there is a value now
//	}
//
// A goroutine can be on another P before and after a section, but not within. Where there are no
// sections (Limit returns 0), Of always returns nil, and each value has a lock.
//
// Others can read the values at any time by [Table.Each], a little out of date and not all at the
// same moment. [Table.Drain] takes all values out of the table and waits until no goroutine uses
// them any more: then they belong to the caller.
//
// The size of T should be a multiple of a cache line, or T should end in padding. The zero Table is
// ready for use; its values are zero and made when they are first used. A Table must not be copied.
type Table[T any] struct {
	slots [MaxProcs]atomic.Pointer[entry[T]]

	mu     sync.Mutex
	all    []*entry[T] // every entry, in the table or not
	spare  []*entry[T] // the entries that are not in the table
	limit  int         // only Ps with lower numbers have entries
	shared entry[T]    // belongs to no P: see LockShared
}

// An entry is the value of a P, and a lock for it where there are no sections.
type entry[T any] struct {
	value T
	lock  sync.Mutex
	_     [64]byte // keeps the next entry off the cache line
}

// Of returns the value of P id, where ID has returned id in the same section. It belongs to the
// caller until the end of the section. If there is none, Of returns nil: call Lock then. (ID and Of
// are two functions because each is small enough to be inlined.)
//
//go:nosplit
func (t *Table[T]) Of(id uint32) *T {
	if id < Limit() {
		// SAFETY: Load does no more, but is a call where nothing is inlined. The value is the first
		// field of its entry; nil stays nil.
		return *(**T)(unsafe.Pointer(&t.slots[id%MaxProcs]))
	}
	return nil
}

// At is Of without the check of id. The caller knows that id is less than Limit(), or changes the
// value only if it is.
//
//go:nosplit
func (t *Table[T]) At(id uint32) *T {
	return *(**T)(unsafe.Pointer(&t.slots[id%MaxProcs])) // SAFETY: as in Of
}

// Lock is the slow path after Of has returned nil. It makes the value that Of has not found, and
// returns nil: the caller tries Of again. Where Of cannot succeed, Lock returns a value that
// belongs to the caller until Unlock.
func (t *Table[T]) Lock() *T {
	p := Current()
	switch {
	case p >= MaxProcs:
		return t.LockShared()
	case Limit() != 0:
		if t.slots[p].Load() == nil {
			t.add(p)
		}
		return nil
	}
	for {
		e := t.slots[p].Load()
		if e == nil {
			t.add(p)
			continue
		}
		e.lock.Lock()
		if e == t.slots[p].Load() {
			return &e.value
		}
		e.lock.Unlock() // Drain has taken it out
	}
}

// LockShared returns the one value that belongs to no P; it belongs to the caller until Unlock. It
// is for rare events, and for Ps with numbers from MaxProcs on.
func (t *Table[T]) LockShared() *T {
	t.shared.lock.Lock()
	return &t.shared.value
}

// Unlock unlocks a value that Lock or LockShared has returned.
func (t *Table[T]) Unlock(v *T) {
	// SAFETY: the value is the first field of its entry.
	(*entry[T])(unsafe.Pointer(v)).lock.Unlock()
}

// add adds an entry for P p, unless there is one.
func (t *Table[T]) add(p int) {
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
		// Room for all, so that Drain need not allocate.
		t.spare = append(make([]*entry[T], 0, cap(t.all)), t.spare...)
	}
	t.limit = max(t.limit, p+1)
	t.slots[p].Store(e)
}

// Each calls f with every value that has ever been used, while others may be changing it. f must
// read by [Load] and [LoadInt], sees numbers that are a little out of date, and must not use the
// table.
func (t *Table[T]) Each(f func(*T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.all {
		t.visit(e, f, Limit() == 0)
	}
	t.visit(&t.shared, f, true)
}

func (t *Table[T]) visit(e *entry[T], f func(*T), lock bool) {
	if lock {
		e.lock.Lock()
		defer e.lock.Unlock()
	}
	f(&e.value)
}

// Load reads a number in a value that others may be changing. (Where there are sections, 64 bits
// are read and written at once; elsewhere Each has locked the value.)
func Load(n *uint64) uint64 {
	if Limit() == 0 {
		return *n
	}
	return atomic.LoadUint64(n)
}

// LoadInt is Load of a signed number.
func LoadInt(n *int64) int64 {
	if Limit() == 0 {
		return *n
	}
	return atomic.LoadInt64(n)
}

// Drain takes all values out of the table, waits until no goroutine uses them any more, and calls f
// with each: f may change them, and must not use the table. The table uses them again, as f has
// left them, when it needs values. Unless the table is empty, Drain stops the world for some 10 µs.
func (t *Table[T]) Drain(f func(*T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.spare)
	for p := range t.limit {
		if e := t.slots[p].Swap(nil); e != nil {
			t.spare = append(t.spare, e)
		}
	}
	if Limit() != 0 && len(t.spare) > before {
		Grace()
	}
	for _, e := range t.spare {
		t.visit(e, f, Limit() == 0) // the lock waits for its last user
	}
	t.visit(&t.shared, f, true)
}
