package soak

import (
	"fmt"

	"github.com/galloc-go/galloc"
)

// The operations of a worker.

// count records that the blocks in the table have n more bytes.
func (w *worker) count(table *[]block, n int) {
	if table == &w.big {
		w.s.bigLive.Add(int64(n))
	} else {
		w.live += n
	}
}

func (w *worker) allocate() error {
	table, size := &w.small, 0
	if w.s.maxBig > w.s.maxSmall && w.random.IntN(bigEvery) == 0 && len(w.big) < cap(w.big) {
		if size = w.bigSize(); w.s.bigLive.Load()+int64(size) <= w.s.bigGoal.Load() {
			table = &w.big
		}
	}
	if table == &w.small {
		size = w.smallSize()
	}
	b := &w.made
	b.layout = galloc.Must(galloc.NewLayout(uintptr(size), w.align()))
	var err error
	if w.random.IntN(5) == 0 {
		w.counts.Zeroed++
		if b.mem, err = galloc.AllocateZeroed(w.s.alloc, b.layout); err == nil {
			w.counts.Compared += uint64(len(b.mem))
			if i := firstNonzero(b.mem); i >= 0 {
				return fmt.Errorf("byte %d of a zeroed block of %v at %p is %#02x", i, b.layout, b.mem, b.mem[i])
			}
		}
	} else {
		w.counts.Allocated++
		b.mem, err = w.s.alloc.Allocate(b.layout)
	}
	if err != nil {
		return fmt.Errorf("allocating a block of %v: %w", b.layout, err)
	}
	if err := w.settle(b); err != nil {
		return err
	}
	*table = append(*table, *b)
	w.count(table, size)
	return nil
}

// settle checks the address and the length of a new block, and fills it.
func (w *worker) settle(b *block) error {
	size, align := b.layout.Size(), b.layout.Align()
	if uintptr(len(b.mem)) < size {
		return fmt.Errorf("a block of %v has %d bytes", b.layout, len(b.mem))
	}
	if at := b.value().Pointer(); at == 0 || at&(align-1) != 0 {
		return fmt.Errorf("a block of %v is at %#x, which is not aligned", b.layout, at)
	}
	b.mem = b.mem[:size]
	b.seed = w.random.Uint64()
	b.fill()
	return nil
}

// compare compares the kept bytes of the block, which are now at mem.
func (w *worker) compare(b *block, mem []byte, when, what string) error {
	n, err := b.compare(mem)
	w.counts.Compared += uint64(n)
	if err != nil {
		return fmt.Errorf("%s %s, %w", when, what, err)
	}
	return nil
}

// newSize returns a new size for the block: near the old one, or any.
func (w *worker) newSize(table *[]block, b *block) int {
	old := len(b.mem)
	if w.random.IntN(2) == 0 {
		limit := w.s.maxSmall
		if table == &w.big {
			limit = w.s.maxBig
		}
		return min(old-old/4+w.random.IntN(old/2+2), limit) // a quarter less to a quarter more
	}
	if table == &w.big {
		return w.bigSize()
	}
	return w.smallSize()
}

// change grows or shrinks a block, which may move.
func (w *worker) change(table *[]block) error {
	b := &(*table)[w.random.IntN(len(*table))]
	size, align := max(w.newSize(table, b), 1), b.layout.Align()
	if w.random.IntN(16) == 0 {
		align = w.align()
	}
	n := &w.made
	n.layout = galloc.Must(galloc.NewLayout(uintptr(size), align))
	do, what := galloc.Grow, "growing"
	if size < len(b.mem) {
		do, what = galloc.Shrink, "shrinking"
	}
	if err := w.compare(b, b.mem, "before", what); err != nil {
		return err
	}
	w.counts.Reallocated++
	var err error
	if n.mem, err = do(w.s.alloc, b.value().UnsafePointer(), b.layout, n.layout); err != nil {
		return fmt.Errorf("%s a block of %v to %v: %w", what, b.layout, n.layout, err)
	}
	if err := w.compare(b, n.mem[:min(len(b.mem), len(n.mem), size)], "after", what); err != nil {
		return err
	}
	old := len(b.mem)
	if err := w.settle(n); err != nil {
		return err
	}
	*b = *n
	w.count(table, size-old)
	return nil
}

// resize grows or shrinks a block in place, if the allocator can.
func (w *worker) resize(table *[]block) error {
	b := &(*table)[w.random.IntN(len(*table))]
	size, old := max(w.newSize(table, b), 1), len(b.mem)
	if err := w.compare(b, b.mem, "before", "resizing in place"); err != nil {
		return err
	}
	w.counts.Tried++
	if !galloc.Resize(w.s.alloc, b.value().UnsafePointer(), b.layout, uintptr(size)) {
		return nil
	}
	w.counts.Resized++
	if err := w.compare(b, b.mem[:min(old, size)], "after", "resizing in place"); err != nil {
		return err
	}
	b.layout = galloc.Must(galloc.NewLayout(uintptr(size), b.layout.Align()))
	var err error
	// To the same size: this returns the same block.
	if b.mem, err = galloc.Grow(w.s.alloc, b.value().UnsafePointer(), b.layout, b.layout); err != nil {
		return fmt.Errorf("growing a block of %v to the same size: %w", b.layout, err)
	}
	if err := w.settle(b); err != nil {
		return err
	}
	w.count(table, size-old)
	return nil
}

// swap exchanges a block for a block of another worker.
func (w *worker) swap() {
	b := &w.small[w.random.IntN(len(w.small))]
	x := &w.s.exchanges[w.random.IntN(len(w.s.exchanges))]
	before := len(b.mem)
	x.mu.Lock()
	*b, x.block = x.block, *b
	x.mu.Unlock()
	w.counts.Exchanged++
	after := len(b.mem)
	w.s.exchanged.Add(int64(before - after))
	w.live += after - before
	if after == 0 { // the place was empty
		w.remove(&w.small, b)
	}
}

// free compares a block of the table and frees it.
func (w *worker) free(table *[]block) error {
	b := &(*table)[w.random.IntN(len(*table))]
	if err := w.compare(b, b.mem, "before", "freeing"); err != nil {
		return err
	}
	w.counts.Freed++
	w.s.alloc.Deallocate(b.value().UnsafePointer(), b.layout)
	w.count(table, -len(b.mem))
	w.remove(table, b)
	return nil
}

// remove removes b from the table.
func (w *worker) remove(table *[]block, b *block) {
	last := &(*table)[len(*table)-1]
	*b = *last
	*last = block{}
	*table = (*table)[:len(*table)-1]
}
