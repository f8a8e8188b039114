// Guarded blocks. See memcheck.go for overview.

package memcheck

import (
	"fmt"
	"sort"
	"sync"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/sample"
	"github.com/galloc-go/galloc/internal/stacks"
	"github.com/galloc-go/galloc/internal/vm"
)

// pool is one range of address space, so that one comparison decides whether a block is guarded. It
// is cut into slots from the start on.
//
//	gap | slot | gap | slot | gap | ... | gap |<- used        ready ->|        | size
//
// A slot has the pages that its first block needs, and keeps them. Slots of freed blocks wait in a
// queue for each number of pages. They are reused when the pool is used up, so that a freed block
// stays inaccessible for as long as possible.
//
//	0 <= used <= ready <= size
//	pages up to ready are Ready (of allocated blocks) or Guarded (others);  the rest is Reserved
//	slots are in address order
//	live == number of slots that are not idle: with an allocated block, or plain
//
// A slot is plain while it is neither idle nor holds an allocated block.
type pool struct {
	c    *Checker
	base unsafe.Pointer
	size uintptr // 0: there is no pool
	gap  uintptr
	max  int // allocated blocks

	mu    sync.Mutex
	used  uintptr
	ready uintptr
	slots []record              // base and total are the pages of the slot
	idle  map[uintptr]*idleList // by their number of bytes
	live  int
}

// An idleList is a queue of slots.
type idleList struct {
	slots []idleSlot
	first int
}

// An idleSlot is the index of a slot, and when its block was freed.
type idleSlot struct {
	index uint32
	freed int64 // nanoseconds; 0 if there is no GuardDelay
}

// waits reports whether the block was freed less than delay ago.
func (s idleSlot) waits(delay time.Duration) bool {
	if delay <= 0 || s.freed == 0 {
		return false
	}
	since := time.Duration(time.Now().UnixNano() - s.freed)
	return 0 <= since && since < delay
}

// step is the minimum number of bytes by which ready grows.
const step = 1 << 20

func (p *pool) open(c *Checker) {
	o := &c.options
	size := block.RoundUp(o.GuardSpace, step)
	if size == 0 {
		if size = o.defaultSpace(); size > 64<<20 {
			size = block.RoundUp(vm.Share(size, 16<<20), step)
		}
	}
	p.max = o.GuardLimit
	if p.max == 0 {
		p.max = 16384
		if c.Sampled() {
			p.max = 256
		}
	}
	p.c, p.gap, p.idle = c, block.RoundUp(max(o.GuardGap, 1), vm.PageSize()), map[uintptr]*idleList{}
	base, err := vm.Reserve(size, 0)
	for err != nil && size > 4*step {
		size = block.RoundUp(size/8, step)
		base, err = vm.Reserve(size, 0)
	}
	if err == nil {
		p.base, p.size = base, size
	}
	if p.size < o.GuardSpace || p.size < 2*p.gap+vm.PageSize() {
		c.shortage = fmt.Sprintf("the system provides %d bytes of address space for guarded blocks, and %d were asked for",
			p.size, max(o.GuardSpace, 2*p.gap+vm.PageSize()))
	}
}

// contains reports whether an address is in the pool.
func (p *pool) contains(at unsafe.Pointer) bool { return p.containsAddr(uintptr(at)) }

func (p *pool) containsAddr(addr uintptr) bool { return addr-uintptr(p.base) < p.size }

// alloc returns a guarded block, or nil if the pool is full or cannot hold a block of that size or
// alignment.
func (p *pool) alloc(size, align uintptr) unsafe.Pointer {
	if align > vm.PageSize() || size > p.size/2 {
		return nil
	}
	stack := p.c.stacks.Here(1)
	bytes := block.RoundUp(size, vm.PageSize())
	p.mu.Lock()
	i, was, found := p.slot(bytes)
	p.mu.Unlock()
	if i < 0 {
		return nil
	}
	// The slot is plain, so nobody else touches it until the record is published below. So the
	// system is called without the lock.
	if !vm.GoMemory && vm.Unguard(was.base, bytes) != nil {
		p.mu.Lock()
		p.enqueue(i)
		p.mu.Unlock()
		return nil
	}
	left := uintptr(0) // from the start of the slot to the block
	switch side := p.c.options.Guard; {
	case side == GuardEnd, side == GuardEither && sample.Random()&1 == 0:
		left = bytes - block.RoundUp(size, align)
	}
	b := record{
		base: was.base, total: bytes, addr: uintptr(was.base) + left, size: size, lg: uint8(block.Log2(align)),
		number: p.c.next.Add(1), allocStack: stack,
	}
	fill(b.zoneBefore(), zonePattern)
	fill(b.bytes(), freshPattern)
	fill(b.zoneAfter(), zonePattern)
	p.mu.Lock()
	p.slots[i] = b
	p.mu.Unlock()
	p.c.reportDamage(OpVerify, &was, found)
	// SAFETY: left < bytes, the size of the slot.
	return unsafe.Add(b.base, left)
}

// slot takes a slot of that many bytes that holds no allocated block, and returns its index and
// record; or -1. Where pages cannot be guarded, writes to the freed block in it are found here. The
// pool is locked.
func (p *pool) slot(bytes uintptr) (i int, was record, found [3]damage) {
	if p.live >= p.max {
		return -1, was, found
	}
	if p.advance(p.used + p.gap + bytes + p.gap) {
		// SAFETY: advance has checked that the slot is in the reservation.
		was = record{base: unsafe.Add(p.base, p.used+p.gap), total: bytes, freed: true, plain: true}
		was.addr = uintptr(was.base)
		p.used += p.gap + bytes
		p.slots = append(p.slots, was)
		p.live++
		return len(p.slots) - 1, was, found
	}
	q := p.idle[bytes]
	if q == nil || q.first == len(q.slots) || q.slots[q.first].waits(p.c.options.GuardDelay) {
		return -1, was, found
	}
	i = int(q.slots[q.first].index)
	s := &p.slots[i]
	was = *s
	if vm.GoMemory {
		found = s.verify()
	}
	s.plain = true
	if q.first++; q.first == len(q.slots) {
		q.slots, q.first = q.slots[:0], 0
	}
	p.live++
	return i, was, found
}

// enqueue puts a slot without an allocated block into its queue. The pool is locked.
func (p *pool) enqueue(i int) {
	s := &p.slots[i]
	s.plain = false
	p.live--
	q := p.idle[s.total]
	if q == nil {
		q = new(idleList)
		p.idle[s.total] = q
	}
	if q.first > 1024 && 2*q.first > len(q.slots) {
		q.slots = q.slots[:copy(q.slots, q.slots[q.first:])]
		q.first = 0
	}
	freed := int64(0)
	if p.c.options.GuardDelay > 0 && s.freed {
		freed = time.Now().UnixNano()
	}
	q.slots = append(q.slots, idleSlot{uint32(i), freed})
}

// advance makes the pool ready up to end, and reports whether it is.
func (p *pool) advance(end uintptr) bool {
	if end > p.size {
		return false
	}
	if end <= p.ready {
		return true
	}
	n := min(block.RoundUp(end-p.ready, step), p.size-p.ready)
	// SAFETY: ready < size.
	at := unsafe.Add(p.base, p.ready)
	if vm.Commit(at, n) != nil || !vm.GoMemory && vm.Guard(at, n) != nil {
		return false
	}
	p.ready += n
	return true
}

// free frees the block at `at`, or reports why it cannot.
func (p *pool) free(op Op, at unsafe.Pointer, size, align uintptr) {
	stack := p.c.stacks.Here(1)
	p.mu.Lock()
	i := p.find(uintptr(at))
	if i < 0 || p.slots[i].addr != uintptr(at) || p.slots[i].misuse(op, size, align) != 0 {
		var b record
		known := i >= 0 && p.slots[i].addr == uintptr(at)
		if known {
			b = p.slots[i]
		}
		p.mu.Unlock()
		p.c.refuse(op, at, size, align, b, known)
		return
	}
	s := &p.slots[i]
	found, b := s.verify(), *s
	s.freed, s.freeStack = true, stack
	if vm.GoMemory {
		fill(s.bytes(), freedPattern)
	} else {
		s.plain = true // until it is guarded
	}
	p.mu.Unlock()
	if !vm.GoMemory && vm.Guard(b.base, b.total) != nil {
		fill(b.bytes(), freedPattern) // so that the program at least reads no valid data
	}
	p.mu.Lock()
	p.enqueue(i)
	p.mu.Unlock()
	p.c.reportDamage(op, &b, found)
}

// find returns the index of the slot that an address is in, or else of the slot whose block is
// nearest, or -1. The pool is locked.
func (p *pool) find(addr uintptr) int {
	after := sort.Search(len(p.slots), func(i int) bool { return uintptr(p.slots[i].base) > addr })
	switch {
	case len(p.slots) == 0:
		return -1
	case after == 0:
		return 0
	case after == len(p.slots):
		return after - 1
	}
	before, next := &p.slots[after-1], &p.slots[after]
	if addr-uintptr(before.base) < before.total || addr-(before.addr+before.size) < next.addr-addr {
		return after - 1
	}
	return after
}

// nearest returns the record of the block nearest to an address in the pool. No block is near an
// address past the last gap.
func (p *pool) nearest(addr uintptr) (record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(addr); i >= 0 && p.slots[i].number != 0 && addr-uintptr(p.base) < p.used+p.gap {
		return p.slots[i], true
	}
	return record{}, false
}

// verify looks for damage in all slots that are accessible.
func (p *pool) verify() (found []*Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		b := &p.slots[i]
		if b.freed && !vm.GoMemory {
			continue
		}
		for _, d := range b.verify() {
			if d.count != 0 {
				found = append(found, p.c.damageReport(OpVerify, b, d))
			}
		}
	}
	return found
}

// reset frees all blocks, with the given stack.
func (p *pool) reset(stack stacks.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		s := &p.slots[i]
		if s.freed {
			continue
		}
		s.freed, s.freeStack = true, stack
		if vm.GoMemory || vm.Guard(s.base, s.total) != nil {
			fill(s.bytes(), freedPattern)
		}
		p.enqueue(i)
	}
}
