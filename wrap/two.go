package wrap

import (
	"math"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// two is a wrapper of two allocators: what Fallback and Segregate have in common. Every block
// belongs to one of them: route says to which an existing one does.
type two struct {
	inner  // the first
	second inner
	rules  rules
}

// rules is how they differ.
type rules interface {
	// choose returns which allocator a new block is asked for, and the one that is asked if it
	// fails, or nil.
	choose(l galloc.Layout) (*inner, *inner)
	// owner returns the allocator of the block at p, which l fits.
	owner(p unsafe.Pointer, l galloc.Layout) *inner
	// stays reports whether a block of i may become one of l there.
	stays(i *inner, l galloc.Layout) bool
	// longest returns the length that a block of i and l may have at most.
	longest(i *inner, l galloc.Layout) uintptr
}

// Second returns the second allocator, for Find.
func (w *two) Second() galloc.Allocator { return w.second.a }

// The methods are documented at Allocator and in package galloc.

func (w *two) Alloc(l galloc.Layout) unsafe.Pointer {
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

func (w *two) AllocZeroed(l galloc.Layout) unsafe.Pointer {
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

func (w *two) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
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
		copyBytes(q, p, min(l.Size(), newSize))
		i.alloc.Dealloc(p, l)
	}
	return q
}

func (w *two) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.rules.owner(p, l).alloc.Dealloc(p, l)
	}
}

func (w *two) Allocate(l galloc.Layout) ([]byte, error) { return w.block(galloc.Allocator.Allocate, l) }

func (w *two) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	return w.block(galloc.AllocateZeroed, l)
}

func (w *two) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.rules.owner(p, l).a.Deallocate(p, l)
	}
}

func (w *two) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	if old.Size() == 0 {
		return w.Allocate(new)
	}
	return w.change(galloc.Grow, p, old, new, false)
}

func (w *two) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	if old.Size() == 0 {
		return w.AllocateZeroed(new)
	}
	return w.change(galloc.GrowZeroed, p, old, new, true)
}

func (w *two) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkShrink(old, new)
	if new.Size() == 0 {
		w.Deallocate(p, old)
		return emptyBlock(new), nil
	}
	return w.change(galloc.Shrink, p, old, new, false)
}

func (w *two) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || l.Size() == 0 || newSize == 0 || newSize == l.Size() {
		return newSize == l.Size()
	}
	i := w.rules.owner(p, l)
	return w.rules.stays(i, n) && galloc.Resize(i.a, p, l, newSize)
}

func (w *two) UsableSize(l galloc.Layout) uintptr {
	if l.Size() == 0 {
		return 0
	}
	i, other := w.rules.choose(l)
	n := min(galloc.UsableSize(i.a, l), w.rules.longest(i, l))
	if other != nil {
		n = min(n, galloc.UsableSize(other.a, l), w.rules.longest(other, l))
	}
	return n
}

func (w *two) Owns(p unsafe.Pointer) bool { return w.inner.Owns(p) || w.second.Owns(p) }

func (w *two) Reset() {
	w.inner.Reset()
	w.second.Reset()
}

func (w *two) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	l, err := typedLayout(t, n)
	if err != nil {
		return w.inner.AllocateTyped(t, n)
	}
	i, other := w.rules.choose(l)
	p, err := i.AllocateTyped(t, n)
	if err != nil && other != nil {
		p, err = other.AllocateTyped(t, n)
	}
	return p, err
}

func (w *two) block(do func(galloc.Allocator, galloc.Layout) ([]byte, error), l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	i, other := w.rules.choose(l)
	b, err := do(i.a, l)
	if err != nil && other != nil {
		i = other
		b, err = do(i.a, l)
	}
	return w.cut(i, b, l), err
}

func (w *two) cut(i *inner, b []byte, l galloc.Layout) []byte {
	if n := w.rules.longest(i, l); uintptr(len(b)) > n {
		b = b[:n:n]
	}
	return b
}

// elsewhere returns where a block of i goes if it cannot become one of l there, or nil: from
// the second allocator of a Fallback, nowhere.
func (w *two) elsewhere(i *inner, l galloc.Layout) *inner {
	to, other := w.rules.choose(l)
	switch i {
	case to:
		return other
	case other:
		return nil
	}
	return to
}

// change makes the block at p one of layout new: where it is, or else in the other allocator.
func (w *two) change(
	do func(galloc.Allocator, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error),
	p unsafe.Pointer, old, new galloc.Layout, zeroed bool,
) (b []byte, err error) {
	i := w.rules.owner(p, old)
	err = galloc.ErrOutOfMemory
	if w.rules.stays(i, new) {
		if b, err = do(i.a, p, old, new); err == nil {
			return w.cut(i, b, new), nil
		}
	}
	to := w.elsewhere(i, new)
	if to == nil {
		return nil, err
	}
	if zeroed {
		b, err = galloc.AllocateZeroed(to.a, new)
	} else {
		b, err = to.a.Allocate(new)
	}
	if err != nil {
		return nil, err
	}
	copyBytes(unsafe.Pointer(unsafe.SliceData(b)), p, min(old.Size(), new.Size()))
	i.a.Deallocate(p, old)
	return w.cut(to, b, new), nil
}

// copyBytes copies n bytes between two blocks that do not overlap.
func copyBytes(to, from unsafe.Pointer, n uintptr) {
	// SAFETY: both are currently allocated, of at least n bytes.
	copy(unsafe.Slice((*byte)(to), n), unsafe.Slice((*byte)(from), n))
}

// unlimited is longest where blocks may be as long as they are.
const unlimited = math.MaxInt
