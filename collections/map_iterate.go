package collections

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Iterations over a table. See map_table.go.

// entries calls yield with the slot of each entry, until yield returns false. yield may change the
// table in any way. An entry is yielded at most once, and not if it was removed before it was
// reached. An entry that is added may be yielded or not.
//
// An iteration visits the buckets that there are at its beginning, in steps of a random odd number
// of them, so that the low bits of their indices alternate: see map_table.go.
//
// A bucket that has been split when its turn comes is several by then, and one that is split
// while the iteration is in it must not be visited again under its new index. So an iteration
// follows the hashes that belong to a bucket: those with certain bits in their index, at first all.
// The bits are read as a binary fraction, so that they are next to each other:
//
//	bits of the index, from the lowest      00      10      01      11
//	interval of hashes, in quarters       [0, 1)  [1, 2)  [2, 3)  [3, 4)
//
// If a bucket is replaced while the iteration is in it, by a split or to remove its tombstones, the
// iteration stays in the old memory, which is retired until the iteration leaves it: see visits.
// Then find must return the current slot of the entry in an old slot, or nil. (version: nothing was
// removed or moved since then.) Buckets are not merged during an iteration.
//
// The order of the buckets and the first group are random, and a bucket comes first as often as it
// has entries: see first. So taking the first entry and removing it, again and again, does not
// search the groups that were emptied before, and keeps the buckets equally full: see makeRoom.
func (t *table[S]) entries(find func(old *S) *S, yield func(s *S) bool) {
	t.entriesAhead(nil, find, yield)
}

// entriesAhead is entries that calls ahead, if it is not nil, with the slots of each group before
// it calls yield with them.
func (t *table[S]) entriesAhead(ahead func(grp *group[S], m matches), find func(old *S) *S, yield func(s *S) bool) {
	if t.guard.read(); t.used == 0 {
		return
	}
	it := iteration{epoch: t.epoch, random: t.first()}
	count, wide := t.buckets(), t.wide
	i, step := uintptr(it.random>>48)&wide, uintptr(it.random>>24)|1
	it.place = t.visits.begin(t.bucket(0).base)
	defer t.end(it.place)
	for range wide + 1 {
		if i < count && !t.visitAll(it, bits.Reverse64(uint64(i)), depthOf(i, count, wide), ahead, find, yield) {
			return
		}
		i = (i + step) & wide
	}
}

// first returns the random number of an iteration. In a table of several buckets, it stands for a
// slot that has an entry, unless the table is so empty that several tries found none.
func (t *table[S]) first() (random uint64) {
	for range 8 {
		random = rand.Uint64()
		if t.dir == nil {
			break
		}
		if i := uintptr(random>>48) & t.wide; i < t.buckets() {
			b := t.bucket(i)
			if b.group(uintptr(random)&uintptr(b.mask)).byteOf(uintptr(random>>45)%groupSlots) >= full {
				break
			}
		}
	}
	return random
}

// depthOf returns the number of bits of the index that decide which hashes belong to bucket i.
func depthOf(i, count, wide uintptr) uint {
	depth := uint(bits.Len(uint(wide)))
	if half := (wide + 1) / 2; count <= wide && i >= count-half && i < half {
		depth-- // it has not been split as often as others
	}
	return depth
}

// bucketAt returns the bucket whose interval has at, in units of 2^-64, and its depth: the length
// of the interval is 2^-depth.
func (t *table[S]) bucketAt(at uint64) (b *bucket[S], depth uint) {
	if t.dir == nil {
		return &t.one, 0
	}
	i := uintptr(bits.Reverse64(at)) & t.wide
	if i >= t.count {
		i &= t.wide >> 1
	}
	return t.bucket(i), depthOf(i, t.count, t.wide)
}

// iteration is an iteration over a table. (Its functions are parameters of the methods, so that the
// compiler sees that they need no memory on the heap.)
type iteration struct {
	place  int // in visits
	epoch  uint64
	random uint64
}

// visitAll visits the buckets of the interval that begins at at and has the length 2^-depth. It
// reports whether the iteration goes on.
func (t *table[S]) visitAll(it iteration, at uint64, depth uint, ahead func(grp *group[S], m matches), find func(old *S) *S, yield func(s *S) bool) bool {
	for end := at + 1<<(64-depth); ; { // 0, as at, if depth is 0
		t.guard.read()
		b, depth := t.bucketAt(at)
		if !t.visit(it, *b, at, ahead, find, yield) || t.epoch != it.epoch {
			return false
		}
		if at += 1 << (64 - depth); at == end { // depth is from before the visit
			return true
		}
	}
}

// visit goes through b, whose interval begins at at. It reports whether the iteration goes on.
func (t *table[S]) visit(it iteration, b bucket[S], at uint64, ahead func(grp *group[S], m matches), find func(old *S) *S, yield func(s *S) bool) bool {
	if b.untouched() {
		return true
	}
	t.visits.set(it.place, b.base)
	t.visits.freeRetired(t.alloc, false)
	version := t.version
	g := uintptr(it.random)
	for range uintptr(b.mask) + 1 {
		t.guard.read()
		grp := b.group(g & uintptr(b.mask))
		g++
		m := matchFull(grp.control)
		if ahead != nil {
			ahead(grp, m)
		}
		for ; m != 0; m &= m - 1 {
			s := grp.slot(m.first())
			if t.version != version {
				if t.epoch != it.epoch {
					return false // all entries were removed, and grp may have been freed
				}
				if grp.byteOf(m.first()) < full {
					continue // removed after m was computed, or before the bucket was replaced
				}
				if c, _ := t.bucketAt(at); c.base != b.base {
					s = find(s)
				}
				if s == nil {
					continue
				}
			}
			if !yield(s) {
				return false
			}
		}
		if t.epoch != it.epoch {
			return false
		}
	}
	return true
}

// stripe is the number of groups of each bucket that each takes at a time.
const stripe = 16

// each calls f with each entry and its bucket. f may remove the entry, and must not change anything
// else. each takes 16 groups of each bucket in turn, and then 16 others, so that removing a part of
// the entries, the first ones of the order, takes about equally many of each bucket, and of each
// part of it: see makeRoom.
func (t *table[S]) each(f func(b *bucket[S], s *S)) {
	if t.guard.read(); t.used == 0 {
		return
	}
	groups := uintptr(1)
	for i := range t.buckets() {
		groups = max(groups, uintptr(t.bucket(i).mask)+1)
	}
	g := uintptr(rand.Uint64()) &^ (stripe - 1)
	for n := uintptr(0); n < groups; n += stripe {
		for i := range t.buckets() {
			if b := t.bucket(i); !b.untouched() {
				t.eachOf(b, g&(groups-1), f)
			}
		}
		g += stripe * scatter
	}
}

// eachOf is each for the groups of b from g on that are in one stripe.
func (t *table[S]) eachOf(b *bucket[S], g uintptr, f func(b *bucket[S], s *S)) {
	for end := min(g+stripe, uintptr(b.mask)+1); g < end; g++ {
		t.guard.read()
		for m := matchFull(b.group(g).control); m != 0; m &= m - 1 {
			f(b, b.group(g).slot(m.first()))
		}
	}
}

// end is called at the end of each iteration.
func (t *table[S]) end(place int) {
	t.visits.end(place)
	t.visits.freeRetired(t.alloc, false)
}

// busy reports whether an iteration is running.
func (t *table[S]) busy() bool { return t.visits.busy() }

// places is the number of iterations at once that need no lock.
const places = 3

// visits are the running iterations over a table: the memory of the bucket that each is in. Several
// readers may iterate at once, so that begin, set, end and freeRetired may be called concurrently.
type visits struct {
	bases   [places]atomic.Uintptr // 0 is free
	more    atomic.Int32           // the number of other iterations
	held    atomic.Int32           // len(retired)
	mu      sync.Mutex             // of the fields below
	others  []uintptr              // as bases
	retired []retiredBucket
}

// retiredBucket is the memory of a bucket that was replaced while an iteration was in it.
type retiredBucket struct {
	base   unsafe.Pointer
	layout galloc.Layout
}

// begin returns a place for an iteration that is in the memory at base.
func (v *visits) begin(base unsafe.Pointer) (place int) {
	for i := range v.bases {
		if v.bases[i].Load() == 0 && v.bases[i].CompareAndSwap(0, uintptr(base)) {
			return i
		}
	}
	return v.beginOther(base)
}

func (v *visits) beginOther(base unsafe.Pointer) (place int) {
	v.more.Add(1)
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.others {
		if v.others[i] == 0 {
			v.others[i] = uintptr(base)
			return places + i
		}
	}
	v.others = append(v.others, uintptr(base))
	return places + len(v.others) - 1
}

// set records that the iteration with that place enters the memory at base. Before that it may stay
// in memory that freeRetired frees afterwards.
func (v *visits) set(place int, base unsafe.Pointer) {
	if place >= places {
		v.setOther(place, base)
	} else if p := &v.bases[place]; p.Load() != uintptr(base) {
		p.Store(uintptr(base))
	}
}

func (v *visits) setOther(place int, base unsafe.Pointer) {
	v.mu.Lock()
	v.others[place-places] = uintptr(base)
	v.mu.Unlock()
}

// end frees a place.
func (v *visits) end(place int) {
	if place < places {
		v.bases[place].Store(0)
		return
	}
	v.setOther(place, nil)
	v.more.Add(-1)
}

// busy reports whether an iteration is running.
func (v *visits) busy() bool {
	return v.bases[0].Load()|v.bases[1].Load()|v.bases[2].Load() != 0 || v.more.Load() != 0
}

// in reports whether an iteration is in the memory at base.
func (v *visits) in(base unsafe.Pointer) bool {
	if !v.busy() {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.inLocked(base)
}

func (v *visits) inLocked(base unsafe.Pointer) bool {
	for i := range v.bases {
		if v.bases[i].Load() == uintptr(base) {
			return true
		}
	}
	return slices.Contains(v.others, uintptr(base))
}

// retire keeps the memory of a bucket if an iteration is in it, and reports whether it did.
func (v *visits) retire(base unsafe.Pointer, l galloc.Layout) bool {
	if !v.in(base) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.retired = append(v.retired, retiredBucket{base, l})
	v.held.Store(int32(len(v.retired)))
	return true
}

// freeRetired frees the memory that no iteration is in, or all.
func (v *visits) freeRetired(a galloc.Allocator, all bool) {
	for v.held.Load() != 0 {
		r, ok := v.takeRetired(all)
		if !ok {
			return
		}
		deallocate(a, r.base, r.layout) // without the lock, as it may iterate
	}
}

// takeRetired removes an element of retired that can be freed.
func (v *visits) takeRetired(all bool) (r retiredBucket, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, r := range v.retired {
		if all || !v.inLocked(r.base) {
			v.retired = append(v.retired[:i], v.retired[i+1:]...)
			if len(v.retired) == 0 {
				v.retired = nil
			}
			v.held.Store(int32(len(v.retired)))
			return r, true
		}
	}
	return r, false
}
