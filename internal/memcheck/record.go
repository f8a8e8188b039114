// Records of blocks, and the bytes around them. See memcheck.go for overview.

package memcheck

import (
	"bytes"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/stacks"
)

// Memory is filled with these patterns. An access to the address that a pattern of blocks makes
// crashes.
const (
	freshPattern = 0xa5 // a new block
	freedPattern = 0x5a // a freed block
	zonePattern  = 0xfb // the zones around a block
)

// A record describes a block.
//
//	addr == base + left,  left + size + right == total
//	zoneBefore == [base, addr),  zoneAfter == [addr+size, base+total)
type record struct {
	base       unsafe.Pointer // start of the zone before it; nil if the memory is no longer ours
	addr       uintptr
	size       uintptr
	total      uintptr // bytes at base, with the zones
	number     uint64  // of the allocation, counted from 1
	allocStack stacks.ID
	freeStack  stacks.ID
	lg         uint8 // log2 of the alignment
	freed      bool
	plain      bool // known, but not verified: see Adopt; base is nil
	managed    bool // no leak: see Manage
}

func (b *record) zoneBefore() []byte { return block.Bytes(b.base, b.left()) }

func (b *record) left() uintptr { return b.addr - uintptr(b.base) }

// SAFETY: the three are parts of the total bytes at base.

func (b *record) bytes() []byte { return block.Bytes(unsafe.Add(b.base, b.left()), b.size) }

func (b *record) zoneAfter() []byte {
	return block.Bytes(unsafe.Add(b.base, b.left()+b.size), b.total-b.left()-b.size)
}

// covers reports whether addr lies in the block or its zones.
func (b *record) covers(addr uintptr) bool {
	return addr-uintptr(b.base) < b.total || addr-b.addr < b.size
}

// misuse returns what is wrong with ending the block by op, as a block of that size and alignment,
// or 0.
func (b *record) misuse(op Op, size, align uintptr) misuse.Kind {
	switch {
	case b.freed && op == OpFree:
		return misuse.DoubleFree
	case b.freed:
		return misuse.UseAfterFree
	case size != b.size || align != 1<<b.lg:
		return misuse.WrongLayout
	}
	return 0
}

// A damage describes bytes that do not hold their pattern.
type damage struct {
	kind  misuse.Kind
	at    uintptr // address of the first byte
	last  uintptr // address of the last byte
	count uintptr // number of bytes
	seen  []byte  // the content from at on, at most maxSeen bytes; bytes after last are intact
}

// maxSeen is the number of bytes that a report shows.
const maxSeen = 64

// verify looks for damage before, in and after the block, and repairs it, so that each is found
// once. The caller owns the block, or holds the lock of its table.
func (b *record) verify() (d [3]damage) {
	if b.plain {
		return d
	}
	d[0] = inspect(misuse.Underflow, b.zoneBefore(), zonePattern)
	if b.freed {
		d[1] = inspect(misuse.UseAfterFree, b.bytes(), freedPattern)
	}
	d[2] = inspect(misuse.Overflow, b.zoneAfter(), zonePattern)
	return d
}

// inspect compares part with the pattern, and repairs it.
func inspect(kind misuse.Kind, part []byte, pattern byte) damage {
	d := damage{kind: kind}
	want := patternOf(pattern)
	for i := 0; i < len(part); i += len(want) {
		piece := part[i:min(i+len(want), len(part))]
		if bytes.Equal(piece, want[:len(piece)]) {
			continue
		}
		for j := range piece {
			if piece[j] != pattern {
				d.last = uintptr(unsafe.Pointer(&piece[j]))
				if d.count == 0 {
					d.at = d.last
					d.seen = bytes.Clone(part[i+j : min(i+j+maxSeen, len(part))]) // intact so far
				}
				d.count++
				piece[j] = pattern
			}
		}
	}
	return d
}

// fill fills part with the pattern.
func fill(part []byte, pattern byte) {
	for want := patternOf(pattern); len(part) > 0; {
		part = part[copy(part, want[:]):]
	}
}

// patterns are a page of each pattern, to copy from and to compare with, and one of zeros.
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

// A table holds the records of some zoned blocks, by address.
type table struct {
	mu     sync.Mutex
	blocks map[uintptr]record
	_      [64]byte // keeps the next table off this cache line
}

// numTables is the number of tables, a power of two.
const numTables = 1 << 6

func (c *Checker) table(addr uintptr) *table {
	return &c.tables[uint32(addr>>3)*0x9e3779b1>>(32-6)]
}

// quarantine is the queue of freed blocks, by address, and the last freed block that is larger than
// the bound of the queue.
//
//	bytes == Σ total of the blocks in the queue
//
// An entry is void if the block known at the address has another number: see misuse.Overlap.
type quarantine struct {
	mu    sync.Mutex
	bound uintptr
	bytes uintptr
	ring  []waiting
	first int // index of the oldest
	count int
	turn  int // number of the entry that inTurn has returned last: 0 is the oldest

	large waiting // zero if there is none
	piece uintptr // offset in large that nextPiece returns next
}

// waiting is an entry of the quarantine.
type waiting struct {
	addr, bytes uintptr
	number      uint64
}

func (q *quarantine) push(b *record) {
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

// swapLarge replaces the large block by w, and returns it.
func (q *quarantine) swapLarge(w waiting) (last waiting) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last, q.large, q.piece = q.large, w, 0
	return last
}

// nextPiece returns the large block and the offset of a piece of it: one after another, and then
// the first one again.
func (q *quarantine) nextPiece() (w waiting, from uintptr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if from = q.piece; from >= q.large.bytes {
		from = 0
	}
	q.piece = from + maxVerifiedSize
	return q.large, from
}

// inTurn returns the entries one after another, and starts again with the oldest.
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

// pop removes the oldest entry if the queue holds more than bound bytes.
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

// history holds the records of the blocks that were freed in the inner allocator last.
type history struct {
	mu   sync.Mutex
	ring [4096]record
	next int
}

func (h *history) add(b record) {
	b.base, b.total = nil, 0 // the memory is no longer ours
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring[h.next] = b
	h.next = (h.next + 1) % len(h.ring)
}

// find returns the latest block that started at addr, or else the latest that contained addr.
func (h *history) find(addr uintptr) (b record, ok bool) {
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
