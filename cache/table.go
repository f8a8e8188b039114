package cache

import (
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// table is a hash table of entries, by linear hashing (Litwin 1980; Larson 1988). Buckets are lists
// of entries. The table grows by a bucket at a time: bucket b is split into b and b + 2^k. It
// shrinks in the reverse order. So no call moves more than a few lists.
//
//	2^k <= count < 2^(k+1)
//	the bucket of a hash is its lowest k+1 bits, or its lowest k bits if there is no such bucket
//
// The buckets are in segments of a fixed size, whose addresses are in directories: directory d > 0
// has room for the addresses of segments 2^(d-1) to 2^d - 1, and directory 0 for segment 0. Nothing
// is copied when the table grows.
//
// Each bucket also remembers two keys that were evicted, as 16 bits of their hashes. This is the
// ghost queue of S3-FIFO, with a size that follows the number of entries.
//
//	len is the number of entries
//	len/2 <= about count, so that the memory follows the number of entries
type table struct {
	count       uint32 // of buckets
	len         uint32
	segments    uint32 // that have memory: at least as many as the buckets need
	directories [maxDirectories]ref
}

const (
	segmentBuckets = 128
	maxSegments    = 1 << 22 // 2^29 buckets, as many as hashes
	maxDirectories = 23
)

// segment is a block of buckets.
type segment struct {
	heads  [segmentBuckets]ref
	ghosts [segmentBuckets][2]uint16
}

const (
	segmentSize = unsafe.Sizeof(segment{})
	refSize     = unsafe.Sizeof(ref(0))
)

// directoryOf returns the directory of segment i, and the index in it.
func directoryOf(i uint32) (d int, at uint32) {
	d = bits.Len32(i)
	return d, i - 1<<d>>1
}

// directorySize returns the size of directory d in bytes.
func directorySize(d int) uintptr {
	if d == 0 {
		return refSize
	}
	return refSize << (d - 1)
}

// segmentAt returns where the address of segment i is.
func (t *table) segmentAt(i uint32) *ref {
	d, at := directoryOf(i)
	// SAFETY: the directory has been installed, and has this element.
	return (*ref)(unsafe.Add(t.directories[d].pointer(), uintptr(at)*refSize))
}

func (t *table) segment(b uint32) *segment {
	return (*segment)(t.segmentAt(b / segmentBuckets).pointer())
}

// head returns the head of the list of bucket b.
func (t *table) head(b uint32) *ref { return &t.segment(b).heads[b%segmentBuckets] }

func (t *table) ghosts(b uint32) *[2]uint16 { return &t.segment(b).ghosts[b%segmentBuckets] }

// bucket returns the bucket of a hash.
func (t *table) bucket(hash uint32) uint32 {
	mask := uint32(1)<<bits.Len32(t.count-1) - 1
	b := hash & mask
	if b >= t.count {
		b &= mask >> 1
	}
	return b
}

// missing returns the size of the block that the table needs next to grow, or 0 if it need not.
func (t *table) missing() uintptr {
	if t.len < t.count || t.count < t.segments*segmentBuckets || t.segments == maxSegments {
		return 0
	}
	if d, _ := directoryOf(t.segments); t.directories[d] == 0 {
		return directorySize(d)
	}
	return segmentSize
}

// install adds a block of the size that missing has returned.
func (t *table) install(p unsafe.Pointer) {
	d, _ := directoryOf(t.segments)
	if t.directories[d] == 0 {
		t.directories[d] = ref(p)
		return
	}
	block.Clear(p, segmentSize)
	*t.segmentAt(t.segments) = ref(p)
	t.segments++
}

// grow splits up to two buckets, if there are as many entries as buckets.
func (t *table) grow() {
	for range 2 {
		if t.len < t.count || t.count == t.segments*segmentBuckets {
			return
		}
		t.split()
	}
}

func (t *table) split() {
	bit := uint32(1) << (bits.Len32(t.count) - 1)
	to := t.count
	from := to - bit
	t.count++
	low, high := t.head(from), t.head(to)
	// The remembered keys stay in both: the chance that they are mistaken for others is small.
	*t.ghosts(to) = *t.ghosts(from)
	e := *low
	for e != 0 {
		next := &e.entry().chain
		end := low
		if e.entry().hash()&bit != 0 {
			end = high
		}
		*end = e
		if end == low {
			low = next
		} else {
			high = next
		}
		e = *next
	}
	*low, *high = 0, 0
}

// shrink merges up to four buckets, if there are more than two buckets for each entry. It returns
// the blocks that the table no longer needs.
func (t *table) shrink() (free [2]unneeded) {
	for range 4 {
		if t.count <= segmentBuckets || t.count/2 <= t.len {
			return free
		}
		t.merge()
		if need := (t.count + segmentBuckets - 1) / segmentBuckets; t.segments > need {
			t.segments--
			d, at := directoryOf(t.segments)
			free[0] = unneeded{*t.segmentAt(t.segments), segmentSize}
			if at == 0 {
				free[1] = unneeded{t.directories[d], directorySize(d)}
				t.directories[d] = 0
			}
			return free
		}
	}
	return free
}

// unneeded is a block that must be freed.
type unneeded struct {
	block ref
	size  uintptr
}

// merge undoes the last split.
func (t *table) merge() {
	from := t.count - 1
	to := from - 1<<(bits.Len32(from)-1)
	end := t.head(to)
	for *end != 0 {
		end = &end.entry().chain
	}
	*end = *t.head(from)
	*t.head(from) = 0
	t.count--
}

// add links an entry.
func (t *table) add(r ref) {
	e := r.entry()
	head := t.head(t.bucket(e.hash()))
	e.chain, *head = *head, r
	t.len++
	t.grow()
}

// linkTo returns where the address of a linked entry is in its list.
func (t *table) linkTo(r ref) *ref {
	link := t.head(t.bucket(r.entry().hash()))
	for *link != r {
		link = &link.entry().chain
	}
	return link
}

// cut unlinks an entry.
func (t *table) cut(r ref) {
	*t.linkTo(r) = r.entry().chain
	t.len--
}

// remember notes that the key with that hash was evicted.
func (t *table) remember(hash uint32) {
	g := t.ghosts(t.bucket(hash))
	g[0], g[1] = trace(hash), g[0]
}

// recall reports whether the key with that hash was evicted lately, and forgets it.
func (t *table) recall(hash uint32) bool {
	g := t.ghosts(t.bucket(hash))
	switch trace(hash) {
	case g[0]:
		g[0], g[1] = g[1], 0
		return true
	case g[1]:
		g[1] = 0
		return true
	}
	return false
}

// trace returns the bits of a hash by which an evicted key is remembered. They are not 0. They are
// the highest, as the bucket has the lowest.
func trace(hash uint32) uint16 { return max(uint16(hash>>(hashBits-16)), 1) }
