package memcheck

import "github.com/galloc-go/galloc/internal/misuse"

// Each free verifies verifiedPerFree freed blocks: more than one, so that each block in the
// quarantine has been verified after as many frees as there are blocks in it, even if each free
// adds one. Blocks above maxVerifiedSize wait until they leave the quarantine, which is sooner. Of
// the block that is larger than the quarantine, each free verifies maxVerifiedSize bytes.
const (
	verifiedPerFree = 2
	maxVerifiedSize = 16 << 10
)

// retire moves the record of a freed block from t, which is locked, to the history: it is in one of
// them at any time.
func (c *Checker) retire(t *table, b record) {
	c.history.add(b)
	delete(t.blocks, b.addr)
}

// release takes blocks out of the quarantine and frees them in the inner allocator, until at most
// bound bytes are left.
func (c *Checker) release(bound uintptr) {
	for {
		w, ok := c.quarantine.pop(bound)
		if !ok {
			return
		}
		b, found := c.evict(w)
		c.reportDamage(OpVerify, &b, found)
	}
}

// evict verifies a block that has left the quarantine, and frees it in the inner allocator. It does
// nothing if w is void or zero.
func (c *Checker) evict(w waiting) (b record, found [3]damage) {
	t := c.table(w.addr)
	t.mu.Lock()
	b = t.blocks[w.addr]
	if b.number != w.number || w.number == 0 {
		t.mu.Unlock()
		return b, found
	}
	c.retire(t, b)
	t.mu.Unlock()
	found = b.verify()
	c.inner.Free(b.base, b.total, 1<<b.lg)
	return b, found
}

// Drain empties the quarantine: it verifies its blocks, and frees them in the inner allocator.
func (c *Checker) Drain() {
	last, found := c.evict(c.quarantine.swapLarge(waiting{}))
	c.reportDamage(OpVerify, &last, found)
	c.release(0)
	c.checkZero()
}

// verifyNext verifies the freed block whose turn it is.
func (c *Checker) verifyNext() {
	w, ok := c.quarantine.inTurn()
	if !ok || w.bytes > maxVerifiedSize {
		return
	}
	t := c.table(w.addr)
	t.mu.Lock()
	b := t.blocks[w.addr]
	var found [3]damage
	if b.number == w.number {
		found = b.verify()
	}
	t.mu.Unlock()
	c.reportDamage(OpVerify, &b, found)
}

// verifyPiece verifies the next piece of the large block. All of it could take seconds.
func (c *Checker) verifyPiece() {
	w, from := c.quarantine.nextPiece()
	if w.number == 0 {
		return
	}
	t := c.table(w.addr)
	t.mu.Lock()
	b := t.blocks[w.addr]
	var found [3]damage
	if b.number == w.number && from < b.size {
		found[0] = inspect(misuse.UseAfterFree, b.bytes()[from:min(from+maxVerifiedSize, b.size)], freedPattern)
	}
	t.mu.Unlock()
	c.reportDamage(OpVerify, &b, found)
}

// Reset takes all blocks as freed, after the inner allocator has been reset. It verifies nothing.
// It must not run concurrently with another method.
func (c *Checker) Reset() {
	stack := c.stacks.Here(1)
	for i := range c.tables {
		for _, b := range c.tables[i].blocks {
			if !b.freed {
				b.freed, b.freeStack = true, stack
			}
			c.history.add(b)
		}
		clear(c.tables[i].blocks)
	}
	q := &c.quarantine
	q.ring, q.first, q.count, q.turn, q.bytes = nil, 0, 0, 0, 0
	q.large, q.piece = waiting{}, 0
	c.pool.reset(stack)
}
