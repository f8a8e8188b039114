package collections

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Operations on a whole table. See map_table.go.

// reserve makes room for n more entries. If it fails, the entries are as before, and the table has
// no more memory unless an iteration is running.
func (t *table[S]) reserve(n int, hash hasher[S]) error {
	need, err := sum[S](t.used, n)
	if err != nil || need <= t.limit {
		return err
	}
	lg := groupsFor(need)
	l, err := layoutFor[S](lg)
	if err != nil {
		return err
	}
	if lg <= t.top() && t.buckets() == 1 {
		return t.resize(lg, hash)
	}
	if err := t.probe(l); err != nil {
		return err
	}
	if err := t.expand(bucketsFor(need, t.top()), hash); err != nil {
		t.unprovide()
		return err
	}
	return nil
}

// expand splits until there are n buckets.
func (t *table[S]) expand(n uintptr, hash hasher[S]) error {
	if err := t.provide(n); err != nil {
		return err
	}
	if b := t.bucket(0); t.buckets() == 1 && (b.lg() < t.top() || t.limit == 0) {
		if err := t.resize(t.top(), hash); err != nil {
			return err
		}
	}
	for t.buckets() < n {
		if err := t.split(hash); err != nil {
			return err
		}
	}
	return nil
}

// probeSize is the size from which probe allocates.
const probeSize = 1 << 30

// probe returns an error if there is no memory for a block of layout l, if it is large. Otherwise a
// number of entries that is too large would be noticed after all memory had been allocated.
func (t *table[S]) probe(l galloc.Layout) error {
	if l.Size() < probeSize || galloc.GarbageCollected(t.alloc) {
		return nil
	}
	b, err := allocate(t.alloc, l)
	if err == nil {
		deallocate(t.alloc, unsafe.Pointer(unsafe.SliceData(b)), l)
	}
	return err
}

// unprovide frees the buckets that are not used yet.
func (t *table[S]) unprovide() {
	for i := t.buckets(); i < t.room; i++ {
		b := *t.bucket(i)
		*t.bucket(i) = bucket[S]{}
		t.freeBucket(b)
	}
	if t.count == 1 {
		t.useOne(*t.bucket(0))
	}
}

// useOne makes b the only bucket, without a directory.
func (t *table[S]) useOne(b bucket[S]) {
	dir, room := t.dir, t.room
	t.guard.begin()
	t.dir, t.room, t.count, t.wide, t.one = nil, 0, 0, 0, b
	t.guard.end()
	t.freeDirectory(dir, room)
}

// shrink releases the memory that the entries do not need, and all if there are none. It does
// nothing during an iteration. If it fails, the entries are as before.
func (t *table[S]) shrink(hash hasher[S]) error {
	switch {
	case t.visits.busy() || t.limit == 0:
		return nil
	case t.used == 0:
		t.free()
		return nil
	}
	t.unprovide()
	if t.used <= maxFull<<t.top() {
		return t.collapse(groupsFor(t.used), hash)
	}
	for n := bucketsFor(t.used, t.top()); t.buckets() > n; {
		if err := t.merge(hash); err != nil {
			return err
		}
	}
	for i := range t.buckets() {
		t.fit(t.bucket(i), hash)
	}
	if n := t.buckets(); t.room >= 2*n {
		if dir, err := t.newDirectory(n); err == nil {
			for i := range n {
				*entryOf[S](dir, i) = *t.bucket(i)
			}
			t.setDirectory(dir, n)
		}
	}
	return nil
}

// collapse moves all entries to one bucket of 2^lg groups, unless the table has no more memory.
func (t *table[S]) collapse(lg uint, hash hasher[S]) error {
	if t.buckets() == 1 && lg >= t.bucket(0).lg() {
		return nil
	}
	b, err := t.newBucket(lg)
	if err != nil {
		return err
	}
	dir, room, one := t.dir, t.room, t.one
	t.guard.begin()
	for i := range t.buckets() {
		b.takeAll(t.bucket(i), hash)
	}
	t.dir, t.room, t.count, t.wide, t.one = nil, 0, 0, 0, b
	t.limit = maxFull << lg
	t.version++
	t.guard.end()
	t.release(dir, room, one)
	return nil
}

// merge undoes the last split. It needs memory only if the two buckets together have more entries
// than one should have.
func (t *table[S]) merge(hash hasher[S]) error {
	n := t.buckets() - 1
	b, from := t.bucket(n-(t.wide+1)/2), t.bucket(n)
	entries, more := b.entries(), from.entries()
	lg := b.lg()
	for leftOf(lg, entries+more) < 0 {
		lg++
	}
	if lg > b.lg() {
		if err := t.replace(b, lg, hash); err != nil {
			return err
		}
	}
	old := *from
	t.guard.begin()
	if int(b.left) < more {
		b.sweep(nil, 0, hash)
	}
	b.takeAll(&old, hash)
	*from = bucket[S]{}
	t.count = n
	if n == (t.wide+1)/2 {
		t.wide >>= 1
	}
	if n > 1 {
		t.limit = limitOf(n, t.top())
	} else {
		t.limit = maxFull << t.top()
	}
	t.version++
	t.guard.end()
	t.freeBucket(old)
	return nil
}

// clear removes all entries, keeps the memory, and ends all iterations. It reads and writes the
// control words of buckets that have entries or tombstones, and nothing of the others.
func (t *table[S]) clear() {
	if t.limit == 0 {
		return
	}
	t.guard.begin()
	for i := range t.buckets() {
		b := t.bucket(i)
		if b.untouched() {
			continue
		}
		for g := range uintptr(b.mask) + 1 {
			if grp := b.group(g); grp.control != 0 {
				grp.control = 0
			}
		}
		b.left = leftOf(b.lg(), 0)
	}
	t.used = 0
	t.epoch++
	t.version++
	t.guard.end()
}

// free releases all memory and ends all iterations.
func (t *table[S]) free() {
	dir, room, one := t.dir, t.room, t.one
	t.dir, t.room, t.count, t.wide, t.one = nil, 0, 0, 0, bucket[S]{}
	t.used, t.limit, t.guard = 0, 0, guard{}
	t.epoch++
	t.version++
	t.release(dir, room, one)
	t.visits.freeRetired(t.alloc, true)
}

// release frees a directory with its buckets, or the only bucket.
func (t *table[S]) release(dir unsafe.Pointer, room uintptr, one bucket[S]) {
	if dir == nil {
		t.freeBucket(one)
		return
	}
	for i := range room {
		t.freeBucket(*entryOf[S](dir, i))
	}
	t.freeDirectory(dir, room)
}

// copyFrom makes t, which is empty, a copy of from on t's allocator, with the same seeds. If it
// fails, t is still empty.
func (t *table[S]) copyFrom(from *table[S]) error {
	from.guard.read()
	c := table[S]{alloc: t.alloc}
	if from.dir != nil {
		var err error
		if c.dir, err = c.newDirectory(from.buckets()); err != nil {
			return err
		}
		c.room, c.count = from.buckets(), from.buckets()
	}
	for i := range from.buckets() {
		b, err := c.newBucket(from.bucket(i).lg())
		if err != nil {
			c.release(c.dir, c.room, c.one)
			return err
		}
		if f := from.bucket(i); !f.untouched() {
			l, _ := layoutFor[S](f.lg())
			block.Copy(b.base, f.base, l.Size())
			b.left = f.left
		}
		*c.bucket(i) = b
	}
	c.wide, c.used, c.limit, c.seeds = from.wide, from.used, from.limit, from.seeds
	t.adopt(&c)
	return nil
}

// adopt moves the contents of from, on the same allocator, to t, which has no memory.
func (t *table[S]) adopt(from *table[S]) {
	t.dir, t.one, t.count, t.room, t.wide = from.dir, from.one, from.count, from.room, from.wide
	t.used, t.limit, t.seeds = from.used, from.limit, from.seeds
}
