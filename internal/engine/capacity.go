// Capacity of the magazines of medium blocks. See heap.go for the overview.
//
// A medium block in a magazine is memory that other sizes cannot use, so its bytes count more than
// its slot. All magazines of medium blocks of a cache share a budget, in bytes of full magazines.
// It is a part of what the heap has in use, so that a small heap caches little.
//
// At first each magazine has no slots. When blocks of its class have been freed minCycles times,
// one that overflows gets a slot from the rest of the budget, or else from the others, which are
// visited in turn: an empty slot, or the slot of the oldest block, which is evicted to the pages.
// So a P keeps the lengths that it frees most. The fast path knows nothing of it.
//
// Cached blocks keep runs from joining and growing, as stashed ones do: see flushKept.

package engine

import "github.com/galloc-go/galloc/internal/pages"

const (
	minBudget   = 256 << 10 // bytes that a P may always cache in medium blocks
	maxBudget   = 16 << 20  // or up to this, if 1/budgetPart of the bytes in use per P is more
	budgetPart  = 8
	budgetUnit  = 64 << 10 // budgets are multiples of it
	mediumSlots = 32       // at most, of a magazine of medium blocks
	mediumBytes = 4 << 20  // of the blocks in a full magazine
	maxEvicted  = 8        // blocks evicted at a time
)

// budgetFor returns the budget of each of n Ps that use a heap with inUse bytes in use.
func budgetFor(inUse uintptr, n uint32) uintptr {
	return min(max(minBudget, inUse/uintptr(max(n, 1))/budgetPart), maxBudget) &^ (budgetUnit - 1)
}

// evicted holds medium blocks that have left the cache and are not free yet.
type evicted struct {
	n       int
	blocks  [maxEvicted + 1]pages.Ref
	classes [maxEvicted + 1]uint8
}

// evict moves the n oldest blocks of a magazine, or as many as x has room for, to x.
func (c *Cache) evict(class uint8, n int, x *evicted) {
	n = min(n, maxEvicted-x.n)
	c.removeOldest(class, x.blocks[x.n:x.n+n])
	for range n {
		x.classes[x.n] = class
		x.n++
	}
}

// makeRoom makes room for a block in the full magazine of a medium class, unless the budget is less
// than the block, or few blocks of the class were freed yet. The blocks that leave go to x.
func (c *Cache) makeRoom(class uint8, budget uintptr, x *evicted) {
	m, size := c.magazine(class), uintptr(pages.Classes[class].Size)
	if c.cycles[class] < minCycles {
		c.cycles[class]++
		return
	}
	if size <= budget && m.cap() < int(bounds[class].max) {
		for range pages.NumClasses - pages.FirstMedium {
			if c.medium+size <= budget || x.n == maxEvicted {
				break
			}
			if c.hand++; !pages.IsMedium(c.hand) || c.hand == pages.NumClasses {
				c.hand = pages.FirstMedium
			}
			if c.hand != class {
				c.takeSlot(c.hand, x)
			}
		}
		if c.medium+size <= budget {
			c.medium += size
			m.end++
			return
		}
	}
	c.evict(class, (m.len()+1)/2, x)
}

// takeSlot removes a slot of the magazine of a medium class, if it has one.
func (c *Cache) takeSlot(class uint8, x *evicted) {
	m := c.magazine(class)
	if m.cap() == 0 {
		return
	}
	if m.top == m.end {
		c.evict(class, 1, x)
	}
	m.end--
	c.medium -= uintptr(pages.Classes[class].Size)
}

// evictAll moves medium blocks to x, as many as it has room for.
func (c *Cache) evictAll(x *evicted) {
	if c.medium == 0 {
		return
	}
	for class := uint8(pages.FirstMedium); class < pages.NumClasses && x.n < maxEvicted; class++ {
		if m := c.magazine(class); !m.empty() {
			c.evict(class, m.len(), x)
		}
	}
}

// freeEvicted frees the blocks of x to the pages.
func (h *Heap) freeEvicted(x *evicted, bad *misused) {
	if x.n == 0 {
		return
	}
	h.pages.Lock()
	for i, b := range x.blocks[:x.n] {
		h.freeRun(x.classes[i], b, bad)
	}
	h.pages.Unlock()
}

// flushKept frees the medium blocks in the cache of the current P, and the stashes near it, and
// reports whether there were any blocks. It is called before the heap grows, or moves a block that
// cannot grow, with the gate held. Misuse is reported later, by reportLate.
func (h *Heap) flushKept() (any bool) {
	if h.budget.Load() == 0 {
		return false
	}
	any = h.flushStashes()
	for {
		var out evicted
		c := h.cache(pin())
		c.evictAll(&out)
		c.unpin()
		if out.n == 0 {
			return any
		}
		any = true
		var bad misused
		h.freeEvicted(&out, &bad)
		h.reportLater(&bad)
	}
}

// freeRun frees a medium block to the pages, or adds it to bad: with the lock of the pages held.
func (h *Heap) freeRun(class uint8, b pages.Ref, bad *misused) {
	if s := h.pages.MediumAt(b, class); s != nil && s.Claim() {
		h.pages.Free(s, true)
	} else {
		bad.add(b, class)
	}
}
