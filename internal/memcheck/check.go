package memcheck

import (
	"bytes"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/misuse"
)

// Check reports whether a block of that size and alignment is allocated at p. If not, it reports
// misuse, by op. It returns true for blocks that were passed on, of which it knows nothing.
func (c *Checker) Check(op Op, p unsafe.Pointer, size, align uintptr) bool {
	if c.Passes(p) {
		return true
	}
	c.checkZero()
	b, ok := c.exact(uintptr(p))
	if ok && b.misuse(op, size, align) == 0 {
		return true
	}
	c.refuse(op, p, size, align, b, ok)
	return false
}

// CheckUse reports misuse, by an access, if a freed block starts at p.
func (c *Checker) CheckUse(p unsafe.Pointer) {
	if b, ok := c.exact(uintptr(p)); ok && b.freed {
		c.refuse(OpAccess, p, b.size, 1<<b.lg, b, true)
	}
}

// exact returns the record of the block that starts at addr and is allocated, in quarantine, or in
// a freed slot.
func (c *Checker) exact(addr uintptr) (record, bool) {
	if c.pool.containsAddr(addr) {
		b, ok := c.pool.nearest(addr)
		return b, ok && b.addr == addr
	}
	t := c.table(addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.blocks[addr]
	return b, ok
}

// Owns reports whether a checked block starts at p that is allocated or was freed recently.
func (c *Checker) Owns(p unsafe.Pointer) bool {
	_, ok := c.exact(uintptr(p))
	return ok
}

// CheckAll verifies all blocks, allocated and freed, and returns the number of damaged places. Each
// is reported once.
func (c *Checker) CheckAll() int {
	var found []*Report
	for i := range c.tables {
		t := &c.tables[i]
		t.mu.Lock()
		for _, b := range t.blocks {
			for _, d := range b.verify() {
				if d.count != 0 {
					found = append(found, c.damageReport(OpVerify, &b, d))
				}
			}
		}
		t.mu.Unlock()
	}
	found = append(found, c.pool.verify()...)
	found = append(found, c.verifyZero()...)
	for _, r := range found {
		c.report(r)
	}
	return len(found)
}

// checkZero reports writes to the variable for blocks of size 0. Each operation calls it, so that
// the report comes soon after the write. It costs a few nanoseconds.
func (c *Checker) checkZero() {
	for _, r := range c.verifyZero() {
		c.report(r)
	}
}

// verifyZero returns a report if the variable for blocks of size 0 is not all zero, and clears it.
func (c *Checker) verifyZero() []*Report {
	if c.zero == nil {
		return nil
	}
	// SAFETY: the variable is at least as large; see Options.
	part := block.Bytes(c.zero, zeroSizeBytes)
	if bytes.Equal(part, patternOf(0)[:zeroSizeBytes]) {
		return nil
	}
	zeroRepair.Lock()
	defer zeroRepair.Unlock()
	d := inspect(misuse.ZeroSize, part, 0)
	if d.count == 0 {
		return nil
	}
	r := c.damageReport(OpVerify, &record{addr: uintptr(c.zero)}, d)
	r.Block = Block{} // there is none
	return []*Report{r}
}

const zeroSizeBytes = 256

// zeroRepair serializes repairs of the variable for blocks of size 0, which all Checkers share.
var zeroRepair sync.Mutex
