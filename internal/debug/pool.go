// Guarded blocks. See debug.go for overview.

package debug

import (
	"sort"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// pool is one range of address space, so that whether a block is a guarded one takes one comparison. It is cut into slots along a frontier.
//
//	gap | slot | gap | slot | gap | ... | gap |<- used        ready ->|        | size
//
// A slot is as many pages as its block needs, and keeps that number. Those of freed blocks wait in a queue for each number of pages, and are
// taken up again when the frontier has come to the end: so a block that was freed stays out of bounds for as long as can be.
//
//	0 <= used <= ready <= size;  pages up to ready are Ready (of live blocks) or Guarded (all others);  the rest are Reserved
//	slots are in the order of their addresses
//	live == number of slots that are not idle: of live blocks, and of those that are on the way from or to the queue, which are plain
type pool struct {
	d    *Debugger
	base unsafe.Pointer
	size uintptr // 0: there is no pool
	gap  uintptr
	most int // live blocks

	mu    sync.Mutex
	used  uintptr
	ready uintptr
	slots []block               // base and total are the pages of the slot
	idle  map[uintptr]*idleList // by their number of bytes
	live  int
}

// An idleList is a queue of slots, by index.
type idleList struct {
	slots []uint32
	first int
}

// step is by how much the frontier of what is ready moves at least.
const step = 1 << 20

func (p *pool) open(d *Debugger) {
	o := &d.options
	size := uintptr(16 << 20)
	switch {
	case o.Pool != 0:
		size = roundUp(o.Pool, step)
	case small || vm.GoMemory:
	case d.Sampled():
		size = 64 << 20
	default:
		size <<= 10
	}
	p.most = o.MaxGuarded
	if p.most == 0 {
		p.most = 16384
		if d.Sampled() {
			p.most = 256
		}
	}
	p.d, p.gap, p.idle = d, roundUp(max(o.Gap, 1), vm.PageSize()), map[uintptr]*idleList{}
	base, err := vm.Reserve(size, 0)
	for err != nil && size > 4*step {
		size = roundUp(size/2, step)
		base, err = vm.Reserve(size, 0)
	}
	if err == nil {
		p.base, p.size = base, size
	}
}

// contains reports whether an address is in the pool.
func (p *pool) contains(at unsafe.Pointer) bool { return p.containsAddr(uintptr(at)) }

func (p *pool) containsAddr(addr uintptr) bool { return addr-uintptr(p.base) < p.size }

// alloc returns a guarded block, or nil if there cannot be one more, or not of that alignment or size.
func (p *pool) alloc(size, align uintptr) unsafe.Pointer {
	if align > vm.PageSize() || size > p.size/2 {
		return nil
	}
	stack := p.d.stacks.here()
	bytes := roundUp(size, vm.PageSize())
	p.mu.Lock()
	i, was, healed := p.slot(bytes)
	p.mu.Unlock()
	if i < 0 {
		return nil
	}
	// Until the record is published below, nobody else touches the slot: it is plain. So the system is called without the lock.
	if !vm.GoMemory && vm.Unguard(was.base, bytes) != nil {
		p.mu.Lock()
		p.giveUp(i)
		p.mu.Unlock()
		return nil
	}
	left := uintptr(0) // from the start of the slot to the block
	switch side := p.d.options.Guard; {
	case side == AtEnd, side == AtEither && cheaprand()&1 == 0:
		left = bytes - roundUp(size, align)
	}
	b := block{base: was.base, total: bytes, addr: uintptr(was.base) + left, size: size, lg: log2(align), number: p.d.next.Add(1), allocStack: stack}
	fill(b.zoneBefore(), zonePattern)
	fill(b.bytes(), freshPattern)
	fill(b.zoneAfter(), zonePattern)
	p.mu.Lock()
	p.slots[i] = b
	p.mu.Unlock()
	p.d.tellDamage(OpVerify, &was, healed)
	// SAFETY: left < bytes, which is the size of the slot.
	return unsafe.Add(b.base, left)
}

// slot takes a slot of so many bytes that holds no live block, and returns its index and record; or -1. What was written
// to it since its block was freed is found here, if nothing has prevented that.
func (p *pool) slot(bytes uintptr) (i int, was block, damage [3]wound) {
	if p.live >= p.most {
		return -1, was, damage
	}
	if p.advance(p.used + p.gap + bytes + p.gap) {
		// SAFETY: advance has seen that so much is in the reservation.
		was = block{base: unsafe.Add(p.base, p.used+p.gap), total: bytes, freed: true, plain: true}
		was.addr = uintptr(was.base)
		p.used += p.gap + bytes
		p.slots = append(p.slots, was)
		p.live++
		return len(p.slots) - 1, was, damage
	}
	q := p.idle[bytes]
	if q == nil || q.first == len(q.slots) {
		return -1, was, damage
	}
	i = int(q.slots[q.first])
	s := &p.slots[i]
	was = *s
	if vm.GoMemory {
		damage = s.damage()
	}
	s.plain = true
	if q.first++; q.first == len(q.slots) {
		q.slots, q.first = q.slots[:0], 0
	}
	p.live++
	return i, was, damage
}

// giveUp puts a slot that is not live, or not any more, into its queue. The pool is locked.
func (p *pool) giveUp(i int) {
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
	q.slots = append(q.slots, uint32(i))
}

// advance makes sure that everything below end is ready, and reports whether it is.
func (p *pool) advance(end uintptr) bool {
	if end > p.size {
		return false
	}
	if end <= p.ready {
		return true
	}
	n := min(roundUp(end-p.ready, step), p.size-p.ready)
	// SAFETY: ready < size.
	at := unsafe.Add(p.base, p.ready)
	if vm.Commit(at, n) != nil || !vm.GoMemory && vm.Guard(at, n) != nil {
		return false
	}
	p.ready += n
	return true
}

// free ends the block at `at`, or reports why not.
func (p *pool) free(op Op, at unsafe.Pointer, size, align uintptr) {
	stack := p.d.stacks.here()
	p.mu.Lock()
	i := p.find(uintptr(at))
	if i < 0 || p.slots[i].addr != uintptr(at) || p.slots[i].mistaken(op, size, align) != 0 {
		var b block
		known := i >= 0 && p.slots[i].addr == uintptr(at)
		if known {
			b = p.slots[i]
		}
		p.mu.Unlock()
		p.d.refuse(op, at, size, align, b, known)
		return
	}
	s := &p.slots[i]
	damage, b := s.damage(), *s
	s.freed, s.freeStack = true, stack
	if vm.GoMemory {
		fill(s.bytes(), freedPattern)
	} else {
		s.plain = true // until it is guarded
	}
	p.mu.Unlock()
	if !vm.GoMemory && vm.Guard(b.base, b.total) != nil {
		fill(b.bytes(), freedPattern) // the next best
	}
	p.mu.Lock()
	p.giveUp(i)
	p.mu.Unlock()
	p.d.tellDamage(op, &b, damage)
}

// find returns the index of the slot that an address is in, or else of the one whose block is nearest to it, or -1. The pool is locked.
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

// nearest returns the record of the block nearest to an address in the pool. Nothing is near what lies beyond the last gap.
func (p *pool) nearest(addr uintptr) (block, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(addr); i >= 0 && p.slots[i].number != 0 && addr-uintptr(p.base) < p.used+p.gap {
		return p.slots[i], true
	}
	return block{}, false
}

// verify looks for damage in all slots that can be looked into.
func (p *pool) verify() (found []*Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		b := &p.slots[i]
		if b.freed && !vm.GoMemory {
			continue
		}
		for _, w := range b.damage() {
			if w.count != 0 {
				found = append(found, p.d.damageReport(OpVerify, b, w))
			}
		}
	}
	return found
}

// reset frees all blocks, as from the given stack.
func (p *pool) reset(stack stackID) {
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
		p.giveUp(i)
	}
}
