package collections

import (
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// The growth of a table. See map_table.go.

// layoutFor returns the layout of a bucket of 2^lg groups.
func layoutFor[S any](lg uint) (galloc.Layout, error) {
	return galloc.ArrayLayout[group[S]](1 << lg) // lg < bits.UintSize-1: see groupsFor
}

// groupsFor returns lg so that 2^lg is the smallest number of groups with room for n > 0 entries.
func groupsFor(n int) uint { return uint(bits.Len(uint((n - 1) / maxFull))) }

// lg returns the binary logarithm of the number of groups.
func (b *bucket[S]) lg() uint { return uint(bits.Len32(b.mask)) }

// untouched reports whether b has neither entries nor tombstones.
func (b *bucket[S]) untouched() bool { return b.left == leftOf(b.lg(), 0) }

// leftOf returns left for a bucket of 2^lg groups with n full and deleted slots. Tombstones may
// take half a slot of each group beyond the entries for which there is room, so that the next sweep
// of a full table is at least groups/2 insertions away.
func leftOf(lg uint, n int) int32 { return int32(maxFull<<lg + 1<<lg>>1 - n) }

// mostFull returns the number of slots of a bucket that may be full or deleted at most. A search
// ends at an empty one.
func mostFull(lg uint) int { return groupSlots<<lg - max(1, 1<<lg>>4) }

// crowded returns the number of entries from which a bucket of 2^lg groups becomes larger if there
// is memory, because searches become long. If hashes are random, the bucket has 6 standard
// deviations less on average: for now, or at the limit of the table.
func (t *table[S]) crowded(lg uint) int {
	mean := t.used >> (bits.Len(uint(t.buckets())) - 1) // of buckets not split yet
	return min(groupSlots<<lg-max(1, 1<<lg>>2), mean+int(6*math.Sqrt(float64(mean))))
}

// perBucket returns the average number of entries in a bucket of 2^lg groups, of several, at which
// the table grows: 7 of 8 slots, or so much less that mostFull is 8 standard deviations more. So
// the probability that a bucket gets more entries than that is less than 1e-15.
func perBucket(lg uint) int {
	switch lg {
	case 7:
		return 784
	case 8:
		return 1696
	}
	return maxFull << lg
}

// limitOf returns the number of entries that fit into n > 1 buckets of 2^lg groups. While buckets
// are being split, it rises by 1/256 of a bucket each time, so half as many as there will be are
// split while the number of entries grows by 0.4 %.
func limitOf(n uintptr, lg uint) int {
	per := perBucket(lg)
	half := uintptr(1) << (bits.Len(uint(n)) - 1)
	return int(half)*per + int(n-half)*max(1, per>>8)
}

// bucketsFor returns the smallest number of buckets > 1 of 2^lg groups with room for need entries.
func bucketsFor(need int, lg uint) uintptr {
	n := uintptr(1) << bits.Len(uint((need-1)/perBucket(lg)))
	if n <= 2 {
		return 2
	}
	if half := n / 2; limitOf(n-1, lg) >= need { // the splits of half the buckets reach it
		step := max(1, perBucket(lg)>>8)
		return half + uintptr((need-limitOf(half, lg)+step-1)/step)
	}
	return n
}

// newBucket allocates an empty bucket of 2^lg groups.
func (t *table[S]) newBucket(lg uint) (bucket[S], error) {
	l, err := layoutFor[S](lg)
	if err != nil {
		return bucket[S]{}, err
	}
	if lg > 27 {
		return bucket[S]{}, galloc.ErrUnsupported.For(l) // left is an int32
	}
	b, err := galloc.AllocateZeroed(t.alloc, l)
	if err != nil {
		return bucket[S]{}, forLayout(err, l)
	}
	return bucket[S]{unsafe.Pointer(unsafe.SliceData(b)), 1<<lg - 1, leftOf(lg, 0)}, nil
}

// freeBucket frees the memory of b, if it has any.
func (t *table[S]) freeBucket(b bucket[S]) {
	if b.base != nil {
		l, _ := layoutFor[S](b.lg()) // it exists
		deallocate(t.alloc, b.base, l)
	}
}

// retire frees the memory of a bucket that was replaced, when no iteration is in it any more.
func (t *table[S]) retire(b bucket[S]) {
	if b.base == nil {
		return
	}
	l, _ := layoutFor[S](b.lg())
	if !t.visits.busy() || !t.visits.retire(b.base, l) {
		deallocate(t.alloc, b.base, l)
	}
}

// start allocates the first bucket of a table that has none.
func (t *table[S]) start() error { return t.resize(0, nil) }

// makeRoom prepares a table that is full for add of an entry with hash h. If it fails, the entries
// are as before.
//
// A table with fewer entries than its limit needs no memory for that, with two exceptions. An
// iteration may be in a bucket with tombstones that must be removed. And more entries of one bucket
// may be left than perBucket expects, if others were removed bucket by bucket, as in a loop over
// entries that removes each. (any and each take equally many of all buckets.)
func (t *table[S]) makeRoom(h uint64, hash hasher[S]) error {
	if t.used >= t.limit {
		if err := t.grow(hash); err != nil {
			return err
		}
	}
	b := t.at(h)
	if b.left > 0 {
		return nil
	}
	entries := b.entries()
	tombstones := int(leftOf(b.lg(), entries) - b.left)
	room := entries+tombstones < mostFull(b.lg()) // there are more entries than expected, and room
	var err error
	if entries >= t.crowded(b.lg()) && tombstones <= int(b.mask+1)/8 {
		if err = t.enlarge(b, hash); err == nil || room {
			return nil
		}
	}
	if tombstones > 0 {
		err = t.clean(b, hash)
	}
	if room {
		return nil
	}
	return err
}

// entries returns the number of entries of b.
func (b *bucket[S]) entries() (n int) {
	for g := range uintptr(b.mask) + 1 {
		n += bits.OnesCount64(b.group(g).control & highBits)
	}
	return n
}

// grow raises the limit.
func (t *table[S]) grow(hash hasher[S]) error {
	if t.buckets() == 1 {
		if b := t.bucket(0); t.limit == 0 {
			return t.resize(0, hash)
		} else if b.lg() < t.top() {
			return t.resize(b.lg()+1, hash)
		}
	}
	return t.split(hash)
}

// resize moves the entries of the only bucket to a new one of 2^lg groups, for which there is room.
// If the table has no memory, it allocates the bucket, and chooses the seeds.
func (t *table[S]) resize(lg uint, hash hasher[S]) error {
	b := t.bucket(0)
	if err := t.replace(b, lg, hash); err != nil {
		return err
	}
	if t.limit == 0 {
		t.seeds = newSeeds()
	}
	t.limit = maxFull << lg
	return nil
}

// enlarge doubles one bucket.
func (t *table[S]) enlarge(b *bucket[S], hash hasher[S]) error { return t.replace(b, b.lg()+1, hash) }

// replace moves the entries of b to new memory of 2^lg groups.
func (t *table[S]) replace(b *bucket[S], lg uint, hash hasher[S]) error {
	c, err := t.newBucket(lg)
	if err != nil {
		return err
	}
	old := *b
	t.guard.begin()
	c.takeAll(&old, hash)
	*b = c
	t.version++
	t.guard.end()
	t.retire(old)
	return nil
}

// clean removes the tombstones of b. It needs memory if an iteration is in b, since entries must
// not move then.
func (t *table[S]) clean(b *bucket[S], hash hasher[S]) error {
	if err := t.unshare(b); err != nil {
		return err
	}
	t.guard.begin()
	t.version++
	b.sweep(nil, 0, hash)
	t.guard.end()
	return nil
}

// unshare gives b a copy of its memory if an iteration is in it, which keeps the old memory.
func (t *table[S]) unshare(b *bucket[S]) error {
	if !t.visits.in(b.base) {
		return nil
	}
	l, _ := layoutFor[S](b.lg())
	c, err := allocate(t.alloc, l)
	if err != nil {
		return err
	}
	old := *b
	t.guard.begin()
	b.base = unsafe.Pointer(unsafe.SliceData(c))
	block.Copy(b.base, old.base, l.Size())
	t.version++
	t.guard.end()
	t.retire(old)
	return nil
}

// split adds a bucket: it moves about half of the entries of the bucket whose turn it is there.
func (t *table[S]) split(hash hasher[S]) error {
	n, wide := t.buckets(), t.wide
	if n == wide+1 {
		wide = 2*wide + 1 // all buckets have been split equally often
	}
	if err := t.provide(n + 1); err != nil {
		return err
	}
	b, to := t.bucket(n-(wide+1)/2), t.bucket(n)
	if b.lg() > to.lg() { // it was enlarged; afterwards the two may become smaller
		c, err := t.newBucket(b.lg())
		if err != nil {
			return err
		}
		c, *to = *to, c
		t.freeBucket(c)
	}
	if err := t.unshare(b); err != nil {
		return err
	}
	t.guard.begin()
	t.version++
	t.wide = wide
	if !b.untouched() {
		b.sweep(to, tagBits+homeBits(unsafe.Sizeof(group[S]{}))+uint(bits.Len(uint(wide)))-1, hash)
	}
	t.count = n + 1
	t.limit = limitOf(n+1, t.top())
	t.guard.end()
	t.fit(b, hash)
	t.fit(to, hash)
	return nil
}

// fit makes a bucket that was enlarged smaller, if its entries and the memory allow it.
func (t *table[S]) fit(b *bucket[S], hash hasher[S]) {
	if b.lg() == t.top() {
		return
	}
	if lg := max(t.top(), groupsFor(max(1, b.entries()))); lg < b.lg() {
		_ = t.replace(b, lg, hash)
	}
}

// provide allocates memory for n buckets: those after the last one are empty and not used yet. If
// it fails, the table is unchanged.
func (t *table[S]) provide(n uintptr) error {
	dir, room := t.dir, t.room
	if room < n {
		room = 1 << bits.Len(uint(n-1))
		var err error
		if dir, err = t.newDirectory(room); err != nil {
			return err
		}
		for i := range max(t.room, 1) {
			*entryOf[S](dir, i) = *t.bucket(i)
		}
	}
	var err error
	i := t.buckets()
	first := i
	for first < n && entryOf[S](dir, first).base != nil {
		first++
	}
	for i = first; i < n && err == nil; i++ {
		*entryOf[S](dir, i), err = t.newBucket(t.top())
	}
	if err != nil {
		for ; i > first; i-- {
			t.freeBucket(*entryOf[S](dir, i-1))
			*entryOf[S](dir, i-1) = bucket[S]{}
		}
		if dir != t.dir {
			t.freeDirectory(dir, room)
		}
		return err
	}
	t.setDirectory(dir, room)
	return nil
}

// setDirectory makes dir, which has all buckets, the directory.
func (t *table[S]) setDirectory(dir unsafe.Pointer, room uintptr) {
	old, oldRoom := t.dir, t.room
	if dir == old {
		return
	}
	t.guard.begin()
	t.dir, t.room, t.count, t.one = dir, room, t.buckets(), bucket[S]{}
	t.guard.end()
	t.freeDirectory(old, oldRoom)
}

// entryOf returns bucket i of dir.
func entryOf[S any](dir unsafe.Pointer, i uintptr) *bucket[S] {
	// SAFETY: the caller passes an i for which dir has room.
	return (*bucket[S])(unsafe.Add(dir, i*unsafe.Sizeof(bucket[S]{})))
}

// newDirectory allocates a directory for n buckets, all without memory. Where the garbage collector
// frees blocks to which no pointer leads, it must see the directory.
func (t *table[S]) newDirectory(n uintptr) (unsafe.Pointer, error) {
	l, err := galloc.ArrayLayout[bucket[S]](int(n))
	if err != nil {
		return nil, err
	}
	if galloc.GarbageCollected(t.alloc) {
		return unsafe.Pointer(unsafe.SliceData(make([]bucket[S], n))), nil
	}
	b, err := galloc.AllocateZeroed(t.alloc, l)
	if err != nil {
		return nil, forLayout(err, l)
	}
	return unsafe.Pointer(unsafe.SliceData(b)), nil
}

func (t *table[S]) freeDirectory(dir unsafe.Pointer, n uintptr) {
	if dir != nil && !galloc.GarbageCollected(t.alloc) {
		l, _ := galloc.ArrayLayout[bucket[S]](int(n)) // it exists
		deallocate(t.alloc, dir, l)
	}
}

// takeAll copies all entries of from to b, which has room, and no tombstones.
func (b *bucket[S]) takeAll(from *bucket[S], hash hasher[S]) {
	if from.base == nil || from.untouched() {
		return
	}
	ratio := (uintptr(b.mask) + 1) / (uintptr(from.mask) + 1) // 0 if b is smaller
	step := ratio * unsafe.Sizeof(group[S]{})
	touched := uintptr(0)
	for g := range uintptr(from.mask) + 1 {
		touched = b.touch(touched, (g+1)*step)
		grp := from.group(g)
		for m := matchFull(grp.control); m != 0; m &= m - 1 {
			i := m.first()
			s := grp.slot(i)
			b.place(hash(grp.byteOf(i), s), s)
		}
	}
}

// touch writes to the pages of b from offset touched up to offset to, without changing them, and
// returns the next value of touched. The system provides a page of fresh memory at the first
// access. If that only reads, as the search for an empty slot does, the page is a shared page of
// zeros, and the first write faults again, which took a third of the time of growing.
func (b *bucket[S]) touch(touched, to uintptr) uintptr {
	for ; touched < to; touched += pageStep {
		// SAFETY: touched < to <= the size of b.
		atomic.AddUint32((*uint32)(unsafe.Add(b.base, touched)), 0)
	}
	return touched
}

// pageStep is at most the size of a page.
const pageStep = 4096

// place adds a copy of the entry s with hash h. The table does not count it.
func (b *bucket[S]) place(h uint64, s *S) {
	g := b.home(h)
	for d := uintptr(1); ; d++ {
		grp := b.group(g)
		if m := matchEmpty(grp.control); m != 0 {
			i := m.first()
			grp.control |= b.control(h) << (8 * i)
			*grp.slot(i) = *s
			b.left--
			return
		}
		g = (g + d) & uintptr(b.mask)
	}
}

// sweep removes the tombstones of b in place, without memory. If to is not nil, it moves the
// entries whose hash has that bit there, to an empty bucket of the same size.
//
// Entries at their home stay. Each of the others goes to the first slot of its probe sequence that
// is empty, or whose entry has not been placed; that entry is then placed next. Placed entries
// stay, so every search that passed them still works.
//
// Until an entry has been placed, the high bit of its control byte is clear, so that matchFree
// finds it. Its tag remains in the lower bits, but tags 0 and 1 both become 1, since 0 is empty.
func (b *bucket[S]) sweep(to *bucket[S], bit uint, hash hasher[S]) {
	displaced, left, touched := matches(0), leftOf(b.lg(), 0), uintptr(0)
	for g := range uintptr(b.mask) + 1 {
		grp := b.group(g)
		control := grp.control
		// Whether an entry moves is as random as its hash. So there is no branch for each entry.
		var hashes [groupSlots]uint64
		var moved, away matches
		for m := matchFull(control); m != 0; m &= m - 1 {
			i := m.first()
			h := hash(control>>(8*i)&0xff, grp.slot(i))
			hashes[i%groupSlots] = h
			moved |= matches(h>>(bit&63)&1) << (8*i + 7)
			if b.home(h) != g {
				away |= full << (8 * i)
			}
		}
		kept := matchFull(control)
		if to != nil {
			touched = to.touch(touched, (g+1)*unsafe.Sizeof(group[S]{}))
			for m := moved; m != 0; m &= m - 1 {
				i := m.first()
				to.place(hashes[i%groupSlots], grp.slot(i))
			}
			kept &^= moved
		}
		left -= int32(bits.OnesCount64(uint64(kept)))
		control &= uint64(kept) >> 7 * 0xff
		away &= kept
		for m := away; m != 0; m &= m - 1 {
			i := m.first()
			c := max(control>>(8*i)&0x7f, 1)
			control = control&^(0xff<<(8*i)) | c<<(8*i)
		}
		grp.control = control
		displaced |= away
	}
	b.left = left
	for g := uintptr(0); displaced != 0 && g <= uintptr(b.mask); g++ {
		grp := b.group(g)
		for m := matchUnplaced(grp.control); m != 0; m = matchUnplaced(grp.control) {
			b.settle(grp, g, m.first(), hash)
		}
	}
}

// matchUnplaced returns the slots whose entries have not been placed.
func matchUnplaced(control uint64) matches {
	return matches((control&^highBits + lowBits*0x7f) &^ control & highBits)
}

// settle places the entry in slot i of group g, which is grp.
func (b *bucket[S]) settle(grp *group[S], g, i uintptr, hash hasher[S]) {
	control := grp.byteOf(i) | full
	if control == full|1 {
		control = 0 // the tag is 0 or 1
	}
	h := hash(control, grp.slot(i))
	to := b.home(h)
	for d := uintptr(1); ; d++ {
		there := b.group(to)
		m := matchFree(there.control)
		if m == 0 {
			to = (to + d) & uintptr(b.mask)
			continue
		}
		if to == g { // moving it within its group makes no search shorter
			grp.setByte(i, b.control(h))
			return
		}
		j := m.first()
		taken := there.byteOf(j)
		x, y := grp.slot(i), there.slot(j)
		*x, *y = *y, *x
		there.setByte(j, b.control(h))
		grp.setByte(i, taken) // empty, or the entry to place next
		return
	}
}
