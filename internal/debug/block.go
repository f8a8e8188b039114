// Blocks and what is kept about them. See debug.go for overview.

package debug

import (
	"bytes"
	"math/bits"
	"sync"
	"unsafe"
)

// What memory is filled with. As addresses, the patterns of blocks crash whoever follows them.
const (
	freshPattern = 0xa5 // a block that nobody has written to
	freedPattern = 0x5a // one that nobody may write to any more
	zonePattern  = 0xfb // what lies around blocks
)

// A block is the record of one.
//
//	addr == base + left,  left + size + right == total
//	zoneBefore == [base, addr),  zoneAfter == [addr+size, base+total)
type block struct {
	base       unsafe.Pointer // where its zones begin; nil if the memory is not ours any more
	addr       uintptr        // where it begins itself
	size       uintptr
	total      uintptr // of base: with the zones
	number     uint64  // counts allocations
	allocStack stackID
	freeStack  stackID
	lg         uint8 // log2 of the alignment
	freed      bool
	plain      bool // known, and not looked after: see Adopt; base is nil
}

func (b *block) zoneBefore() []byte { return view(b.base, b.left()) }

func (b *block) left() uintptr { return b.addr - uintptr(b.base) }

// SAFETY: the three are the parts of the total bytes at base.

func (b *block) bytes() []byte { return view(unsafe.Add(b.base, b.left()), b.size) }

func (b *block) zoneAfter() []byte {
	return view(unsafe.Add(b.base, b.left()+b.size), b.total-b.left()-b.size)
}

// covers reports whether addr lies in the block or its zones.
func (b *block) covers(addr uintptr) bool {
	return addr-uintptr(b.base) < b.total || addr-b.addr < b.size
}

// mistaken returns what is wrong with ending the block by op, as one of that size and alignment, or 0.
func (b *block) mistaken(op Op, size, align uintptr) Kind {
	switch {
	case b.freed && op == OpFree:
		return DoubleFree
	case b.freed:
		return UseAfterFree
	case size != b.size || align != 1<<b.lg:
		return WrongLayout
	}
	return 0
}

// A wound is bytes that do not hold the pattern that they should.
type wound struct {
	kind  Kind
	at    uintptr // address of the first
	last  uintptr
	count uintptr
	seen  []byte // what was there instead, from at on: up to maxSeen bytes, of which those behind last are right
}

// maxSeen is how many bytes of a wound a report shows.
const maxSeen = 64

// damage looks for wounds before, in and behind the block, and heals them, so that each is found once. The block belongs to the caller, or
// has its table locked.
func (b *block) damage() (w [3]wound) {
	if b.plain {
		return w
	}
	w[0] = inspect(Underflow, b.zoneBefore(), zonePattern)
	if b.freed {
		w[1] = inspect(UseAfterFree, b.bytes(), freedPattern)
	}
	w[2] = inspect(Overflow, b.zoneAfter(), zonePattern)
	return w
}

// inspect compares bytes with the pattern.
func inspect(kind Kind, part []byte, pattern byte) wound {
	w := wound{kind: kind}
	want := patternOf(pattern)
	for i := 0; i < len(part); i += len(want) {
		piece := part[i:min(i+len(want), len(part))]
		if bytes.Equal(piece, want[:len(piece)]) {
			continue
		}
		for j := range piece {
			if piece[j] != pattern {
				w.last = uintptr(unsafe.Pointer(&piece[j]))
				if w.count == 0 {
					w.at = w.last
					w.seen = bytes.Clone(part[i+j : min(i+j+maxSeen, len(part))]) // nothing behind is healed yet
				}
				w.count++
				piece[j] = pattern
			}
		}
	}
	return w
}

// fill fills bytes with a pattern.
func fill(part []byte, pattern byte) {
	for want := patternOf(pattern); len(part) > 0; {
		part = part[copy(part, want[:]):]
	}
}

// patterns are a page of each, to copy from and to compare with, and one of zeros.
var patterns [4][4096]byte

func init() {
	for i, pattern := range [...]byte{freshPattern, freedPattern, zonePattern} {
		for j := range patterns[i] {
			patterns[i][j] = pattern
		}
	}
}

func patternOf(pattern byte) *[4096]byte {
	switch pattern {
	case freshPattern:
		return &patterns[0]
	case freedPattern:
		return &patterns[1]
	case zonePattern:
		return &patterns[2]
	}
	return &patterns[3]
}

// A table is the records of some blocks, by address.
type table struct {
	mu     sync.Mutex
	blocks map[uintptr]block
	_      [64]byte // what other tables do is not our cache line's business
}

// shards is how many tables there are, a power of two.
const shards = 64

func (d *Debugger) table(addr uintptr) *table {
	return &d.tables[uint32(addr>>3)*0x9e3779b1>>(32-6)]
}

// quarantine is the queue of freed blocks, by their addresses.
//
//	bytes == Σ total of its blocks
//
// An entry whose number is not that of the block that is known at the address stands for nothing any more: see Overlap.
type quarantine struct {
	mu    sync.Mutex
	bound uintptr
	bytes uintptr
	ring  []waiting
	first int // index of the oldest
	count int
	turn  int // which one inTurn has returned last: 0 is the oldest
}

type waiting struct {
	addr, bytes uintptr
	number      uint64
}

func (q *quarantine) push(b *block) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == len(q.ring) {
		ring := make([]waiting, max(2*len(q.ring), 256))
		n := copy(ring, q.ring[q.first:])
		copy(ring[n:], q.ring[:q.first])
		q.ring, q.first = ring, 0
	}
	q.ring[(q.first+q.count)%len(q.ring)] = waiting{b.addr, b.total, b.number}
	q.count++
	q.bytes += b.total
}

// inTurn returns each block in the queue, one after the other and then from the oldest on again.
func (q *quarantine) inTurn() (w waiting, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return w, false
	}
	if q.turn++; q.turn >= q.count {
		q.turn = 0
	}
	return q.ring[(q.first+q.turn)%len(q.ring)], true
}

// pop takes out the oldest block if more than bound bytes are in the queue.
func (q *quarantine) pop(bound uintptr) (w waiting, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 || q.bytes <= bound {
		return w, false
	}
	w = q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.count--
	q.turn = max(q.turn-1, 0)
	q.bytes -= w.bytes
	return w, true
}

// history is the records of the blocks that were given back to the inner allocator last.
type history struct {
	mu   sync.Mutex
	ring [4096]block
	next int
}

func (h *history) add(b block) {
	b.base, b.total = nil, 0 // the memory is not ours
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring[h.next] = b
	h.next = (h.next + 1) % len(h.ring)
}

// find returns the latest block that began at addr, or else the latest that had addr among its bytes.
func (h *history) find(addr uintptr) (b block, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.ring {
		r := &h.ring[(h.next+len(h.ring)-1-i)%len(h.ring)]
		if r.size == 0 || addr-r.addr >= r.size {
			continue
		}
		if r.addr == addr {
			return *r, true
		}
		if !ok {
			b, ok = *r, true
		}
	}
	return b, ok
}

func view(p unsafe.Pointer, n uintptr) []byte { return unsafe.Slice((*byte)(p), n) }

// roundUp returns the least multiple of align, a power of two, that is at least n.
func roundUp(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }

func log2(align uintptr) uint8 { return uint8(bits.TrailingZeros64(uint64(align))) }
