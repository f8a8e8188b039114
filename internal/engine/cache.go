// Caches of the Ps: they make most calls cheap. See heap.go for the overview.

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/percpu"
)

const (
	magazineSlots = 128      // at most, of a magazine without a room
	magazineBytes = 16 << 10 // of the blocks in a full magazine, unless that is less than 2 blocks
	magazineStart = 8        // slots at first; doubled whenever they do not suffice

	rooms     = 16        // of a cache
	roomSlots = 1024      // at most, of a magazine in a room
	roomBytes = 256 << 10 // of the blocks in a full magazine in a room
	minRooms  = 512 << 10 // bytes that the magazines of a cache may always hold in rooms
	roomPart  = 8         // or 1/roomPart of the bytes in use per P, if that is more
	minCycles = 4         // overflows, each followed by a refill, before a magazine grows in a room

	numSlots = 4160 // of a cache, apart from rooms: enough for all magazines
)

// A magazine holds free blocks of one class; the last one in is the first one out. Its fields are
// numbers of slots of the cache.
//
//	bottom <= top <= end <= bottom + max, and bottom == bounds[class].first; or, in a room,
//	bottom <= top <= end <= bottom + roomMax, and
//	bottom == numSlots + i*(1+roomSlots) + 1 for some i < roomsTaken
//	slots[i] is a block, bottom <= i < top
//	slots[bottom-1] == 0, so Pop finds the magazine empty
//
// Class 0 has no magazine: its magazine has capacity 0, so it is both empty and full.
//
// At first the magazines of all classes lie in a row, so that a program that uses many classes for
// a few blocks each touches little memory. A magazine that overflows and runs dry several times
// moves to a room, where it can become longer.
//
// The fields have 32 bits, though 16 would do: top goes to memory with each call and is read at the
// next, and newer processors forward values of 32 or 64 bits, but need 8 cycles for shorter ones.
type magazine struct {
	top    uint32
	end    uint32 // the magazine is full if top == end
	bottom uint32 // and empty if top == bottom
	seen   uint32 // top at the last tick; see drain.go
}

// A Cache holds a magazine for each class. It belongs to one P. Only the goroutine that is pinned
// to the P, or in a section there, may access it; after a grace period, the goroutine that has
// removed it from the P (drain.go). It is Go memory without pointers, so the garbage collector does
// not scan it.
type Cache struct {
	magazines [pages.ClassLimit]magazine // first: see magazine
	slots     [numSlots + rooms*(1+roomSlots)]pages.Ref

	medium uintptr // bytes of the magazines of medium blocks when they are full: see capacity.go
	hand   uint8   // the medium class that lost a slot last

	roomsTaken int
	roomBytes  uintptr                 // bytes of the magazines in rooms when they are full
	overflowed [pages.ClassLimit]bool  // the magazine has been flushed since it was refilled last
	cycles     [pages.ClassLimit]uint8 // refills after an overflow, since the magazine last grew
	lock       percpu.RaceLock
}

// bounds bounds the magazine of each class.
//
//	first + max < first of the next class
var bounds = makeBounds()

type magazineBounds struct {
	max, roomMax uint32 // blocks in a full magazine, without and with a room
	first        uint32 // its first slot
}

func makeBounds() (t [pages.ClassLimit]magazineBounds) {
	slots := uint32(1) // slots[0] is 0: Pop finds it below the first magazine
	for class := range t {
		t[class].first = slots // of class 0, and of unused classes
	}
	for class := 1; class < pages.FirstMedium; class++ {
		size := pages.Classes[class].Size
		t[class] = magazineBounds{
			max:     max(2, min(magazineSlots, magazineBytes/size)),
			roomMax: max(2, min(roomSlots, roomBytes/size)),
			first:   slots + 1, // after the slot that stays 0
		}
		slots += 1 + t[class].max
	}
	for class := pages.FirstMedium; class < pages.NumClasses; class++ {
		n := min(mediumSlots, mediumBytes/pages.Classes[class].Size)
		t[class] = magazineBounds{max: n, roomMax: n, first: slots + 1}
		slots += 1 + n
	}
	if slots > numSlots {
		panic("galloc: engine: numSlots is too small for the magazines")
	}
	return t
}

// magazine returns the magazine of the class. The fast path pays for no bounds check here, nor in
// slot.
//
//go:nosplit
func (c *Cache) magazine(class uint8) *magazine {
	// SAFETY: classes are less than ClassLimit, and the magazines come first in a Cache.
	return (*magazine)(unsafe.Add(unsafe.Pointer(c), uintptr(class)*unsafe.Sizeof(magazine{})))
}

// slot returns slot i.
//
//go:nosplit
func (c *Cache) slot(i uint32) *pages.Ref {
	// SAFETY: i comes from a magazine, so 0 < bottom and end is in the array: see makeBounds and
	// maybeGrow.
	return (*pages.Ref)(unsafe.Add(unsafe.Pointer(c),
		unsafe.Offsetof(Cache{}.slots)+uintptr(i)*unsafe.Sizeof(pages.Ref(0))))
}

// Pop removes and returns the block that was pushed last, or returns nil if there is none.
//
//go:nosplit
func (c *Cache) Pop(class uint8) unsafe.Pointer {
	m := c.magazine(class)
	top := m.top - 1
	p := c.slot(top).Pointer()
	if p != nil {
		m.top = top
	}
	return p
}

// Push adds a block. It returns false if the magazine is full, or if the block was the last to be
// pushed: a double free that is found at once.
//
//go:nosplit
func (c *Cache) Push(class uint8, p unsafe.Pointer) bool {
	m := c.magazine(class)
	top := m.top
	if top == m.end || *c.slot(top - 1) == pages.RefOf(p) {
		return false
	}
	*c.slot(top) = pages.RefOf(p)
	m.top = top + 1
	return true
}

func (m *magazine) len() int    { return int(m.top - m.bottom) }
func (m *magazine) cap() int    { return int(m.end - m.bottom) }
func (m *magazine) empty() bool { return m.top == m.bottom }

// approxLen is len without ownership of the cache: the fields may be read at different moments.
func (m *magazine) approxLen() int { return min(max(int(int32(m.top-m.bottom)), 0), roomSlots) }

// noCache is the cache of Ps that have none. Its magazines have capacity 0, so Pop and Push fail.
var noCache Cache

func init() { noCache.reset(0) }

// reset empties c and sets the length of its magazines, up to their maximum. Magazines of medium
// blocks have length 0.
func (c *Cache) reset(slots uint32) {
	for class := range c.magazines {
		b := &bounds[class]
		if class == pages.FirstMedium {
			slots = 0
		}
		c.magazines[class] = magazine{top: b.first, bottom: b.first, end: b.first + min(slots, b.max)}
	}
	c.medium = 0
	c.roomsTaken, c.roomBytes = 0, 0
	clear(c.overflowed[:])
	clear(c.cycles[:])
}

// empty reports whether c has no blocks.
func (c *Cache) empty() bool {
	for class := range c.magazines {
		if !c.magazines[class].empty() {
			return false
		}
	}
	return true
}

// grow doubles the length of the magazine, up to the maximum without a room, and reports whether it
// has.
func (c *Cache) grow(class uint8) bool {
	m, limit := c.magazine(class), int(bounds[class].max)
	if m.cap() >= limit {
		return false
	}
	m.end = m.bottom + uint32(min(2*m.cap(), limit))
	return true
}

// noteOverflow is called when blocks were removed because the magazine was full.
func (c *Cache) noteOverflow(class uint8) {
	if c != &noCache {
		c.overflowed[class] = true
	}
}

// maybeGrow is called before a refill. A magazine that has overflowed and run dry several times
// doubles, in a room, as long as the magazines in rooms hold at most limit bytes.
func (c *Cache) maybeGrow(class uint8, limit uintptr) {
	if !c.overflowed[class] {
		return
	}
	c.overflowed[class] = false
	if c.cycles[class]++; c.cycles[class] < minCycles {
		return
	}
	c.cycles[class] = 0
	m, b := c.magazine(class), &bounds[class]
	if m.cap() >= int(b.roomMax) {
		return
	}
	size := uintptr(pages.Classes[class].Size)
	newCap := min(2*m.cap(), int(b.roomMax))
	more := uintptr(newCap) * size
	if m.bottom != b.first {
		more -= uintptr(m.cap()) * size
	}
	if c.roomBytes+more > limit {
		return
	}
	if m.bottom == b.first {
		if c.roomsTaken == rooms {
			return
		}
		bottom := uint32(numSlots + c.roomsTaken*(1+roomSlots) + 1)
		c.roomsTaken++
		c.slots[bottom-1] = 0
		m.top = bottom + uint32(copy(c.slots[bottom:], c.slots[m.bottom:m.top]))
		m.bottom = bottom
	}
	c.roomBytes += more
	m.end = m.bottom + uint32(newCap)
}

// fill pushes blocks until the magazine is full, the last first, so that the first is popped first.
// It returns the blocks that did not fit.
func (c *Cache) fill(class uint8, blocks []pages.Ref) []pages.Ref {
	m := c.magazine(class)
	to := c.slots[m.top:m.end]
	to = to[:min(len(blocks), len(to))]
	for i := range to {
		to[len(to)-1-i] = blocks[i]
	}
	m.top += uint32(len(to))
	return blocks[len(to):]
}

// removeOldest moves the len(buf) oldest blocks of the magazine to buf.
func (c *Cache) removeOldest(class uint8, buf []pages.Ref) {
	m := c.magazine(class)
	from := c.slots[m.bottom:m.top]
	copy(buf, from)
	copy(from, from[len(buf):])
	m.top -= uint32(len(buf))
}
