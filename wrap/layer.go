package wrap

import (
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// hooks is what one kind of wrapper does around the calls of the inner allocator: see layer.
// Old is the zero Layout where nothing was allocated before. They never see size 0.
type hooks interface {
	// admit is asked first. If it returns an error, that is the result, and nothing else is
	// called.
	admit(old, new galloc.Layout) error
	// done is told that a block has become one of new.
	done(old, new galloc.Layout)
	// failed is told that what was admitted has failed; or, if it was a Resize, that the block
	// cannot change where it is.
	failed(old, new galloc.Layout, resize bool)
	// freed is told that a block has been deallocated.
	freed(l galloc.Layout)
	// forgotten is told that all blocks have been invalidated.
	forgotten()
}

// A layer is a wrapper by hooks: all methods of one, with size 0 looked after, and mistakes
// found before a hook is called.
type layer struct {
	inner
	sizes sizes
	exact bool // blocks have the length that they count for: see sizes
	hooks hooks
}

// init makes a layer around a. If it keeps accounts, its blocks have the length that they
// count for.
func (w *layer) init(a galloc.Allocator, h hooks, accounts bool) {
	w.inner, w.hooks, w.exact = resolve(a), h, accounts
	if accounts {
		w.sizes.init(w.a)
	}
}

func (w *layer) countsAsked() bool {
	if w.exact {
		return w.sizes.countsAsked()
	}
	in, ok := w.a.(asked)
	return ok && in.countsAsked()
}

// The methods are documented at Allocator and in package galloc.

func (w *layer) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	if w.hooks.admit(galloc.Layout{}, l) != nil {
		return nil
	}
	p := w.alloc.Alloc(l)
	w.tell(galloc.Layout{}, l, p != nil)
	return p
}

func (w *layer) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	if w.hooks.admit(galloc.Layout{}, l) != nil {
		return nil
	}
	p := w.zeroed.AllocZeroed(l)
	w.tell(galloc.Layout{}, l, p != nil)
	return p
}

func (w *layer) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	n, err := galloc.NewLayout(newSize, l.Align())
	switch {
	case err != nil:
		w.hooks.failed(l, l, false)
		return nil
	case l.Size() == 0:
		return w.Alloc(n)
	case newSize == 0:
		w.Dealloc(p, l)
		return n.Dangling()
	case w.hooks.admit(l, n) != nil:
		return nil
	}
	q := w.realloc.Realloc(p, l, newSize)
	w.tell(l, n, q != nil)
	return q
}

func (w *layer) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.alloc.Dealloc(p, l)
		w.hooks.freed(l)
	}
}

func (w *layer) Allocate(l galloc.Layout) ([]byte, error) {
	return w.block(galloc.Allocator.Allocate, l)
}

func (w *layer) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	return w.block(galloc.AllocateZeroed, l)
}

func (w *layer) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() != 0 {
		w.a.Deallocate(p, l)
		w.hooks.freed(l)
	}
}

func (w *layer) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	if old.Size() == 0 {
		return w.Allocate(new)
	}
	return w.change(galloc.Grow, p, old, new)
}

func (w *layer) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkGrow(old, new)
	if old.Size() == 0 {
		return w.AllocateZeroed(new)
	}
	b, err := w.change(galloc.GrowZeroed, p, old, new)
	if err == nil && w.sizes.trimmed.Load() {
		clear(b[old.Size():]) // the inner allocator may have kept what was never the user's
	}
	return b, err
}

func (w *layer) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	checkShrink(old, new)
	if new.Size() == 0 {
		w.Deallocate(p, old)
		return emptyBlock(new), nil
	}
	return w.change(galloc.Shrink, p, old, new)
}

func (w *layer) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	n, err := galloc.NewLayout(newSize, l.Align())
	if err != nil || l.Size() == 0 || newSize == 0 || newSize == l.Size() {
		return newSize == l.Size()
	}
	if w.hooks.admit(l, n) != nil {
		return false
	}
	if !galloc.Resize(w.a, p, l, newSize) {
		w.hooks.failed(l, n, true)
		return false
	}
	w.hooks.done(l, n)
	return true
}

func (w *layer) UsableSize(l galloc.Layout) uintptr {
	switch {
	case l.Size() == 0:
		return 0
	case w.exact:
		return w.sizes.of(l)
	}
	return galloc.UsableSize(w.a, l)
}

func (w *layer) Reset() {
	w.inner.Reset()
	w.hooks.forgotten()
}

func (w *layer) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	l, err := typedLayout(t, n)
	if err != nil || l.Size() == 0 {
		p, err := w.inner.AllocateTyped(t, n)
		if err != nil {
			w.hooks.failed(galloc.Layout{}, galloc.Layout{}, false)
		}
		return p, err
	}
	if err := w.hooks.admit(galloc.Layout{}, l); err != nil {
		return nil, err
	}
	p, err := w.inner.AllocateTyped(t, n)
	w.tell(galloc.Layout{}, l, err == nil)
	return p, err
}

func (w *layer) block(do func(galloc.Allocator, galloc.Layout) ([]byte, error), l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return emptyBlock(l), nil
	}
	if err := w.hooks.admit(galloc.Layout{}, l); err != nil {
		return nil, err
	}
	b, err := do(w.a, l)
	w.tell(galloc.Layout{}, l, err == nil)
	return w.shown(b, l, err)
}

func (w *layer) change(
	do func(galloc.Allocator, unsafe.Pointer, galloc.Layout, galloc.Layout) ([]byte, error),
	p unsafe.Pointer, old, new galloc.Layout,
) ([]byte, error) {
	if err := w.hooks.admit(old, new); err != nil {
		return nil, err
	}
	b, err := do(w.a, p, old, new)
	w.tell(old, new, err == nil)
	return w.shown(b, new, err)
}

func (w *layer) tell(old, new galloc.Layout, ok bool) {
	if ok {
		w.hooks.done(old, new)
	} else {
		w.hooks.failed(old, new, false)
	}
}

func (w *layer) shown(b []byte, l galloc.Layout, err error) ([]byte, error) {
	if err == nil && w.exact {
		b = w.sizes.trim(b, w.sizes.of(l))
	}
	return b, err
}
