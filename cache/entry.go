package cache

import (
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// A ref is the address of a block off the Go heap, or 0. The garbage collector does not see it, and
// storing it needs no write barrier.
type ref uintptr

// pointer returns r as a pointer.
func (r ref) pointer() unsafe.Pointer {
	// SAFETY: an address and a pointer have the same bits. The collector does not see this value,
	// but it neither moves nor frees the block: newCore refuses allocators whose blocks it frees.
	return *(*unsafe.Pointer)(unsafe.Pointer(&r))
}

// entry is the entry at r.
func (r ref) entry() *entry { return (*entry)(r.pointer()) }

// refOf returns the address of an entry.
func refOf(e *entry) ref { return ref(unsafe.Pointer(e)) }

// entry is the header of the block of an entry:
//
//	block = entry, [extra, [ttl]], key, padding up to core.align, value
//
// valueLen, bits, the key and the value never change, so that readers who have pinned the entry
// need no mutex. The mutex of the shard guards the other fields while the entry is linked.
// Afterwards prev is the reason of the removal.
type entry struct {
	chain      ref    // the next entry of the bucket, or of a list of removed entries
	next, prev ref    // in the queue; next is towards the end where entries are evicted
	tag        uint32 // the lowest bits of the hash, the number of uses, and inMain
	valueLen   uint32
	bits       uint32 // the length of the key, and flags
	refs       uint32 // atomic: 1 for the table, and 1 for each reader outside the mutex
}

// extra follows the header of an entry that has a TTL or a cost.
type extra struct {
	deadline   int64  // in nanoseconds since the cache was made; see shard.live
	next, prev ref    // in the slot of the wheel
	slot       uint32 // or noSlot
	cost       uint32
}

const (
	// The parts of entry.tag.
	hashBits = 29
	hashMask = 1<<hashBits - 1
	oneUse   = 1 << hashBits
	usesMask = 3 << hashBits
	inMain   = 1 << 31

	// The parts of entry.bits.
	hasExtra = 1 << 0
	hasTTL   = 1 << 1
	slides   = 1 << 2 // the TTL follows the extra, as an int64, and each use renews the deadline
	keyBits  = 11
	maxKey   = 1<<(32-keyBits) - 1

	noSlot = 1<<32 - 1

	entrySize = (unsafe.Sizeof(entry{}) + 7) &^ 7
	extraSize = (unsafe.Sizeof(extra{}) + 7) &^ 7
	ttlSize   = unsafe.Sizeof(int64(0))
)

// has reports whether the entry has an extra, or a TTL.
func (e *entry) has(flag uint32) bool { return e.bits&flag != 0 }

// hash returns the lowest bits of the hash of the key.
func (e *entry) hash() uint32 { return e.tag & hashMask }

func (e *entry) main() bool { return e.tag&inMain != 0 }

func (e *entry) uses() uint32 { return e.tag & usesMask / oneUse }

// use counts a use, up to three.
func (e *entry) use() {
	if e.tag&usesMask != usesMask {
		e.tag += oneUse
	}
}

// onWheel reports whether the entry is in a slot of the wheel.
func (e *entry) onWheel() bool { return e.has(hasTTL) && e.extra().slot != noSlot }

// why returns the reason of the removal of an entry that is no longer linked.
func (e *entry) why() Reason { return Reason(e.prev) }

func (e *entry) keyLen() uintptr { return uintptr(e.bits >> keyBits) }

func (e *entry) extra() *extra {
	// SAFETY: an entry with this flag has the extra after the header.
	return (*extra)(unsafe.Add(unsafe.Pointer(e), entrySize))
}

// ttl returns where the TTL of an entry is that slides.
func (e *entry) ttl() *int64 {
	// SAFETY: an entry with this flag has the TTL after the extra.
	return (*int64)(unsafe.Add(unsafe.Pointer(e), entrySize+extraSize))
}

// headerSize returns the number of bytes before the key of an entry with these flags.
func headerSize(flags uint32) uintptr {
	n := entrySize
	if flags&hasExtra != 0 {
		n += extraSize
	}
	if flags&slides != 0 {
		n += ttlSize
	}
	return n
}

// keyAt returns the address of the key. It may be the end of the block.
func (e *entry) keyAt() unsafe.Pointer {
	// SAFETY: the key follows.
	return unsafe.Add(unsafe.Pointer(e), headerSize(e.bits))
}

// key returns the key, as a view.
func (e *entry) key() string {
	if e.keyLen() == 0 {
		return ""
	}
	// SAFETY: newEntry has written the key.
	return unsafe.String((*byte)(e.keyAt()), e.keyLen())
}

// valueAt returns the address of the value.
func (e *entry) valueAt(align uintptr) unsafe.Pointer {
	return unsafe.Add(e.keyAt(), block.RoundUp(e.keyLen(), align))
}

// value returns the value, as a view.
func (e *entry) value(align uintptr) []byte {
	if e.valueLen == 0 {
		return []byte{}
	}
	// SAFETY: newEntry has written the value.
	n := int(e.valueLen)
	return unsafe.Slice((*byte)(e.valueAt(align)), n)[:n:n]
}

// cost returns the cost of the entry.
func (e *entry) cost() int64 {
	if e.has(hasExtra) {
		return int64(e.extra().cost)
	}
	return 0
}

// size returns the size that the block was allocated with.
func (e *entry) size(align uintptr) uintptr {
	return sizeOf(e.keyLen(), uintptr(e.valueLen), align, e.bits)
}

// sizeOf returns the size of the block of an entry. The lengths are less than 2^32, so that it does
// not overflow on 64 bits; fits has checked it for 32 bits.
func sizeOf(key, value, align uintptr, flags uint32) uintptr {
	return headerSize(flags) + block.RoundUp(key, align) + value
}

// pin keeps the block of a linked entry until release. The mutex of the shard is held.
func (e *entry) pin() { atomic.AddUint32(&e.refs, 1) }

// bytesOf returns the bytes of s without copying them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// viewOf returns b as a string without copying it.
func viewOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hidden returns p, and hides from the compiler that the result leads to the same memory. So a
// function of the caller, which must not keep its arguments, does not force them onto the Go heap.
func hidden(p unsafe.Pointer) unsafe.Pointer {
	x := uintptr(p)
	// SAFETY: the compiler makes no instructions of this, so the address cannot change between, as
	// in strings.Builder.
	return *(*unsafe.Pointer)(unsafe.Pointer(&x))
}

func hiddenString(s string) string {
	return unsafe.String((*byte)(hidden(unsafe.Pointer(unsafe.StringData(s)))), len(s))
}

func hiddenBytes(b []byte) []byte {
	return unsafe.Slice((*byte)(hidden(unsafe.Pointer(unsafe.SliceData(b)))), len(b))
}
