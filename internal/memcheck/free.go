package memcheck

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// Free frees the block at p, of that size and alignment. Misuse is reported. If it leaves open
// which block is meant, Free does nothing else.
func (c *Checker) Free(p unsafe.Pointer, size, align uintptr) {
	switch {
	case size == 0:
		c.FreeZero(p, align)
	case c.Passes(p):
		c.inner.Free(p, size, align)
	default:
		c.free(OpFree, p, size, align)
	}
}

func (c *Checker) free(op Op, p unsafe.Pointer, size, align uintptr) {
	if c.pool.contains(p) {
		c.pool.free(op, p, size, align)
		return
	}
	stack := c.stacks.Here(1)
	c.checkZero()
	t := c.table(uintptr(p))
	t.mu.Lock()
	b, ok := t.blocks[uintptr(p)]
	if !ok || b.misuse(op, size, align) != 0 {
		t.mu.Unlock()
		c.refuse(op, p, size, align, b, ok)
		return
	}
	freed := b
	freed.freed, freed.freeStack = true, stack
	if b.plain {
		c.retire(t, freed)
		t.mu.Unlock()
		c.inner.Free(p, size, align)
		return
	}
	found := b.verify()
	fill(b.bytes(), freedPattern)
	// OnMisuse may panic, so it is called last.
	if c.quarantine.bound == 0 {
		c.retire(t, freed)
		t.mu.Unlock()
		c.inner.Free(b.base, b.total, align)
		c.reportDamage(op, &b, found)
		return
	}
	t.blocks[b.addr] = freed
	t.mu.Unlock()
	if b.total > c.quarantine.bound { // it would evict all others, and then leave too
		last, damage := c.evict(c.quarantine.swapLarge(waiting{b.addr, b.total, b.number}))
		c.reportDamage(op, &b, found)
		c.reportDamage(OpVerify, &last, damage)
		return
	}
	c.quarantine.push(&b)
	c.reportDamage(op, &b, found)
	for range verifiedPerFree {
		c.verifyNext()
	}
	c.verifyPiece()
	c.release(c.quarantine.bound)
}

// Adopt makes the block at p a known one. It has no zones, and is freed in the inner allocator at
// once. It is for memory that the garbage collector scans and may free: c keeps no pointer to it.
func (c *Checker) Adopt(p unsafe.Pointer, size, align uintptr) {
	if c.Passes(p) || size == 0 {
		return
	}
	b := record{
		addr: uintptr(p), size: size, lg: uint8(block.Log2(align)), plain: true,
		allocStack: c.stacks.Here(1), number: c.next.Add(1),
	}
	t := c.table(b.addr)
	t.mu.Lock()
	t.blocks[b.addr] = b
	t.mu.Unlock()
}

// FreeZero frees a block of size 0. It reports misuse if p is the address of a block of another
// size, allocated or recently freed.
func (c *Checker) FreeZero(p unsafe.Pointer, align uintptr) {
	if c.Passes(p) {
		return
	}
	c.checkZero()
	if b, ok := c.exact(uintptr(p)); ok {
		c.refuse(OpFree, p, 0, align, b, ok)
	}
}
