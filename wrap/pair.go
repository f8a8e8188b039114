package wrap

import (
	"math"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// A Pair is an allocator made of two: see [Fallback], [Segregate] and [StackFallback]. Every block
// belongs to one of the two.
type Pair struct {
	inner  // the first
	second inner
	rules  rules
}

// rules is how the kinds of a Pair differ.
type rules interface {
	// name names the pair whose allocators have these names.
	name(first, second string) string
	// choose returns the allocator for a new block of layout l, and the one to ask if that fails,
	// or nil.
	choose(l galloc.Layout) (*inner, *inner)
	// owner returns the allocator of the block at p, which l fits.
	owner(p unsafe.Pointer, l galloc.Layout) *inner
	// stays reports whether a block of i may become one of layout l in i.
	stays(i *inner, l galloc.Layout) bool
	// longest returns the maximum length of a block of i.
	longest(i *inner) uintptr
}

// Unwrap returns the first allocator.
func (w *Pair) Unwrap() galloc.Allocator { return w.a }

// Second returns the second allocator.
func (w *Pair) Second() galloc.Allocator { return w.second.a }

// String names both allocators, as in "fallback(bump arena, heap)".
func (w *Pair) String() string { return w.rules.name(block.Name(w.a), block.Name(w.second.a)) }

// Alloc is part of [galloc.GlobalAlloc].
func (w *Pair) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	i, other := w.rules.choose(l)
	p := i.alloc.Alloc(l)
	if p == nil && other != nil {
		p = other.alloc.Alloc(l)
	}
	return p
}

// AllocZeroed implements [galloc.GlobalAllocZeroed].
func (w *Pair) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	i, other := w.rules.choose(l)
	p := i.zeroed.AllocZeroed(l)
	if p == nil && other != nil {
		p = other.zeroed.AllocZeroed(l)
	}
	return p
}

// Realloc implements [galloc.GlobalRealloc].
func (w *Pair) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(newSize, l.Align())
	switch {
	case err != nil:
		return nil
	case l.Size() == 0:
		return w.Alloc(n)
	case newSize == 0:
		w.Dealloc(p, l)
		return n.Dangling()
	}
	i := w.rules.owner(p, l)
	if w.rules.stays(i, n) {
		if q := i.realloc.Realloc(p, l, newSize); q != nil {
			return q
		}
	}
	to := w.elsewhere(i, n)
	if to == nil {
		return nil
	}
	q := to.alloc.Alloc(n)
	if q != nil {
		block.Copy(q, p, min(l.Size(), newSize))
		i.alloc.Dealloc(p, l)
	}
	return q
}

// Dealloc is part of [galloc.GlobalAlloc].
func (w *Pair) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.rules.owner(p, l).alloc.Dealloc(p, l)
	}
}

// Allocate is part of [galloc.Allocator].
func (w *Pair) Allocate(l galloc.Layout) ([]byte, error) {
	return w.allocate(galloc.Allocator.Allocate, l)
}

// AllocateZeroed implements [galloc.ZeroedAllocator].
func (w *Pair) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	return w.allocate(galloc.AllocateZeroed, l)
}

// Deallocate is part of [galloc.Allocator].
func (w *Pair) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.rules.owner(p, l).a.Deallocate(p, l)
	}
}

// Grow is part of [galloc.Grower].
func (w *Pair) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/wrap", old.Size(), to.Size())
	if old.Size() == 0 {
		return w.Allocate(to)
	}
	return w.change(galloc.Grow, p, old, to, false)
}

// GrowZeroed is part of [galloc.Grower].
func (w *Pair) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckGrow("galloc/wrap", old.Size(), to.Size())
	if old.Size() == 0 {
		return w.AllocateZeroed(to)
	}
	return w.change(galloc.GrowZeroed, p, old, to, true)
}

// Shrink implements [galloc.Shrinker].
func (w *Pair) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	block.CheckShrink("galloc/wrap", old.Size(), to.Size())
	if to.Size() == 0 {
		w.Deallocate(p, old)
		return emptyBlock(to), nil
	}
	return w.change(galloc.Shrink, p, old, to, false)
}

// Resize implements [galloc.Resizer].
func (w *Pair) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || l.Size() == 0 || newSize == 0 || newSize == l.Size() {
		return newSize == l.Size()
	}
	i := w.rules.owner(p, l)
	return w.rules.stays(i, n) && galloc.Resize(i.a, p, l, newSize)
}

// UsableSize implements [galloc.UsableSizer]. It returns the least length that either allocator may
// return for l.
func (w *Pair) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	i, other := w.rules.choose(l)
	n := min(galloc.UsableSize(i.a, l), w.rules.longest(i))
	if other != nil {
		n = min(n, galloc.UsableSize(other.a, l), w.rules.longest(other))
	}
	return n
}

// AllocateTyped implements [galloc.TypedAllocator], if both allocators do: see
// [galloc.HoldsPointers].
func (w *Pair) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	l, err := typedLayout(t, n)
	if err != nil {
		return nil, err
	}
	i, other := w.rules.choose(l)
	p, err := galloc.AllocateTyped(i.a, t, n)
	if err != nil && other != nil {
		p, err = galloc.AllocateTyped(other.a, t, n)
	}
	return p, err
}

func (w *Pair) countsAsked() bool { return false }
func (w *Pair) isGlobal() bool    { return false }

func (w *Pair) allocate(
	do func(galloc.Allocator, galloc.Layout) ([]byte, error), l galloc.Layout,
) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	i, other := w.rules.choose(l)
	b, err := do(i.a, l)
	if err != nil && other != nil {
		i = other
		b, err = do(i.a, l)
	}
	return w.cut(i, b), err
}

// cut cuts a block of i to the length that it may have.
func (w *Pair) cut(i *inner, b []byte) []byte {
	if n := w.rules.longest(i); uintptr(len(b)) > n {
		b = b[:n:n]
	}
	return b
}

// elsewhere returns the allocator that a block of i moves to if it cannot become one of layout l in
// i, or nil if it cannot move. In a Fallback, no block moves from the second allocator to the
// first.
func (w *Pair) elsewhere(i *inner, l galloc.Layout) *inner {
	to, other := w.rules.choose(l)
	switch i {
	case to:
		return other
	case other:
		return nil
	}
	return to
}

// change makes the block at p one of layout to, in its allocator or else in the other one.
func (w *Pair) change(do changeFunc, p unsafe.Pointer, old, to galloc.Layout, zeroed bool) (b []byte, err error) {
	i := w.rules.owner(p, old)
	err = galloc.ErrOutOfMemory
	if w.rules.stays(i, to) {
		if b, err = do(i.a, p, old, to); err == nil {
			return w.cut(i, b), nil
		}
	}
	j := w.elsewhere(i, to)
	if j == nil {
		return nil, err
	}
	if zeroed {
		b, err = galloc.AllocateZeroed(j.a, to)
	} else {
		b, err = j.a.Allocate(to)
	}
	if err != nil {
		return nil, err
	}
	block.Copy(unsafe.Pointer(unsafe.SliceData(b)), p, min(old.Size(), to.Size()))
	i.a.Deallocate(p, old)
	return w.cut(j, b), nil
}

// unlimited is the result of longest where blocks may have any length.
const unlimited = math.MaxInt
