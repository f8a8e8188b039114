// Caches of the Ps: what makes most calls cheap. See engine.go for overview.

package engine

import (
	"sync/atomic"
	"unsafe"
)

const (
	// MaxProcs is how many Ps get a cache; goroutines on others go to the centrals for every block.
	MaxProcs = 1024

	magazineSlots = 128      // of a magazine at most, unless it has a room
	magazineBytes = 16 << 10 // that a full magazine holds at most, unless that is less than 2 blocks
	magazineStart = 8        // slots at first; doubled each time that turns out to be too few

	rooms     = 16        // of a cache
	roomSlots = 1024      // of a magazine in a room at most
	roomBytes = 256 << 10 // that such a magazine holds at most
	leastRoom = 512 << 10
	roomPart  = 8 // of what is in use may be in rooms, if that is more than leastRoom
	swingsFor = 4 // how often blocks must have come and gone again for a magazine to get longer than magazineSlots

	fewBlocks = magazineSlots / 2 // are moved in a buffer of their own, which need not be cleared as far as a large one
)

// A magazine holds blocks of one class that are ready to be handed out, the last one in first. Its fields number slots of the cache.
//
//	bottom <= top <= end <= bottom + classes[c].most, and bottom == classes[c].slots; or it has a room:
//	bottom <= top <= end <= bottom + classes[c].wide, and bottom == numSlots + i*(1+roomSlots) + 1, for some i < roomsTaken
//	slots[i] is a block, bottom <= i < top
//	slots[bottom-1] == 0, which tells Pop that there is none
//
// The magazine of class 0 is always empty, and always full.
//
// A magazine is in a row with all others at first, so that a program that uses many classes for a few blocks each touches little memory. When
// what it has given back for want of room is wanted again, several times, it moves to a room, where it can become longer.
//
// The fields have 32 bits, though 16 would do: top goes to memory with each call and is needed back at the next, and newer processors keep
// such values at hand if they have 32 or 64 bits, but need 8 cycles if they have fewer.
type magazine struct {
	top    uint32
	end    uint32 // the magazine is full if top is here
	bottom uint32 // and empty if it is here
	seen   uint32 // top at the last tick; see drain.go
}

// A Cache holds a magazine for each class. It belongs to one P, and is touched only by who is pinned to that P, or after a grace
// period by who has taken it away (drain.go). It is Go memory without pointers: the garbage collector does not look into it.
type Cache struct {
	magazines [classLimit]magazine // first: see magazine
	slots     [numSlots + rooms*(1+roomSlots)]ref

	roomsTaken int
	roomed     uintptr           // bytes that the magazines in rooms hold when they are full
	given      [classLimit]bool  // the magazine has given blocks back since it was filled the last time
	swings     [classLimit]uint8 // how often it was filled after that, since it has become longer
	lock       cacheLock
}

// magazine returns the magazine of class c. The fast path pays for no bounds check here, nor in slot.
//
//go:nosplit
func (k *Cache) magazine(c uint8) *magazine {
	// SAFETY: classes are less than classLimit, and the magazines come first in a Cache.
	return (*magazine)(unsafe.Add(unsafe.Pointer(k), uintptr(c)*unsafe.Sizeof(magazine{})))
}

// slot returns slot i.
//
//go:nosplit
func (k *Cache) slot(i uint32) *ref {
	// SAFETY: i comes from a magazine, and 0 < bottom, end <= numSlots or the last of a room, as makeClasses has made sure.
	return (*ref)(unsafe.Add(unsafe.Pointer(k), unsafe.Offsetof(Cache{}.slots)+uintptr(i)*unsafe.Sizeof(ref(0))))
}

// Pop takes the block out that was put in last. It returns nil if there is none.
//
//go:nosplit
func (k *Cache) Pop(c uint8) unsafe.Pointer {
	m := k.magazine(c)
	top := m.top - 1
	p := k.slot(top).pointer()
	if p != nil {
		m.top = top
	}
	return p
}

// Push puts a block in. It reports false if there is no room, or if it was the last to be put in: the double free that is seen at once.
//
//go:nosplit
func (k *Cache) Push(c uint8, p unsafe.Pointer) bool {
	m := k.magazine(c)
	top := m.top
	if top == m.end || *k.slot(top - 1) == refOf(p) {
		return false
	}
	*k.slot(top) = refOf(p)
	m.top = top + 1
	return true
}

func (m *magazine) len() int    { return int(m.top - m.bottom) }
func (m *magazine) limit() int  { return int(m.end - m.bottom) }
func (m *magazine) empty() bool { return m.top == m.bottom }

// about is len for who does not own the cache, and may see the fields at different moments.
func (m *magazine) about() int { return min(max(int(int32(m.top-m.bottom)), 0), roomSlots) }

// noCache is the cache of Ps that have none. Its magazines are empty, and full.
var noCache Cache

func init() { noCache.reset(0) }

// reset makes k the cache of a P that has done nothing yet, whose magazines have that many slots.
func (k *Cache) reset(slots uint32) {
	for c := range k.magazines {
		first := classes[c].slots
		k.magazines[c] = magazine{top: first, bottom: first, end: first + min(slots, classes[c].most)}
	}
	k.roomsTaken, k.roomed = 0, 0
	clear(k.given[:])
	clear(k.swings[:])
}

// empty reports whether there is nothing in k.
func (k *Cache) empty() bool {
	for c := range k.magazines {
		if !k.magazines[c].empty() {
			return false
		}
	}
	return true
}

// grow doubles the length of the magazine, as far as it goes without a room, and reports whether it has.
func (k *Cache) grow(c uint8) bool {
	m, most := k.magazine(c), int(classes[c].most)
	if m.limit() >= most {
		return false
	}
	m.end = m.bottom + uint32(min(2*m.limit(), most))
	return true
}

// gave is called when blocks have been taken out for want of room.
func (k *Cache) gave(c uint8) {
	if k != &noCache {
		k.given[c] = true
	}
}

// swing is called when the magazine is to be filled. If it has been too short several times, its length is doubled, in a room, provided
// that what is in rooms does not get beyond most bytes.
func (k *Cache) swing(c uint8, most uintptr) {
	if !k.given[c] {
		return
	}
	k.given[c] = false
	if k.swings[c]++; k.swings[c] < swingsFor {
		return
	}
	k.swings[c] = 0
	m, wide := k.magazine(c), int(classes[c].wide)
	if m.limit() >= wide {
		return
	}
	limit := uint32(min(2*m.limit(), wide))
	more := uintptr(limit) * uintptr(classes[c].size)
	if m.bottom != classes[c].slots {
		more -= uintptr(m.limit()) * uintptr(classes[c].size)
	}
	if k.roomed+more > most {
		return
	}
	if m.bottom == classes[c].slots {
		if k.roomsTaken == rooms {
			return
		}
		bottom := uint32(numSlots + k.roomsTaken*(1+roomSlots) + 1)
		k.roomsTaken++
		k.slots[bottom-1] = 0
		m.top = bottom + uint32(copy(k.slots[bottom:], k.slots[m.bottom:m.top]))
		m.bottom = bottom
	}
	k.roomed += more
	m.end = m.bottom + limit
}

// fill adds blocks until the magazine is full, the last first, so that the first will come out first. It returns those left over.
func (k *Cache) fill(c uint8, blocks []ref) []ref {
	m := k.magazine(c)
	to := k.slots[m.top:m.end]
	to = to[:min(len(blocks), len(to))]
	for i := range to {
		to[len(to)-1-i] = blocks[i]
	}
	m.top += uint32(len(to))
	return blocks[len(to):]
}

// pull moves the blocks that have been in the magazine for longest to buf.
func (k *Cache) pull(c uint8, buf []ref) {
	m := k.magazine(c)
	from := k.slots[m.bottom:m.top]
	copy(buf, from)
	copy(from, from[len(buf):])
	m.top -= uint32(len(buf))
}

// AllocSlow is Alloc when the magazine is empty, or the block will be a run of its own.
func (h *Heap) AllocSlow(size, align uintptr) unsafe.Pointer {
	if c := ClassOf(size, align); c != 0 {
		return h.refill(c)
	}
	return h.allocLarge(size, align, false)
}

// refill takes a batch from the central, returns a block, and keeps the others in the magazine.
func (h *Heap) refill(c uint8) unsafe.Pointer {
	want := 1
	p := Pin()
	k := h.Cache(p)
	if k != &noCache {
		if p := k.Pop(c); p != nil { // we are on another P now, or Mine knows none
			k.Leave()
			return p
		}
		want = (k.magazine(c).limit() + 1) / 2
		if !k.grow(c) {
			k.swing(c, h.roomFor.Load())
		}
	}
	k.Leave()
	if k == &noCache {
		h.equip()
	}
	h.wake()
	if want > fewBlocks {
		return h.fetchMany(c, p, want)
	}
	var buf [fewBlocks]ref
	return h.fetch(c, p, buf[:want])
}

//go:noinline
func (h *Heap) fetchMany(c uint8, p, want int) unsafe.Pointer {
	var buf [roomSlots / 2]ref
	return h.fetch(c, p, buf[:want])
}

// fetch takes as many blocks as buf has room for from the centrals of P p, and returns one. The others go into the magazine.
func (h *Heap) fetch(c uint8, p int, buf []ref) unsafe.Pointer {
	n := h.takeBatch(c, p, buf)
	if n == 0 {
		return nil
	}
	if n > 1 {
		k := h.Cache(Pin())
		left := k.fill(c, buf[1:n])
		k.Leave()
		h.giveBatch(c, left)
	}
	return buf[0].pointer()
}

// FreeSlow is Free when the magazine is full, or the block is a run of its own.
func (h *Heap) FreeSlow(p unsafe.Pointer, size, align uintptr) {
	if c := ClassOf(size, align); c != 0 {
		h.store(c, p)
	} else {
		h.freeLarge(p, size, true)
	}
}

// store is FreeSlow for a block of class c.
func (h *Heap) store(c uint8, p unsafe.Pointer) {
	k := h.Cache(Pin())
	many := k.magazine(c).limit() > 2*fewBlocks
	k.Leave()
	if many {
		h.storeMany(c, p)
		return
	}
	var buf [fewBlocks + 1]ref
	h.storeWith(c, p, buf[:])
}

//go:noinline
func (h *Heap) storeMany(c uint8, p unsafe.Pointer) {
	var buf [roomSlots/2 + 1]ref
	h.storeWith(c, p, buf[:])
}

// storeWith puts the block into the magazine. That may have room, if we are on another P now, or if it can be made longer. If not, half of it
// goes back to the centrals, by way of buf.
func (h *Heap) storeWith(c uint8, p unsafe.Pointer, buf []ref) {
	n := 0
	k := h.Cache(Pin())
	if !k.Push(c, p) {
		m := k.magazine(c)
		if *k.slot(m.top - 1) == refOf(p) {
			k.Leave()
			h.reportAs(FaultDouble, refOf(p), uintptr(classes[c].size))
			return
		}
		if k == &noCache || !k.grow(c) {
			n = min((m.len()+1)/2, len(buf)-1)
			k.pull(c, buf[:n])
			k.gave(c)
		}
		if !k.Push(c, p) { // there is no cache
			buf[n] = refOf(p)
			n++
		}
	}
	k.Leave()
	if k == &noCache {
		h.equip()
	}
	h.wake()
	h.giveBatch(c, buf[:n])
}

// equip gives the P that we are on a cache, if it may have one and has none.
func (h *Heap) equip() {
	if h.checked || h.closed.Load() {
		return
	}
	k := h.spareCache()
	k.hold() // others may be counting
	k.reset(magazineStart)
	k.release()
	p := procPin()
	procUnpin()
	if uint(p) >= MaxProcs || !h.seat(p, &noCache, k) {
		h.keepSpare(k)
		return
	}
	h.shardOf(uint32(p)) // so that drain knows of this P
}

// seat makes k the cache of P p in the place of old, and reports false if it has another one. Nothing else changes the tables of caches.
func (h *Heap) seat(p int, old, k *Cache) bool {
	h.seating.Lock()
	defer h.seating.Unlock()
	if !h.caches[p].CompareAndSwap(old, k) {
		return false
	}
	if h == heapInForce.Load() && idLimit != 0 {
		inForce[p].Store(k)
	}
	return true
}

// inForce is the table of caches of the heap in force, so that package galloc finds them in one step.
var (
	inForce     [MaxProcs]atomic.Pointer[Cache]
	heapInForce atomic.Pointer[Heap]
)

func init() {
	for p := range inForce {
		inForce[p].Store(&noCache)
	}
}

// PutInForce makes h the heap in force, for good: that which Mine is about.
func (h *Heap) PutInForce() {
	h.seating.Lock()
	defer h.seating.Unlock()
	if !heapInForce.CompareAndSwap(nil, h) {
		return
	}
	if idLimit != 0 {
		for p := range h.caches {
			inForce[p].Store(h.caches[p].Load())
		}
	}
}

// Divert sends the next operation of each P that has a cache of h, the heap in force, down the slow path, so that what Slow has set has a look at it:
// a program that frees each block before it allocates another one of that class may not get there otherwise. It costs the fast path nothing: the
// caches are only hidden from it. Resume brings them back.
func (h *Heap) Divert() {
	h.seating.Lock()
	defer h.seating.Unlock()
	if h != heapInForce.Load() {
		return
	}
	for p := range inForce {
		if inForce[p].Load() != &noCache {
			inForce[p].Store(&noCache)
		}
	}
}

// Resume ends that for the P that we are on, and reports whether it was diverted.
func (h *Heap) Resume() bool {
	p := ProcHint()
	if p >= MaxProcs || inForce[p].Load() == h.caches[p].Load() { // as nearly always
		return false
	}
	// Under the lock nobody else changes the two, so that no cache comes back that drain takes away just now. We may be on another P meanwhile.
	h.seating.Lock()
	defer h.seating.Unlock()
	k := h.caches[p].Load()
	if h != heapInForce.Load() || inForce[p].Load() == k {
		return false
	}
	inForce[p].Store(k)
	return true
}

// MaxRefill is the most that RefillSize returns.
const MaxRefill = roomSlots / 2

// RefillSize returns how many blocks of class c the cache of the P that we are on takes from the central at a time: how many allocations a call of
// AllocSlow stands for, if each block is handed out once. Class 0, which is none, has no cache.
func (h *Heap) RefillSize(c uint8) int {
	if c == 0 {
		return 1
	}
	k := h.Cache(Pin())
	n := 1
	if k != &noCache {
		n = (k.magazine(c).limit() + 1) / 2
	}
	k.Leave()
	return max(n, 1)
}
