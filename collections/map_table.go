package collections

import (
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// The table of Map, StringMap and the other hash tables: Swiss tables (Kulukundis 2017, abseil) of
// bounded size, off the Go heap, under linear hashing (Litwin 1980). This file has what each
// operation does, map_grow.go growth, map_size.go the operations on the whole table, and
// map_iterate.go iterations.
//
// Terminology:
//
//   - A slot holds one entry: key and value.
//   - A group is a control word and 8 slots.
//   - A bucket is one block of 2^n groups: a Swiss table. Buckets of a table with several have
//     2^top groups, where top depends on the size of a slot. A small table is one bucket.
//   - The directory is the array of the buckets of a table with several.
//   - The control word has a byte for each slot. It says that the slot is empty, deleted, or full;
//     a full slot has the tag of its entry. The 8 bytes are compared together, as one word.
//   - The home of a key is the group that its hash selects. If the home is full, the probe sequence
//     goes on to the groups at distances 1, 3, 6, 10, ..., modulo the number of groups. It reaches
//     all groups of the bucket.
//   - A search ends at a group with an empty slot. So if an entry is removed from a group without
//     one, its slot becomes deleted (a tombstone), not empty.
//
// The bits of a hash, from the lowest, whatever the size of the table is:
//
//	top bits    the home; a bucket with fewer groups uses fewer of them
//	7 bits      the tag
//	the others  the index of the bucket; a table with up to 2^d buckets uses d of them
//
// A bucket of more than 2^top groups takes the missing bits of the home from the tag. They cannot
// be those of the index, which are the same in all its entries.
//
// A table grows by doubling until it is a bucket of 2^top groups. From then on one bucket after the
// other is split, in the order of the directory: bucket i of 2^d keeps the entries whose bit d of
// the index is 0, and the others move to a new bucket, i + 2^d. So each step moves at most half a
// bucket, and a directory that is too small is copied, which is 16 bytes a bucket. It is the number
// of entries in the table that makes it grow, so the capacity of a table is a number, and its
// memory a function of that. The entries of one bucket vary, like any sum of random bits, by some
// percent, and there is room for 8 standard deviations above the mean: see perBucket. A bucket that
// is full all the same doubles alone (enlarge). That happens if many entries have the same bits in
// their index, as when a table is filled in the order in which a clone of it is iterated over, and
// at most doubles a bucket then.
//
// Differences from other Swiss tables, and the reasons:
//
//   - Go's map has a directory too, and splits the bucket that is full (extendible hashing). Then
//     no number of entries is safe: whether an insertion needs memory depends on its bucket, and at
//     a limit of memory deleting any entry may not help.
//   - The low bits select the home, so that the order of an iteration, which is the order of the
//     homes, fills a smaller table evenly, even if both have the same seeds.
//   - Empty is 0, so memory fresh from the system is an empty bucket without being written.
//   - If a bucket is replaced while an iteration is in it, the old one is kept and the iteration
//     stays in it: see entries.

const (
	groupSlots = 8
	maxFull    = 7 // the maximum average number of full slots in a group

	empty   = 0x00
	deleted = 0x01 // differs from empty in this bit
	full    = 0x80 // or-ed with the tag

	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// group is a control word and its slots. Byte i of control, counted from the lowest, is for slot i.
type group[S any] struct {
	control uint64
	slots   [groupSlots]S
}

// matches is a set of slots of a group: bit 8*i+7 is set if slot i is in it.
type matches uint64

func (m matches) first() uintptr { return uintptr(bits.TrailingZeros64(uint64(m))) / 8 }

// match returns the full slots with the tag in tags, and possibly other full slots.
func match(control, tags uint64) matches {
	v := control ^ tags
	// A zero byte borrows, which sets its high bit. The byte above is a false positive if it is 1.
	return matches((v - lowBits) &^ v & highBits)
}

func matchEmpty(control uint64) matches { return matches(^(control | control<<7) & highBits) }
func matchFree(control uint64) matches  { return matches(^control & highBits) } // empty or deleted
func matchFull(control uint64) matches  { return matches(control & highBits) }

// bucket is a block of groups. Its invariants:
//
//	number of groups = mask+1, a power of two; or base is nil
//	left = 7.5*groups - number of full and deleted slots           (7 if there is one group)
//	there is an empty slot
//
// So left is greatest in a bucket that has neither entries nor tombstones. In a table of one
// bucket, and in nearly all other buckets, left > 0 whenever an entry may be added: see makeRoom.
type bucket[S any] struct {
	base unsafe.Pointer // the first group
	mask uint32
	left int32 // the number of empty slots that may be filled until makeRoom must be called
}

// table is the hash table without the hashing. The invariants:
//
//	used = number of full slots of all buckets
//	used <= limit
//	2^d = the number of buckets, count, rounded down to a power of two
//	wide = 2^d-1 if count = 2^d, or else 2^(d+1)-1
//	a search for a key in the table reaches its slot before it reaches an empty one
type table[S any] struct {
	dir   unsafe.Pointer // count buckets and room for more, or nil if the table has one bucket
	one   bucket[S]      // the only bucket, if dir is nil
	count uintptr        // the number of buckets; 0 means 1, which has memory if limit > 0
	wide  uintptr
	guard guard
	used  int
	limit int // the number of entries that fit
	seeds seeds
	alloc galloc.Allocator // nil is galloc.Global
	room  uintptr          // the number of buckets for which dir has room

	// Where any found the last entry.
	takenBucket, takenGroup uintptr

	visits  visits // iterations
	version uint64 // changes whenever an entry is removed or moves
	epoch   uint64 // changes whenever all entries are removed
}

// guard detects writes by two goroutines at once, and reads during a write, often but not always.
// It is set during a write, without atomic operations. Nothing is allocated and no function of the
// program is called meanwhile, so the reads and writes of one goroutine never see it set.
type guard struct{ writing bool }

func (g *guard) begin() {
	if g.writing {
		panicConcurrent()
	}
	g.writing = true
}

func (g *guard) end() {
	if !g.writing {
		panicConcurrent()
	}
	g.writing = false
}

// read is called at the beginning of a read.
func (g *guard) read() {
	if g.writing {
		panicConcurrent()
	}
}

//go:noinline
func panicConcurrent() {
	panic("galloc/collections: a hash table is used by several goroutines while one writes to it: use a sync.RWMutex")
}

// hasher returns the hash of the entry in slot s, or at least the bits that the table uses.
// control is its control byte, or 0 if its tag is not known.
type hasher[S any] func(control uint64, s *S) uint64

const tagBits = 7

// scatter is odd, and its multiples are evenly spread modulo each power of two up to 128, from the
// first on: an interval with w of 2^k numbers has at most 3 more or less of the first n multiples
// than n*w/2^k.
const scatter = 23

// maxTop is the maximum of top. Tests lower it, to have tables of many buckets with few entries.
var maxTop uint = 10

// homeBits returns the binary logarithm of the number of groups of a bucket, of several, for groups
// of that size: a step of growth moves at most 3,584 entries, and at most 270 KB unless slots have
// more than 256 bytes. It is a constant to the compiler.
func homeBits(groupSize uintptr) uint {
	switch {
	case groupSize <= 80: // slots of up to 9 bytes
		return 10
	case groupSize <= 8+8*64:
		return 9
	case groupSize <= 8+8*128:
		return 8
	}
	return 7
}

// top is homeBits as lowered by tests. Hashes are divided as if it were not.
func (t *table[S]) top() uint { return min(homeBits(unsafe.Sizeof(group[S]{})), maxTop) }

func (b *bucket[S]) home(h uint64) uintptr { return uintptr(h) & uintptr(b.mask) }

// control returns the control byte of a full slot with the tag of h.
func (b *bucket[S]) control(h uint64) uint64 {
	return h>>homeBits(unsafe.Sizeof(group[S]{}))&(1<<tagBits-1) | full
}

// tags returns a word of 8 copies of control.
func (b *bucket[S]) tags(h uint64) uint64 { return lowBits * b.control(h) }

// untagged returns the bits of h without the tag, for slots that keep a part of the hash.
func (t *table[S]) untagged(h uint64) uint64 {
	home := uint64(1)<<homeBits(unsafe.Sizeof(group[S]{})) - 1
	return h&home | h>>tagBits&^home
}

// tagged undoes untagged. control is the control byte of the slot.
func (t *table[S]) tagged(bits, control uint64) uint64 {
	lg := homeBits(unsafe.Sizeof(group[S]{}))
	return bits&(1<<lg-1) | control&(1<<tagBits-1)<<lg | bits>>lg<<(lg+tagBits)
}

func (b *bucket[S]) group(g uintptr) *group[S] {
	// SAFETY: g <= mask, so the group is in the block.
	return (*group[S])(unsafe.Add(b.base, g*unsafe.Sizeof(group[S]{})))
}

// slot returns slot i < 8.
func (g *group[S]) slot(i uintptr) *S {
	var z S
	// SAFETY: i is an index of slots. This avoids the bounds check.
	return (*S)(unsafe.Add(unsafe.Pointer(&g.slots), i*unsafe.Sizeof(z)))
}

func (g *group[S]) byteOf(i uintptr) uint64 { return g.control >> (8 * i) & 0xff }

func (g *group[S]) setByte(i uintptr, c uint64) { g.control = g.control&^(0xff<<(8*i)) | c<<(8*i) }

// at returns the bucket for hash h.
func (t *table[S]) at(h uint64) *bucket[S] {
	if t.dir == nil {
		return &t.one
	}
	i := uintptr(h>>(tagBits+homeBits(unsafe.Sizeof(group[S]{})))) & t.wide
	if i >= t.count { // its bucket has not been split yet
		i &= t.wide >> 1
	}
	// SAFETY: i < count.
	return (*bucket[S])(unsafe.Add(t.dir, i*unsafe.Sizeof(bucket[S]{})))
}

// bucket returns bucket i.
func (t *table[S]) bucket(i uintptr) *bucket[S] {
	if t.dir == nil {
		return &t.one
	}
	// SAFETY: i < room.
	return (*bucket[S])(unsafe.Add(t.dir, i*unsafe.Sizeof(bucket[S]{})))
}

// buckets returns the number of buckets.
func (t *table[S]) buckets() uintptr { return max(t.count, 1) }

// hashBits returns the number of bits of the hash that the table uses in addition to the tag.
func (t *table[S]) hashBits() int {
	return int(homeBits(unsafe.Sizeof(group[S]{}))) + bits.Len(uint(t.wide))
}

// capacity returns the number of entries that fit.
func (t *table[S]) capacity() int { return t.limit }

// full reports whether makeRoom must be called before add.
func (t *table[S]) full(b *bucket[S]) bool { return t.used >= t.limit || b.left <= 0 }

// add marks a slot of b, the bucket for h, as full for a new entry with hash h, and returns it.
func (t *table[S]) add(b *bucket[S], h uint64) *S {
	t.used++
	g := b.home(h)
	for d := uintptr(1); ; d++ {
		grp := b.group(g)
		if m := matchFree(grp.control); m != 0 {
			i := m.first()
			if grp.byteOf(i) == empty {
				b.left--
			}
			grp.setByte(i, b.control(h))
			return grp.slot(i)
		}
		g = (g + d) & uintptr(b.mask)
	}
}

// remove removes the entry in slot i of grp, a group of b.
func (t *table[S]) remove(b *bucket[S], grp *group[S], i uintptr) {
	t.version++
	t.used--
	if matchEmpty(grp.control) == 0 {
		grp.setByte(i, deleted)
		return
	}
	grp.setByte(i, empty) // searches end in this group already
	b.left++
}

// removeSlot removes the entry in slot s of b.
func (t *table[S]) removeSlot(b *bucket[S], s *S) {
	t.guard.begin()
	offset := uintptr(unsafe.Pointer(s)) - uintptr(b.base)
	grp := b.group(offset / unsafe.Sizeof(group[S]{}))
	var z S
	if unsafe.Sizeof(z) == 0 {
		t.remove(b, grp, matchFull(grp.control).first()) // all keys are equal: the only entry
	} else {
		t.remove(b, grp, (uintptr(unsafe.Pointer(s))-uintptr(unsafe.Pointer(&grp.slots)))/unsafe.Sizeof(z))
	}
	t.guard.end()
}

// any returns the slot of some entry and its bucket, or nil if there is none. It continues in the
// group where it found the last one, so removing all entries one by one visits each group once. It
// takes a group of each bucket in turn, so that removing a part of the entries takes equally many
// of each bucket: see makeRoom. The homes of the entries that are left are evenly spread, because
// the groups come at distances of scatter.
func (t *table[S]) any() (*bucket[S], *S) {
	if t.guard.read(); t.used == 0 {
		return nil, nil
	}
	groups := uintptr(t.bucket(0).mask) + 1
	if t.dir != nil {
		groups = 1 << t.top() // no bucket has fewer
	}
	for {
		if t.takenBucket >= t.buckets() {
			t.takenBucket = 0
			t.takenGroup++
		}
		if b := t.bucket(t.takenBucket); !b.untouched() {
			for g := t.takenGroup * scatter & (groups - 1); g <= uintptr(b.mask); g += groups {
				if m := matchFull(b.group(g).control); m != 0 {
					return b, b.group(g).slot(m.first())
				}
			}
		}
		t.takenBucket++
	}
}
