package memcheck

import (
	"math"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/misuse"
)

// Alloc returns a block of size bytes at a multiple of align, a power of two. If the inner
// allocator has no memory, even after the quarantine was emptied, it returns nil. In full mode, the
// block is filled with freshPattern.
func (c *Checker) Alloc(size, align uintptr) unsafe.Pointer {
	switch {
	case size == 0:
		return c.options.ZeroSize(align)
	case !c.Picks():
		return c.inner.Alloc(size, align)
	}
	return c.AllocChecked(size, align)
}

// AllocZeroed is Alloc with all bytes zero.
func (c *Checker) AllocZeroed(size, align uintptr) unsafe.Pointer {
	switch {
	case size == 0:
		return c.options.ZeroSize(align)
	case !c.Picks():
		return c.inner.AllocZeroed(size, align)
	}
	p := c.AllocChecked(size, align)
	if p != nil {
		block.Clear(p, size)
	}
	return p
}

// AllocChecked is Alloc for a caller that has called Picks. In sampled mode, a block that cannot be
// guarded is passed on.
func (c *Checker) AllocChecked(size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return c.options.ZeroSize(align)
	}
	if p := c.AllocGuarded(size, align); p != nil {
		return p
	}
	if c.Sampled() {
		return c.inner.Alloc(size, align)
	}
	return c.allocZoned(size, align)
}

// AllocGuarded returns a guarded block, or nil if a block of that size and alignment need not or
// cannot be guarded.
func (c *Checker) AllocGuarded(size, align uintptr) unsafe.Pointer {
	if c.pool.size == 0 || size < c.options.GuardMin || c.options.GuardMax != 0 && size > c.options.GuardMax {
		return nil
	}
	return c.pool.alloc(size, align)
}

// allocZoned returns a zoned block.
func (c *Checker) allocZoned(size, align uintptr) unsafe.Pointer {
	left, total := c.extent(size, align)
	if total == 0 {
		return nil
	}
	base := c.inner.Alloc(total, align)
	if base == nil {
		c.Drain()
		if base = c.inner.Alloc(total, align); base == nil {
			return nil
		}
	}
	// SAFETY: left < total.
	p := unsafe.Add(base, left)
	b := record{
		base: base, addr: uintptr(p), size: size, total: total, lg: uint8(block.Log2(align)),
		allocStack: c.stacks.Here(1), number: c.next.Add(1),
	}
	fill(b.zoneBefore(), zonePattern)
	fill(b.bytes(), freshPattern)
	fill(b.zoneAfter(), zonePattern)
	t := c.table(b.addr)
	t.mu.Lock()
	old, taken := t.blocks[b.addr]
	t.blocks[b.addr] = b
	t.mu.Unlock()
	if taken && !old.plain { // the garbage collector may have freed a plain block
		c.report(&Report{
			Kind: misuse.Overlap, Op: OpAlloc, Addr: b.addr, Size: size, Align: align, Block: c.describe(&old),
		})
	}
	return p
}

// zone returns the minimum number of bytes watched on each side of a block. Larger blocks have
// larger zones, as with AddressSanitizer, since errors of a program that uses them reach further.
func (c *Checker) zone(size uintptr) uintptr {
	if c.redZone == 0 {
		return 0
	}
	return max(c.redZone, min(size/8, maxGrownZone))
}

// maxGrownZone is the size in bytes of the largest zone that is not asked for by Options.RedZone.
const maxGrownZone = 2048

// maxZoneAlign is the greatest alignment of blocks that have a left zone, whose size is a multiple
// of the alignment.
const maxZoneAlign = 64 << 10

// extent returns the number of bytes before a block, and of the block with its zones: 0 if that is
// too large.
func (c *Checker) extent(size, align uintptr) (left, total uintptr) {
	zone := c.zone(size)
	if align <= maxZoneAlign {
		left = block.RoundUp(zone, align)
	}
	if size > math.MaxInt+1-align-left-zone-8 {
		return 0, 0
	}
	return left, block.RoundUp(left+size+zone, 8)
}

// Realloc makes the block at p, of the given size and alignment, one of newSize and newAlign, and
// returns its new address. The first min(size, newSize) bytes are kept. If there is no memory, or
// if p is not such a block, which is reported, it returns nil, and nothing has changed. A checked
// block always moves, so that a use of the old address is found.
func (c *Checker) Realloc(p unsafe.Pointer, size, align, newSize, newAlign uintptr) unsafe.Pointer {
	switch {
	case size == 0:
		c.FreeZero(p, align)
		return c.Alloc(newSize, newAlign)
	case newSize == 0:
		c.Free(p, size, align)
		return c.options.ZeroSize(newAlign)
	case c.Passes(p) && newAlign == align:
		return c.inner.Realloc(p, size, align, newSize)
	case !c.Check(OpRealloc, p, size, align):
		return nil
	}
	q := c.Alloc(newSize, newAlign)
	if q == nil {
		return nil
	}
	block.Copy(q, p, min(size, newSize))
	if c.Passes(p) {
		c.inner.Free(p, size, align)
	} else {
		c.free(OpRealloc, p, size, align)
	}
	return q
}

// Resize reports whether the checked block at p, of the given size and alignment, can be made
// newSize bytes large without moving: only if that is its size.
func (c *Checker) Resize(p unsafe.Pointer, size, align, newSize uintptr) bool {
	if size == 0 {
		c.FreeZero(p, align)
		return newSize == 0
	}
	return c.Check(OpRealloc, p, size, align) && newSize == size
}
