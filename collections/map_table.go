package collections

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The table under Map, StringMap and the others: a Swiss table (Kulukundis 2017, abseil), off the Go heap.
//
// Terminology:
//
//   - A slot holds one entry: key and value.
//   - A group is a control word and 8 slots. A table has 2^n groups, in one block.
//   - The control word has a byte for each slot, which says that the slot is empty, deleted, or full with
//     an entry whose hash has that tag: the lowest 7 bits. The 8 bytes are looked at together,
//     as one word.
//   - The home of a key is the group that the upper bits of its hash say. If that is full, the
//     groups at distances 1, 3, 6, 10, ... are tried, modulo their number: all of them, in the end.
//   - A search ends at a group with an empty slot. So a slot in a group without any cannot become empty
//     when its entry is removed: it is deleted, which is a tombstone.
//
// What differs from others, and why:
//
//   - The upper bits of the hash say the home, so that when the table doubles, what is in group g
//     goes to groups 2g and 2g+1, but for the few entries away from home. Old and new table are gone through
//     from front to back, as memory likes it: growing costs some nanoseconds per entry. Go's maps, and
//     extendible hashing at large, bound the longest pause by many small tables, and pay for it with
//     a directory on each access. Reserve avoids the pause here.
//   - That order would make inserting what another table of the same seeds enumerates quadratic: it
//     would fill the front of a small table first. So tables have seeds of their own, and new ones
//     when they are made smaller. A clone has the seeds of its original as long as it is as large, and takes new ones
//     when it grows: otherwise to put it all back into the original would be slow.
//   - Empty is 0, so that memory fresh from the system is an empty table, and is not touched.
//   - While iterations run, a table that is replaced stays, and they go on in it: see entries.

const (
	groupSlots = 8
	maxFull    = 7 // of the 8 slots of a group, on average

	empty   = 0x00
	deleted = 0x01 // the bit that sets it apart from empty
	full    = 0x80 // and the tag

	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// group is what a table is made of. The slot with index i has byte i of control, from the lowest.
type group[S any] struct {
	control uint64
	slots   [groupSlots]S
}

// matches is a set of slots of a group: bit 8*i+7 stands for slot i.
type matches uint64

func (m matches) first() uintptr { return uintptr(bits.TrailingZeros64(uint64(m))) / 8 }

// tagsOf returns a word whose bytes all are the control byte of a full slot with the tag of h.
func tagsOf(h uint64) uint64 { return lowBits * (h&0x7f | full) }

// match returns the slots that are full with the tag in tags. There may be others among them, full too.
func match(control, tags uint64) matches {
	v := control ^ tags
	// A byte that is 0 borrows, which sets its high bit; a 1 in the byte above is the false positive.
	return matches((v - lowBits) &^ v & highBits)
}

func matchEmpty(control uint64) matches { return matches(^(control | control<<7) & highBits) }
func matchFree(control uint64) matches  { return matches(^control & highBits) } // empty or deleted
func matchFull(control uint64) matches  { return matches(control & highBits) }

// cells are the memory of a table:
//
//	groups = mask+1, a power of two; or base is nil, and mask is 0
type cells[S any] struct {
	base  unsafe.Pointer // of the groups
	mask  uintptr
	shift uint8 // h>>shift&mask is the home of h
}

// table is the hash table without the hashing. The invariants:
//
//	used = number of full slots
//	left = 7*groups - used - number of deleted slots >= 0
//	a search for a key that is in the table comes to its slot before it comes to an empty one
type table[S any] struct {
	cells[S]
	used  int
	left  int // how many empty slots may still be filled
	seeds seeds
	clone bool             // the seeds are those of another table
	alloc galloc.Allocator // nil is galloc.Global

	// Of iterations. Those who only read may run at the same time, so the count is atomic.
	running atomic.Int32
	version uint64     // another one, whenever an entry is removed or moves
	epoch   uint64     // another one, whenever all entries are removed
	retired []cells[S] // tables that iterations may still be in
}

// hasher returns the hash of the entry in a slot, which has the given control byte.
type hasher[S any] func(control uint64, s *S) uint64

func (c *cells[S]) home(h uint64) uintptr { return uintptr(h>>(c.shift&63)) & c.mask }

func (c *cells[S]) group(g uintptr) *group[S] {
	// SAFETY: g <= mask, so the group lies in the block.
	return (*group[S])(unsafe.Add(c.base, g*unsafe.Sizeof(group[S]{})))
}

// slot returns slot i, which is less than 8.
func (g *group[S]) slot(i uintptr) *S {
	var z S
	// SAFETY: it is an index of slots. That spares a comparison.
	return (*S)(unsafe.Add(unsafe.Pointer(&g.slots), i*unsafe.Sizeof(z)))
}

func (g *group[S]) byteOf(i uintptr) uint64 { return g.control >> (8 * i) & 0xff }

func (g *group[S]) setByte(i uintptr, c uint64) { g.control = g.control&^(0xff<<(8*i)) | c<<(8*i) }

// layoutFor returns the layout of a table of 2^lg groups.
func layoutFor[S any](lg int) (galloc.Layout, error) {
	return galloc.ArrayLayout[group[S]](1 << lg) // lg < bits.UintSize-1: see groupsFor
}

// groupsFor returns the logarithm of the least number of groups, a power of two, that n > 0 entries need.
func groupsFor(n int) int { return bits.Len(uint((n - 1) / maxFull)) }

// makeCells allocates an empty table of 2^lg groups.
func (t *table[S]) makeCells(lg int) (cells[S], error) {
	l, err := layoutFor[S](lg)
	if err != nil {
		return cells[S]{}, err
	}
	b, err := galloc.AllocateZeroed(t.alloc, l)
	if err != nil {
		return cells[S]{}, forLayout(err, l)
	}
	return cells[S]{unsafe.Pointer(unsafe.SliceData(b)), 1<<lg - 1, uint8(min(64-lg, 63))}, nil
}

func (t *table[S]) freeCells(c cells[S]) {
	if c.base != nil {
		l, _ := layoutFor[S](c.lg()) // it exists
		deallocate(t.alloc, c.base, l)
	}
}

func (c *cells[S]) lg() int { return bits.Len(uint(c.mask)) }

// limit returns how many slots may be full or deleted.
func (c *cells[S]) limit() int {
	if c.base == nil {
		return 0
	}
	return (int(c.mask) + 1) * maxFull
}

// take returns a slot for a new entry with hash h, marked as full. There must be room: left > 0.
func (t *table[S]) take(h uint64) *S {
	g := t.home(h)
	for d := uintptr(1); ; d++ {
		grp := t.group(g)
		if m := matchFree(grp.control); m != 0 {
			i := m.first()
			if grp.byteOf(i) == empty {
				t.left--
			}
			grp.setByte(i, h&0x7f|full)
			t.used++
			return grp.slot(i)
		}
		g = (g + d) & t.mask
	}
}

// remove removes the entry in slot i of grp.
func (t *table[S]) remove(grp *group[S], i uintptr) {
	t.version++
	t.used--
	if matchEmpty(grp.control) == 0 {
		grp.setByte(i, deleted)
		return
	}
	grp.setByte(i, empty) // searches end in this group anyway
	t.left++
}

// removeSlot is remove where only the address of the slot is known.
func (t *table[S]) removeSlot(s *S) {
	offset := uintptr(unsafe.Pointer(s)) - uintptr(t.base)
	grp := t.group(offset / unsafe.Sizeof(group[S]{}))
	var z S
	if unsafe.Sizeof(z) == 0 {
		t.remove(grp, matchFull(grp.control).first()) // all keys are equal: it is the only one
		return
	}
	t.remove(grp, (uintptr(unsafe.Pointer(s))-uintptr(unsafe.Pointer(&grp.slots)))/unsafe.Sizeof(z))
}

// makeRoom makes left > 0. Where a good part of the slots are tombstones, those are removed; otherwise the
// table doubles. If that fails, the entries are as they were.
func (t *table[S]) makeRoom(hash hasher[S]) error {
	switch {
	case t.base == nil:
		return t.resize(0, hash)
	case t.used > t.limit()-t.limit()*7/32:
		return t.resize(t.lg()+1, hash)
	case t.busy(): // where they are, entries must stay
		return t.resize(t.lg(), hash)
	}
	return t.rehash(hash)
}

// reserve makes room for n more entries.
func (t *table[S]) reserve(n int, hash hasher[S]) error {
	need, err := sum[S](t.used, n)
	if err != nil || n <= t.left {
		return err
	}
	lg := groupsFor(need)
	if t.base != nil && lg <= t.lg() {
		return t.makeRoomIn(hash)
	}
	return t.resize(lg, hash)
}

func (t *table[S]) makeRoomIn(hash hasher[S]) error {
	if t.busy() {
		return t.resize(t.lg(), hash)
	}
	return t.rehash(hash)
}

// resize moves the entries to a new table of 2^lg groups. If that fails, t is as it was.
func (t *table[S]) resize(lg int, hash hasher[S]) error {
	c, err := t.makeCells(lg)
	if err != nil {
		return err
	}
	old := t.cells
	if t.used == 0 || t.clone {
		t.reseed()
	}
	t.moveTo(c, hash)
	t.discard(old)
	return nil
}

// reseed gives t seeds of its own, before all its entries are put anew, or where there are none.
func (t *table[S]) reseed() { t.seeds, t.clone = newSeeds(), false }

// moveTo makes c, which is empty and has room, the table, with copies of all entries in it.
func (t *table[S]) moveTo(c cells[S], hash hasher[S]) {
	old, n := t.cells, t.used
	t.cells, t.used, t.left = c, 0, c.limit()
	t.version++
	step, touched := (c.mask+1)/(old.mask+1)*unsafe.Sizeof(group[S]{}), uintptr(0) // step is 0 when it becomes smaller
	for g := uintptr(0); n > 0; g++ {
		for to := (g + 1) * step; touched < to; touched += touchStep {
			touch(unsafe.Add(c.base, touched)) // SAFETY: touched < to <= the size of c
		}
		grp := old.group(g)
		for m := matchFull(grp.control); m != 0; m &= m - 1 {
			i := m.first()
			s := grp.slot(i)
			t.place(hash(grp.byteOf(i), s), s)
			n--
		}
	}
}

// touch writes to the page at p, and changes nothing. The pages of a large table come from the system when they are first accessed. If that only
// reads, as looking for an empty slot does, a page of zeros comes, and another one when it is written to: that was a third of what growing costs.
func touch(p unsafe.Pointer) { atomic.AddUint32((*uint32)(p), 0) }

// touchStep is no more than a page.
const touchStep = 4096

// place puts a copy of the entry s, whose hash is h, into a table without tombstones.
func (t *table[S]) place(h uint64, s *S) {
	g := t.home(h)
	for d := uintptr(1); ; d++ {
		grp := t.group(g)
		if m := matchEmpty(grp.control); m != 0 {
			i := m.first()
			grp.control |= (h&0x7f | full) << (8 * i)
			*grp.slot(i) = *s
			t.used++
			t.left--
			return
		}
		g = (g + d) & t.mask
	}
}

// discard gives back a table, or keeps it while there are iterations.
func (t *table[S]) discard(old cells[S]) {
	switch {
	case old.base == nil:
	case t.busy():
		t.retired = append(t.retired, old)
	default:
		t.freeCells(old)
	}
}

// rehash removes the tombstones where the table is. It needs a bit for each slot, which says that what is there
// has been put where it belongs; if there is no memory for them, the table is as it was. No iteration may be running.
//
// Each entry goes to the first slot on its way that is empty, or whose entry is still to be
// put; that one is taken out and comes next. What has been put stays, so that all searches that
// passed it still do.
func (t *table[S]) rehash(hash hasher[S]) error {
	l, err := galloc.ArrayLayout[uint8](int(t.mask) + 1)
	if err != nil {
		return err
	}
	done, err := galloc.AllocateZeroed(t.alloc, l) // a byte for each group
	if err != nil {
		return forLayout(err, l)
	}
	t.version++
	for g := uintptr(0); g <= t.mask; g++ {
		grp := t.group(g)
		grp.control &= matchFullBytes(grp.control)
	}
	for g := uintptr(0); g <= t.mask; g++ {
		grp := t.group(g)
		for i := uintptr(0); i < groupSlots; i++ {
			for grp.byteOf(i) != empty && done[g]&(1<<i) == 0 {
				t.settle(grp, g, i, done, hash)
			}
		}
	}
	deallocate(t.alloc, unsafe.Pointer(unsafe.SliceData(done)), l)
	t.left = t.limit() - t.used
	return nil
}

// matchFullBytes returns 0xff for each byte of a control word that is full, and 0 for others.
func matchFullBytes(control uint64) uint64 { return (control & highBits) >> 7 * 0xff }

// settle puts the entry in slot i of group g, which is grp, where it belongs.
func (t *table[S]) settle(grp *group[S], g, i uintptr, done []byte, hash hasher[S]) {
	control := grp.byteOf(i)
	h := hash(control, grp.slot(i))
	to := t.home(h)
	for d := uintptr(1); ; d++ {
		there := t.group(to)
		undone := matchFull(there.control)
		for m := matchFull(there.control); m != 0; m &= m - 1 {
			if done[to]&(1<<m.first()) != 0 {
				undone &^= 0x80 << (8 * m.first())
			}
		}
		switch m := undone | matchFree(there.control); {
		case m == 0:
			to = (to + d) & t.mask
			continue
		case to == g: // no search gets shorter by moving it within its group
			done[g] |= 1 << i
		default:
			j := m.first()
			taken := there.byteOf(j)
			a, b := grp.slot(i), there.slot(j)
			*a, *b = *b, *a
			there.setByte(j, control)
			grp.setByte(i, taken) // empty, or the entry that comes next
			done[to] |= 1 << j
		}
		return
	}
}

// clear removes all entries, and ends all iterations. The memory stays.
func (t *table[S]) clear() {
	if t.base == nil {
		return
	}
	if t.left != t.limit() {
		l, _ := layoutFor[S](t.lg())
		clear(unsafe.Slice((*byte)(t.base), l.Size()))
	}
	t.used, t.left = 0, t.limit()
	t.reseed()
	t.epoch++
	t.version++
}

// free gives back all memory, and ends all iterations.
func (t *table[S]) free() {
	t.freeCells(t.cells)
	t.freeRetired()
	t.cells, t.used, t.left = cells[S]{}, 0, 0
	t.epoch++
	t.version++
}

func (t *table[S]) freeRetired() {
	for _, c := range t.retired {
		t.freeCells(c)
	}
	t.retired = nil
}

// entries calls yield with the slot of each entry, until it returns false. The entries may be
// changed meanwhile, in any way. An entry is given at most once, and not when it has been
// removed before its turn; those that are added may be given or not.
//
// If the table is replaced, it is kept, and gone through to its end, and find tells where an entry of it
// is now, or nil. As of version, nothing that matters has happened yet.
func (t *table[S]) entries(find func(old *S) *S, yield func(s *S) bool) {
	if t.used == 0 {
		return
	}
	t.running.Add(1)
	defer t.ended()
	c, version, epoch := t.cells, t.version, t.epoch
	for g := uintptr(0); g <= c.mask; g++ {
		grp := c.group(g)
		for m := matchFull(grp.control); m != 0; m &= m - 1 {
			if t.epoch != epoch {
				return // nothing of what there was is there any more, perhaps not even the memory: grp must not be looked at
			}
			s := grp.slot(m.first())
			if t.version != version {
				switch {
				case grp.byteOf(m.first()) < full:
					continue // removed since m was made, and perhaps put elsewhere, before the table was replaced
				case t.base != c.base:
					s = find(s)
				}
				if s == nil {
					continue
				}
			}
			if !yield(s) {
				return
			}
		}
		if t.epoch != epoch {
			return
		}
	}
}

// busy reports whether there are iterations.
func (t *table[S]) busy() bool { return t.running.Load() != 0 }

// ended is called at the end of each iteration.
func (t *table[S]) ended() {
	if t.running.Add(-1) == 0 && t.retired != nil {
		t.freeRetired()
	}
}

// copyFrom makes t, which is empty, a copy of from, on its own allocator. If that fails, t is empty still.
func (t *table[S]) copyFrom(from *table[S]) error {
	c, err := t.makeCells(from.lg())
	if err != nil {
		return err
	}
	l, _ := layoutFor[S](from.lg())
	copy(unsafe.Slice((*byte)(c.base), l.Size()), unsafe.Slice((*byte)(from.base), l.Size()))
	t.cells, t.used, t.left, t.seeds, t.clone = c, from.used, from.left, from.seeds, true
	return nil
}
